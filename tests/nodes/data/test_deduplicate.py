"""data.deduplicate."""

from budflow.model.static_data import StaticData
from tests.nodes.harness import run

BY_ID = {"key": "{{ $json.id }}"}


def test_the_first_of_each_kind_goes_on_and_the_order_stays() -> None:
    ran = run("data.deduplicate", BY_ID, [{"id": 2}, {"id": 1}, {"id": 2, "n": 1}, {"id": 1}])

    assert ran.lineage == {"main": [0, 1], "duplicates": [2, 3]}


def test_without_a_key_whole_items_are_compared_whatever_the_order_of_their_fields() -> None:
    ran = run("data.deduplicate", {}, [{"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1}])

    assert ran.lineage == {"main": [0, 2], "duplicates": [1]}


def test_a_key_that_is_null_is_a_key_too() -> None:
    ran = run("data.deduplicate", {"key": "{{ $json.get('id') }}"}, [{"n": 1}, {"n": 2}])

    assert ran.lineage == {"main": [0], "duplicates": [1]}


def test_what_an_earlier_execution_had_is_a_duplicate_with_the_scope_workflow() -> None:
    static = StaticData()
    first = run("data.deduplicate", {**BY_ID, "scope": "workflow"}, [{"id": 1}], static=static)
    second = run("data.deduplicate", {**BY_ID, "scope": "workflow"}, [{"id": 1}, {"id": 2}], static=static)

    assert first.lineage == {"main": [0]}
    assert second.lineage == {"duplicates": [0], "main": [1]}


def test_the_oldest_keys_are_forgotten_first() -> None:
    static = StaticData()
    params = {**BY_ID, "scope": "workflow", "remember_max": 2}
    run("data.deduplicate", params, [{"id": 1}, {"id": 2}, {"id": 3}], static=static)
    again = run("data.deduplicate", params, [{"id": 1}, {"id": 3}], static=static)

    assert again.lineage == {"main": [0], "duplicates": [1]}


def test_with_the_scope_list_nothing_is_remembered() -> None:
    static = StaticData()
    run("data.deduplicate", BY_ID, [{"id": 1}], static=static)

    assert static.node == {}
