"""Snapshots, static data and counts: the same over every adapter."""

import asyncio
import os

import pytest

from budflow.execution.records import JournalWrite, Snapshot
from budflow.model.execution import Claim, ClaimLost
from budflow.services.ports import Store
from tests.storage.conftest import OpenStore
from tests.storage.journals import end, event, execution, queued, running, waiting


async def test_the_newest_snapshot_is_kept(store: Store) -> None:
    claim = await running(store)
    assert await store.get_snapshot(claim.execution_id) is None

    await store.put_snapshot(claim, Snapshot(5, b"\x00old"))
    await store.put_snapshot(claim, Snapshot(9, b"\x00new"))

    assert await store.get_snapshot(claim.execution_id) == Snapshot(9, b"\x00new")


async def test_a_snapshot_of_who_lost_the_claim_is_not_kept(store: Store) -> None:
    lost, ended = await waiting(store), await running(store)
    await store.append(end(ended))

    for claim in (lost, ended, Claim("exe_none", "r1", 1)):
        await store.put_snapshot(claim, Snapshot(1, b"late"))

        assert await store.get_snapshot(claim.execution_id) is None


async def test_static_data_are_the_workflows(store: Store) -> None:
    claim = await running(store, workflow_id="wf_a")

    await store.append(JournalWrite(claim, (event(1),), static={"": {"seen": ["ä\x00"]}, "poll": 3}))
    await store.append(JournalWrite(claim, (event(2),), static={"poll": None, "read": {"b": 1, "a": None}}))

    assert await store.get_static("default", "wf_a") == {"": {"seen": ["ä\x00"]}, "read": {"b": 1, "a": None}}
    assert await store.get_static("default", "wf_b") == {}
    assert await store.get_static("other", "wf_a") == {}


async def test_a_whole_execution_leaves_static_data_in_its_one_write(store: Store) -> None:
    new = execution(workflow_id="wf_a")
    events = (event(0), event(1, "execution.finished"))

    await store.append(
        JournalWrite(Claim(new.id, "r1", 1), events, admission=new, status="succeeded", static={"poll": 1})
    )

    assert await store.get_static("default", "wf_a") == {"poll": 1}


async def test_a_refused_write_leaves_static_data_alone(store: Store) -> None:
    claim = await waiting(store, workflow_id="wf_a")

    with pytest.raises(ClaimLost):
        await store.append(JournalWrite(claim, (event(2),), static={"poll": 1}))

    assert await store.get_static("default", "wf_a") == {}


async def test_executions_are_counted_by_status(store: Store) -> None:
    assert await store.count_by_status() == {"queued": 0, "running": 0, "waiting": 0}
    await waiting(store)
    await store.append(end(await running(store)))
    await running(store)
    for _ in range(2):
        await queued(store)

    assert await store.count_by_status() == {"queued": 2, "running": 1, "waiting": 1}


async def test_a_server_key_is_made_once_and_is_everybodys(store: Store) -> None:
    first, second = await asyncio.gather(store.get_server_key("links"), store.get_server_key("links"))

    assert first == second == await store.get_server_key("links")
    assert len(first) == 32
    assert await store.get_server_key("others") != first


async def test_a_server_key_outlives_the_server(open_again: OpenStore) -> None:
    before = await open_again()
    key = await before.get_server_key("links")

    assert await (await open_again()).get_server_key("links") == key


async def test_a_runner_that_claims_nothing_does_not_count(store: Store) -> None:
    for name, claims in (("r1", True), ("r2", False)):
        await store.open_lease(name, seconds=10, details={"claims": claims})

    assert await store.count_runners() == 1


async def test_runners_are_listed_with_their_leases_and_with_what_they_hold(store: Store) -> None:
    assert await store.list_runners() == []
    lease = await store.open_lease("r1", seconds=10, kind="worker", details={"cores": 2})
    await running(store, "dead")
    await store.release_dead("r1")
    await store.claim("r1", limit=1)
    await running(store, "r1")

    [row] = await store.list_runners()

    assert (row.id, row.pid, row.running, row.taken_over) == ("r1", os.getpid(), 2, 1)
    assert (row.kind, row.details, await store.count_runners()) == ("worker", {"cores": 2}, 1)
    assert row.lease_until is None or row.lease_until > row.started_at
    await lease.close()
    assert await store.list_runners() == []
