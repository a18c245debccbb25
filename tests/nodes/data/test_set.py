"""data.set."""

from typing import Any

import pytest
from pydantic import ValidationError

from budflow.model.item import BlobRef, Item, ItemError
from budflow.nodes.data.set import SetParams
from tests.nodes.harness import run


def set_in(json: dict[str, Any], **params: Any) -> dict[str, Any]:
    [found] = run("data.set", params, [json]).ports["main"]
    return found


def test_fields_are_added_and_replaced_in_place() -> None:
    found = set_in({"a": 1, "b": 2}, values={"a": 9, "c": None})

    assert found == {"a": 9, "b": 2, "c": None}
    assert list(found) == ["a", "b", "c"]


def test_a_path_sets_a_field_inside_an_object_or_makes_it() -> None:
    assert set_in({"a": {"x": 1}}, values={"a.y": 2, "b.c.d": 3}) == {"a": {"x": 1, "y": 2}, "b": {"c": {"d": 3}}}


def test_only_the_values_stay_without_keep() -> None:
    assert set_in({"a": 1, "b": {"x": 1}}, keep=False, values={"b.y": 2}) == {"b": {"y": 2}}
    assert set_in({"a": 1}, keep=False) == {}


def test_removing_comes_before_setting() -> None:
    assert set_in({"a": 1, "b": {"c": 2, "d": 3}}, remove=["a", "b.c", "no.such"], values={"a": 5}) == {
        "a": 5,
        "b": {"d": 3},
    }


def test_a_value_that_is_shared_with_another_item_is_not_changed() -> None:
    shared = {"x": 1}

    ran = run("data.set", lambda json: {"values": {"a": shared, "a.y": json["n"]}}, [{"n": 1}, {"n": 2}])

    assert ran.ports["main"] == [{"n": 1, "a": {"x": 1, "y": 1}}, {"n": 2, "a": {"x": 1, "y": 2}}]
    assert shared == {"x": 1}


def test_what_is_not_touched_is_not_copied() -> None:
    large = {"rows": list(range(1000))}

    assert set_in({"large": large}, values={"a": 1})["large"] is large


def test_an_item_fails_alone_where_the_path_is_blocked() -> None:
    ran = run("data.set", {"values": {"a.b": 1}}, [{"a": {}}, {"a": "text"}, {}])

    assert ran.ports == {"main": [{"a": {"b": 1}}, {"a": {"b": 1}}], "error": [{"a": "text"}]}
    assert ran.failed[1].code == "data.path_blocked"
    assert ran.lineage["main"] == [0, 2]


def test_files_and_error_stay_with_the_item() -> None:
    item = Item({}, {"file": BlobRef("ab" * 32, 3)}, ItemError("node.failed", "No."))

    assert run("data.set", {"values": {"a": 1}}, [item]).items["main"] == [item._replace(json={"a": 1})]


@pytest.mark.parametrize("params", [{"values": {"": 1}}, {"values": {"a..b": 1}}, {"remove": ["."]}, {"value": {}}])
def test_paths_without_names_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SetParams.model_validate(params)
