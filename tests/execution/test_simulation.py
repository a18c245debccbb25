"""The pure core under simulation: random graphs, random orders of events, an oracle that knows nothing of the core."""

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from budflow.execution import state as s
from budflow.execution.advance import advance, fold
from budflow.graph.cycles import order
from budflow.graph.plan import Plan, compile_plan
from budflow.graph.validate import check
from budflow.model import event as e
from budflow.model.failure import Failure
from budflow.model.item import ItemList
from budflow.nodes.registry import build

REGISTRY = build()
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TYPES = {
    "flow.no_op": {},
    "flow.if": {"condition": True},
    "data.aggregate": {"operations": [{"operation": "count", "name": "n"}]},
}
PORTS = {"flow.no_op": ["main"], "flow.if": ["true", "false"], "data.aggregate": ["main"]}


@dataclass(frozen=True)
class Case:
    """A graph, how many items each port of each node gives when it runs, and the order in which nodes end."""

    plan: Plan
    counts: dict[tuple[int, str], int]
    seed: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    nodes: dict[str, Any] = {"t0": {"type": "trigger.manual"}}
    if draw(st.booleans()):
        nodes["t1"] = {"type": "trigger.manual"}
    for number in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(sorted(TYPES)))
        nodes[f"n{number}"] = {
            "type": kind,
            "params": TYPES[kind],
            "run_on_empty": draw(st.booleans()),
        }
    keys = list(nodes)
    edges = []
    for position, key in enumerate(keys):
        if key.startswith("t"):
            continue
        for source in draw(st.lists(st.sampled_from(keys[:position]), max_size=3, unique=True)):
            port = draw(st.sampled_from(PORTS.get(nodes[source]["type"], ["main"])))
            edges.append({"from": f"{source}.{port}", "to": key})
    document = {"format": 1, "name": "simulated", "nodes": nodes, "edges": edges}
    workflow = check(document, REGISTRY).require("run")
    plan = compile_plan(workflow, REGISTRY)
    counts = {
        (node.index, port): draw(st.sampled_from([0, 0, 1, 3])) for node in plan.nodes for port in node.output_names
    }
    return Case(plan, counts, draw(st.integers(0, 2**32)))


def expected_to_run(case: Case) -> set[int]:
    """The definition of settling, node after node in topological order: what runs in a run without faults."""
    plan = case.plan
    graph_order = order_of(plan)
    ran: set[int] = set()
    for number in graph_order:
        node = plan.nodes[number]
        if node.edges_in == 0:
            if number == plan.index["t0"]:
                ran.add(number)
            continue
        sources = [source for port in node.inputs for source in port]
        live = [source for source in sources if source.node in ran]
        items = [case.counts[source.node, plan.nodes[source.node].output_names[source.port]] for source in live]
        delivered, empty = any(count > 0 for count in items), any(count == 0 for count in items)
        if delivered or (empty and (node.spec.run_on_empty or node.node.run_on_empty)):
            ran.add(number)
    return ran


def order_of(plan: Plan) -> list[int]:
    done: list[int] = []
    left = set(range(len(plan.nodes)))
    while left:
        for number in sorted(left):
            if {source.node for port in plan.nodes[number].inputs for source in port} <= set(done):
                done.append(number)
                left.discard(number)
                break
    return done


class Simulator:
    """Feeds the core and carries its commands out, choosing at random which running node ends next."""

    def __init__(self, case: Case) -> None:
        self.case, self.random = case, Random(case.seed)
        self.state = s.State()
        self.events: list[e.Event] = []
        self.running: list[int] = []
        self.cancelled: set[int] = set()
        self.started: list[int] = []
        self.skipped: list[int] = []
        self.settled: set[int] = set()
        self.ends: list[s.End] = []

    def feed(self, event: e.Event) -> None:
        self.events.append(event)
        self.state, commands = advance(self.case.plan, self.state, event)
        for command in commands:
            match command:
                case s.StartNode(number):
                    self.assert_not_early(number)
                    self.started.append(number)
                    self.running.append(number)
                case s.SkipNode(number):
                    self.skipped.append(number)
                    self.settled.add(number)
                case s.CancelNode(number):
                    self.cancelled.add(number)
                case s.End():
                    self.ends.append(command)
        self.assert_invariants()

    def begin(self) -> None:
        self.feed(e.Admitted(NOW, "t0", "api", "test", ItemList.of([{}])))

    def finish_one(self) -> None:
        number = self.running.pop(self.random.randrange(len(self.running)))
        node = self.case.plan.nodes[number]
        self.settled.add(number)
        if number in self.cancelled:
            self.feed(e.NodeCancelled(NOW, node.key))
            return
        outputs = {port: ItemList.of([{}] * self.case.counts[number, port]) for port in node.output_names}
        self.feed(e.NodeFinished(NOW, node.key, NOW, outputs))

    def fail_one(self) -> None:
        number = self.running.pop(self.random.randrange(len(self.running)))
        self.settled.add(number)
        self.feed(e.NodeFailed(NOW, self.case.plan.nodes[number].key, NOW, Failure("test.failed", "on purpose")))

    def assert_not_early(self, number: int) -> None:
        sources = {source.node for port in self.case.plan.nodes[number].inputs for source in port}
        assert sources <= self.settled | set(self.skipped), "a join fired before all its sources had settled"
        assert number not in self.started, "a node ran twice"
        assert number not in self.skipped, "a skipped node ran"
        assert not self.cancelled, "a node started after the execution began to stop"

    def assert_invariants(self) -> None:
        assert len(self.ends) <= 1, "the execution ended twice"
        assert len(set(self.skipped)) == len(self.skipped)
        assert set(self.running) == self.state.running
        if self.ends:
            assert not self.running, "the execution ended while a node ran"
        # The state is the fold of the journal, and small: nothing of what has settled stays in it.
        assert fold(self.case.plan, self.events) == self.state
        assert self.settled.isdisjoint(self.state.tallies)


@given(cases())
@settings(max_examples=600, deadline=None)
def test_every_node_settles_once_in_any_order_and_just_the_right_ones_run(case: Case) -> None:
    simulator = Simulator(case)
    simulator.begin()
    while simulator.running:
        simulator.finish_one()

    assert [end.status for end in simulator.ends] == ["succeeded"], "the execution did not end, or not well"
    assert set(simulator.started) == expected_to_run(case)
    assert set(simulator.started) | set(simulator.skipped) == set(range(len(case.plan.nodes)))
    assert set(simulator.started).isdisjoint(simulator.skipped)


@given(cases(), st.data())
@settings(max_examples=600, deadline=None)
def test_whatever_fails_or_is_cancelled_the_execution_ends_once_and_nothing_new_starts(
    case: Case, data: st.DataObject
) -> None:
    simulator = Simulator(case)
    simulator.begin()
    stopped: str | None = None
    while simulator.running:
        action = data.draw(st.sampled_from(["finish", "finish", "finish", "fail", "cancel"]))
        failable = [number for number in simulator.running if number not in simulator.cancelled]
        if action == "fail" and failable:
            simulator.fail_one()
            stopped = stopped or "failed"
        elif action == "cancel":
            simulator.feed(e.CancelRequested(NOW, "test"))
            stopped = stopped or "cancelled"
            if data.draw(st.booleans()):
                continue
            simulator.finish_one()
        else:
            simulator.finish_one()

    assert [end.status for end in simulator.ends] == [stopped or "succeeded"]


@given(cases())
@settings(max_examples=100, deadline=None)
def test_nothing_changes_after_the_end(case: Case) -> None:
    simulator = Simulator(case)
    simulator.begin()
    while simulator.running:
        simulator.finish_one()
    simulator.feed(e.Finished(NOW, "succeeded"))
    ended = simulator.state

    for late in (
        e.NodeFinished(NOW, "t0", NOW, {"main": ItemList.of([{}])}),
        e.NodeFailed(NOW, "t0", NOW, Failure("late", "late")),
        e.CancelRequested(NOW, "late"),
        e.Finished(NOW, "failed"),
    ):
        state, commands = advance(case.plan, ended, late)
        assert state == ended
        assert commands == []


def test_the_core_does_thousands_of_schedules_without_a_clock_or_a_loop() -> None:
    document = {
        "format": 1,
        "name": "chain",
        "nodes": {"t0": {"type": "trigger.manual"}, **{f"n{i}": {"type": "flow.no_op"} for i in range(499)}},
        "edges": [{"from": a, "to": b} for a, b in itertools.pairwise(["t0", *(f"n{i}" for i in range(499))])],
    }
    workflow = check(document, REGISTRY).require("run")
    plan = compile_plan(workflow, REGISTRY)
    assert order(workflow.graph)[-1] == "n498"
    simulator = Simulator(Case(plan, {(node.index, "main"): 0 for node in plan.nodes}, 1))
    simulator.begin()
    simulator.finish_one()
    assert len(simulator.skipped) == 499
    assert [end.status for end in simulator.ends] == ["succeeded"]
