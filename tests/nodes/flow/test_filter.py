"""flow.filter."""

from budflow.model.item import BlobRef, Item
from tests.nodes.harness import run


def test_none_is_lost_and_the_order_stays() -> None:
    given = [{"n": n} for n in range(2500)]

    ran = run("flow.filter", lambda json: {"condition": json["n"] >= 1000}, given, slice_items=1000)

    assert ran.ports == {"kept": given[1000:], "dropped": given[:1000]}
    assert ran.lineage["kept"] == list(range(1000, 2500))


def test_files_stay_with_their_item() -> None:
    item = Item({"a": 1}, {"file": BlobRef("ab" * 32, 3)})

    assert run("flow.filter", {"condition": True}, [item]).items == {"kept": [item]}


def test_an_item_whose_condition_is_no_boolean_fails() -> None:
    ran = run("flow.filter", lambda json: {"condition": json.get("x")}, [{}])

    assert ran.ports == {"error": [{}]}
