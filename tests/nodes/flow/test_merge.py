"""flow.merge."""

from typing import Any

import pytest
from pydantic import ValidationError

from budflow.model.item import BlobRef, Item, ItemError
from budflow.nodes.flow import merge as merge_module
from budflow.nodes.flow.merge import MergeParams, MergeTooLarge, merge_ports
from tests.nodes.harness import run


def by_key(left: list[Any], right: list[Any], **more: Any) -> list[dict[str, Any]]:
    params = {"mode": "by_key", "left_key": "k", **more}
    return run("flow.merge", params, {"left": left, "right": right}).ports.get("main", [])


def test_append_passes_everything_on_with_its_lineage() -> None:
    ran = run("flow.merge", {}, [{"a": 1}, {"a": 1}])

    assert ran.ports == {"main": [{"a": 1}, {"a": 1}]}
    assert ran.lineage == {"main": [0, 1]}


def test_the_input_ports_follow_from_the_mode() -> None:
    assert merge_ports({}) == ("main",)
    assert merge_ports({"mode": "append"}) == ("main",)
    assert merge_ports({"mode": "by_key"}) == ("left", "right")
    assert merge_ports({"mode": "by_position"}) == ("left", "right")
    assert merge_ports({"mode": "cross"}) == ("left", "right")
    assert merge_ports({"mode": "choose"}) == ("left", "right")


@pytest.mark.parametrize(
    ("join", "expected"),
    [
        ("inner", [{"a": 1, "b": 1}]),
        ("left", [{"a": 1, "b": 1}, {"a": 2}]),
        ("right", [{"a": 1, "b": 1}]),
        ("outer", [{"a": 1, "b": 1}, {"a": 2}]),
        ("anti", [{"a": 2}]),
    ],
)
def test_by_position_drops_or_keeps_what_is_left_over(join: str, expected: list[Any]) -> None:
    given = {"left": [{"a": 1}, {"a": 2}], "right": [{"b": 1}]}

    assert run("flow.merge", {"mode": "by_position", "join": join}, given).ports == {"main": expected}


def test_by_position_keeps_what_is_left_over_on_the_right_only_for_outer() -> None:
    given = {"left": [], "right": [{"b": 1}]}

    assert run("flow.merge", {"mode": "by_position", "join": "outer"}, given).ports == {"main": [{"b": 1}]}
    assert run("flow.merge", {"mode": "by_position", "join": "left"}, given).ports == {}


@pytest.mark.parametrize(
    ("join", "expected"),
    [
        ("inner", [{"k": 1, "l": "a", "r": "x"}]),
        ("left", [{"k": 1, "l": "a", "r": "x"}, {"k": 2, "l": "b"}]),
        ("right", [{"k": 1, "l": "a", "r": "x"}, {"k": 3, "r": "z"}]),
        ("outer", [{"k": 1, "l": "a", "r": "x"}, {"k": 2, "l": "b"}, {"k": 3, "r": "z"}]),
        ("anti", [{"k": 2, "l": "b"}]),
    ],
)
def test_by_key_joins_as_a_database_does(join: str, expected: list[Any]) -> None:
    left = [{"k": 1, "l": "a"}, {"k": 2, "l": "b"}]
    right = [{"k": 3, "r": "z"}, {"k": 1, "r": "x"}]

    assert by_key(left, right, join=join) == expected


def test_an_item_with_several_partners_comes_out_several_times() -> None:
    assert by_key([{"k": 1}, {"k": 1}], [{"k": 1, "r": 1}, {"k": 1, "r": 2}]) == [
        {"k": 1, "r": 1},
        {"k": 1, "r": 2},
        {"k": 1, "r": 1},
        {"k": 1, "r": 2},
    ]


def test_missing_and_null_keys_have_no_partner() -> None:
    assert by_key([{"k": None}, {}], [{"k": None}, {}], join="outer") == [{"k": None}, {}, {"k": None}, {}]


@pytest.mark.parametrize(
    ("one", "other", "equal"), [(1, 1.0, True), (1, "1", False), (1, True, False), ([1], [1], True)]
)
def test_keys_are_equal_as_json_is(one: Any, other: Any, equal: bool) -> None:
    assert bool(by_key([{"k": one}], [{"k": other}])) is equal


def test_keys_may_have_different_paths() -> None:
    found = by_key([{"k": {"id": 5}}], [{"ref": 5, "r": 1}], left_key="k.id", right_key="ref")

    assert found == [{"k": {"id": 5}, "ref": 5, "r": 1}]


@pytest.mark.parametrize(("clash", "winner"), [("left", "l"), ("right", "r")])
def test_one_side_wins_where_both_have_the_field(clash: str, winner: str) -> None:
    [found] = by_key([{"k": 1, "x": "l", "only": 1}], [{"k": 1, "x": "r"}], clash=clash)

    assert found["x"] == winner
    assert list(found) == ["k", "x", "only"]


def test_a_pair_has_the_files_of_both_and_comes_from_several_items() -> None:
    one, other = BlobRef("aa" * 32, 1), BlobRef("bb" * 32, 2)
    error = ItemError("node.failed", "No.")
    given = {"left": [Item({"a": 1}, {"one": one}, error)], "right": [Item({"b": 2}, {"other": other})]}

    ran = run("flow.merge", {"mode": "by_position"}, given)

    assert ran.items == {"main": [Item({"a": 1, "b": 2}, {"one": one, "other": other}, error)]}
    assert ran.lineage == {"main": [-1]}


def test_a_merge_that_would_explode_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge_module, "ITEMS_MAX", 99)

    with pytest.raises(MergeTooLarge, match="more than 99 items"):
        by_key([{"k": 1}] * 10, [{"k": 1}] * 10)


def test_items_that_are_not_joined_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge_module, "ITEMS_MAX", 9)

    assert by_key([{"k": 1}] * 10 + [{"k": 2}], [{"k": 1}] * 10, join="anti") == [{"k": 2}]


def test_what_comes_of_one_item_leads_back_to_it() -> None:
    given = {"left": [{"k": 1}, {"k": 2}], "right": [{"k": 3}, {"k": 1}]}
    params = {"mode": "by_key", "left_key": "k"}

    assert run("flow.merge", {**params, "join": "outer"}, given).lineage == {"main": [-1, 1, 2]}
    assert run("flow.merge", {**params, "join": "anti"}, given).lineage == {"main": [1]}


def test_cross_pairs_everything_with_everything() -> None:
    ran = run("flow.merge", {"mode": "cross"}, {"left": [{"a": 1}, {"a": 2}], "right": [{"b": 1}, {"b": 2}]})

    assert ran.ports == {"main": [{"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 2, "b": 1}, {"a": 2, "b": 2}]}
    assert ran.lineage == {"main": [-1, -1, -1, -1]}


def test_a_cross_with_nothing_is_nothing() -> None:
    assert run("flow.merge", {"mode": "cross"}, {"left": [{"a": 1}], "right": []}).ports == {}


def test_a_cross_that_would_explode_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge_module, "ITEMS_MAX", 99)

    with pytest.raises(MergeTooLarge):
        run("flow.merge", {"mode": "cross"}, {"left": [{"a": 1}] * 10, "right": [{"b": 1}] * 10})


@pytest.mark.parametrize(("branch", "chosen", "origin"), [("left", {"a": 1}, 0), ("right", {"b": 2}, 1)])
def test_the_chosen_branch_goes_on_unchanged(branch: str, chosen: dict[str, int], origin: int) -> None:
    given = {"left": [{"a": 1}], "right": [{"b": 2}]}

    ran = run("flow.merge", {"mode": "choose", "branch": branch}, given)

    assert ran.ports == {"main": [chosen]}
    assert ran.lineage == {"main": [origin]}


def test_by_key_needs_a_key() -> None:
    with pytest.raises(ValidationError, match="left_key"):
        MergeParams(mode="by_key")
