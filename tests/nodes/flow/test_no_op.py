"""flow.no_op."""

from budflow.model.item import Item, ItemError
from tests.nodes.harness import run


def test_items_pass_with_their_lineage_and_error() -> None:
    failed = Item({"a": 1}, error=ItemError("node.failed", "No."))

    ran = run("flow.no_op", {}, [failed, {"a": 2}])

    assert ran.items["main"] == [failed, Item({"a": 2})]
    assert ran.lineage["main"] == [0, 1]


def test_nothing_passes_as_nothing() -> None:
    assert run("flow.no_op", {}, []).ports == {}
