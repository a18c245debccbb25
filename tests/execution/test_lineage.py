"""What is said where `$node.KEY.json` leads to no item."""

from typing import Any

from budflow.model.failure import Failure
from tests.execution.fakes import run_to_end

START = {"start": {"type": "trigger.manual"}}
READ = {"type": "data.set", "params": {"values": {"of": "{{ $node.source.json.n }}"}}}
SOURCE: dict[str, Any] = {"type": "data.set", "params": {"values": {"more": 1}}}
NOTHING: dict[str, Any] = {"type": "data.split_out", "params": {"field": "list"}}
TWO = [{"n": 1}, {"n": 2}]


async def failure_of(nodes: dict[str, Any], edges: list[str]) -> Failure:
    link = await run_to_end({**START, "source": SOURCE, "read": READ, **nodes}, edges, TWO)
    assert link.end.failure is not None
    assert link.end.failure.code == "lineage.ambiguous"
    return link.end.failure


async def test_an_item_of_another_branch_was_made_from_none_of_that_node() -> None:
    failure = await failure_of(
        {"aside": {"type": "data.limit", "params": {"count": 1}}},
        ["start > source", "start > aside", "source > read", "aside > read"],
    )

    assert failure.message == "Item 2, counted from 0, was not made from an item of `source`: it came another way."
    assert "flow.merge" in failure.hint


async def test_an_item_made_from_several_may_be_meant_by_any() -> None:
    count = {"type": "data.aggregate", "params": {"operations": [{"operation": "count", "name": "count"}]}}
    failure = await failure_of({"count": count}, ["start > source", "source > count", "count > read"])

    assert failure.message == (
        "Item 0, counted from 0, was made from several items or from none: `$node.source.json` may be any of 2."
    )


async def test_a_node_without_items_has_none_to_read() -> None:
    failure = await failure_of(
        {
            "source": NOTHING,
            "count": {"type": "data.aggregate", "params": {"operations": [{"operation": "count", "name": "count"}]}},
        },
        ["start > source", "source > count", "count > read"],
    )

    assert failure.message == "`source` gave no items, so there is no `$node.source.json`."


async def test_the_first_item_where_there_may_be_none_is_read_as_the_hint_says() -> None:
    nodes = {
        "source": NOTHING,
        "count": {"type": "data.aggregate", "params": {"operations": [{"operation": "count", "name": "count"}]}},
        "read": {"type": "data.set", "params": {"values": {"of": "{{ $node.source.items.first()?.n }}"}}},
    }
    link = await run_to_end({**START, **nodes}, ["start > source", "source > count", "count > read"], TWO)

    assert link.output("read") == [{"count": 0, "of": None}]
