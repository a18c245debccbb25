"""Static data when nodes do not run, fail, or ran in an execution that is repeated."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.execution.simulated_repeats import retry
from tests.execution.simulated_world import Asked
from tests.execution.story import Story, told

STOP = {"type": "flow.stop_and_error", "params": {"message": "on purpose"}}
TALLY = {"type": "sim.tally"}


def workflow(*edges: str, **nodes: Any) -> dict[str, Any]:
    pairs = [edge.split(" > ") for edge in edges]
    return {
        "format": 1,
        "name": "story",
        "nodes": {"start": {"type": "trigger.manual"}, **nodes},
        "edges": [{"from": source, "to": target} for source, target in pairs],
        "settings": {},
    }


async def kept(story: Story) -> Mapping[str, Any]:
    return await story.store.get_static("default", "caller")


@told
async def test_a_disabled_node_leaves_static_data_alone(story: Story) -> None:
    await story.begin(workflow("start > one", "one > off", one=TALLY, off={**TALLY, "disabled": True}))
    await story.submit([{}])
    await story.quiet()

    assert await kept(story) == {"one": {"runs": 1, "items": 1}, "": {"runs": 1, "items": 1}}


@told
async def test_a_node_that_raised_keeps_nothing_though_its_items_pass_on(story: Story) -> None:
    faulty = {**TALLY, "params": {"fails_at": 1}, "on_error": "continue"}
    await story.begin(workflow("start > one", "one > faulty", one=TALLY, faulty=faulty))
    await story.submit([{"n": 1}])
    await story.quiet()

    assert (await story.row()).status == "succeeded"
    assert await kept(story) == {"one": {"runs": 1, "items": 1}, "": {"runs": 1, "items": 1}}


@pytest.mark.parametrize("asked", [Asked(pinned=True), Asked(until="two")])
def test_a_test_run_reads_static_data_and_changes_none(asked: Asked) -> None:
    @told
    async def tell(story: Story) -> None:
        await story.begin(workflow("start > one", "one > two", one=TALLY, two=TALLY))
        await story.submit([{}], asked)
        await story.quiet()

        assert (await story.row()).status == "succeeded"
        assert await kept(story) == {}

    tell()


@told
async def test_a_retry_does_not_bring_old_static_data_back(story: Story) -> None:
    await story.begin(workflow("start > one", "one > stop", one=TALLY, stop=STOP))
    await story.submit([{}])
    await story.quiet()
    first = await story.row()
    await story.submit([{}])
    await story.quiet()
    await retry(story.servers[0], first)
    await story.quiet()

    assert [row.origin is not None for row in await story.store.rows()] == [False, False, True]
    assert (await kept(story))["one"] == {"runs": 2, "items": 2}
