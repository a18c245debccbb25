"""Rounds that compute for long, in chunks in other processes: what comes of them is what would come of them here."""

import asyncio
import functools
import os
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from budflow.execution import light_rounds, process_pool, round_costs, rounds_apart, rounds_segment
from budflow.execution.inprocess import InProcessExecutor
from budflow.execution.node_result import NodeResult, NodeRun
from budflow.execution.ports import Work
from budflow.execution.process_pool import ProcessDied, ProcessPool
from budflow.execution.round_costs import MEASURED_MIN
from budflow.execution.rounds_apart import AHEAD, LOST_MAX
from budflow.execution.rounds_host import RoundsHost
from budflow.execution.tools import Tools
from budflow.model import event as e
from budflow.model.execution import Place
from budflow.model.item import Json
from budflow.model.item_codec import encode_items
from budflow.model.journal import EventUnwritable
from tests.execution.burning_nodes import burning, each
from tests.execution.fakes import PLACE, FakeHttp
from tests.execution.heavy_nodes import TESTING, open_test_runner
from tests.execution.office import RUNNER, Flow, Office
from tests.until import until

EDGES = ["start > each"]


@dataclass
class FakeHeavy:
    """Meets Heavy: runs rounds in this process; of four chunks that are sent together, the last is over first.

    With `hang` none is ever over; `lost` says of which chunks, by their number, the process dies.
    """

    width: int = 2
    start_seconds: float = 0.0
    hang: bool = False
    lost: Callable[[int], bool] = lambda number: False
    chunks: int = 0
    rounds: int = 0
    stopped: int = 0

    async def run(self, work: Work, run: NodeRun) -> tuple[NodeResult, Place]:
        raise AssertionError("no node is heavy")

    async def run_rounds(self, work: Work, chunk: bytes) -> bytes:
        number, self.chunks = self.chunks, self.chunks + 1
        try:
            if self.hang:
                await asyncio.Event().wait()
            await asyncio.sleep(0.001 * (3 - number % 4))  # So long it takes.
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        if self.lost(number):
            raise ProcessDied
        given = RoundsHost(TESTING, Tools(PLACE, FakeHttp())).run(chunk)
        self.rounds += len(orjson.loads(given)["counts"])
        return given


@pytest.fixture
def everything_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds are measured after each of them, and any work goes elsewhere, two rounds at a time."""
    monkeypatch.setattr(light_rounds, "SECONDS_MAX", 0.000_02)
    monkeypatch.setattr(round_costs, "APART_SECONDS_MIN", 0.0)
    monkeypatch.setattr(round_costs, "HANDLING_TIMES_MIN", 0.0)
    monkeypatch.setattr(round_costs.BodyCost, "chunk_items", lambda self, items, width: 2)


@asynccontextmanager
async def office_with(heavy: FakeHeavy | ProcessPool | None) -> AsyncIterator[Office]:
    office = Office(InProcessExecutor(open_test_runner(heavy=heavy).tools, RUNNER))
    await office.supervisor.start()
    await until(lambda: not office.supervisor.intake.queued)
    async with asyncio.timeout(60):
        yield office
    await office.supervisor.stop(0.1)


def items(count: int) -> list[Json]:
    return [{"n": number, "group": f"g{number % 3}"} for number in range(count)]


READS = {
    "value": "{{ $node.set.json.double }}/{{ $node.set.items.length() }}/{{ $node.count.json.n }}/{{ $run_index }}/"
    "{{ $item_index }}/{{ $execution.mode }}/{{ $execution.id.length() }}/{{ $workflow.name.length() }}/{{ $json.n }}"
    "/{{ $trigger.items.length() }}/{{ $trigger.first.json.n }}/{{ $batch.size }}/{{ $item.index }}/{{ $items }}"
    "/{{ $node.set.params['values'].double }}/{{ $node.set.last.index }}/{{ $node.set.runs[0].index }}/{{ $vars }}"
}
NOW = {"value": "{{ $now }}/{{ $execution.started_at }}"}
SET = {"type": "data.set", "params": {"values": {"double": "{{ $json.n * 2 }}"}}}
COUNT = {"type": "data.aggregate", "params": {"operations": [{"operation": "count", "name": "n"}]}}
BRANCHED = {
    "check": {"type": "flow.if", "params": {"condition": "{{ $json.n % 2 == 0 }}"}},
    "even": burning(value="{{ $node.check.json.n }} is even"),
    "odd": burning(value="{{ $node.set.json.double / 2 }} is odd"),
    "join": {"type": "flow.merge"},
}
BRANCH_EDGES = ("in > check", "check.true > even", "check.false > odd", "even > join", "odd > join", "join > out")
FAILING = {
    "a": burning(value="{{ 12 / ($json.n - 5) }}"),
    "b": {"type": "data.set", "params": {"values": {"seen": "{{ $node.a.json.value }}"}}, "on_error": "continue"},
}
FAIL_EDGES = ("in > a", "a > b", "b > out")
AFTER = {"type": "data.set", "params": {"values": {"from": "{{ $node.set.json.n }}"}}}
OUTER = {"set": SET, "count": COUNT}
OUTER_EDGES = ["start > set", "set > count", "set > each", "count > each"]

FLOWS = {
    "what it reads of nodes outside": Flow(
        {**OUTER, "each": each({"a": {**burning(**READS), "on_error": "continue"}})}, OUTER_EDGES, items(12)
    ),
    "the lineage of what leaves": Flow(
        {"set": SET, "each": each({"a": burning()}), "after": AFTER},
        ["start > set", "set > each", "each > after"],
        items(12),
    ),
    "batches and branches": Flow(
        {"set": SET, "each": each(BRANCHED, *BRANCH_EDGES, batch_size=3)}, ["start > set", "set > each"], items(20)
    ),
    "a failure that stops": Flow({"each": each(FAILING, *FAIL_EDGES)}, EDGES, items(12)),
    "a failure that passes on": Flow({"each": each(FAILING, *FAIL_EDGES, on_item_error="continue")}, EDGES, items(12)),
    "a failure that leaves by its own port": Flow(
        {"each": each(FAILING, *FAIL_EDGES, on_item_error="failed_output"), "after": {"type": "flow.no_op"}},
        [*EDGES, "each.failed > after"],
        items(12),
    ),
    "an origin that is lost": Flow(
        {**OUTER, "each": each({"a": burning(value="{{ $node.set.json.n }}")}, on_item_error="continue")},
        OUTER_EDGES,
        items(12),
    ),
    "what it logs": Flow(
        {"each": each({"a": burning(say="item {{ $json.n }}"), "b": burning()}, "in > a", "a > b", "b > out")},
        EDGES,
        items(12),
    ),
    "nothing that leaves": Flow(
        {
            "each": each(
                {"a": {"type": "flow.filter", "params": {"condition": "{{ $json.n > 100 }}"}}}, "in > a", "a.kept > out"
            )
        },
        EDGES,
        items(9),
    ),
    "a disabled node": Flow(
        {
            "each": each(
                {"a": {**burning(value=1), "disabled": True}, "b": burning(value=2)}, "in > a", "a > b", "b > out"
            )
        },
        EDGES,
        items(9),
    ),
    "two loops side by side, and one in another": Flow(
        {
            "each": each({"a": burning(value="{{ $node.start.json.n }}")}),
            "other": each({"b": burning(value=1)}, "in > b", "b > out"),
            "around": {
                "type": "flow.for_each",
                "bodies": {
                    "body": {
                        "nodes": {
                            "before": {"type": "data.set", "params": {"values": {"m": "{{ $json.n + 1 }}"}}},
                            "inner": each(
                                {"c": burning(value="{{ $node.before.json.m }}/{{ $run_index }}")},
                                "in > c",
                                "c > out",
                                items="{{ [$json, $json, $json, $json, $json] }}",
                            ),
                        },
                        "edges": [
                            {"from": "$in", "to": "before"},
                            {"from": "before", "to": "inner"},
                            {"from": "inner", "to": "$out"},
                        ],
                    }
                },
            },
        },
        ["start > each", "start > other", "start > around"],
        items(9),
    ),
    "bodies side by side": Flow(
        {
            "each": each(
                {
                    "x": {
                        "type": "flow.parallel",
                        "bodies": {
                            name: {
                                "nodes": {name: burning(value=name)},
                                "edges": [{"from": "$in", "to": name}, {"from": name, "to": "$out"}],
                            }
                            for name in ("left", "right")
                        },
                    }
                },
                "in > x",
                "x > out",
            ),
        },
        EDGES,
        items(6),
    ),
}


async def story(office: Office, flow: Flow) -> tuple[Any, Any, Any]:
    """How it ended and what came of it, what every node of the workflow's own gave, and what was logged."""
    active = await office.run(flow)
    assert active.finished is not None
    events = await office.events(active.execution.id)
    assert_in_order(events)
    logged = [
        (getattr(event, "node", ""), getattr(event, "rounds", ()), line.round or 0, line.message, line.item)
        for event in events
        for line in getattr(event, "log", ())
    ]
    gave = {event.node: event.outputs for event in events if isinstance(event, e.NodeFinished) and not event.rounds}
    ports = {key: [(port, encode_items(items)) for port, items in outputs.items()] for key, outputs in gave.items()}
    failure = active.finished.failure
    return (active.finished.status, failure, active.result().to_json()), ports, logged


def assert_in_order(events: Sequence[e.Event]) -> None:
    """The rounds of every run of a loop are journaled one after the other, each once."""
    journaled: dict[Any, list[int]] = {}
    for event in events:
        if isinstance(event, e.RoundsFinished):
            numbers = range(event.first, event.first + len(event.counts))
            journaled.setdefault((event.node, event.rounds, event.body), []).extend(numbers)
    assert all(numbers == [*range(len(numbers))] for numbers in journaled.values())


@pytest.mark.usefixtures("everything_pays")
@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS.keys())
async def test_what_comes_of_rounds_elsewhere_is_what_would_come_of_them_here(flow: Flow) -> None:
    async with office_with(None) as office:
        here = await story(office, flow)
    heavy = FakeHeavy()
    async with office_with(heavy) as office:
        there = await story(office, flow)

    assert heavy.rounds > 2
    assert there == here


LOOP = Flow({"each": each({"a": burning(value="{{ $json.n }}")})}, EDGES, items(20))


@pytest.mark.usefixtures("everything_pays")
@pytest.mark.parametrize("lost", [lambda number: number in (1, 2), lambda number: True], ids=["some", "all"])
async def test_chunks_of_a_process_that_died_are_run_here(lost: Callable[[int], bool]) -> None:
    async with office_with(None) as office:
        here = await story(office, LOOP)
    heavy = FakeHeavy(lost=lost)
    async with office_with(heavy) as office:
        assert await story(office, LOOP) == here

    assert heavy.chunks > 2
    assert heavy.chunks <= LOST_MAX + heavy.width + AHEAD or not lost(0)


@pytest.mark.usefixtures("everything_pays")
async def test_others_go_on_while_rounds_are_away_and_cancelling_stops_those_at_once() -> None:
    heavy = FakeHeavy(hang=True)
    async with office_with(heavy) as office:
        away = await office.start(LOOP)
        await until(lambda: heavy.chunks == MEASURED_MIN)
        assert (await story(office, Flow({"a": burning(value=1)}, ["start > a"])))[0][0] == "succeeded"
        await office.supervisor.cancel("default", away.execution.id, "test")
        async with asyncio.timeout(2):
            await away.ended

    assert away.finished is not None
    assert away.finished.status == "cancelled"
    assert heavy.stopped == heavy.chunks


@pytest.mark.usefixtures("everything_pays")
async def test_the_time_limit_of_a_loop_stops_rounds_that_are_away() -> None:
    heavy = FakeHeavy(hang=True)
    limited = {**each({"a": burning()}), "timeout_seconds": 0.2, "on_error": "continue"}
    async with office_with(heavy) as office:
        active = await office.run(Flow({"each": limited}, EDGES, items(20)))
        [item, *_] = active.result().items

    assert item.error is not None
    assert item.error.code == "node.timed_out"
    assert heavy.stopped == heavy.chunks > 0


@pytest.mark.usefixtures("everything_pays")
async def test_a_failure_stops_the_rounds_behind_it_that_are_away() -> None:
    heavy = FakeHeavy()
    async with office_with(heavy) as office:
        nodes = {"each": each({"a": burning(value="{{ 1 / ($json.n - 2) }}")})}
        active = await office.run(Flow(nodes, EDGES, items(200)))

    assert active.finished is not None
    assert active.finished.failure is not None
    assert active.finished.failure.node == "a[2]"
    assert heavy.rounds < 20


async def test_cheap_rounds_stay() -> None:
    heavy = FakeHeavy()
    async with office_with(heavy) as office:
        told, _, _ = await story(office, Flow({"each": each({"a": burning()})}, EDGES, items(1_000)))

    assert told[0] == "succeeded"
    assert heavy.chunks == 0


async def test_rounds_that_take_about_as_long_to_pack_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(light_rounds, "SECONDS_MAX", 0.000_02)
    monkeypatch.setattr(round_costs, "APART_SECONDS_MIN", 0.0)
    monkeypatch.setattr(rounds_apart, "HANDLING_TIMES_PACKING", 1_000_000)
    heavy = FakeHeavy()
    async with office_with(heavy) as office:
        told, _, _ = await story(office, LOOP)

    assert told[0] == "succeeded"
    assert heavy.chunks == 0


@pytest.mark.usefixtures("everything_pays")
async def test_rounds_that_cannot_be_packed_are_run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def packing_of(*args: Any) -> Callable[[], bytes]:
        def pack() -> bytes:
            assert threading.current_thread() is not threading.main_thread(), "it would hold up all other executions"
            raise EventUnwritable("It is no JSON.")

        return pack

    monkeypatch.setattr(rounds_apart, "packing_of", packing_of)
    heavy = FakeHeavy()
    async with office_with(heavy) as office, asyncio.timeout(20):
        told, _, _ = await story(office, LOOP)

    assert [item["n"] for item in told[2]] == [*range(20)]
    assert heavy.chunks == 0


@pytest.mark.usefixtures("everything_pays")
async def test_rounds_that_read_much_of_a_node_outside_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds_segment, "OUTSIDE_BYTES_MAX", 100)
    heavy = FakeHeavy()
    async with office_with(heavy) as office:
        told, _, _ = await story(office, FLOWS["what it reads of nodes outside"])

    assert told[0] == "succeeded"
    assert heavy.chunks == 0


async def test_what_takes_long_is_computed_by_several_processes_and_outlives_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_pool, "START_SECONDS", 0.0)
    pool = ProcessPool(functools.partial(open_test_runner, ()), size=2)
    light, heavy = tmp_path / "light", tmp_path / "heavy"
    for folder in (light, heavy):
        folder.mkdir()
    slow = Flow({"each": each({"a": burning(seconds=0.02, mark=str(light))})}, EDGES, items(40))
    node = {"type": "test.heavy_burn", "params": {"seconds": 0.02, "mark": str(heavy)}}
    known = Flow({"each": each({"a": node}, concurrency=4)}, EDGES, items(12))
    deadly = Flow({"each": each({"a": burning(seconds=0.02, survivor=os.getpid())})}, EDGES, items(6))
    async with office_with(pool) as office:
        told, _, _ = await story(office, slow)
        also, _, _ = await story(office, known)
        survived, _, _ = await story(office, deadly)
    await pool.close()

    assert [item["n"] for item in told[2]] == [*range(40)]
    assert [item["n"] for item in also[2]] == [*range(12)]
    for folder in (light, heavy):
        assert len({*os.listdir(folder)} - {str(os.getpid())}) == 2  # noqa: PTH208 - pathlib's may not be called here
    assert [item["n"] for item in survived[2]] == [*range(6)]


@pytest.mark.usefixtures("everything_pays")
async def test_chunks_that_do_not_come_back_are_run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds_apart, "PATIENCE_SECONDS", 0.05)
    heavy = FakeHeavy(hang=True)
    async with office_with(heavy) as office:
        told, _, _ = await story(office, LOOP)

    assert [item["n"] for item in told[2]] == [*range(20)]
    assert heavy.stopped == heavy.chunks > 0
