"""A long execution leaves snapshots behind, and is taken up from the last of them."""

import asyncio
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from budflow import __version__
from budflow.execution import saved_execution
from budflow.execution.records import Snapshot
from budflow.execution.saved_execution import SavedExecution, SnapshotOfOtherRelease, unpack_saved
from budflow.execution.saved_run import SavedRunUnreadable
from budflow.execution.stored_journal import EVENTS_PAGE
from budflow.model import event as e
from budflow.model.execution import Claim
from budflow.model.identity import utc_now
from budflow.model.item import ItemList, Json
from tests.execution.story import POST, SET, Story, body, call, document, nap, told

CALL = e.ChildStarted(utc_now(), "call", 2, "exe_2", "wf_2", (1,))
ANSWER = e.Responded(utc_now(), "answer", 201, {"X-One": "1"}, {"ok": True})
SAVED = SavedExecution(b"run", [CALL], ANSWER, {"wait[1]": ["wait[1]/0"]}, {3: ItemList.of([{"n": 1}])}, stopping=True)


def test_what_an_owner_knows_is_read_back_as_it_was() -> None:
    assert unpack_saved(SAVED.pack()) == SAVED


def test_a_snapshot_of_another_release_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(saved_execution, "__version__", f"{__version__}.1")
        packed = SAVED.pack()

    with pytest.raises(SnapshotOfOtherRelease):
        unpack_saved(packed)


@pytest.mark.parametrize("payload", [b"", b"no zstd", SAVED.pack()[:-3]], ids=["none", "others", "cut off"])
def test_other_bytes_are_no_snapshot(payload: bytes) -> None:
    with pytest.raises(SavedRunUnreadable):
        unpack_saved(payload)


NAP_AND_POST = {
    "nodes": {"nap": nap(0.1), "post": POST},
    "edges": [{"from": "$in", "to": "nap"}, {"from": "nap", "to": "post"}, {"from": "post", "to": "$out"}],
}
LONG = document("each", {"type": "flow.for_each", "bodies": {"body": NAP_AND_POST}})
THIRTY: list[Json] = [{"n": n} for n in range(30)]


async def interrupted(story: Story, workflow: dict[str, Any], **others: dict[str, Any]) -> Snapshot:
    """Begin it with thirty items, and let its server die in the middle; the snapshot that it left."""
    server = await story.begin(workflow, **others)
    await story.submit(THIRTY)
    await story.sees(e.NodeFinished, times=20)
    snapshot = await story.store.get_snapshot((await story.row()).id)
    assert snapshot is not None
    server.die()
    return snapshot


@told
async def test_only_what_came_after_the_snapshot_is_read(story: Story) -> None:
    snapshot = await interrupted(story, LONG)
    read: list[int] = []
    store_reads = story.store.read_events

    async def read_events(project_id: str, execution_id: str, *, after: int = -1, limit: int = 10_000) -> list[Any]:
        if limit == EVENTS_PAGE:  # Else it is not who takes it up.
            read.append(after + 1)
        return await store_reads(project_id, execution_id, after=after, limit=limit)

    story.store.read_events = read_events  # type: ignore[method-assign] # it is watched
    await story.new_server()
    while not read:  # noqa: ASYNC110 - virtual time
        await asyncio.sleep(0.01)
    story.store.read_events = store_reads  # type: ignore[method-assign] # no more
    await story.sees(e.Finished)

    assert snapshot.seq > 10
    assert read == [snapshot.seq - 1]  # The last that it tells of must be there.
    assert (await story.row()).status == "succeeded"


@pytest.mark.parametrize("payload", [b"rubbish", SAVED.pack()], ids=["rubbish", "of another execution"])
def test_a_snapshot_that_cannot_be_read_costs_time_and_nothing_else(payload: bytes) -> None:
    @told
    async def spoiled(story: Story) -> None:
        snapshot = await interrupted(story, LONG)
        row = await story.row()
        claim = Claim(row.id, row.runner or "", row.token)
        await story.store.put_snapshot(claim, replace(snapshot, payload=payload))
        await story.new_server()
        await story.sees(e.Finished)

        assert (await story.row()).status == "succeeded"
        assert len(await story.all(e.NodeFinished)) == 62

    spoiled()


@told
async def test_a_call_that_stands_in_the_snapshot_is_not_made_again(story: Story) -> None:
    calls = {"concurrency": 3}
    each = {"type": "flow.for_each", "params": calls, "bodies": {"body": body("call", call())}}
    await interrupted(story, document("each", each), callee=document("nap", nap(1)))
    await story.new_server()
    await story.sees(e.Finished)

    rows = await story.store.rows()
    assert sum(row.workflow_id == "callee" for row in rows) == 30
    assert {row.status for row in rows} == {"succeeded"}


@told
async def test_an_execution_that_ended_leaves_no_snapshot(story: Story) -> None:
    await interrupted(story, LONG)
    await story.new_server()
    await story.sees(e.Finished)

    assert await story.store.get_snapshot((await story.row()).id) is None


@told
async def test_what_only_computes_keeps_its_thinned_journal(story: Story) -> None:
    """Nothing of it is written that a snapshot could come after."""
    chain = {f"set_{n}": SET for n in range(12)}
    edges = [{"from": a, "to": b} for a, b in pairwise(["start", *chain])]
    workflow = {**document("set_0", SET, journal="end"), "nodes": {"start": {"type": "trigger.manual"}, **chain}}
    await story.begin({**workflow, "edges": edges})
    await story.submit([{}])
    await story.sees(e.Finished)

    assert [event.node for event in await story.all(e.NodeFinished)] == ["set_11"]
