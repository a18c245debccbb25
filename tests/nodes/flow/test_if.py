"""flow.if."""

from budflow.graph.params import ParamsInvalid
from tests.nodes.harness import run


def test_every_item_takes_one_branch_in_order() -> None:
    given = [{"n": n} for n in range(5)]

    ran = run("flow.if", lambda json: {"condition": json["n"] % 2 == 0}, given)

    assert ran.ports == {"true": [{"n": 0}, {"n": 2}, {"n": 4}], "false": [{"n": 1}, {"n": 3}]}
    assert ran.lineage == {"true": [0, 2, 4], "false": [1, 3]}


def test_an_item_without_a_clear_answer_fails_alone() -> None:
    ran = run("flow.if", lambda json: {"condition": json["ok"]}, [{"ok": True}, {"ok": None}, {"ok": "maybe"}])

    assert ran.ports == {"true": [{"ok": True}], "error": [{"ok": None}, {"ok": "maybe"}]}
    assert isinstance(ran.failed[1], ParamsInvalid)


def test_no_items_take_no_branch() -> None:
    assert run("flow.if", {"condition": True}, []).ports == {}
