"""Journals that were damaged, and such as a newer release wrote: each ends once with the reason, or is left alone."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from budflow.execution.records import Signal
from budflow.execution.stored_journal import StoredJournal
from budflow.model import event as e
from budflow.model.execution import Execution
from budflow.model.identity import new_id, utc_now
from budflow.model.item import ItemList
from budflow.model.journal import encode
from budflow.model.journal_row import EventUnreadable
from tests.execution.fakes import PLACE, until
from tests.execution.server import Server, serving
from tests.execution.test_snapshots import SAVED

NOW = utc_now()
HOOK = {"hook": {"type": "flow.wait", "params": {"mode": "webhook"}}}
WAIT = e.WaitStarted(NOW, "hook", 0, "webhook", None, {})
EVENTS: list[e.Event] = [
    e.Admitted(NOW, "start", "api", "test", ItemList.of([{}])),
    e.Started(NOW, "run_0", PLACE),
    e.NodeFinished(NOW, "start", NOW, {"main": ItemList.of([{}])}, 1, PLACE),
    e.NodeStarted(NOW, "hook", 1, {"mode": "webhook"}),
    WAIT,
]
ROWS = [encode(seq, event) for seq, event in enumerate(EVENTS)]
FOREIGN = encode(4, replace(WAIT, node="elsewhere"))
UNFIT = encode(4, e.NodeFinished(NOW, "hook", NOW, {}, 1, PLACE, (3,)))
ANSWER = e.WaitEnded(NOW, "hook", 0, "answered", "me", "yes")
NEWER = [replace(ROWS[4], version=99), replace(ROWS[4], type="node.exploded")]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as server:
        await server.save("w", HOOK, ["start > hook"])
        yield server


async def put(server: Server, rows: Sequence[e.StoredEvent], **more: Any) -> str:
    """An execution that waits for its turn, with whatever is left of its journal."""
    execution = Execution(new_id("exe"), "default", "w", 1, "api", "queued", NOW, NOW, token=3, **more)
    server.store._tables.journals[execution.id] = [*rows]
    server.store._tables.executions[execution.id] = execution
    server.supervisor.intake.look()
    return execution.id


async def rests(server: Server, execution_id: str) -> Execution:
    """Wait until nobody has it."""
    async with asyncio.timeout(5):
        while (row := await server.row(execution_id)).status != "waiting":  # noqa: ASYNC110 - the store tells nobody
            await asyncio.sleep(0.002)
    return row


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([*ROWS[:2], *ROWS[3:]], "Event 2 is missing"),
        (ROWS[1:], "Event 0 is missing"),
        ([], "Event 0 is missing"),
        ([*ROWS[:4], replace(ROWS[4], payload=b"")], "Event 4 .* cannot be unpacked"),
        ([*ROWS[:4], replace(ROWS[4], payload=b"{}")], "Event 4 .* the field `node` is missing"),
        ([*ROWS[:4], FOREIGN], "Event 4 .* does not fit"),
        ([*ROWS[:4], UNFIT], "Event 4 .* does not fit"),
    ],
)
async def test_a_damaged_journal_ends_its_execution_once_and_the_others_go_on(
    server: Server, rows: list[e.StoredEvent], said: str
) -> None:
    damaged = await server.ended(await put(server, rows))
    assert damaged.status == "failed"
    assert damaged.failure is not None
    assert damaged.failure.code == "journal.unreadable"
    assert re.search(said, damaged.failure.message)

    whole = await put(server, ROWS)
    await server.store.send_signal("default", Signal(whole, "wait:hook:0", encode(0, ANSWER)))
    server.supervisor.intake.look()
    assert (await server.ended(whole)).status == "succeeded"


@pytest.mark.parametrize("newer", NEWER)
async def test_what_a_newer_release_wrote_is_left_for_it(server: Server, newer: e.StoredEvent) -> None:
    """Not even a signal that is there has it taken up again at once."""
    execution_id = await put(server, [*ROWS[:4], newer], takeovers=1)
    await server.store.send_signal("default", Signal(execution_id, "pause", encode(0, e.Paused(NOW, "me"))))
    row = await rests(server, execution_id)

    assert (row.waiting, row.runner, row.takeovers) == ("upgrade", None, 1)
    assert row.wake_at is not None
    assert row.wake_at > utc_now() + timedelta(seconds=30)
    assert len(await server.store.read_events("default", execution_id)) == 5

    await server.supervisor.cancel("default", execution_id, "me")
    assert (await server.ended(execution_id)).status == "cancelled"


async def test_what_can_never_be_taken_up_is_ended(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("budflow.execution.intake.POLL_SECONDS", 0.01)

    async def launch(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a defect")

    monkeypatch.setattr(server.supervisor.holding, "launch", launch)
    ended = await server.ended(await put(server, ROWS))

    assert ended.failure is not None
    assert ended.failure.code == "execution.broken"


async def test_a_signal_that_cannot_be_read_ends_its_execution_and_others_are_heard(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("budflow.execution.intake.POLL_SECONDS", 0.01)
    bad, good = await put(server, ROWS), await put(server, ROWS)
    await until(lambda: {bad, good} <= server.supervisor.holding.held.keys())
    await server.store.send_signal("default", Signal(bad, "pause", replace(encode(0, ANSWER), payload=b"{")))
    await server.store.send_signal("default", Signal(good, "wait:hook:0", encode(0, ANSWER)))

    failure = (await server.ended(bad)).failure
    assert failure is not None
    assert failure.code == "journal.unreadable"
    assert (await server.ended(good)).status == "succeeded"


def test_a_snapshot_must_not_know_of_more_than_the_journal_has() -> None:
    saved = replace(SAVED, run=b"")
    assert len(StoredJournal([ROWS[0], ROWS[4]], 4, saved).events()) == 2
    for journal, seq in [
        (StoredJournal(ROWS[:3], 4), 3),
        (StoredJournal([ROWS[0], ROWS[4]], 3, saved), 3),
        (StoredJournal([ROWS[1], ROWS[4]], 4, saved), 0),
    ]:
        with pytest.raises(EventUnreadable) as caught:
            journal.events()
        assert caught.value.details == {"seq": seq}
