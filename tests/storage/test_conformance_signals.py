"""Rests, signals and waits: the same over every adapter."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from budflow.execution.records import JournalWrite, Rest, Snapshot, Unbegun
from budflow.model.execution import Claim, ClaimLost, ExecutionEnded, WaitClosed
from budflow.model.identity import utc_now
from budflow.model.wait import WantedWaits
from budflow.services.ports import Store
from budflow.storage.errors import TextRefused
from budflow.storage.rows import DUE
from tests.storage.journals import end, event, execution, queued, row_of, running, signal, wait, waiting

LATER = utc_now() + timedelta(days=3)


async def test_an_execution_that_rests_is_given_back(store: Store) -> None:
    claim = await running(store)

    await store.append(JournalWrite(claim, (event(1),), rest=Rest("timer", LATER)))

    row = await row_of(store, claim.execution_id)
    assert (row.status, row.waiting, row.wake_at) == ("waiting", "timer", LATER)
    assert (row.runner, row.token) == (None, claim.token + 1)
    with pytest.raises(ClaimLost):
        await store.append(JournalWrite(claim, (event(2),)))


async def test_an_execution_may_rest_in_the_write_that_admits_it(store: Store) -> None:
    new = execution()
    claim = Claim(new.id, "r1", 1)
    opened = wait(claim)

    await store.append(JournalWrite(claim, (event(0),), admission=new, opened=(opened,), rest=Rest("approval", None)))

    row = await row_of(store, new.id)
    assert (row.status, row.waiting, row.wake_at, row.runner, row.token) == ("waiting", "approval", None, None, 2)
    assert await store.list_waits("default") == [
        wait(claim, opened_at=(await store.list_waits("default"))[0].opened_at)
    ]


async def test_a_signal_wakes_what_waits(store: Store) -> None:
    claim = await waiting(store, LATER)

    row = await store.send_signal("default", signal(claim.execution_id))

    assert row == await store.get_execution("default", claim.execution_id)
    assert row is not None
    assert (row.status, row.wake_at) == ("waiting", DUE)


async def test_a_signal_changes_nothing_of_what_runs(store: Store) -> None:
    claim = await running(store)
    before = await row_of(store, claim.execution_id)

    assert await store.send_signal("default", signal(claim.execution_id)) == before

    assert await row_of(store, claim.execution_id) == before


async def test_the_signals_of_a_runner_are_those_of_what_it_runs(store: Store) -> None:
    mine, other, rests = await running(store), await running(store, runner="r2"), await waiting(store)
    sent = [signal(mine.execution_id, key) for key in ("pause", "child:call:0")]
    for one in [*sent, signal(other.execution_id), signal(rests.execution_id)]:
        await store.send_signal("default", one)

    assert await store.signals("r1") == sent
    assert await store.signals("r3") == []
    assert await store.signals_of(mine.execution_id) == sent
    assert await store.signals_of("exe_none") == []


async def test_a_signal_replaces_the_earlier_one_with_its_key(store: Store) -> None:
    claim = await running(store)
    second = signal(claim.execution_id, payload=b'{"large":"%s"}' % (b"x" * 5000))
    await store.send_signal("default", signal(claim.execution_id))

    await store.send_signal("default", second)

    assert await store.signals_of(claim.execution_id) == [second]


async def test_a_signal_for_nothing_or_for_what_ended_is_not_kept(store: Store) -> None:
    claim = await running(store)
    await store.append(end(claim))

    with pytest.raises(ExecutionEnded):
        await store.send_signal("default", signal(claim.execution_id))

    assert await store.send_signal("default", signal("exe_none")) is None
    assert await store.send_signal("other", signal((await queued(store)).id)) is None
    assert await store.signals_of(claim.execution_id) == []


async def test_a_rest_with_a_signal_left_is_over_at_once(store: Store) -> None:
    claim = await running(store)
    for key in ("pause", "continue"):
        await store.send_signal("default", signal(claim.execution_id, key))

    await store.append(JournalWrite(claim, (event(1),), consumed=("pause",), rest=Rest("timer", LATER)))

    assert (await row_of(store, claim.execution_id)).wake_at == DUE
    assert [left.key for left in await store.signals_of(claim.execution_id)] == ["continue"]


async def test_a_rest_that_consumed_its_signals_is_not_cut_short(store: Store) -> None:
    claim = await running(store)
    await store.send_signal("default", signal(claim.execution_id, "pause"))

    await store.append(JournalWrite(claim, (event(1),), consumed=("pause",), rest=Rest("paused", None)))

    assert (await row_of(store, claim.execution_id)).wake_at is None
    assert await store.signals_of(claim.execution_id) == []


async def test_no_signal_is_slept_through_whoever_comes_first(store: Store) -> None:
    claims = [await running(store) for _ in range(20)]

    await asyncio.gather(
        *(store.append(JournalWrite(claim, (event(1),), rest=Rest("approval", None))) for claim in claims),
        *(store.send_signal("default", signal(claim.execution_id)) for claim in claims),
    )

    assert {(await row_of(store, claim.execution_id)).wake_at for claim in claims} == {DUE}


async def test_what_is_to_be_cancelled_does_not_rest(store: Store) -> None:
    claim = await running(store)
    await store.request_cancel("default", claim.execution_id, event())

    await store.append(JournalWrite(claim, (event(1),), rest=Rest("timer", LATER)))

    row = await row_of(store, claim.execution_id)
    assert (row.status, row.wake_at, row.cancelling) == ("waiting", DUE, True)


async def test_what_waits_is_due_when_it_is_to_be_cancelled(store: Store) -> None:
    claim = await waiting(store, LATER)

    row = await store.request_cancel("default", claim.execution_id, event())

    assert row == await row_of(store, claim.execution_id)
    assert row is not None
    assert (row.status, row.wake_at, row.cancelling) == ("waiting", DUE, True)


async def test_a_write_signals_other_executions_as_it_ends(store: Store) -> None:
    parent, ended, child = await waiting(store), await running(store), await running(store)
    await store.append(end(ended))
    sent = [signal(id_, "child:call:0") for id_ in (parent.execution_id, ended.execution_id, "exe_none")]

    await store.append(replace(end(child), signals=tuple(sent)))

    assert (await row_of(store, parent.execution_id)).wake_at == DUE
    assert await store.signals_of(parent.execution_id) == sent[:1]
    assert await store.signals_of(ended.execution_id) == []
    assert await store.signals_of("exe_none") == []
    assert (await row_of(store, child.execution_id)).status == "succeeded"


async def test_a_refused_write_signals_nobody(store: Store) -> None:
    target, claim = await waiting(store), await running(store)

    with pytest.raises(ClaimLost):
        await store.append(JournalWrite(replace(claim, token=9), (event(1),), signals=(signal(target.execution_id),)))

    assert await store.signals_of(target.execution_id) == []
    assert (await row_of(store, target.execution_id)).wake_at is None


async def test_the_end_leaves_no_waits_signals_or_snapshots(store: Store) -> None:
    claim, kept = await running(store), await running(store)
    for one in (claim, kept):
        await store.append(JournalWrite(one, (event(1),), opened=(wait(one),)))
        await store.send_signal("default", signal(one.execution_id))
        await store.put_snapshot(one, Snapshot(1, b"state"))

    await store.append(end(claim, seq=2))

    assert [open_.execution_id for open_ in await store.list_waits("default")] == [kept.execution_id]
    assert await store.signals_of(claim.execution_id) == []
    assert await store.get_snapshot(claim.execution_id) is None
    assert len(await store.signals_of(kept.execution_id)) == 1
    assert await store.get_snapshot(kept.execution_id) == Snapshot(1, b"state")


async def test_no_signal_outlives_its_execution_whoever_comes_first(store: Store) -> None:
    claims = [await running(store) for _ in range(20)]

    results = await asyncio.gather(
        *(store.append(end(claim)) for claim in claims),
        *(store.send_signal("default", signal(claim.execution_id)) for claim in claims),
        return_exceptions=True,
    )

    assert {type(result) for result in results[:20]} == {type(None)}
    assert [await store.signals_of(claim.execution_id) for claim in claims] == [[]] * 20


async def test_a_queued_execution_that_is_cancelled_leaves_no_signals(store: Store) -> None:
    new = await queued(store)
    await store.send_signal("default", signal(new.id, "pause"))

    await store.request_cancel("default", new.id, event())

    assert await store.signals_of(new.id) == []


async def test_a_wait_is_open_until_it_is_closed(store: Store) -> None:
    claim = await running(store)
    first = wait(claim, until=LATER, ask={"fields": [{"name": "ä\x00"}], "n": 1})
    second = wait(claim, "wait:ask:1", node="ask[1]", reason="form")
    await store.append(JournalWrite(claim, (event(1),), opened=(first, second)))
    assert await store.list_waits("default") == [first, second]

    await store.append(JournalWrite(claim, (event(2),), closed=(first.key,)))

    assert await store.list_waits("default") == [second]


async def test_waits_are_listed_by_execution_and_by_project(store: Store) -> None:
    a, b = await running(store), await running(store)
    waits = [wait(a, "1"), wait(b, "2"), wait(a, "3")]
    for claim in (b, a):
        mine = tuple(one for one in waits if one.execution_id == claim.execution_id)
        await store.append(JournalWrite(claim, (event(1),), opened=mine))

    assert await store.list_waits("default") == waits
    assert await store.list_waits("default", limit=2) == waits[:2]
    assert await store.list_waits("default", WantedWaits(execution_id=b.execution_id)) == waits[1:2]
    assert await store.list_waits("other") == []


async def test_waits_are_chosen_by_node_and_reason_and_listed_on(store: Store) -> None:
    claim, at = await running(store), utc_now()
    a, b = (wait(claim, f"wait:ask[{n}]:0", node=f"ask[{n}]", opened_at=at) for n in range(2))
    c = wait(claim, "wait:nap:0", node="nap", reason="timer", opened_at=at + timedelta(seconds=1))
    await store.append(JournalWrite(claim, (event(1),), opened=(c, b, a)))

    assert await store.list_waits("default", WantedWaits(node="ask[1]")) == [b]
    assert await store.list_waits("default", WantedWaits(reasons=frozenset({"timer", "form"}))) == [c]
    behind = WantedWaits(after=(a.opened_at, a.execution_id, a.key))
    assert await store.list_waits("default", behind) == [b, c]
    assert await store.list_waits("default", behind, limit=1) == [b]


async def test_an_answer_is_stored_and_wakes(store: Store) -> None:
    claim = await running(store)
    opened = wait(claim)
    await store.append(JournalWrite(claim, (event(1),), opened=(opened,), rest=Rest("approval", LATER)))
    answer = signal(claim.execution_id, opened.key)

    await store.answer_wait("default", answer)

    assert await store.list_waits("default") == [replace(opened, answered=True)]
    assert await store.signals_of(claim.execution_id) == [answer]
    assert (await row_of(store, claim.execution_id)).wake_at == DUE


async def test_a_wait_that_is_not_open_cannot_be_answered(store: Store) -> None:
    claim = await running(store)
    await store.append(JournalWrite(claim, (event(1),), opened=(wait(claim),)))

    with pytest.raises(WaitClosed):
        await store.answer_wait("default", signal(claim.execution_id, "wait:ask:1"))
    with pytest.raises(WaitClosed):
        await store.answer_wait("other", signal(claim.execution_id))
    with pytest.raises(WaitClosed):
        await store.answer_wait("default", signal("exe_none"))

    assert await store.signals_of(claim.execution_id) == []


async def test_what_never_began_is_read_together(store: Store) -> None:
    first, second = await queued(store), await queued(store)
    later = [signal(first.id, key) for key in ("wait:b:0", "wait:a:0")]
    for one in later:
        await store.send_signal("default", one)

    read = await store.read_unbegun([second.id, first.id, "exe_unknown"])

    assert read[first.id].events == tuple(await store.read_events("default", first.id))
    assert read[first.id].signals == tuple(await store.signals_of(first.id))
    assert (len(read[second.id].events), read[second.id].signals) == (1, ())
    assert read["exe_unknown"] == Unbegun((), ())


async def test_of_many_who_answer_one_succeeds(store: Store) -> None:
    claim = await running(store)
    await store.append(JournalWrite(claim, (event(1),), opened=(wait(claim),)))
    answers = [signal(claim.execution_id, payload=b"%d" % i) for i in range(10)]

    results = await asyncio.gather(*(store.answer_wait("default", one) for one in answers), return_exceptions=True)

    assert [type(result) for result in results].count(WaitClosed) == 9
    assert await store.signals_of(claim.execution_id) == [answers[results.index(None)]]


@pytest.mark.parametrize("text", ["a\x00b", "half \ud83c of it"])
async def test_a_text_that_no_database_can_keep_is_refused(store: Store, text: str) -> None:
    claim = await running(store)
    refused = signal(claim.execution_id, text)

    with pytest.raises(TextRefused):
        await store.send_signal("default", refused)
    with pytest.raises(TextRefused):
        await store.answer_wait("default", refused)
    with pytest.raises(TextRefused):
        await store.append(JournalWrite(claim, (event(1),), signals=(refused,)))
    with pytest.raises(TextRefused):
        await store.append(JournalWrite(claim, (event(1),), opened=(wait(claim, text),)))
    with pytest.raises(TextRefused):
        await store.append(JournalWrite(claim, (event(1),), static={text: 1}))
    with pytest.raises(TextRefused):
        await store.append(JournalWrite(claim, (event(1),), static={"a": "\ud83c"}))

    assert len(await store.read_events("default", claim.execution_id)) == 1
