"""trigger.manual."""

from budflow.model.item import BlobRef, Item
from tests.nodes.harness import run, spec_of


def test_items_enter_as_they_were_given_files_included() -> None:
    file = BlobRef("ab" * 32, 3)

    ran = run("trigger.manual", {}, [Item({"a": 1}, {"file": file}), {"a": 2}])

    assert ran.items["main"] == [Item({"a": 1}, {"file": file}), Item({"a": 2})]
    assert ran.lineage["main"] == [0, 1]


def test_no_items_give_none() -> None:
    assert run("trigger.manual", {}, []).ports == {}


def test_a_trigger_has_no_input_port() -> None:
    assert spec_of("trigger.manual").trigger
    assert spec_of("trigger.manual").input_ports({}) == ()
