"""Stands in for the engine around the pure core: carries commands out in any order, misbehaves, and dies.

All that is left to chance is asked of `pick`, so that a seed, or hypothesis, decides. A witness sees every step.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from budflow.execution import advance as core, state as s
from budflow.model import event as e
from budflow.model.failure import Failure
from budflow.model.item import Item, ItemList
from budflow.model.journal import decode, encode
from tests.execution.simulated_graphs import Case
from tests.execution.simulated_nodes import FINALLY
from tests.execution.simulated_rules import Frame, Values, items_from, out_of, verdict
from tests.execution.simulated_witness import Witness

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ORDERS = ("first in first out", "last in first out", "any order", "ends wait")
CRASHES_MAX = 3
Pick = Callable[[int], int]  # A number from 0 up to this one.
Key = tuple[Any, ...]
#: Committed before anything else happens; what is written after the last of these may be lost in a crash.
DURABLE = (
    e.Admitted,
    e.ChildStarted,
    e.ChildFinished,
    e.WaitEnded,
    e.CancelRequested,
    e.Paused,
    e.Continued,
    e.Finished,
)


class Stuck(AssertionError):
    """Nothing is under way, and the execution has not ended."""


@dataclass
class Due:
    """A command that is being carried out: at first only given, then `begun`."""

    command: s.Command
    begun: bool = False


@dataclass
class Driver:
    """One execution of a case from its admission to its end."""

    case: Case
    pick: Pick
    order: str = "any order"
    seen: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.plan = self.case.plan
        self.state = self.mirror = s.State()
        self.witness = Witness(self.case)
        self.journal: list[e.StoredEvent] = []
        self.events: list[e.Event] = []
        self.durable = self.crashes = 0
        self.due: dict[Key, Due] = {}
        self.started: set[s.At] = set()
        self.limited: set[s.At] = set()  # What tidies up, and is watched that it does so in time.
        self.seen.add(self.order)

    # --- the whole way -----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The trigger fires."""
        self.feed(e.Admitted(NOW, "start", "api", "test", items_of([0])))

    def work(self) -> None:
        """Carry one command further; where nothing is left but what is held back, go on with that."""
        if self.due:
            self._advance(self._next())
        elif self.state.held and not self.state.stops(s.ROOT):
            self.feed(e.Continued(NOW, "test"))
        elif self.state.phase != "ended":
            raise Stuck("nothing is under way, and the execution has not ended")

    def finish(self) -> None:
        """It has ended, and nothing changes that any more."""
        assert self.state.phase == "ended", "the execution did not end in time"
        assert self.fold() == self.state, "the state is not the fold of the journal"
        ended, key = self.state, self.plan.nodes[0].key
        for late in (
            e.NodeFinished(NOW, key, NOW, {"main": items_of([1])}),
            e.NodeFailed(NOW, key, NOW, Failure("late", "late")),
            e.CancelRequested(NOW, "late"),
            e.Continued(NOW, "late"),
            e.Finished(NOW, "failed"),
            *(self.events[self.pick(len(self.events))] for _ in range(3)),
        ):
            self.feed(late)
            assert self.state == ended, "a terminal state changed"

    def feed(self, event: e.Event) -> None:
        """Journal an event, fold it and take the commands; what is read back from the journal must say the same."""
        row = encode(len(self.journal), event)
        before = self.state
        self.state, commands = core.advance(self.plan, before, event)
        self.mirror, again = core.advance(self.plan, self.mirror, decode(row))
        assert self.mirror == self.state, "the fold of the journal is another state"
        assert _comparable(again) == _comparable(commands), "the fold of the journal says other commands"
        self.journal.append(row)
        self.events.append(event)
        if isinstance(event, DURABLE) or self._has_effect(event):
            self.durable = len(self.journal)
        self.witness.see(event, before, self.state, commands)
        if isinstance(event, e.Continued) and commands:
            self.seen.add("started late because of a pause")
        for command in commands:
            self._take(command)
        self._check_limits()

    def _check_limits(self) -> None:
        tidying = {at for at, control in self.witness.controls.items() if self.witness.tidies_up(at)}
        hurried = {at for at in tidying if self.witness.controls[at].hurried}
        assert tidying - hurried <= self.limited, "a last body may take as long as it likes"

    def fold(self) -> s.State:
        """The state after all that stands in the journal."""
        return core.fold(self.plan, (decode(row) for row in self.journal))

    def _has_effect(self, event: e.Event) -> bool:
        node = getattr(event, "node", None)
        return node is not None and self.plan.nodes[self.plan.index[node]].spec.effect != "pure"

    # --- taking commands ---------------------------------------------------------------------------------------------

    def _take(self, command: s.Command) -> None:
        match command:
            case s.OpenFrame(at, body) if body == FINALLY and self.witness.controls[at].stopped:
                self.seen.add("`finally` runs after a stop")
            case s.LimitLastBodies(at):
                self.limited.add(at)
            case s.CancelNode(at) if self.witness.tidies_up(at):
                self.seen.add("`finally` goes on after a stop")
            case s.StartNode(at):
                self._put(("node", at), command)
            case s.CancelNode(at) if self.plan.nodes[at.node].weight != "control":
                self.due.setdefault(("node", at), Due(s.StartNode(at), begun=True))
            case s.CallChild(at, number):
                self._put(("call", at, number), command)
            case s.StartWait(at, number):
                self._put(("wait", at, number), command)
            case s.ResolveParams(at, number) | s.ReserveRate(at, number):
                self._put((type(command).__name__, at, number), command)
            case s.SettleControl(at) | s.FailControl(at) | s.CancelControl(at):
                self._put(("end of", at), command)
            case s.End():
                self._put(("end",), command)

    def _put(self, key: Key, command: s.Command) -> None:
        assert key not in self.due, f"told twice: {command}"
        self.due[key] = Due(command)

    def _next(self) -> Key:
        keys = list(self.due)
        if self.order == "first in first out":
            return keys[0]
        if self.order == "last in first out":
            return keys[-1]
        if self.order == "ends wait":
            keys = [key for key in keys if key[0] != "end of"] or keys
        return keys[self.pick(len(keys))]

    # --- carrying them out -------------------------------------------------------------------------------------------

    def _advance(self, key: Key) -> None:
        due = self.due[key]
        match due.command:
            case s.StartNode(at):
                self._advance_node(key, due, at)
            case s.End(status, failure):
                del self.due[key]
                self.feed(e.Finished(NOW, status, failure))
            case s.SettleControl() | s.FailControl() | s.CancelControl():
                del self.due[key]
                self._end_control(due.command)
            case s.CallChild() | s.StartWait() | s.ResolveParams() | s.ReserveRate():
                control = self.state.controls.get(due.command.at)
                if control is None or due.command not in control.asks.values():
                    del self.due[key]  # The node was stopped meanwhile.
                else:
                    self._answer(key, due)
            case _:
                self._run_rounds(key)

    def _advance_node(self, key: Key, due: Due, at: s.At) -> None:
        node = self.plan.nodes[at.node]
        frame_id = self.witness.frame_id(at)
        if not self.state.runs(frame_id, at.node):
            del self.due[key]
        elif due.begun:
            del self.due[key]
            self._end_node(at)
        elif self.state.stops(frame_id):
            del self.due[key]
            self.seen.add("stopped before it began")
            self.feed(e.NodeCancelled(NOW, node.key, at.rounds))
        elif self.plan.graphs[frame_id.graph].light and self.case.chance("rounds", frame_id.graph) % 12:
            del self.due[key]
            self.due.setdefault(("rounds", frame_id), Due(s.OpenFrame(at, "", frame_id, None)))  # type: ignore[arg-type]  # only its key is read
        else:
            assert at not in self.started, "a run of a node began twice"
            self.started.add(at)
            self._begin_node(key, due, at)

    def _begin_node(self, key: Key, due: Due, at: s.At) -> None:
        node = self.plan.nodes[at.node]
        if node.weight != "control":
            due.begun = True
            if node.spec.effect != "pure":
                self.feed(e.NodeStarted(NOW, node.key, 1, None, at.rounds, begun=1))
            return
        del self.due[key]
        if self.case.chance("params", at) % 100 < self.case.failing // 4:
            self._fail(at, Failure("sim.params", "on purpose"))
            return
        self.seen.add(f"{node.spec.name} runs")
        items = self.witness.arrived(at)[: 2 if len(at.rounds) > 1 else 4]
        self.feed(e.NodeStarted(NOW, node.key, len(items), self._params(at, -1), at.rounds))

    def _params(self, at: s.At, ask: int) -> Mapping[str, Any]:
        node = self.plan.nodes[at.node]
        if node.spec.name != "flow.while":
            return node.node.params
        return {**node.node.params, "condition": self.case.chance("while", at, ask) % 10 < 7}

    def _end_node(self, at: s.At) -> None:
        node = self.plan.nodes[at.node]
        if at in self.witness.cancelled and self.pick(2):
            self.feed(e.NodeCancelled(NOW, node.key, at.rounds))
            return
        if at in self.witness.cancelled:
            self.seen.add("ends by itself after it was told to stop")
        if node.spec.effect != "pure":
            self.feed(e.CredentialsUsed(NOW, node.key, {"auth": "crd_1"}, at.rounds))
        if node.spec.effect != "pure" and self.pick(2):
            self.seen.add("items tried again")
            self.feed(e.ItemsRetried(NOW, node.key, 1, 1, 1.0, Failure("sim.flaky", "on purpose"), at.rounds))
        outcome = self._outcome(at, self.witness.arrived(at))
        if isinstance(outcome, Failure):
            self._fail(at, outcome)
        else:
            self._finish_node(at, outcome)

    def _finish_node(self, at: s.At, outputs: Mapping[str, Values]) -> None:
        node = self.plan.nodes[at.node]
        lists = {port: items_of(outputs.get(port, [])) for port in node.output_names}
        self.feed(e.NodeFinished(NOW, node.key, NOW, lists, rounds=at.rounds))

    def _fail(self, at: s.At, failure: Failure) -> None:
        """A node failed: what follows is its `on_error`."""
        node = self.plan.nodes[at.node]
        self.seen.add(f"failed, on_error {node.node.on_error}")
        if node.node.on_error == "stop":
            self.feed(e.NodeFailed(NOW, node.key, NOW, failure, rounds=at.rounds))
        else:
            port = "error" if node.node.on_error == "error_output" else node.output_names[0]
            self._finish_node(at, {port: self.witness.arrived(at)[:4]})

    def _outcome(self, at: s.At, items: Values) -> Mapping[str, Values] | Failure:
        """What a light node does: the same however often it is asked."""
        node, chance = self.plan.nodes[at.node], self.case.chance
        if not node.spec.trigger and chance("fails", at) % 100 < self.case.failing:
            return Failure("sim.failed", "on purpose", node=node.key)
        match node.spec.name:
            case "trigger.manual":
                return {"main": self._new(at, "main", self.case.items)}
            case "sim.part":
                return {"main": [v for v in items if v % 2], "other": [v for v in items if not v % 2]}
            case "sim.make":
                main, few = (0, 1, 3)[chance("main", at) % 3], (0, 1)[chance("few", at) % 2]
                return {"main": self._new(at, "main", main), "few": self._new(at, "few", few)}
            case "sim.count":
                return {"main": self._new(at, "main", 1)}
            case _:
                return {"main": items[:4]}

    def _new(self, at: s.At, port: str, size: int) -> Values:
        return [self.case.chance("item", at, port, number) for number in range(size)]

    def _end_control(self, command: s.SettleControl | s.FailControl | s.CancelControl) -> None:
        at = command.at
        assert at in self.state.controls, "a control node is to end that does not run"
        match command:
            case s.SettleControl():
                control = self.witness.controls[at]
                self._finish_node(at, {port: items_from(control, one) for port, one in command.outputs.items()})
            case s.FailControl():
                self._fail(at, command.failure)
            case _:
                self.feed(e.NodeCancelled(NOW, self.plan.nodes[at.node].key, at.rounds))

    def _answer(self, key: Key, due: Due) -> None:
        """Bring what a control node asked for one step further."""
        command = due.command
        match command:
            case s.CallChild(at, number):
                self._go_on_with_call(key, due, command)
            case s.StartWait(at, number):
                if not due.begun:
                    due.begun = True
                    event = e.WaitStarted(NOW, self.key(at), number, command.reason, None, command.ask, at.rounds)
                    self.feed(event)
                    return
                del self.due[key]
                if command.seconds is None or self.pick(2):
                    answer = {"approved": bool(self.case.chance("approved", at) % 2)}
                    self.feed(e.WaitEnded(NOW, self.key(at), number, "answered", "test", answer, at.rounds))
                else:
                    self.feed(e.WaitEnded(NOW, self.key(at), number, "elapsed", rounds=at.rounds))
            case s.ResolveParams(at, number):
                del self.due[key]
                failed = self.case.chance("resolve", at, number) % 100 < self.case.failing
                failure = Failure("sim.params", "on purpose", node=self.key(at)) if failed else None
                params = {} if failed else self._params(at, number)
                self.feed(e.ParamsResolved(NOW, self.key(at), number, params, at.rounds, failure))
            case s.ReserveRate(at, number):
                del self.due[key]
                due_at = NOW + timedelta(seconds=self.pick(2))
                self.feed(e.Reserved(NOW, self.key(at), number, due_at, at.rounds))

    def _go_on_with_call(self, key: Key, due: Due, command: s.CallChild) -> None:
        at, number = command.at, command.call
        lost = self.case.chance("call", at, number) % 100 < self.case.failing // 2
        failure = Failure("sim.callee", "on purpose") if lost or at in self.witness.cancelled else None
        if not due.begun and not (failure is not None and self.pick(2)):
            due.begun = True
            if not command.awaited:
                del self.due[key]
            self.feed(e.ChildStarted(NOW, self.key(at), number, "exe", command.workflow_id, at.rounds))
            return
        del self.due[key]
        items = (
            [] if failure else self._new(at, f"call {number}", (0, 1, 3)[self.case.chance("result", at, number) % 3])
        )
        status: e.EndStatus = "failed" if failure else "succeeded"
        self.feed(e.ChildFinished(NOW, self.key(at), number, status, items_of(items), failure, at.rounds))

    def key(self, at: s.At) -> str:
        """The key of a node."""
        return self.plan.nodes[at.node].key

    # --- rounds in one go --------------------------------------------------------------------------------------------

    def _run_rounds(self, key: Key) -> None:
        """Run a round of a light body, and those behind it that are due as well, as one event."""
        frame_id: s.FrameId = key[1]
        first, done = frame_id, []
        at, body, number = self.witness.body_of(first)
        loops = self.plan.nodes[at.node].spec.bodies.loops
        if self.state.stops(frame_id):
            del self.due[key]
        while not self.state.stops(frame_id) and self._pop_round(frame_id):
            done.append(self._round(frame_id))
            if not loops or len(done) == 4:
                break
            frame_id = s.FrameId(frame_id.graph, (*frame_id.rounds[:-1], frame_id.rounds[-1] + 1))
        if not done:
            return
        self.seen.add("several rounds in one go" if len(done) > 1 else "a round in one go")
        failures = {number + i: failure for i, (_, failure) in enumerate(done) if failure is not None}
        counts = tuple(len(out) for out, _ in done)
        items = items_of([value for out, _ in done for value in out])
        self.feed(e.RoundsFinished(NOW, self.key(at), body, number, counts, items, failures, at.rounds))

    def _pop_round(self, frame_id: s.FrameId) -> bool:
        """Whether a round is due; then it is no more."""
        starts = [key for key in self.due if key[0] == "node" and self.witness.frame_id(key[1]) == frame_id]
        found = self.due.pop(("rounds", frame_id), None) is not None
        if starts and not any(self.due[key].begun for key in starts):
            found = True
            for key in starts:
                del self.due[key]
        return found

    def _round(self, frame_id: s.FrameId) -> tuple[Values, Failure | None]:
        frame = Frame(self.witness.frames[frame_id].entry)
        graph = self.plan.graphs[frame_id.graph]
        for number in graph.ordered:
            at = s.At(number, frame_id.rounds)
            if verdict(self.plan, frame, number) == "skip":
                frame.skipped.add(number)
                continue
            outcome = self._outcome(at, self.witness.arrived_in(frame, number))
            if isinstance(outcome, Failure):
                node = self.plan.nodes[number]
                if node.node.on_error == "stop":
                    return [], outcome
                port = "error" if node.node.on_error == "error_output" else node.output_names[0]
                outcome = {port: self.witness.arrived_in(frame, number)[:4]}
            frame.outputs[number] = {port: outcome.get(port, []) for port in self.plan.nodes[number].output_names}
        return out_of(graph.exits, frame), None

    # --- dying -------------------------------------------------------------------------------------------------------

    def crash(self) -> bool:
        """Forget everything but the durable part of the journal, and go on from there."""
        if self.crashes == CRASHES_MAX:
            return False
        self.crashes += 1
        assert self.fold() == self.state, "the state is not the fold of the journal"
        keep = self.durable + self.pick(len(self.journal) - self.durable + 1)
        self.seen.update({"crash"} if keep == len(self.journal) else {"crash", "crash that loses events"})
        del self.journal[keep:]
        del self.events[keep:]
        self.witness = Witness(self.case)
        self.state = s.State()
        self.due.clear()
        self.started.clear()
        self.limited.clear()
        begun: set[Key] = set()
        for event in self.events:
            before = self.state
            self.state, commands = core.advance(self.plan, before, event)
            self.witness.see(event, before, self.state, commands)
            if isinstance(event, e.WaitStarted | e.ChildStarted):
                kind = ("wait", event.wait) if isinstance(event, e.WaitStarted) else ("call", event.call)
                begun.add((kind[0], s.At(self.plan.index[event.node], event.rounds), kind[1]))
        self.mirror = self.state
        assert self.fold() == self.state, "the state is not the fold of the journal"
        for command in core.resume(self.state):
            self._take(command)
        for key, due in self.due.items():
            due.begun = due.begun or key in begun
        self._check_limits()
        return True


def items_of(values: Values) -> ItemList:
    """Items that are these numbers."""
    return ItemList([Item({"i": value}) for value in values], [-1] * len(values))


def _comparable(commands: list[s.Command]) -> list[s.Command]:
    """Without faults, which are other objects each time."""
    return [command for command in commands if not isinstance(command, s.ReportFault)]
