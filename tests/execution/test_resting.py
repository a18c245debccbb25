"""An execution that computes nothing says what it waits for, and is with nobody meanwhile."""

import asyncio

from budflow.model import event as e
from tests.execution.story import SET, Story, document, nap, told


@told
async def test_one_that_is_paused_while_it_waits_says_so_until_it_goes_on(story: Story) -> None:
    await story.begin(document("nap", nap(600)))
    await story.submit([{}])
    await story.sees(e.WaitStarted)
    await asyncio.sleep(3)
    row = await story.row()
    assert row.waiting == "timer"

    await story.signal(row, e.Paused(row.created_at, "somebody"))
    await asyncio.sleep(3)
    row = await story.row()
    assert (row.status, row.waiting, row.runner) == ("waiting", "paused", None)

    await story.signal(row, e.Continued(row.created_at, "somebody"))
    await asyncio.sleep(3)
    assert (await story.row()).waiting == "timer"


@told
async def test_a_wait_that_is_over_while_it_is_paused_starts_nothing(story: Story) -> None:
    nodes = {"start": {"type": "trigger.manual"}, "nap": nap(30), "set": SET}
    edges = [{"from": "start", "to": "nap"}, {"from": "nap", "to": "set"}]
    await story.begin({**document("nap", nap(30)), "nodes": nodes, "edges": edges})
    await story.submit([{}])
    await story.sees(e.WaitStarted)
    row = await story.row()
    await story.signal(row, e.Paused(row.created_at, "somebody"))
    await asyncio.sleep(60)

    assert (await story.row()).waiting == "paused"
    assert "set" not in [event.node for event in await story.all(e.NodeFinished)]
    await story.signal(row, e.Continued(row.created_at, "somebody"))
    await story.sees(e.Finished)
