"""Random workflows with containers, and an executor of nothing: it answers the commands of the pure core at random."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from budflow.execution import state as s
from budflow.execution.advance import advance, resume
from budflow.graph.parse import parse
from budflow.graph.plan import Plan, compile_plan
from budflow.model import event as e
from budflow.model.failure import Failure
from budflow.model.item import ItemList
from tests.execution.fakes import REGISTRY

NOW = datetime(2030, 1, 1, tzinfo=UTC)
FAILURE = Failure("test.failed", "On purpose.")
STEPS_MAX = 3_000
CONTAINERS = ("flow.for_each", "flow.try_catch", "flow.parallel", "flow.while")


def random_plan(random: Random) -> Plan:
    """A workflow of a few nodes, with bodies up to two deep."""
    numbers = iter(range(1_000))
    graph = _graph(random, numbers, depth=2, size=random.randint(2, 6), first="start")
    graph["nodes"] = {"start": {"type": "trigger.manual"}, **graph["nodes"]}
    document = {"format": 1, "name": "random", **graph}
    return compile_plan(parse(document), REGISTRY, workflow_id="wf_1", version=1)


def _graph(random: Random, numbers: Any, *, depth: int, size: int, first: str) -> dict[str, Any]:
    nodes: dict[str, Any] = {}
    edges: list[dict[str, str]] = []
    sources = [first]
    for _ in range(size):
        kind = random.choice(("data.set", "http.request", "http.request", "flow.sub_workflow", "flow.wait"))
        if depth and random.random() < 0.4:
            kind = random.choice(CONTAINERS)
        key = f"{kind.split('.')[1]}_{next(numbers)}"
        nodes[key] = _node(random, numbers, kind, depth)
        edges += [{"from": one, "to": key} for one in {random.choice(sources), random.choice(sources)}]
        sources.append(key)
    if first == "$in":
        edges.append({"from": sources[-1], "to": "$out"})
    return {"nodes": nodes, "edges": edges}


def _node(random: Random, numbers: Any, kind: str, depth: int) -> dict[str, Any]:
    node: dict[str, Any] = {"type": kind, "on_error": random.choice(("stop", "stop", "continue"))}

    def body() -> dict[str, Any]:
        return _graph(random, numbers, depth=depth - 1, size=random.randint(1, 3), first="$in")

    match kind:
        case "data.set":
            node["params"] = {"values": {"x": 1}}
        case "http.request":
            node["params"] = {"url": "https://outside.example/"}
        case "flow.sub_workflow":
            params = {"call": random.choice(("all_items", "per_item")), "wait": random.random() < 0.8}
            node["params"] = {"workflow": "wf_2", "concurrency": 2, **params}
        case "flow.wait":
            node["params"] = {"mode": "duration", "seconds": 5}
        case "flow.for_each":
            policy = random.choice(("stop", "stop", "continue"))
            node["params"] = {"concurrency": random.choice((1, 2, 5)), "on_item_error": policy}
            node["bodies"] = {"body": body()}
        case "flow.while":
            node["params"] = {"condition": True, "rounds_max": 100}
            node["bodies"] = {"body": body()}
        case "flow.try_catch":
            node["bodies"] = {"body": body(), **({"finally": body()} if random.random() < 0.5 else {})}
        case "flow.parallel":
            node["params"] = {"join": random.choice(("all", "first"))}
            node["bodies"] = {"left": body(), "right": body()}
    return node


def start(*, items: int = 2) -> e.Admitted:
    """The first event."""
    return e.Admitted(NOW, "start", "api", "test", _items(items))


class Play:
    """Drives an execution: answers one command at a time, in any order, until it ends.

    `started` are the work nodes that were begun here, `called` the calls and `waited` the waits.
    """

    def __init__(self, plan: Plan, random: Random, events: Sequence[e.Event]) -> None:
        self.plan, self.random = plan, random
        self.events = list(events)
        self.state = s.State()
        self.started: list[s.At] = []
        self.called: list[tuple[s.At, int]] = []
        self.at = NOW
        for event in events:
            self.state, _ = advance(plan, self.state, event)
        self.due: list[Any] = [*resume(self.state)]

    def run(self, *, failing: float = 0.0, cancelling: float = 0.0) -> e.Finished:
        """To the end; nodes fail and the whole is cancelled with these chances at every step."""
        for _ in range(STEPS_MAX):
            if isinstance(self.events[-1], e.Finished):
                return self.events[-1]
            if self.random.random() < cancelling:
                self._happened(e.CancelRequested(self._tick(), "test", FAILURE))
                cancelling = 0.0
                continue
            assert self.due, "nothing is due, and the execution has not ended"
            self._answer(self.due.pop(self.random.randrange(len(self.due))), failing)
        raise AssertionError("it does not end")

    def _tick(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at

    def _happened(self, event: e.Event) -> None:
        self.events.append(event)
        self.state, commands = advance(self.plan, self.state, event)
        self.due.extend(commands)

    def _answer(self, command: Any, failing: float) -> None:
        match command:
            case s.StartNode(at):
                self._start(at, failing)
            case s.CancelNode(at):
                if at not in self.state.controls and self._runs(at):
                    self._happened(e.NodeCancelled(self._tick(), self._key(at), at.rounds))
                elif at in self.state.controls:
                    asks = [ask for ask in self.state.controls[at].asks.values() if isinstance(ask, s.CallChild)]
                    self.due.extend(asks)
            case s.CallChild(at, call):
                self._call(command, at, call, failing)
            case s.StartWait(at, wait):
                if self._asks(at, ("wait", wait)):
                    key = self._key(at)
                    began = e.WaitStarted(self._tick(), key, wait, "timer", None, {}, at.rounds)
                    self._happened(began)
                    if self.random.random() < 0.7:
                        self._happened(e.WaitEnded(self._tick(), key, wait, "elapsed", rounds=at.rounds))
                    else:
                        self.due.append(command)
            case s.ResolveParams(at, ask):
                if self._asks(at, ("resolve", ask)):
                    params: dict[str, Any] = {"condition": self.random.random() < 0.5, "rounds_max": 100}
                    failure = FAILURE if self.random.random() < failing else None
                    event = e.ParamsResolved(
                        self._tick(), self._key(at), ask, {} if failure else params, at.rounds, failure
                    )
                    self._happened(event)
            case s.SettleControl(at):
                self._end_control(command, self._finished(at))
            case s.FailControl(at, failure):
                on_error = self.plan.nodes[at.node].node.on_error
                self._end_control(command, self._failed(at, failure) if on_error == "stop" else self._finished(at))
            case s.CancelControl(at):
                self._end_control(command, e.NodeCancelled(self._tick(), self._key(at), at.rounds))
            case s.End():
                self._happened(e.Finished(self._tick(), command.status, command.failure))

    def _start(self, at: s.At, failing: float) -> None:
        if not self._runs(at) or at in self.state.controls:
            return
        node = self.plan.nodes[at.node]
        if self.state.stops(s.FrameId(node.graph, at.rounds)):
            self._happened(e.NodeCancelled(self._tick(), node.key, at.rounds))
        elif node.weight == "control":
            assert node.params.fixed is not None
            shape = node.params.fixed.model_dump(mode="json", exclude={node.spec.feed or ""})
            self._happened(e.NodeStarted(self._tick(), node.key, self.random.randint(1, 4), shape, at.rounds))
        else:
            self.started.append(at)
            if node.spec.name == "http.request":
                self._happened(e.NodeStarted(self._tick(), node.key, 2, None, at.rounds, 2))
                done = e.ItemsFinished(self._tick(), node.key, (0,), _items(1), at.rounds)
                self._happened(done)
            if self.random.random() < 0.1:
                self.due.append(s.StartNode(at))  # It takes longer, and others go first.
                self.started.pop()
            elif self.random.random() < failing and node.node.on_error == "stop":
                self._happened(self._failed(at, FAILURE))
            else:
                self._happened(self._finished(at))

    def _call(self, command: s.CallChild, at: s.At, call: int, failing: float) -> None:
        if not self._asks(at, ("call", call)):
            return
        key = self._key(at)
        self.called.append((at, call))
        self._happened(e.ChildStarted(self._tick(), key, call, f"exe_{call}", command.workflow_id, at.rounds))
        if command.awaited:
            status: e.EndStatus = "failed" if self.random.random() < failing else "succeeded"
            failure = FAILURE if status == "failed" else None
            ended = e.ChildFinished(self._tick(), key, call, status, _items(1), failure, at.rounds)
            self._happened(ended)

    def _end_control(self, command: Any, event: e.Event) -> None:
        if self.state.controls.get(command.at) is not None and self._asks(command.at, s.END):
            self._happened(event)

    def _finished(self, at: s.At) -> e.NodeFinished:
        node = self.plan.nodes[at.node]
        outputs = {name: _items(1 if name != "error" else 0) for name in node.output_names}
        return e.NodeFinished(self._tick(), node.key, NOW, outputs, rounds=at.rounds)

    def _failed(self, at: s.At, failure: Failure) -> e.NodeFailed:
        return e.NodeFailed(self._tick(), self._key(at), NOW, failure, rounds=at.rounds)

    def _runs(self, at: s.At) -> bool:
        return self.state.runs(s.FrameId(self.plan.nodes[at.node].graph, at.rounds), at.node)

    def _asks(self, at: s.At, key: tuple[str, int]) -> bool:
        control = self.state.controls.get(at)
        return control is not None and key in control.asks

    def _key(self, at: s.At) -> str:
        return self.plan.nodes[at.node].key


def _items(count: int) -> ItemList:
    return ItemList.of([{"n": number} for number in range(count)])
