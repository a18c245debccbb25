"""A journal: in which writes events go to the store, and what a write that fails leaves behind."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from budflow.execution.journal import Journal, JournalClosed
from budflow.execution.records import JournalWrite
from budflow.model import event as e
from budflow.model.execution import Claim, ClaimLost, Execution, ExecutionEnded
from budflow.model.identity import utc_now
from budflow.model.item import ItemList
from budflow.model.journal import EventUnwritable
from budflow.storage.errors import StorageUnavailable
from budflow.storage.memory.store import MemoryStore
from tests.execution.fakes import until

CLAIM = Claim("exe_1", "run_1", 1)
ROW = Execution("exe_1", "default", "wf_1", 1, "api", "running", utc_now(), runner="run_1", token=1)
ADMITTED = e.Admitted(utc_now(), "start", "api", "test", ItemList.of([{}]))


class Store(MemoryStore):
    """Keeps what is written, waits at the gate, and fails as told."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[JournalWrite] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fault: Exception | None = None

    async def append(self, write: JournalWrite) -> None:
        self.writes.append(write)
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        await super().append(write)


def admitting(store: Store) -> Journal:
    journal = Journal(store, CLAIM, admission=ROW)
    journal.append(ADMITTED)
    return journal


def note(text: str) -> e.ResultIgnored:
    return e.ResultIgnored(utc_now(), "a", text)


async def test_what_is_appended_to_a_broken_journal_is_never_said_to_be_durable() -> None:
    store = Store()
    journal = admitting(store)
    await journal.commit()
    journal.close()
    await journal.commit()  # All that was appended so far is.

    journal.append(note("x"))
    with pytest.raises(JournalClosed):
        await journal.commit()


async def test_nothing_is_written_by_itself_before_the_admission_and_soon_after_it() -> None:
    store = Store()
    journal = admitting(store)
    await asyncio.sleep(0.05)
    assert not store.writes

    await journal.commit()
    journal.append(note("x"))
    await until(lambda: len(store.writes) == 2)


async def test_what_comes_while_a_write_is_under_way_is_written_soon_after_it() -> None:
    store = Store()
    journal = admitting(store)
    await journal.commit()
    store.gate.clear()
    journal.append(note("first"))
    journal.flush()
    await until(lambda: len(store.writes) == 2)
    journal.append(note("second"))
    await asyncio.sleep(0.05)  # Longer than an event may linger: its timer has gone off by now.
    store.gate.set()

    await until(lambda: len(store.writes) == 3)


async def test_a_commit_waits_for_what_was_appended_before_it_and_for_no_more() -> None:
    store = Store()
    journal = admitting(store)
    store.gate.clear()
    committing = asyncio.create_task(journal.commit())
    await until(lambda: store.writes)
    journal.append(note("later"))
    store.gate.set()
    await asyncio.wait_for(committing, 5)

    assert len(store.writes) == 1


async def test_who_is_cancelled_while_committing_leaves_the_write_alone() -> None:
    store = Store()
    journal = admitting(store)
    store.gate.clear()
    first = asyncio.create_task(journal.commit())
    await until(lambda: store.writes)
    first.cancel()
    await asyncio.wait([first])
    store.gate.set()
    await journal.commit()

    assert len(store.writes) == 1


@pytest.mark.parametrize("fault", [StorageUnavailable(), ClaimLost(), RuntimeError("a defect of the store")])
@pytest.mark.parametrize("last", [False, True])
async def test_after_a_write_that_failed_nothing_more_is_written_and_every_commit_fails(
    fault: Exception, last: bool
) -> None:
    store = Store()
    breaks: list[bool] = []
    journal = Journal(store, CLAIM, admission=ROW, on_break=lambda: breaks.append(True))
    journal.append(ADMITTED)
    store.fault = fault
    with pytest.raises(type(fault)):
        await (journal.finish() if last else journal.commit())
    store.fault = None
    journal.append(note("lost"))
    with pytest.raises(type(fault)):
        await journal.commit()
    with pytest.raises(type(fault)):
        await journal.finish()
    journal.flush()
    await asyncio.sleep(0.05)

    assert len(store.writes) == 1
    assert breaks == [True]


async def test_nothing_comes_after_the_last_event() -> None:
    store = Store()
    journal = admitting(store)
    journal.append(e.Finished(utc_now(), "succeeded"))
    with pytest.raises(ExecutionEnded):
        journal.append(note("late"))
    await journal.finish()
    journal.close()
    await journal.commit()  # All that there is has been stored.

    assert [event.type for event in store.writes[0].events] == ["execution.admitted", "execution.finished"]
    assert store.writes[0].status == "succeeded"


def test_a_write_whose_event_loop_is_gone_tells_nobody() -> None:
    class Slow(MemoryStore):
        async def append(self, write: JournalWrite) -> None:
            await asyncio.sleep(0)

    told: list[str] = []

    async def begin() -> Coroutine[Any, Any, None]:
        journal = Journal(Slow(), CLAIM, admission=ROW, on_break=lambda: told.append("broken"))
        journal.append(ADMITTED)
        writing = journal._write()
        writing.send(None)
        return writing

    asyncio.run(begin()).close()

    assert told == []


async def test_a_write_that_a_closing_overtakes_is_not_made() -> None:
    store = Store()
    journal = admitting(store)
    journal.flush()
    journal.close()
    with pytest.raises(JournalClosed):
        await journal.commit()
    await asyncio.sleep(0.01)

    assert not store.writes


async def test_an_event_that_cannot_be_written_leaves_no_gap() -> None:
    store = Store()
    journal = admitting(store)
    with pytest.raises(EventUnwritable):
        journal.append(note("\ud800"))
    journal.append(note("x"))
    await journal.finish()

    assert [event.seq for event in store.writes[0].events] == [0, 1]
