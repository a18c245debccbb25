"""A server that dies at any call of its store changes nothing in the end."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from budflow.model import event as e
from budflow.model.execution import TERMINAL
from budflow.model.identity import utc_now
from tests.execution.simulated_checks import check_world
from tests.execution.simulated_documents import URL, WATCHER
from tests.execution.simulated_loop import simulate
from tests.execution.story import HOOK, POST, Story, body, call, document, nap

pytestmark = pytest.mark.generated


async def cancel_it(story: Story) -> None:
    await story.sees(e.NodeStarted)
    await asyncio.sleep(1)
    while not (row := await story.row()).cancelling and row.status not in TERMINAL:
        await story.cancel(row.id)
        await asyncio.sleep(0.5)


async def pause_it(story: Story) -> None:
    await story.sees(e.WaitStarted)
    row = await story.row()
    await story.signal(row, e.Paused(utc_now(), "somebody"))
    await asyncio.sleep(8)
    await story.signal(row, e.Continued(utc_now(), "somebody"))


async def leave_it(story: Story) -> None:
    """Nobody meddles."""


ALL_CALLS = {
    "nodes": {
        "start": {"type": "trigger.manual"},
        "each": call(),
        "one": call(),
        "forget": call(),
        "post": POST,
        "join": {"type": "flow.merge"},
    },
    "edges": [
        {"from": "start", "to": "each"},
        {"from": "start", "to": "one"},
        {"from": "one", "to": "forget"},
        {"from": "each", "to": "join"},
        {"from": "forget", "to": "join"},
        {"from": "join", "to": "post"},
    ],
}
ALL_CALLS["nodes"]["each"]["params"] = {"workflow": "callee", "call": "per_item", "concurrency": 2}  # type: ignore[index] # a document
ALL_CALLS["nodes"]["forget"]["params"] = {"workflow": "callee", "call": "per_item", "wait": False}  # type: ignore[index] # the same

GUARD = {"type": "flow.try_catch", "bodies": {"body": body("nap", nap(7)), "finally": body("post", POST)}}
STOP = {"type": "flow.stop_and_error", "params": {"message": "on purpose"}}
CALLEE = document("post2", {**POST, "params": {"url": URL + "post2", "method": "POST"}})
DEATHS: dict[str, tuple[dict[str, Any], dict[str, Any], Callable[[Story], Awaitable[None]]]] = {
    "calls": ({"format": 1, "name": "story", **ALL_CALLS}, CALLEE, leave_it),
    "a cancelled node tidies up": (document("guard", GUARD), CALLEE, cancel_it),
    "a node out of time tidies up": (document("guard", {**GUARD, "timeout_seconds": 2}), CALLEE, leave_it),
    "an execution out of time tidies up": (document("guard", GUARD, timeout_seconds=2), CALLEE, leave_it),
    "paused and continued": (document("guard", GUARD), CALLEE, pause_it),
    "cancelled with what it called": (document("call", call()), document("hook", HOOK), cancel_it),
    "a called one fails, which is followed up": (
        document("call", call(), error_workflow="watcher"),
        document("stop", STOP, error_workflow="watcher"),
        leave_it,
    ),
    "rounds that wait and post": (
        document(
            "each",
            {
                "type": "flow.for_each",
                "params": {"concurrency": 2},
                "bodies": {
                    "body": {
                        "nodes": {"nap": nap(0.5), "post": POST},
                        "edges": [
                            {"from": "$in", "to": "nap"},
                            {"from": "nap", "to": "post"},
                            {"from": "post", "to": "$out"},
                        ],
                    }
                },
            },
        ),
        CALLEE,
        leave_it,
    ),
}


@pytest.mark.parametrize("shape", DEATHS)
def test_a_death_at_any_call_of_the_store_changes_nothing_in_the_end(shape: str) -> None:
    caller, callee, meddle = DEATHS[shape]
    ends: list[tuple[Counter[tuple[str, str]], set[tuple[str, str, int]]]] = []
    died: list[bool] = []

    async def main(calls: int | None) -> None:
        story = Story()
        server = await story.begin(caller, callee=callee, watcher=WATCHER)
        await asyncio.sleep(2)
        assert await story.submit([{"n": 1}, {"n": 2}])
        server.writes_left = calls
        meddling = asyncio.create_task(meddle(story))
        await asyncio.wait([server.gone], timeout=40)
        died.append(server.gone.done())
        if died[-1]:
            await story.new_server()
        await meddling
        await story.quiet()
        await check_world(story)
        rows = await story.store.rows()
        effects = {("" if path == "note" else scope, path, item) for scope, path, item in story.outside.received}
        ends.append((Counter((row.workflow_id, row.status) for row in rows), effects))
        await story.close()

    simulate(main(None))
    for calls in range(60):
        simulate(main(calls))
        assert ends[-1] == ends[0], f"a death at call {calls}"
    assert sum(died) == 60
