"""The outbox answers a commit only when the owner says that what it was given is durable."""

import asyncio
from datetime import UTC, datetime

from budflow.execution.ports import ChildCall
from budflow.execution.state_codec import StateUnwritable
from budflow.model import event as e
from budflow.model.item import EMPTY
from ray_jobs.outbox import Outbox
from ray_jobs.wire import Report, unpack_report

AT = datetime(2026, 1, 2, tzinfo=UTC)
EVENT = e.NodeStarted(AT, "a", 1)
LONG = 30.0


def take(outbox: Outbox) -> Report:
    return unpack_report(outbox.take())


async def begun(commit: "asyncio.Task[None]") -> None:
    await asyncio.sleep(0)
    assert not commit.done()


async def test_a_commit_waits_for_the_owner() -> None:
    outbox = Outbox()
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
    outbox = Outbox()
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
    outbox = Outbox()
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
    outbox = Outbox()
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

    outbox = Outbox()
    outbox.snapshot(pack)

    assert take(outbox).snapshot is None


async def test_a_commit_of_nothing_new_needs_nobody() -> None:
    outbox = Outbox()
    await outbox.commit()


async def test_events_that_nobody_waits_for_are_reported_in_one_batch_soon() -> None:
    outbox = Outbox()
    outbox.append(EVENT)
    outbox.append(EVENT)

    await outbox.wait(LONG)

    report = take(outbox)
    assert (len(report.events), report.commit, report.flush) == (2, False, False)


async def test_calls_and_flushes_are_reported_at_once() -> None:
    outbox = Outbox()
    outbox.call(ChildCall("node", 0, "wf_1", None, EMPTY))
    outbox.cancel_call("node", 0)
    outbox.flush()

    await outbox.wait(0)

    report = take(outbox)
    assert (len(report.calls), report.cancelled_calls, report.flush) == (1, [("node", 0, ())], True)
    assert take(outbox).calls == []


async def test_a_poll_without_news_ends() -> None:
    outbox = Outbox()

    await outbox.wait(0.001)

    assert take(outbox).events == []
