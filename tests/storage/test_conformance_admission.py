"""What lets an execution in, idempotency keys and limits: the same over every adapter."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from budflow.execution.records import JournalWrite, TriggerKey
from budflow.model.event import CancelRequested, Finished
from budflow.model.execution import (
    Claim,
    Execution,
    KeyKnown,
    KeyReused,
    Limit,
    LimitPolicy,
    LimitReached,
    Origin,
    Parent,
)
from budflow.model.identity import utc_now
from budflow.model.journal import decode
from budflow.services.ports import Store
from budflow.storage.errors import TextRefused, WriteConflict
from budflow.storage.rows import DUE
from tests.storage.conftest import OpenStore
from tests.storage.journals import end, event, execution, queued, row_of, running, waiting

FIRST = [event(0, "execution.admitted")]


def key(name: str = "order-1", fingerprint: str = "f1", project_id: str = "default") -> TriggerKey:
    return TriggerKey(project_id, name, fingerprint)


def limited(policy: LimitPolicy, running_max: int = 1, **different: Any) -> Execution:
    return execution(limit=Limit("wf_a", running_max, policy), **different)


async def test_everything_an_execution_may_carry_comes_back(store: Store) -> None:
    new = execution(
        parent=Parent("exe_parent", "call[2]", 0, 1, awaited=False),
        origin=Origin("exe_origin", "fork", "b"),
        scope="exe_origin",
        limit=Limit("wf_a:tenant", 3, "queue"),
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )

    await store.admit(new, FIRST)

    assert await store.get_execution("default", new.id) == new


async def test_a_known_key_names_the_first_execution(store: Store) -> None:
    first, again = execution(), execution()
    await store.admit(first, FIRST, key())

    with pytest.raises(KeyKnown) as known:
        await store.admit(again, FIRST, key())

    assert known.value.details == {"execution_id": first.id}
    assert await store.get_execution("default", again.id) is None


async def test_a_key_is_not_used_for_another_request(store: Store) -> None:
    await store.admit(execution(), FIRST, key())
    other = execution()

    with pytest.raises(KeyReused):
        await store.admit(other, FIRST, key(fingerprint="f2"))

    assert await store.get_execution("default", other.id) is None


async def test_keys_are_the_projects_own(store: Store) -> None:
    await store.admit(execution(), FIRST, key())

    await store.admit(execution(project_id="other"), FIRST, key(project_id="other", fingerprint="f2"))

    assert await store.count_queued() == 2


async def test_of_many_with_one_key_at_once_one_is_admitted(store: Store) -> None:
    rivals = [execution() for _ in range(20)]

    results = await asyncio.gather(*(store.admit(rival, FIRST, key()) for rival in rivals), return_exceptions=True)

    [winner] = [rival for rival, result in zip(rivals, results, strict=True) if result is None]
    refused = [result for result in results if isinstance(result, KeyKnown)]
    assert [one.details for one in refused] == [{"execution_id": winner.id}] * 19
    assert await store.count_queued() == 1


async def test_a_key_works_for_what_its_runner_admits(store: Store) -> None:
    first, again = execution(), execution()

    def admitted(new: Execution) -> JournalWrite:
        return JournalWrite(Claim(new.id, "r1", 1), (event(0),), admission=new, trigger_key=key())

    await store.append(admitted(first))
    with pytest.raises(KeyKnown) as known:
        await store.append(admitted(again))

    assert known.value.details == {"execution_id": first.id}
    assert await store.get_execution("default", again.id) is None


async def test_a_key_is_forgotten_after_a_day(store: Store) -> None:
    old = execution(created_at=utc_now() - timedelta(hours=24, seconds=1))
    young = execution()
    await store.admit(old, FIRST, key(fingerprint="f0"))

    await store.admit(young, FIRST, key())

    with pytest.raises(KeyKnown) as known:
        await store.admit(execution(), FIRST, key())
    assert known.value.details == {"execution_id": young.id}


async def test_old_keys_are_deleted(store: Store) -> None:
    await store.admit(execution(), FIRST, key("old"))
    between = utc_now()
    await store.admit(execution(), FIRST, key("young"))

    await store.delete_old_keys(between)

    await store.admit(execution(), FIRST, key("old", "f2"))
    with pytest.raises(KeyKnown):
        await store.admit(execution(), FIRST, key("young"))


async def test_a_refused_admission_keeps_no_key(store: Store) -> None:
    taken = await queued(store)

    with pytest.raises(WriteConflict):
        await store.admit(taken, FIRST, key())

    await store.admit(execution(), FIRST, key())


@pytest.mark.parametrize("text", ["a\x00b", "half \ud83c of it"])
async def test_a_key_that_no_database_can_keep_is_refused(store: Store, text: str) -> None:
    with pytest.raises(TextRefused):
        await store.admit(execution(), FIRST, key(text))
    with pytest.raises(TextRefused):
        await store.admit(execution(limit=Limit(text, 1, "drop")), FIRST)

    assert await store.count_queued() == 0


async def test_two_servers_admit_one_key_once(open_again: OpenStore) -> None:
    stores = [await open_again(), await open_again()]
    names = [f"order-{i}" for i in range(20)]

    results = await asyncio.gather(
        *(server.admit(execution(), FIRST, key(name)) for name in names for server in stores), return_exceptions=True
    )

    assert sorted(type(result).__name__ for result in results) == ["KeyKnown"] * 20 + ["NoneType"] * 20
    assert await stores[0].count_queued() == 20


async def test_an_execution_beyond_the_limit_is_dropped(store: Store) -> None:
    await waiting(store, limit=Limit("wf_a", 2, "drop"))
    leased = await running(store, limit=Limit("wf_a", 2, "drop"))
    beyond = limited("drop", 2)

    with pytest.raises(LimitReached):
        await store.admit(beyond, FIRST, key())

    assert await store.get_execution("default", beyond.id) is None
    await store.append(end(leased))
    await store.admit(beyond, FIRST, key())


async def test_of_many_beyond_the_limit_as_many_are_admitted_as_it_allows(store: Store) -> None:
    results = await asyncio.gather(*(store.admit(limited("drop", 3), FIRST) for _ in range(10)), return_exceptions=True)

    assert [type(result) for result in results].count(LimitReached) == 7
    assert await store.count_queued() == 3


async def test_two_servers_keep_one_limit(open_again: OpenStore) -> None:
    stores = [await open_again(), await open_again()]

    results = await asyncio.gather(
        *(server.admit(limited("drop", 3), FIRST) for _ in range(10) for server in stores), return_exceptions=True
    )

    assert [type(result) for result in results].count(LimitReached) == 17
    assert await stores[0].count_queued() == 3


async def test_a_group_that_queues_takes_everyone_in(store: Store) -> None:
    for _ in range(3):
        await store.admit(limited("queue"), FIRST)

    assert await store.count_queued() == 3


async def test_the_oldest_is_cancelled_for_the_youngest(store: Store) -> None:
    leased = await running(store, limit=Limit("wf_a", 2, "cancel_oldest"))
    rests = await waiting(store, limit=Limit("wf_a", 2, "cancel_oldest"))

    await store.admit(limited("cancel_oldest", 2), FIRST)
    assert (await row_of(store, leased.execution_id)).cancelling
    assert not (await row_of(store, rests.execution_id)).cancelling
    assert await store.cancelling("r1") == [leased.execution_id]

    await store.admit(limited("cancel_oldest", 2), FIRST)
    row = await row_of(store, rests.execution_id)
    assert (row.status, row.cancelling, row.wake_at) == ("waiting", True, DUE)
    assert await store.count_queued() == 2


async def test_the_oldest_ends_where_it_is_queued(store: Store) -> None:
    oldest, youngest = limited("cancel_oldest"), limited("cancel_oldest")
    await store.admit(oldest, [event(0), event(1)])

    await store.admit(youngest, FIRST)

    assert await row_of(store, oldest.id) == replace(oldest, status="cancelled", finished_at=youngest.created_at)
    asked, last = map(decode, (await store.read_events("default", oldest.id))[2:])
    assert isinstance(asked, CancelRequested)
    assert asked.by == f"cancel_oldest:{youngest.id}"
    assert isinstance(last, Finished)
    assert last.status == "cancelled"
    assert await row_of(store, youngest.id) == youngest


async def test_the_oldest_is_left_to_a_runner_where_it_had_begun_and_lost_its_own(store: Store) -> None:
    begun = await running(store, limit=Limit("wf_a", 1, "cancel_oldest"))
    await store.give_back("r1")

    await store.admit(limited("cancel_oldest"), FIRST)

    row = await row_of(store, begun.execution_id)
    assert (row.status, row.cancelling) == ("queued", True)
    [signal] = await store.signals_of(begun.execution_id)
    assert signal.key == "cancel"
    assert begun.execution_id in {claim.execution_id for claim, _ in await store.claim("r2", limit=9)}


async def test_of_many_at_once_only_the_last_is_left(store: Store) -> None:
    news = [limited("cancel_oldest") for _ in range(10)]

    await asyncio.gather(*(store.admit(new, FIRST) for new in news))

    assert await store.count_queued() == 1
    assert len((await store.list_executions("default", limit=20, status="cancelled")).items) == 9


async def test_an_awaited_child_in_the_queue_is_left_to_a_runner(store: Store) -> None:
    child = limited("cancel_oldest", parent=Parent("exe_parent", "call", 0, 1))
    await store.admit(child, FIRST)

    await store.admit(limited("cancel_oldest"), FIRST)

    assert await row_of(store, child.id) == replace(child, cancelling=True)
