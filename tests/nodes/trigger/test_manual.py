"""trigger.manual."""

import pytest
from pydantic import ValidationError

from budflow.model.item import BlobRef, Item, ItemList, Json
from budflow.nodes.trigger.manual import InputInvalid, ManualParams, checked_items
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


PARAMS = ManualParams.model_validate(
    {
        "inputs": {
            "customer": {"type": "string", "required": True},
            "limit": {"type": "integer", "default": 10},
            "note": {},
        }
    }
)


def test_items_that_fit_pass_as_the_same_list() -> None:
    items = ItemList.of([{"customer": "c1", "limit": 5, "other": True}])

    assert checked_items(PARAMS, items) is items
    assert checked_items(ManualParams(), items) is items


@pytest.mark.parametrize("given", [{"customer": "c1"}, {"customer": "c1", "limit": None}])
def test_what_is_missing_or_null_gets_its_default(given: Json) -> None:
    items = ItemList([Item(given, {"file": BlobRef("ab" * 32, 3)})], [0])

    checked = checked_items(PARAMS, items)

    assert checked == ItemList([Item({"customer": "c1", "limit": 10}, {"file": BlobRef("ab" * 32, 3)})], [0])
    assert items.items[0].json is given
    assert "limit" not in given or given["limit"] is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, r"Item 1: the field `customer` is missing; it must be a text\."),
        ({"customer": None}, r"Item 1: the field `customer` is missing"),
        ({"customer": 7}, r"Item 1: the field `customer` must be a text, not a number\."),
        ({"customer": "c1", "limit": 2.5}, r"Item 1: the field `limit` must be a whole number, not a number\."),
    ],
)
def test_an_item_that_does_not_fit_is_named_with_its_field(wrong: Json, said: str) -> None:
    with pytest.raises(InputInvalid, match=said) as refused:
        checked_items(PARAMS, ItemList.of([{"customer": "c1"}, wrong]))

    assert refused.value.code == "workflow.input_invalid"
    assert refused.value.details["item"] == 1


@pytest.mark.parametrize(
    "declared",
    [
        {"type": "string", "default": 7},
        {"required": True, "default": "x"},
        {"type": "text"},
        {"optional": True},
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(declared: Json) -> None:
    with pytest.raises(ValidationError):
        ManualParams.model_validate({"inputs": {"x": declared}})


def test_inputs_have_names_that_expressions_can_read() -> None:
    with pytest.raises(ValidationError):
        ManualParams.model_validate({"inputs": {"a b": {}}})
