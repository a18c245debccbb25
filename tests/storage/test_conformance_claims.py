"""Claims over every adapter: whose turn it is, what limits hold back, what waits and what is suspected."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from budflow.execution.records import JournalWrite, Rest
from budflow.model.execution import Claim, ClaimLost, Execution, Limit
from budflow.model.identity import utc_now
from budflow.services.ports import Store
from budflow.storage import fairness, streams
from budflow.storage.rows import DUE
from tests.storage.journals import end, event, queued, running

ONE_AT_ONCE = Limit("wf_a", 1)


async def flood(store: Store, number: int, **different: object) -> list[Execution]:
    return list(await asyncio.gather(*(queued(store, **different) for _ in range(number))))


async def claimed(store: Store, limit: int = 1, **options: int) -> list[Execution]:
    return [execution for _, execution in await store.claim("r1", limit=limit, **options)]


async def rest(store: Store, claim: Claim, wake_at: datetime | None, seq: int = 1) -> None:
    await store.append(JournalWrite(claim, (event(seq),), rest=Rest("timer", wake_at)))


def minutes_ago(minutes: float) -> datetime:
    return utc_now() - timedelta(minutes=minutes)


async def suspects(store: Store, number: int, **different: object) -> set[str]:
    """Executions that killed two runners in a row; nothing else may be queued."""
    ids = {execution.id for execution in await flood(store, number, **different)}
    for _ in range(2):
        assert {claim.execution_id for claim, _ in await store.claim("dead", limit=number)} == ids
        await store.release_dead("r1")
    return ids


async def test_a_flood_of_one_workflow_does_not_starve_another(store: Store) -> None:
    await flood(store, 50, workflow_id="wf_a")
    other = await queued(store, workflow_id="wf_b")

    assert other.id in [execution.id for execution in await claimed(store, limit=2)]


async def test_workflows_take_turns_within_one_claim(store: Store) -> None:
    for workflow_id, number in (("wf_a", 20), ("wf_b", 3), ("wf_c", 20)):
        await flood(store, number, workflow_id=workflow_id)

    taken = await claimed(store, limit=13)

    assert Counter(execution.workflow_id for execution in taken) == {"wf_a": 5, "wf_b": 3, "wf_c": 5}
    assert {execution.workflow_id for execution in taken[:3]} == {"wf_a", "wf_b", "wf_c"}


async def test_workflows_take_turns_from_one_claim_to_the_next(store: Store) -> None:
    await flood(store, 5, workflow_id="wf_a")
    await flood(store, 5, workflow_id="wf_b")

    taken = [(await claimed(store))[0].workflow_id for _ in range(6)]

    assert taken == ["wf_a", "wf_b"] * 3


async def test_projects_take_turns_though_their_workflows_have_one_name(store: Store) -> None:
    await flood(store, 10)
    other = await queued(store, project_id="other")

    assert other.id in [execution.id for execution in await claimed(store, limit=2)]


async def test_the_oldest_of_a_workflow_goes_first(store: Store) -> None:
    young, old = await queued(store), await queued(store, created_at=minutes_ago(0.5))

    assert [execution.id for execution in await claimed(store, limit=2)] == [old.id, young.id]


async def test_every_minute_in_the_queue_raises_the_priority_by_one(store: Store) -> None:
    old = await queued(store, workflow_id="wf_a", created_at=minutes_ago(10))
    urgent = await queued(store, workflow_id="wf_b", priority=20)
    fresh = await queued(store, workflow_id="wf_c", priority=5)

    assert [execution.id for execution in await claimed(store, limit=3)] == [urgent.id, old.id, fresh.id]


async def test_age_does_not_raise_the_priority_for_ever(store: Store) -> None:
    forgotten = await queued(store, workflow_id="wf_a", created_at=minutes_ago(60 * 24))
    urgent = await queued(store, workflow_id="wf_b", priority=fairness.AGE_MAX_MINUTES + 1)

    assert [execution.id for execution in await claimed(store, limit=2)] == [urgent.id, forgotten.id]


async def test_the_age_of_a_backlog_does_not_hold_up_what_comes_after_it(store: Store) -> None:
    await flood(store, 5, workflow_id="wf_a", created_at=minutes_ago(30))
    await claimed(store)
    fresh = await queued(store, workflow_id="wf_b")

    assert [execution.id for execution in await claimed(store)] == [fresh.id]


async def test_more_workflows_than_one_claim_looks_at_all_come_to_their_turn(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "HEADS_MAX", 3)
    admitted = [await queued(store, workflow_id=f"wf_{i}") for i in range(10)]

    taken = [execution for _ in range(8) for execution in await claimed(store, limit=2)]

    assert sorted(execution.id for execution in taken) == sorted(execution.id for execution in admitted)


async def test_a_full_limit_holds_back_until_one_ends(store: Store) -> None:
    await flood(store, 3, limit=ONE_AT_ONCE)

    [(claim, first)] = await store.claim("r1", limit=10)
    assert await claimed(store, limit=10) == []

    await store.append(end(claim))
    [second] = await claimed(store, limit=10)
    assert second.id != first.id


async def test_what_waits_counts_in_its_limit_and_passes_it_itself(store: Store) -> None:
    waiting = await running(store, limit=ONE_AT_ONCE)
    await rest(store, waiting, minutes_ago(1))
    await queued(store, limit=ONE_AT_ONCE)

    assert [execution.id for execution in await claimed(store, limit=10)] == [waiting.execution_id]


async def test_a_full_limit_hides_nothing_behind_it(store: Store) -> None:
    await flood(store, 100, limit=ONE_AT_ONCE, created_at=minutes_ago(0.5))
    await claimed(store, limit=10)
    other = await queued(store, limit=Limit("wf_a:other", 1))
    free = await queued(store)

    assert {execution.id for execution in await claimed(store, limit=10)} == {other.id, free.id}


async def test_claimers_at_once_keep_a_limit_together(store: Store) -> None:
    await flood(store, 20, limit=Limit("wf_a", 3))

    taken = await asyncio.gather(*(store.claim(f"r{i}", limit=5) for i in range(8)))

    assert sum(map(len, taken)) == 3


async def test_a_wait_is_claimed_when_its_time_has_come(store: Store) -> None:
    claims = [await running(store) for _ in range(3)]
    for claim, wake_at in zip(claims, (minutes_ago(0.1), minutes_ago(-60), None), strict=True):
        await rest(store, claim, wake_at)

    [(claim, due)] = await store.claim("r2", limit=10)

    assert claim.execution_id == claims[0].execution_id
    assert claim.token > claims[0].token + 1  # The rest took one away.
    assert (due.status, due.runner, due.waiting, due.wake_at) == ("running", "r2", None, None)
    assert await store.get_execution("default", due.id) == due


async def test_a_wait_that_was_signalled_is_as_old_as_its_execution(store: Store) -> None:
    signalled = {"status": "waiting", "waiting": "webhook", "wake_at": DUE}
    old = await queued(store, workflow_id="wf_a", created_at=minutes_ago(10), **signalled)
    fresh = await queued(store, workflow_id="wf_b", priority=5)
    young = await queued(store, workflow_id="wf_c", **signalled)

    assert [execution.id for execution in await claimed(store, limit=3)] == [old.id, fresh.id, young.id]


async def test_due_waits_and_new_executions_share_the_turns(store: Store) -> None:
    await flood(store, 5, workflow_id="wf_a", status="waiting", waiting="timer", wake_at=minutes_ago(0.5))
    new = await queued(store, workflow_id="wf_b")

    assert new.id in [execution.id for execution in await claimed(store, limit=2)]


async def test_a_claim_leaves_the_start_as_it_was(store: Store) -> None:
    claim = await running(store)
    started = event(1, "execution.started")
    await store.append(JournalWrite(claim, (started,)))
    await rest(store, claim, minutes_ago(1), seq=2)

    [again] = await claimed(store)

    assert again.started_at == started.at


async def test_the_next_wake_is_the_earliest_of_all_waits(store: Store) -> None:
    assert await store.next_wake() is None
    times = [utc_now() + timedelta(hours=hours) for hours in (3, 1, 2)]
    for at in (*times, None):
        await rest(store, await running(store), at)

    assert await store.next_wake() == times[1]


async def test_an_execution_is_leased_anew_with_a_higher_token(store: Store) -> None:
    claim = await running(store, "r1")

    leased = await store.reclaim("r1", claim.execution_id)

    assert leased is not None
    assert leased[0] == replace(claim, token=claim.token + 1)
    assert leased[1] == await store.get_execution("default", claim.execution_id)
    with pytest.raises(ClaimLost):
        await store.append(JournalWrite(claim, (event(1),)))
    await store.append(JournalWrite(leased[0], (event(1),)))


async def test_only_the_runner_that_holds_an_execution_leases_it_anew(store: Store) -> None:
    claim = await running(store, "r1")
    waiting = await running(store, "r1")
    await rest(store, waiting, None)

    assert await store.reclaim("r2", claim.execution_id) is None
    assert await store.reclaim("r1", waiting.execution_id) is None
    assert await store.reclaim("r1", "exe_unknown") is None


async def test_a_suspect_is_not_given_before_its_back_off_is_over(store: Store) -> None:
    [suspect] = await suspects(store, 1)

    assert await claimed(store, limit=10) == []

    row = await store.get_execution("default", suspect)
    assert row is not None
    assert (row.status, row.takeovers) == ("queued", 2)


async def test_a_claim_gives_only_so_many_suspects(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fairness, "BACKOFF_BASE_SECONDS", 0)
    suspected = await suspects(store, 3)
    healthy = {execution.id for execution in await flood(store, 3)}

    first = {execution.id for execution in await claimed(store, limit=10)}
    assert await claimed(store, limit=10, suspects=0) == []
    second = {execution.id for execution in await claimed(store, limit=10, suspects=5)}

    assert len(first & suspected) == 1
    assert first - suspected == healthy
    assert first | second == healthy | suspected


async def test_a_suspect_passes_no_full_limit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fairness, "BACKOFF_BASE_SECONDS", 0)
    await suspects(store, 1, limit=ONE_AT_ONCE)
    await queued(store, limit=ONE_AT_ONCE)

    assert len(await claimed(store, limit=10)) == 1
    assert await claimed(store, limit=10) == []


async def test_one_that_was_just_queued_is_claimed_by_its_name_with_all_that_is_stored(store: Store) -> None:
    await queued(store)
    named = await queued(store)

    claimed = await store.claim_queued("r1", named.id)

    assert claimed is not None
    claim, leased, unbegun = claimed
    assert claim == Claim(named.id, "r1", 1)
    assert (leased.status, leased.runner, leased.token) == ("running", "r1", 1)
    assert unbegun == (await store.read_unbegun([named.id]))[named.id]
    assert await store.get_execution("default", named.id) == leased


async def test_by_its_name_each_is_claimed_once(store: Store) -> None:
    named = await queued(store)

    claims = await asyncio.gather(*(store.claim_queued(f"r{number}", named.id) for number in range(4)))

    assert sum(claimed is not None for claimed in claims) == 1


async def test_what_is_held_back_or_was_claimed_before_is_not_claimed_by_its_name(store: Store) -> None:
    ended = await running(store, "r1")
    await store.append(end(ended))
    given_back = await running(store, "r0")
    await store.give_back("r0")
    limited = await queued(store, limit=ONE_AT_ONCE)

    for execution_id in (limited.id, given_back.execution_id, ended.execution_id, "exe_unknown"):
        assert await store.claim_queued("r1", execution_id) is None
    assert {execution.id for execution in await claimed(store, limit=10)} == {limited.id, given_back.execution_id}
