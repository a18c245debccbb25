"""Retention: how long what is kept, and that nothing is removed that somebody needs."""

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from budflow.execution.lists import ListStore
from budflow.execution.records import JournalWrite
from budflow.model import event as e
from budflow.model.execution import Claim, Execution
from budflow.model.identity import utc_now
from budflow.model.item import BlobRef, Item, ItemList
from budflow.model.journal import encode
from budflow.model.workflow import Retention
from budflow.services import prune_executions as module
from budflow.services.leader_ports import NotLeader
from budflow.services.prune_executions import Pruner
from budflow.services.retention import retention_of
from budflow.settings import Settings
from budflow.storage.blobs.directory import DirectoryBlobs
from budflow.storage.memory.store import MemoryStore
from tests.storage.journals import event, execution, version, workflow

DAY = timedelta(days=1)
NOW = utc_now()


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEP_SECONDS", 0)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def blobs(tmp_path: Path) -> DirectoryBlobs:
    return DirectoryBlobs(tmp_path)


@pytest.fixture
def pruner(store: MemoryStore, blobs: DirectoryBlobs) -> Pruner:
    return Pruner(store, blobs, Settings(retention_executions_max=5))


async def ended(
    store: MemoryStore, days_ago: float, status: Any = "succeeded", blobs: Sequence[BlobRef] = (), **different: Any
) -> Execution:
    at = NOW - days_ago * DAY
    new = execution(created_at=at, **different)
    rows = (replace(event(0), blobs=tuple(blobs)), replace(event(1, "execution.finished"), at=at))
    await store.append(JournalWrite(Claim(new.id, "r1", 1), rows, admission=new, status=status))
    return new


async def save(store: MemoryStore, workflow_id: str, retention: dict[str, Any]) -> None:
    made = workflow(id=workflow_id)
    await store.add_workflow(made, version(made, settings={"retention": retention}))


async def left(store: MemoryStore) -> list[str]:
    return sorted(one.id for one in (await store.list_executions("default", limit=100)).items)


def put(blobs: DirectoryBlobs, data: bytes, days_ago: float) -> BlobRef:
    writer = blobs.open_writer("default")
    writer.write(data)
    ref = writer.finish()
    at = (NOW - days_ago * DAY).timestamp()
    os.utime(blobs.path("default", ref.sha256), (at, at))
    return ref


def stored(blobs: DirectoryBlobs) -> set[str]:
    return {sha256 for _, sha256 in blobs.old_blobs(older_than=1e11)}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (None, Retention(14 * 86_400, 60 * 86_400, 10_000)),
        ({"settings": {}}, Retention(14 * 86_400, 60 * 86_400, 10_000)),
        ({"settings": {"retention": {"succeeded_seconds": 0}}}, Retention(0, 60 * 86_400, 10_000)),
        (
            {"settings": {"retention": {"succeeded_seconds": 1, "failed_seconds": 2, "executions_max": 3}}},
            Retention(1, 2, 3),
        ),
    ],
)
def test_a_workflow_may_say_what_is_kept_of_it(document: dict[str, Any] | None, expected: Retention) -> None:
    assert retention_of(Settings(), document) == expected


async def test_failed_executions_are_kept_longer_than_others(store: MemoryStore, pruner: Pruner) -> None:
    await ended(store, 15)
    await ended(store, 61, "failed")
    await ended(store, 61, "cancelled")
    kept = [await ended(store, 13), await ended(store, 59, "failed"), await ended(store, 59, "cancelled")]

    await pruner.prune_all(NOW)

    assert await left(store) == sorted(one.id for one in kept)


async def test_of_a_busy_workflow_the_newest_are_kept(store: MemoryStore, pruner: Pruner) -> None:
    made = [await ended(store, 0.1) for _ in range(9)]
    other = await ended(store, 0.1, workflow_id="wf_other")

    await pruner.prune_all(NOW)

    assert await left(store) == sorted(one.id for one in (*made[4:], other))


async def test_a_blob_is_collected_a_day_after_its_last_reference_went(
    store: MemoryStore, pruner: Pruner, blobs: DirectoryBlobs
) -> None:
    ref = put(blobs, b"x", days_ago=15)
    await ended(store, 15, blobs=[ref])

    await pruner.prune_all(NOW)
    assert await left(store) == []
    assert stored(blobs) == {ref.sha256}

    assert await pruner.collect_blobs(NOW + 0.9 * DAY) == 0
    assert await pruner.collect_blobs(NOW + 1.1 * DAY) == 1
    assert stored(blobs) == set()


@pytest.mark.parametrize("spilled", [False, True])
async def test_a_blob_that_an_item_carries_stays_as_long_as_its_execution(
    store: MemoryStore, pruner: Pruner, blobs: DirectoryBlobs, spilled: bool
) -> None:
    ref = put(blobs, b"x", days_ago=15)
    items = ItemList([Item({}, {"file": ref})], [0])
    if spilled:
        lists = ListStore(blobs)
        writer = lists.open_writer("default")
        writer.add(items.items, items.lineage)
        items = lists.stored("default", writer.finish())
    at = NOW - 15 * DAY
    rows = (encode(0, e.NodeFinished(at, "it", at, {"main": items})), replace(event(1, "execution.finished"), at=at))
    new = execution(created_at=at)
    await store.append(JournalWrite(Claim(new.id, "r1", 1), rows, admission=new, status="succeeded"))

    assert await pruner.collect_orphans(NOW) == 0
    assert await pruner.collect_blobs(NOW + 2 * DAY) == 0
    assert ref.sha256 in stored(blobs)

    await pruner.prune_all(NOW)
    await pruner.collect_blobs(NOW + 2 * DAY)
    assert stored(blobs) == set()


async def test_a_blob_that_somebody_is_about_to_refer_to_stays(
    store: MemoryStore, pruner: Pruner, blobs: DirectoryBlobs
) -> None:
    ref = put(blobs, b"x", days_ago=15)
    await ended(store, 15, blobs=[ref])
    await pruner.prune_all(NOW)
    put(blobs, b"x", days_ago=-1)  # Written anew, by a node that has not ended.

    await pruner.collect_blobs(NOW + 1.1 * DAY)

    assert stored(blobs) == {ref.sha256}


async def test_files_that_no_row_knows_are_removed_when_they_are_old(
    store: MemoryStore, pruner: Pruner, blobs: DirectoryBlobs
) -> None:
    known, young = put(blobs, b"known", 2), put(blobs, b"young", 0.5)
    put(blobs, b"old", 2)
    await ended(store, 1, blobs=[known])

    assert await pruner.collect_orphans(NOW) == 1

    assert stored(blobs) == {known.sha256, young.sha256}


async def test_a_request_stops_when_its_time_is_up(store: MemoryStore, blobs: DirectoryBlobs) -> None:
    await ended(store, 15)
    pruner = Pruner(store, blobs, Settings(), until=0)

    await pruner.prune_all(NOW)

    assert pruner.time_is_up
    assert len(await left(store)) == 1


async def test_who_may_do_no_more_removes_nothing_more(store: MemoryStore, blobs: DirectoryBlobs) -> None:
    put(blobs, b"old", 2)
    await ended(store, 15)

    def refuse() -> None:
        raise NotLeader

    pruner = Pruner(store, blobs, Settings(), require=refuse)
    with pytest.raises(NotLeader):
        await pruner.prune_all(NOW)
    with pytest.raises(NotLeader):
        await pruner.collect_orphans(NOW)

    assert len(await left(store)) == 1
    assert len(stored(blobs)) == 1
