"""Leases over every adapter: what dead runners held is given back, and they cannot write to it any more."""

from dataclasses import replace

import pytest

from budflow.execution.records import JournalWrite, Rest
from budflow.model.execution import ClaimLost
from budflow.services.ports import Store
from tests.storage.journals import end, event, queued, row_of, running


async def test_what_a_dead_runner_held_is_queued_again(store: Store) -> None:
    claim = await running(store, "dead")
    before = await store.get_execution("default", claim.execution_id)
    assert before is not None

    assert await store.release_dead("r1") == ["dead"]

    given_back = replace(before, status="queued", runner=None, token=claim.token + 1, takeovers=1)
    assert await store.get_execution("default", claim.execution_id) == given_back
    assert await store.release_dead("r1") == []
    [(again, _)] = await store.claim("r1", limit=10)
    assert again.token == claim.token + 2


async def test_a_zombies_late_write_is_refused(store: Store) -> None:
    zombie = await running(store, "dead")
    await store.release_dead("r1")

    with pytest.raises(ClaimLost):
        await store.append(JournalWrite(zombie, (event(1),)))
    [(fresh, _)] = await store.claim("r1", limit=1)
    with pytest.raises(ClaimLost):
        await store.append(end(zombie))
    assert await store.reclaim("dead", zombie.execution_id) is None

    await store.append(end(fresh))
    assert len(await store.read_events("default", fresh.execution_id)) == 2


async def test_a_runner_never_releases_itself(store: Store) -> None:
    claim = await running(store, "r1")

    assert await store.release_dead("r1") == []

    await store.append(end(claim))


async def test_a_closed_lease_gives_back_what_is_left(store: Store) -> None:
    lease = await store.open_lease("r1", seconds=10)
    claim = await running(store, "r1")
    await lease.close()

    assert await store.release_dead("r2") == ["r1"]

    row = await store.get_execution("default", claim.execution_id)
    assert row is not None
    assert row.status == "queued"


async def test_an_open_lease_is_not_lost(store: Store) -> None:
    lease = await store.open_lease("r1", seconds=10)

    lease.beat()

    assert not lease.lost
    await lease.close()
    await lease.close()
    assert await store.release_dead("r2") == []


async def test_what_no_runner_holds_is_left_alone(store: Store) -> None:
    waiting, ended = await running(store, "dead"), await running(store, "dead")
    await store.append(JournalWrite(waiting, (event(1),), rest=Rest("webhook", None)))
    await store.append(end(ended))
    new = await queued(store)
    ids = (waiting.execution_id, ended.execution_id, new.id)
    before = [await store.get_execution("default", id_) for id_ in ids]

    assert await store.release_dead("r1") == []

    assert [await store.get_execution("default", id_) for id_ in ids] == before


async def test_takeovers_count_while_nothing_is_written(store: Store) -> None:
    new = await queued(store)
    counts = []
    for _ in range(2):
        await store.claim("dead", limit=1)
        await store.release_dead("r1")
        row = await store.get_execution("default", new.id)
        assert row is not None
        counts.append(row.takeovers)

    assert counts == [1, 2]


@pytest.mark.parametrize(("type_", "takeovers"), [("execution.started", 2), ("node.logged", 2), ("node.finished", 1)])
async def test_only_progress_makes_takeovers_count_anew(store: Store, type_: str, takeovers: int) -> None:
    await running(store, "dead")
    await store.release_dead("r1")
    [(claim, _)] = await store.claim("dead", limit=1)
    await store.append(JournalWrite(claim, (event(1, type_),)))

    await store.release_dead("r1")

    row = await store.get_execution("default", claim.execution_id)
    assert row is not None
    assert row.takeovers == takeovers


async def test_what_a_stopping_runner_gives_back_is_nobodys_fault(store: Store) -> None:
    mine, other = await running(store, runner="r1"), await running(store, runner="r2")
    assert await store.list_leased("r1") == [mine.execution_id]

    await store.give_back("r1")

    row = await row_of(store, mine.execution_id)
    assert (row.status, row.runner, row.takeovers) == ("queued", None, 0)
    assert await store.list_leased("r1") == []
    assert await store.list_leased("r2") == [other.execution_id]
    with pytest.raises(ClaimLost):
        await store.append(end(mine))
