"""Removing what is not kept, and who refers to which blob: the same over every adapter."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from budflow.execution.records import JournalWrite, Snapshot
from budflow.model.execution import Claim, Execution, Origin, Parent
from budflow.model.item import BlobRef
from budflow.services.ports import Store
from budflow.services.retention import ENDED, Expired, Pruned
from budflow.storage import retention
from tests.storage.journals import event, execution, running, signal, wait

NOW = datetime(2030, 1, 10, tzinfo=UTC)
DAY = timedelta(days=1)
ONE, OTHER = BlobRef("a" * 64, 10), BlobRef("b" * 64, 20)


async def ended(
    store: Store,
    at: datetime = NOW - DAY,
    status: Any = "succeeded",
    blobs: Sequence[BlobRef] = (),
    events: int = 1,
    **different: Any,
) -> Execution:
    """An execution that ended then, with so many events before the last."""
    new = execution(created_at=at - timedelta(seconds=1), **different)
    rows = [replace(event(seq), blobs=tuple(blobs)) for seq in range(events)]
    last = replace(event(events, "execution.finished"), at=at)
    await store.append(JournalWrite(Claim(new.id, "r1", 1), (*rows, last), admission=new, status=status))
    return new


async def prune(store: Store, limit: int = 100, **different: Any) -> Pruned:
    expired = replace(Expired("default", "wf_a", ENDED, before=NOW), **different)
    return await store.prune_executions(expired, limit=limit, at=NOW)


async def left(store: Store) -> set[str]:
    return {one.id for one in (await store.list_executions("default", limit=100)).items}


async def test_only_what_ended_before_is_removed(store: Store) -> None:
    old, young = await ended(store, NOW - DAY), await ended(store, NOW)

    assert await prune(store) == Pruned(1, more=False)

    assert await left(store) == {young.id}
    assert await store.read_events("default", old.id) == []
    assert len(await store.read_events("default", young.id)) == 2


async def test_only_executions_that_are_meant_are_removed(store: Store) -> None:
    failed = await ended(store, status="failed")
    elsewhere = await ended(store, workflow_id="wf_b")
    others = await ended(store, project_id="other")
    live = await running(store, workflow_id="wf_a")

    assert await prune(store, statuses=("succeeded",)) == Pruned(0, more=False)

    assert await left(store) == {failed.id, elsewhere.id, live.execution_id}
    assert await store.get_execution("other", others.id) is not None


async def test_some_are_removed_at_a_time_the_oldest_first(store: Store) -> None:
    made = [await ended(store, NOW - DAY * (5 - number)) for number in range(5)]

    assert await prune(store, limit=2) == Pruned(2, more=True)
    assert await left(store) == {one.id for one in made[2:]}
    assert await prune(store, limit=3) == Pruned(3, more=True)
    assert await prune(store) == Pruned(0, more=False)


async def test_the_newest_are_kept_by_number(store: Store) -> None:
    made = [await ended(store) for _ in range(5)]
    await running(store, workflow_id="wf_a")

    assert await store.newest_to_prune("default", "wf_a", 5) is None
    up_to = await store.newest_to_prune("default", "wf_a", 3)
    assert up_to == made[1].id

    assert await prune(store, before=None, up_to=up_to) == Pruned(2, more=False)
    assert {one.id for one in made[2:]} <= await left(store)


@pytest.mark.parametrize("tie", ["parent", "origin", "child"])
async def test_one_that_a_live_execution_needs_stays(store: Store, tie: str) -> None:
    if tie == "child":
        live = await running(store, workflow_id="wf_b")
        needed = await ended(store, parent=Parent(live.execution_id, "call", 0, 1))
    else:
        needed = await ended(store)
        ties = {"parent": Parent(needed.id, "call", 0, 1, awaited=False), "origin": Origin(needed.id, "fork", "a")}
        live = await running(store, workflow_id="wf_b", **{tie: ties[tie]})

    assert await prune(store) == Pruned(0, more=False)

    last = replace(event(1, "execution.finished"), at=NOW)
    await store.append(JournalWrite(live, (last,), status="succeeded"))
    assert await prune(store) == Pruned(1, more=False)
    assert needed.id not in await left(store)


async def test_all_that_hangs_on_an_execution_goes_with_it(store: Store) -> None:
    claim = await running(store, workflow_id="wf_a")
    await store.append(JournalWrite(claim, (event(1),), opened=(wait(claim),)))
    await store.answer_wait("default", signal(claim.execution_id))
    await store.put_snapshot(claim, Snapshot(1, b"x"))
    last = replace(event(2, "execution.finished"), at=NOW - DAY)
    await store.append(JournalWrite(claim, (last,), status="succeeded"))

    await prune(store)

    assert await store.list_waits("default") == []
    assert await store.signals_of(claim.execution_id) == []
    assert await store.get_snapshot(claim.execution_id) is None


async def test_workflows_with_ended_executions_are_known(store: Store) -> None:
    await ended(store)
    await ended(store)
    await ended(store, workflow_id="wf_b", project_id="another")
    await running(store, workflow_id="wf_c")

    assert sorted(await store.ended_workflows()) == [("another", "wf_b"), ("default", "wf_a")]


async def test_a_long_journal_goes_in_parts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "EVENTS_MAX", 10)
    await ended(store, NOW - DAY * 2, events=24)
    await ended(store, NOW - DAY, events=5)

    steps = 0
    while (await prune(store)).more:
        steps += 1

    assert steps <= 3
    assert await left(store) == set()


async def test_a_blob_is_unused_when_its_last_execution_is_gone(store: Store) -> None:
    await ended(store, NOW - DAY * 2, blobs=[ONE, OTHER])
    await ended(store, NOW - DAY, blobs=[ONE])

    await prune(store, before=NOW - DAY)
    assert await store.unused_blobs(NOW + DAY, limit=10) == [("default", OTHER.sha256)]
    assert await store.unused_blobs(NOW, limit=10) == [], "since when they are unused counts"

    await prune(store)
    assert sorted(await store.unused_blobs(NOW + DAY, limit=10)) == [("default", ref.sha256) for ref in (ONE, OTHER)]
    assert len(await store.unused_blobs(NOW + DAY, limit=1)) == 1


async def test_a_blob_that_is_referred_to_again_is_in_use(store: Store) -> None:
    await ended(store, blobs=[ONE])
    await prune(store)

    await ended(store, NOW, blobs=[ONE])

    assert await store.unused_blobs(NOW + DAY, limit=10) == []
    assert not await store.forget_blob("default", ONE.sha256, NOW + DAY)
    assert await store.known_blobs([("default", ONE.sha256), ("other", ONE.sha256)]) == {("default", ONE.sha256)}


async def test_an_unused_blob_is_forgotten_once(store: Store) -> None:
    await ended(store, blobs=[ONE])
    await prune(store)

    assert not await store.forget_blob("default", ONE.sha256, NOW)
    assert await store.forget_blob("default", ONE.sha256, NOW + DAY)
    assert not await store.forget_blob("default", ONE.sha256, NOW + DAY)
    assert await store.known_blobs([("default", ONE.sha256)]) == set()


async def test_the_same_blob_of_another_project_is_another(store: Store) -> None:
    await ended(store, blobs=[ONE])
    await ended(store, blobs=[ONE], project_id="other")

    await prune(store)

    assert await store.unused_blobs(NOW + DAY, limit=10) == [("default", ONE.sha256)]


async def test_an_admitted_execution_and_a_signal_refer_to_blobs_too(store: Store) -> None:
    new = execution()
    await store.admit(new, [replace(event(0), blobs=(ONE,))])
    receiver = await running(store)
    told = signal(receiver.execution_id, "child:call:0")
    told = replace(told, event=replace(told.event, blobs=(OTHER,)))
    await ended(store)  # Somebody else writes meanwhile.

    other = execution(workflow_id="wf_c")
    write = JournalWrite(Claim(other.id, "r1", 1), (event(0),), admission=other, status="running", signals=(told,))
    await store.append(write)

    known = {("default", ref.sha256) for ref in (ONE, OTHER)}
    assert await store.known_blobs(known) == known
