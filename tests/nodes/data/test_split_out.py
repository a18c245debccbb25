"""data.split_out."""

from typing import Any

import pytest

from budflow.model.item import BlobRef, Item
from tests.nodes.harness import run


def split(json: dict[str, Any], **params: Any) -> list[dict[str, Any]]:
    return run("data.split_out", params, [json]).ports.get("main", [])


def test_objects_become_items_and_other_elements_get_a_name() -> None:
    given = {"order": {"lines": [{"a": 1}, "x", None, [2]]}}

    assert split(given, field="order.lines") == [{"a": 1}, {"lines": "x"}, {"lines": None}, {"lines": [2]}]
    assert split(given, field="order.lines", name="line.value")[0] == {"line": {"value": {"a": 1}}}


def test_others_keep_what_stands_beside_the_list() -> None:
    given = {"id": 1, "o": {"lines": [1, 2], "x": 3}}

    assert split(given, field="o.lines", include="others") == [
        {"id": 1, "o": {"lines": 1, "x": 3}},
        {"id": 1, "o": {"lines": 2, "x": 3}},
    ]
    assert split(given, field="o.lines", include="others", name="line") == [
        {"id": 1, "o": {"x": 3}, "line": 1},
        {"id": 1, "o": {"x": 3}, "line": 2},
    ]


@pytest.mark.parametrize("json", [{}, {"l": None}, {"l": []}, {"x": {"l": [1]}}])
def test_no_list_and_an_empty_one_give_no_items(json: dict[str, Any]) -> None:
    assert split(json, field="l") == []


@pytest.mark.parametrize("value", ["abc", 0, False, {"0": 1}])
def test_anything_else_fails_the_item_alone(value: Any) -> None:
    ran = run("data.split_out", {"field": "l"}, [{"l": value}, {"l": [1]}])

    assert ran.ports == {"main": [{"l": 1}], "error": [{"l": value}]}
    assert ran.failed[0].code == "split_out.not_a_list"


def test_a_blocked_name_fails_the_item_without_halves() -> None:
    ran = run("data.split_out", {"field": "l", "include": "others", "name": "t.x"}, [{"l": [1, 2], "t": "text"}])

    assert ran.ports == {"error": [{"l": [1, 2], "t": "text"}]}


def test_lineage_and_files_lead_back_to_the_source() -> None:
    file = BlobRef("ab" * 32, 3)
    given = [{"l": [1]}, Item({"l": [2, 3]}, {"file": file})]

    ran = run("data.split_out", {"field": "l", "include": "others"}, given)
    alone = run("data.split_out", {"field": "l"}, given)

    assert ran.lineage["main"] == [0, 1, 1]
    assert [set(item.binary) for item in ran.items["main"]] == [set(), {"file"}, {"file"}]
    assert [set(item.binary) for item in alone.items["main"]] == [set(), set(), set()]


def test_a_long_list_comes_out_whole() -> None:
    assert len(split({"l": list(range(100_000))}, field="l")) == 100_000
