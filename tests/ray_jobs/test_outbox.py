"""The outbox answers a commit only when the owner says that what it was given is durable."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from budflow.execution.hand_over import NotHandedOver
from budflow.execution.ports import ChildCall
from budflow.execution.state_codec import StateUnwritable
from budflow.model import event as e
from budflow.model.credential_kind import CredentialKind, OpenCredential
from budflow.model.failure import Failure
from budflow.model.item import EMPTY
from ray_jobs.outbox import Outbox, linger_seconds
from ray_jobs.wire import CredentialAsk, Report, ask_info, unpack_report
from tests.execution.fake_hand_over import FakeHandOver, WrongBox

AT = datetime(2026, 1, 2, tzinfo=UTC)
EVENT = e.NodeStarted(AT, "a", 1)
LONG = 30.0
HAND_OVER = FakeHandOver()
REFUSED = Failure("credential.refused", "not this workflow", "have it granted", retriable=True)
CREDENTIAL = OpenCredential("crd_1", "crm", "none", CredentialKind(), ("*",))


def take(outbox: Outbox) -> Report:
    return unpack_report(outbox.take())


async def begun(waiting: "asyncio.Task[Any]") -> None:
    await asyncio.sleep(0)
    assert not waiting.done()


async def test_a_commit_waits_for_the_owner() -> None:
    outbox = Outbox("exe_1", HAND_OVER)
    outbox.append(EVENT)
    commit = asyncio.create_task(outbox.commit())
    await begun(commit)

    await outbox.wait(LONG)
    report = take(outbox)
    assert report.commit
    assert list(report.events) == [EVENT]
    await begun(commit)

    outbox.durable()
    await commit


async def test_what_came_after_a_report_is_not_durable_with_it() -> None:
    outbox = Outbox("exe_1", HAND_OVER)
    outbox.append(EVENT)
    first = asyncio.create_task(outbox.commit())
    await begun(first)
    take(outbox)
    outbox.append(EVENT)
    second = asyncio.create_task(outbox.commit())
    await begun(second)

    outbox.durable()
    await first
    await begun(second)

    await outbox.wait(LONG)
    assert take(outbox).commit
    outbox.durable()
    await second


async def test_a_commit_of_what_was_reported_without_one_asks_for_it() -> None:
    outbox = Outbox("exe_1", HAND_OVER)
    outbox.append(EVENT)
    assert not take(outbox).commit

    commit = asyncio.create_task(outbox.commit())
    await begun(commit)

    report = take(outbox)
    assert report.commit
    assert report.events == []
    outbox.durable()
    await commit


async def test_a_snapshot_comes_with_the_events_that_it_stands_behind() -> None:
    outbox = Outbox("exe_1", HAND_OVER)
    outbox.append(EVENT)
    outbox.snapshot(lambda: b"saved")
    outbox.append(EVENT, EVENT)

    report = take(outbox)

    assert report.snapshot == (1, b"saved")
    assert len(report.events) == 3
    assert take(outbox).snapshot is None


async def test_a_state_that_cannot_be_written_is_no_snapshot() -> None:
    def pack() -> bytes:
        raise StateUnwritable

    outbox = Outbox("exe_1", HAND_OVER)
    outbox.snapshot(pack)

    assert take(outbox).snapshot is None


async def test_a_commit_of_nothing_new_needs_nobody() -> None:
    outbox = Outbox("exe_1", HAND_OVER)
    await outbox.commit()


async def test_events_that_nobody_waits_for_are_reported_in_one_batch_soon() -> None:
    outbox = Outbox("exe_1", HAND_OVER)
    outbox.append(EVENT)
    outbox.append(EVENT)

    await outbox.wait(LONG)

    report = take(outbox)
    assert (len(report.events), report.commit, report.flush) == (2, False, False)


async def test_calls_and_flushes_are_reported_at_once() -> None:
    outbox = Outbox("exe_1", HAND_OVER)
    outbox.call(ChildCall("node", 0, "wf_1", None, EMPTY))
    outbox.cancel_call("node", 0)
    outbox.flush()

    await outbox.wait(0)

    report = take(outbox)
    assert (len(report.calls), report.cancelled_calls, report.flush) == (1, [("node", 0, ())], True)
    assert take(outbox).calls == []


async def test_a_poll_without_news_ends() -> None:
    outbox = Outbox("exe_1", HAND_OVER)

    await outbox.wait(0.001)

    assert take(outbox).events == []


async def ask_of(outbox: Outbox) -> CredentialAsk:
    await outbox.wait(LONG)
    [ask] = take(outbox).credential_asks
    return ask


def sealed_for(ask: CredentialAsk, execution_id: str = "exe_1") -> bytes:
    return HAND_OVER.seal(CREDENTIAL, ask.public_key, ask_info(execution_id, ask.number))


async def test_a_credential_comes_sealed_for_the_one_who_asked() -> None:
    outbox = Outbox("exe_1", HAND_OVER)
    opening = asyncio.create_task(outbox.open_credential("fetch", "auth"))

    ask = await ask_of(outbox)
    assert (ask.node, ask.slot) == ("fetch", "auth")
    assert take(outbox).credential_asks == []  # It is reported once.
    outbox.hand_over(ask.number, sealed_for(ask))

    assert await opening is CREDENTIAL


async def test_two_asks_at_a_time_get_what_each_asked_for() -> None:
    outbox = Outbox("exe_1", HAND_OVER)
    openings = [asyncio.create_task(outbox.open_credential("fetch", slot)) for slot in ("auth", "signing")]
    await asyncio.sleep(0)
    first, second = take(outbox).credential_asks
    assert first.public_key != second.public_key

    outbox.hand_over(second.number, sealed_for(second))
    outbox.hand_over(first.number, sealed_for(first))

    assert await asyncio.gather(*openings) == [CREDENTIAL, CREDENTIAL]


async def test_a_refusal_is_raised_as_what_it_is() -> None:
    outbox = Outbox("exe_1", HAND_OVER)
    opening = asyncio.create_task(outbox.open_credential("fetch", "auth"))
    ask = await ask_of(outbox)

    outbox.hand_over(ask.number, REFUSED)

    with pytest.raises(NotHandedOver) as raised:
        await opening
    assert Failure.of(raised.value) == REFUSED


async def test_a_second_answer_changes_nothing() -> None:
    outbox = Outbox("exe_1", HAND_OVER)
    opening = asyncio.create_task(outbox.open_credential("fetch", "auth"))
    ask = await ask_of(outbox)

    outbox.hand_over(ask.number, sealed_for(ask))
    outbox.hand_over(ask.number, REFUSED)
    assert await opening is CREDENTIAL
    outbox.hand_over(ask.number, REFUSED)


async def test_what_was_sealed_for_another_execution_is_refused() -> None:
    outbox = Outbox("exe_1", HAND_OVER)
    opening = asyncio.create_task(outbox.open_credential("fetch", "auth"))
    ask = await ask_of(outbox)

    outbox.hand_over(ask.number, sealed_for(ask, "exe_2"))

    with pytest.raises(WrongBox):
        await opening


async def test_an_ask_that_was_cancelled_is_not_reported_and_takes_no_answer() -> None:
    outbox = Outbox("exe_1", HAND_OVER)
    opening = asyncio.create_task(outbox.open_credential("fetch", "auth"))
    reported = await ask_of(outbox)
    unreported = asyncio.create_task(outbox.open_credential("fetch", "auth"))
    await asyncio.sleep(0)

    for task in (opening, unreported):
        task.cancel()
    await asyncio.gather(opening, unreported, return_exceptions=True)

    assert take(outbox).credential_asks == []
    outbox.hand_over(reported.number, sealed_for(reported))


async def test_a_later_run_of_the_same_execution_asks_with_other_numbers() -> None:
    before, after = Outbox("exe_1", HAND_OVER), Outbox("exe_1", HAND_OVER)
    openings = [asyncio.create_task(outbox.open_credential("fetch", "auth")) for outbox in (before, after)]
    old, new = await ask_of(before), await ask_of(after)

    after.hand_over(old.number, sealed_for(old))
    await begun(openings[1])
    after.hand_over(new.number, sealed_for(new))

    assert await openings[1] is CREDENTIAL
    openings[0].cancel()


@pytest.mark.parametrize(("taken_seconds", "seconds"), [(0.0, 0.05), (0.5, 0.05), (1.0, 0.1), (2.0, 0.2), (60.0, 0.2)])
def test_a_run_that_takes_long_is_reported_less_often(taken_seconds: float, seconds: float) -> None:
    assert linger_seconds(taken_seconds) == seconds
