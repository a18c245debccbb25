"""`finally` bodies when everything is to stop: each is finished, within a time of its own, whatever dies meanwhile."""

import asyncio
import itertools
from datetime import timedelta
from typing import Any

import pytest

from budflow.execution.controls import CLEANUP_SECONDS
from budflow.model import event as e
from budflow.model.identity import utc_now
from tests.execution.simulated_checks import check_world
from tests.execution.simulated_loop import simulate
from tests.execution.simulated_server import Server
from tests.execution.story import HOOK, SET, Story, body, document, nap, told

STOP = {"type": "flow.stop_and_error", "params": {"message": "on purpose"}}


def guarded(inside: dict[str, Any], last: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "flow.try_catch", "bodies": {"body": inside, "finally": last}, **more}


def chain(nodes: dict[str, Any]) -> dict[str, Any]:
    """A body of nodes one behind the other."""
    keys = ["$in", *nodes, "$out"]
    edges = [{"from": one, "to": other} for one, other in itertools.pairwise(keys)]
    return {"nodes": nodes, "edges": edges}


def nested(inner_last: dict[str, Any], outer_last: dict[str, Any]) -> dict[str, Any]:
    inner = guarded(body("work", nap(500)), inner_last)
    return document("outer", guarded(body("inner", inner), outer_last))


async def finished(story: Story) -> set[str]:
    return {event.node for event in await story.all(e.NodeFinished)}


async def between(story: Story, first: type, last: type) -> float:
    """The seconds from the first event of a kind to the last of another."""
    since, until = (await story.all(first))[0].at, (await story.all(last))[-1].at
    return float((until - since).total_seconds())


async def begin_and_cancel(story: Story, workflow: dict[str, Any], waits: int, seconds: float = 1) -> Server:
    """Run it until so many waits have begun, and cancel it after a while."""
    server = await story.begin(workflow)
    await story.submit([{}])
    await story.sees(e.WaitStarted, times=waits)
    await asyncio.sleep(seconds)
    await story.cancel((await story.row()).id)
    return server


@told
async def test_an_outer_finally_has_its_whole_time_however_long_the_inner_one_took(story: Story) -> None:
    await begin_and_cancel(story, nested(body("inner_tidy", nap(20)), body("outer_tidy", nap(20))), waits=1)
    await story.quiet()

    assert {"inner_tidy", "outer_tidy"} <= await finished(story)
    assert not await story.all(e.TimeIsUp)
    assert (await story.row()).status == "cancelled"


@pytest.mark.parametrize("deaths", [(), (10,), (45,), (10, 45)])
def test_each_finally_is_given_up_when_its_own_time_is_over_also_after_a_crash(deaths: tuple[int, ...]) -> None:
    async def main() -> None:
        story = Story()
        server = await begin_and_cancel(story, nested(body("inner_tidy", HOOK), body("outer_tidy", HOOK)), waits=1)
        passed = 0
        for second in deaths:
            await asyncio.sleep(second - passed)
            passed = second
            server.die()
            server = await story.new_server()
        await story.quiet()

        ups = await story.all(e.TimeIsUp)
        [cancelled] = await story.all(e.CancelRequested)
        assert [event.node for event in ups] == ["inner", "outer"]
        for number, event in enumerate(ups, 1):
            late = event.at - cancelled.at - timedelta(seconds=number * CLEANUP_SECONDS)
            assert timedelta() <= late < timedelta(seconds=3)
        assert (await story.row()).status == "cancelled"
        await check_world(story)
        await story.close()

    simulate(main())


@told
async def test_a_finally_that_has_begun_is_finished_when_everything_is_cancelled(story: Story) -> None:
    last = chain({"tidy": nap(20), "tidy_more": nap(5)})
    await begin_and_cancel(story, document("guard", guarded(body("work", SET), last)), waits=1, seconds=10)
    await story.quiet()

    assert {"tidy", "tidy_more"} <= await finished(story)
    assert (await story.row()).status == "cancelled"


@told
async def test_it_is_finished_too_when_a_sibling_fails(story: Story) -> None:
    workflow = document("guard", guarded(body("work", SET), body("tidy", nap(20))))
    workflow["nodes"].update(soon=nap(5), stop=STOP)
    workflow["edges"] += [{"from": "start", "to": "soon"}, {"from": "soon", "to": "stop"}]
    await story.begin(workflow)
    await story.submit([{}])
    await story.quiet()

    assert "tidy" in await finished(story)
    [end] = await story.all(e.Finished)
    assert (end.status, end.failure.node) == ("failed", "stop")


@told
async def test_it_is_finished_too_when_its_own_node_is_out_of_time(story: Story) -> None:
    await story.begin(document("guard", guarded(body("work", SET), body("tidy", nap(20)), timeout_seconds=3)))
    await story.submit([{}])
    await story.quiet()

    assert "tidy" in await finished(story)
    [end] = await story.all(e.Finished)
    assert (end.status, end.failure.code) == ("failed", "node.timed_out")


@told
async def test_it_is_finished_inside_a_body_that_is_stopped_and_the_outer_one_runs_after_it(story: Story) -> None:
    inner = guarded(body("work", SET), body("inner_tidy", nap(20)))
    workflow = document("outer", guarded(body("inner", inner), body("outer_tidy", nap(20))))
    await begin_and_cancel(story, workflow, waits=1)
    await story.quiet()

    ended = [event.node for event in await story.all(e.NodeFinished)]
    assert [key for key in ended if key.endswith("tidy")] == ["inner_tidy", "outer_tidy"]


@pytest.mark.parametrize("dies", [False, True])
def test_one_that_has_begun_is_given_up_when_its_time_from_the_cancel_on_is_over(dies: bool) -> None:
    async def main() -> None:
        story = Story()
        workflow = document("guard", guarded(body("work", SET), chain({"tidy": HOOK, "never": SET})))
        server = await begin_and_cancel(story, workflow, waits=1, seconds=100)
        if dies:
            await asyncio.sleep(15)
            server.die()
            await story.new_server()
        await story.quiet()

        late = await between(story, e.CancelRequested, e.TimeIsUp) - CLEANUP_SECONDS
        assert 0 <= late < 3
        assert not {"tidy", "never"} & await finished(story)
        assert (await story.row()).status == "cancelled"
        await check_world(story)
        await story.close()

    simulate(main())


@told
async def test_no_pause_holds_up_a_finally_that_had_begun_before_the_cancel(story: Story) -> None:
    last = chain({"tidy": nap(2), "tidy_more": nap(2)})
    await story.begin(document("guard", guarded(body("work", SET), last)))
    await story.submit([{}])
    await story.sees(e.WaitStarted)
    row = await story.row()
    await story.signal(row, e.Paused(utc_now(), "somebody"))
    await asyncio.sleep(60)
    assert "tidy" in await finished(story)
    assert len(await story.all(e.WaitStarted)) == 1
    await story.cancel(row.id)
    await story.quiet()

    assert "tidy_more" in await finished(story)
    assert await between(story, e.CancelRequested, e.Finished) < 10
    assert (await story.row()).status == "cancelled"
