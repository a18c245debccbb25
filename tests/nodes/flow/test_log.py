"""flow.log."""

from typing import Any

import pytest

from tests.nodes.harness import run

TYPE = "flow.log"


def test_each_item_has_its_line_and_passes_on_unchanged() -> None:
    given = [{"n": 1}, {"n": 2}, {"n": 3}]
    ran = run(TYPE, {"message": "No {{ $json.n }}", "level": "debug", "fields": {"n": "{{ $json.n }}"}}, given)

    assert ran.logged == [("debug", n - 1, f"No {n}", {"n": n}) for n in (1, 2, 3)]
    assert (ran.ports, ran.lineage) == ({"main": given}, {"main": [0, 1, 2]})


def test_items_keep_their_numbers_where_they_come_in_slices() -> None:
    ran = run(TYPE, {"message": "a"}, [{}] * 5, slice_items=2)

    assert [item for _, item, _, _ in ran.logged] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("message", "written"),
    [
        (5, "5"),
        (None, "null"),
        ({"a": [1, True]}, '{"a":[1,true]}'),
        (2**80, str(2**80)),
        ("\ud800", "?"),
        ("", ""),
    ],
)
def test_any_message_can_be_logged(message: Any, written: str) -> None:
    assert [line for _, _, line, _ in run(TYPE, lambda json: {"message": message}, [{}]).logged] == [written]


def test_an_item_whose_message_cannot_be_evaluated_fails_alone() -> None:
    ran = run(TYPE, {"message": "{{ $json.a.b }}"}, [{"a": 1}, {"a": {"b": "well"}}])

    assert [*ran.failed] == [0]
    assert ran.logged == [("info", 1, "well", {})]


def test_of_nothing_nothing_is_logged() -> None:
    assert run(TYPE, {"message": "a"}, []).logged == []
