"""What nodes log on its way through a run: whatever becomes of the node, and however its journal is thinned."""

import asyncio
from typing import Any

import pytest

from budflow.execution import node_log
from budflow.model import event as e
from tests.execution.fakes import FakeHttp, FakeLink, run_to_end, start_run, until

START = {"type": "trigger.manual"}
_WITH_LOG = (e.NodeLogged, e.NodeFinished, e.NodeFailed, e.NodeCancelled)
ASK = {"type": "http.request", "params": {"url": "https://a.example/"}}


def note(message: str, **more: Any) -> dict[str, Any]:
    return {"type": "flow.log", "params": {"message": message}, **more}


def logged(link: FakeLink) -> list[tuple[str, str]]:
    """Node and message of each line, in the order of the journal."""
    events = [event for event in link.events if isinstance(event, _WITH_LOG)]
    return [(event.node, line.message) for event in events for line in event.log]


def body(node: dict[str, Any]) -> dict[str, Any]:
    return {
        "body": {"nodes": {"inner": node}, "edges": [{"from": "$in", "to": "inner"}, {"from": "inner", "to": "$out"}]}
    }


async def test_a_workflow_that_logs_nothing_writes_what_it_always_wrote() -> None:
    link = await run_to_end({"start": START, "pass": {"type": "flow.no_op"}}, ["start > pass"])

    assert link.of(e.NodeLogged) == []
    assert logged(link) == []


async def test_lines_of_a_short_node_make_no_event_of_their_own() -> None:
    link = await run_to_end({"start": START, "ask": ASK}, ["start > ask"], [{}] * 5)

    assert link.of(e.NodeLogged) == []
    assert logged(link) == [("ask", "GET a.example: 200 OK")] * 5


@pytest.mark.parametrize("journal", ["every_node", "segment", "end"])
async def test_lines_are_kept_however_the_journal_is_thinned(journal: str) -> None:
    nodes = {"start": START, "note": note("noted"), "pass": {"type": "flow.no_op"}, "last": note("at the end")}
    link = await run_to_end(nodes, ["start > note", "note > pass", "pass > last"], journal=journal)

    assert logged(link) == [("note", "noted"), ("last", "at the end")]
    kept = [event.node for event in link.of(e.NodeFinished)]
    assert ("note" in kept) == (journal == "every_node")


async def test_a_node_that_is_cancelled_keeps_what_it_logged() -> None:
    held = asyncio.Event()

    async def answer() -> int:
        await held.wait()
        return 200

    http = FakeHttp(lambda request: 200 if len(http.requests) == 1 else answer())
    nodes = {"start": START, "ask": {**ASK, "effect": "idempotent"}}
    run, link = start_run(nodes, ["start > ask"], [{}, {}], http=http)
    await until(lambda: len(http.requests) == 2)
    run.deliver(e.CancelRequested(link.events[0].at, "test"))
    await run.wait()

    [cancelled] = link.of(e.NodeCancelled)
    assert [line.item for line in cancelled.log] == [0]


async def test_a_node_whose_time_is_up_keeps_what_it_logged() -> None:
    http = FakeHttp(lambda request: 200 if len(http.requests) == 1 else asyncio.Event().wait())
    nodes = {"start": START, "ask": {**ASK, "timeout_seconds": 0.05}}
    link = await run_to_end(nodes, ["start > ask"], [{}, {}], http=http)

    [failed] = link.of(e.NodeFailed)
    assert failed.failure.code == "node.timed_out"
    assert [line.item for line in failed.log] == [0]


async def test_rounds_of_a_loop_log_in_few_events() -> None:
    each = {"type": "flow.for_each", "bodies": body(note("{{ $json.n }}"))}
    link = await run_to_end({"start": START, "each": each}, ["start > each"], [{"n": n} for n in range(500)])

    assert [int(message) for _, message in logged(link)] == [*range(500)]
    assert len(link.of(e.NodeLogged)) <= len(link.of(e.RoundsFinished))
    assert [line.round for event in link.of(e.NodeLogged) for line in event.log] == [*range(500)]


async def test_an_execution_says_at_its_end_what_had_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_log.ExecutionLog, "__init__", _small(node_log.ExecutionLog.__init__))
    each = {"type": "flow.for_each", "bodies": body(note("{{ $json.n }}"))}
    link = await run_to_end({"start": START, "each": each}, ["start > each"], [{"n": n} for n in range(10)])

    assert [message for _, message in logged(link)][:4] == ["0", "1", "2", "3"]
    [*_, rest, _] = link.events
    assert isinstance(rest, e.NodeLogged)
    assert rest.log[0].fields == {"dropped": 6}
    assert link.end.status == "succeeded"


def _small(init: Any) -> Any:
    def small(self: node_log.ExecutionLog, *args: Any) -> None:
        init(self, *args)
        self.lines = 4

    return small
