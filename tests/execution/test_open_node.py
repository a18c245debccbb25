"""What a node is opened with: the items of a loop."""

from typing import Any

import pytest

from tests.execution.fakes import run_to_end

BODY = {
    "nodes": {"mark": {"type": "data.set", "params": {"values": {"seen": True}}}},
    "edges": [{"from": "$in", "to": "mark"}, {"from": "mark", "to": "$out"}],
}


async def walked(params: dict[str, Any], items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a loop with these parameters gives for these items."""
    each = {"type": "flow.for_each", "params": params, "bodies": {"body": BODY}}
    link = await run_to_end({"start": {"type": "trigger.manual"}, "each": each}, ["start > each"], items)
    assert link.end.status == "succeeded"
    return link.output("each")


@pytest.mark.parametrize("given", [{}, {"items": None}], ids=["left out", "null"])
async def test_a_loop_without_a_list_walks_through_the_items(given: dict[str, Any]) -> None:
    assert await walked(given, [{"n": 1}]) == [{"n": 1, "seen": True}]


async def test_a_list_that_an_expression_finds_missing_is_an_empty_one_and_never_the_items() -> None:
    items: list[dict[str, Any]] = [{"n": 1}, {"lines": [{"n": 2}]}, {"lines": None}, {"lines": []}]

    assert await walked({"items": "{{ $json?.lines }}"}, items) == [{"n": 2, "seen": True}]
    assert await walked({"items": "{{ $json?.lines }}"}, items[:1]) == []
