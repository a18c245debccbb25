"""One turn of the pure core: a state is taken apart, one event is folded into it, and the next state put together.

What is left open here and closed there may end a frame, whose end may let a container open another: all of that
happens in one turn, by a queue rather than by recursion, since a loop may have a hundred thousand rounds.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from pydantic import ValidationError

from budflow.errors import BudflowError
from budflow.execution import state as s
from budflow.execution.asks import ask_of, begin_of, count_of, decide, without_call
from budflow.execution.frames import container_of, frame_of, is_inside, open_bodies, round_of, tidies_up
from budflow.execution.node_result import NodeCrashed, ResultMalformed
from budflow.execution.settling import Delivery, settle
from budflow.graph.plan import Plan, PlanNode
from budflow.model import control as n
from budflow.model.failure import Failure
from budflow.model.item import ItemList
from budflow.model.path import path_of


class Turn:
    """Begins with a state, takes one event of the time `now` by one of its methods, and is `done`."""

    def __init__(self, plan: Plan, state: s.State, now: datetime) -> None:
        self._plan, self._before, self._now = plan, state, now
        self._phase = state.phase
        self._frames, self._controls = state.frames, state.controls
        self._paused, self._held = state.paused, state.held
        self._commands: list[s.Command] = []
        self._over: deque[s.FrameId] = deque()  # Frames of which nothing is open any more.

    def done(self) -> tuple[s.State, list[s.Command]]:
        """The next state and the commands."""
        while self._over:
            self._frame_over(self._over.popleft())
        before = self._before
        now = (self._phase, self._frames, self._controls, before.responded, self._paused, self._held)
        return s.State(*now, before.outcome, before.failure), self._commands

    # --- what happened to the execution -----------------------------------------------------------------------------

    def begin(self, start: int) -> None:
        """The trigger `start` fired; it does so once."""
        if self._phase != "new":
            return
        self._phase = "running"
        graph = self._plan.graphs[0]
        frame = s.Frame(len(graph.nodes), running=frozenset((start,)))
        # Every other node without edges into it (another trigger, a loose node of a draft) is dead in this execution.
        dead = [number for number in graph.nodes if self._plan.nodes[number].edges_in == 0 and number != start]
        self._start(s.At(start))
        self._settle(s.ROOT, frame, (), dead)

    def stop_all(self, failure: Failure | None) -> None:
        """Stop everything that is open; the first reason to stop stays the reason."""
        root = self._frames.get(s.ROOT)
        if root is not None and not root.over:
            self._stop_frame(s.ROOT, failure)

    def pause(self) -> None:
        """Start nothing from now on but what tidies up after a stop."""
        self._paused = True

    def go_on(self) -> None:
        """Start what was due meanwhile."""
        self._paused = False
        self._release(self._held)

    # --- what happened to a node ------------------------------------------------------------------------------------

    def finished(self, at: s.At, outputs: Mapping[str, ItemList]) -> None:
        """A node ran."""
        frame_id, frame = self._gone(at)
        if frame is None:
            return
        if frame.stopping:
            self._put(frame_id, frame)
            return
        node = self._plan.nodes[at.node]
        counts = [len(outputs[name]) if name in outputs else 0 for name in node.output_names]
        self._settle(frame_id, frame, zip(node.targets, counts, strict=True))

    def gave_up(self, at: s.At, failure: Failure | None) -> None:
        """A node failed for good, or was stopped (None): nothing behind it can settle, so its graph is stopped."""
        frame_id, frame = self._gone(at)
        if frame is None:
            return
        self._frames = self._frames.set(frame_id, frame)
        self._stop_frame(frame_id, failure)

    def _gone(self, at: s.At) -> tuple[s.FrameId, s.Frame | None]:
        frame_id = s.FrameId(self._plan.nodes[at.node].graph, at.rounds)
        frame = self._frames.get(frame_id)
        if frame is None or at.node not in frame.running:
            return frame_id, None
        if at in self._controls:
            self._controls = self._controls.delete(at)
        if at in self._held:
            self._held -= {at}
        # `_replace` would take three times as long, and this happens for every node.
        running = frame.running - {at.node}
        return frame_id, s.Frame(frame.unsettled - 1, frame.tallies, running, frame.out, frame.stopping, frame.failure)

    # --- what happened to a control node ----------------------------------------------------------------------------

    def control_begun(
        self, at: s.At, params: Mapping[str, Any], items: int, postponed: tuple[int, int] | None = None
    ) -> None:
        """A control node began, with these evaluated parameters."""
        node = self._plan.nodes[at.node]
        frame = self._frames.get(s.FrameId(node.graph, at.rounds))
        if node.weight != "control" or frame is None or at.node not in frame.running or at in self._controls:
            return
        self._keep(at, s.Control(items))
        if frame.stopping:
            self._stop_control(at, None)
            return
        try:
            self._tell(at, begin_of(self._plan, node, params, items, postponed))
        except ValidationError as error:  # What they were written as is no longer what the type takes.
            self._fault(at, error)

    def child_started(self, at: s.At, call: int) -> None:
        """A called workflow exists; nobody waits for the end of one that is not awaited."""
        asked = self._asked(at, ("call", call))
        if isinstance(asked, s.CallChild) and not asked.awaited:
            self._answered(at, ("call", call))

    def child_finished(self, at: s.At, call: int, failure: Failure | None) -> None:
        """A called workflow ended; one that nobody waits for could not be called at all, which fails the node."""
        asked = self._asked(at, ("call", call))
        if failure is not None and isinstance(asked, s.CallChild) and not asked.awaited:
            self._keep(at, without_call(self._controls[at], at, failure))
        self._answer(at, ("call", call), n.CallEnded(call, failure))

    def resolved(self, at: s.At, ask: int, params: Mapping[str, Any], failure: Failure | None) -> None:
        """A control node's parameters were evaluated again; with `failure` they could not be."""
        if self._asked(at, ("resolve", ask)) is None:
            return
        self._answered(at, ("resolve", ask))
        if failure is not None:
            self._stop_control(at, failure)
            return
        try:
            self._tell(at, n.Resolved(ask, self._plan.nodes[at.node].spec.params.model_validate(params)))
        except ValidationError as error:
            self._fault(at, error)

    def reserved(self, at: s.At, ask: int, seconds: float) -> None:
        """Room in a shared rate was reserved."""
        self._answer(at, ("reserve", ask), n.Reserved(ask, max(0.0, seconds)))

    def wait_over(self, at: s.At, wait: int, outcome: Literal["elapsed", "answered"], answer: Any) -> None:
        """A wait is over."""
        self._answer(at, ("wait", wait), n.WaitOver(wait, outcome, answer))

    def rounds_over(
        self, at: s.At, body: str, first: int, counts: Sequence[int], failures: Mapping[int, Failure]
    ) -> None:
        """Rounds of a body ran in one go."""
        node = self._plan.nodes[at.node]
        for offset, items in enumerate(counts):
            number = first + offset
            frame_id = frame_of(node, at, body, number)
            if frame_id in self._frames:
                self._frames = self._frames.delete(frame_id)
                failure = failures.get(number)
                self._body_over(at, n.BodyEnded(body, number, 0 if failure else items, failure, stopped=False))

    def time_is_up(self, at: s.At, failure: Failure, *, cleanup: bool) -> None:
        """A control node took too long; or, with `cleanup`, its last bodies did."""
        control = self._controls.get(at)
        if control is None or s.END in control.asks:
            return
        if control.stop is None:
            self._stop_control(at, failure)
        elif cleanup:
            self._keep(at, control._replace(stop=control.stop._replace(told=True, since=None)))
            self._stop_bodies(at, last=True)

    # --- a control node's function ----------------------------------------------------------------------------------

    def _asked(self, at: s.At, key: tuple[str, int]) -> s.Command | None:
        control = self._controls.get(at)
        return None if control is None else control.asks.get(key)

    def _answer(self, at: s.At, key: tuple[str, int], event: n.ControlEvent) -> None:
        if self._asked(at, key) is not None:
            self._answered(at, key)
            self._tell(at, event)

    def _answered(self, at: s.At, key: tuple[str, int]) -> None:
        control = self._controls[at]
        control = control._replace(asks={k: ask for k, ask in control.asks.items() if k != key})
        self._keep(at, control)
        if key[0] == "call" and s.END in control.asks and not control.calling:
            self._commands.append(control.asks[s.END])  # It only waited for what it called to have begun.

    def _keep(self, at: s.At, control: s.Control) -> None:
        self._controls = self._controls.set(at, control)

    def _tell(self, at: s.At, event: n.ControlEvent) -> None:
        """Let a control node's function decide; of one that is being stopped, see whether that was the last."""
        control = self._controls[at]
        if not control.deciding and not isinstance(event, n.Stopped):
            self._see_stopped(at)
            return
        try:
            self._decide(self._plan.nodes[at.node], at, event)
        except Exception as error:  # noqa: BLE001 - the boundary of a node's call
            self._fault(at, error)

    def _decide(self, node: PlanNode, at: s.At, event: n.ControlEvent) -> None:
        control = self._controls[at]
        inner, decided = decide(node, control.inner, event)
        self._keep(at, control._replace(inner=inner))
        for command in decided:
            self._do(node, at, command)
        if self._controls[at].forgotten:
            raise ResultMalformed(f"`{node.spec.name}` decided nothing while nothing of it was open.")

    def _do(self, node: PlanNode, at: s.At, command: n.ControlCommand) -> None:
        control = self._controls[at]
        match command:
            case n.StartBody():
                self._open(node, at, command)
            case n.StopBody():
                frame_id = frame_of(node, at, command.body, command.round)
                if frame_id in self._frames:
                    self._stop_frame(frame_id, None)
            case n.CallWorkflow() | n.Wait() | n.Resolve() | n.Reserve() | n.Respond():
                self._ask(at, *ask_of(at, command, self._now))
            case n.Settle() | n.Fail() if control.stop is not None:
                pass  # Why it is being stopped stays the reason.
            case n.Settle():
                if control.busy:
                    raise ResultMalformed(f"`{node.spec.name}` settled while something of it was open.")
                self._ask(at, s.END, s.SettleControl(at, command.outputs))
            case n.Fail():
                self._fail(at, command.failure)
            case _:
                raise ResultMalformed(f"`{node.spec.name}` decided on something that is no command.")

    def _ask(self, at: s.At, key: tuple[str, int], command: s.Command) -> None:
        control = self._controls[at]
        self._keep(at, control._replace(asks={**control.asks, key: command}))
        if key != s.END or not control.calling:  # Else it ends when what it called has begun.
            self._commands.append(command)

    def _fault(self, at: s.At, error: Exception) -> None:
        if not isinstance(error, BudflowError):
            self._commands.append(s.ReportFault(at, error))
            error = NodeCrashed(f"{type(error).__name__}: {str(error)[:500]}")
        self._fail(at, Failure.of(error))

    def _fail(self, at: s.At, failure: Failure) -> None:
        control = self._controls[at]
        if failure.node is None:
            failure = replace(failure, node=path_of(self._plan.nodes[at.node].key, at.rounds))
        if control.busy:
            self._stop_control(at, failure, told=True)
        elif control.deciding:
            self._ask(at, s.END, s.FailControl(at, failure))

    # --- bodies -----------------------------------------------------------------------------------------------------

    def _open(self, node: PlanNode, at: s.At, command: n.StartBody) -> None:
        frame_id = frame_of(node, at, command.body, command.round)
        last = self._controls[at].ended.get(command.body)
        if frame_id in self._frames or (last is not None and last[0] == command.round):
            raise ResultMalformed(f"`{node.spec.name}` started round {command.round} of `{command.body}` twice.")
        control = self._controls[at]
        items = count_of(node, control, command.source)
        self._keep(at, control._replace(frames=control.frames + 1))
        self._commands.append(s.OpenFrame(at, command.body, frame_id, command.source))
        if control.stop is not None:
            self._limit_last(at)
        graph = self._plan.graphs[frame_id.graph]
        dead = [number for number in graph.nodes if self._plan.nodes[number].edges_in == 0]
        self._settle(frame_id, s.Frame(len(graph.nodes)), [(graph.entries, items)], dead)

    def _frame_over(self, frame_id: s.FrameId) -> None:
        frame = self._frames.get(frame_id)
        if frame is None or not frame.over:
            return
        at = container_of(self._plan, frame_id)
        if at is None:
            self._commands.append(s.end_of(frame))
            return
        self._frames = self._frames.delete(frame_id)
        name = self._plan.graphs[frame_id.graph].name
        number = round_of(self._plan.nodes[at.node], frame_id)
        stopped = frame.stopping and frame.failure is None
        self._commands.append(s.CloseFrame(at, name, frame_id, frame.failure, stopped))
        items = 0 if frame.stopping else frame.out
        self._body_over(at, n.BodyEnded(name, number, items, frame.failure, stopped))

    def _body_over(self, at: s.At, event: n.BodyEnded) -> None:
        control = self._controls[at]
        ended = {**control.ended, event.body: (event.round, event.items)}
        self._keep(at, control._replace(frames=control.frames - 1, ended=ended))
        self._tell(at, event)

    # --- stopping ---------------------------------------------------------------------------------------------------

    def _stop_frame(self, frame_id: s.FrameId, failure: Failure | None) -> None:
        """Forbid new starts in a frame and stop what runs. The first reason to stop stays the reason."""
        frame = self._frames[frame_id]
        if not frame.stopping:
            frame = frame._replace(stopping=True, failure=failure, tallies=s.NOTHING)
            nodes = self._plan.nodes
            held = {at for at in self._held if (nodes[at.node].graph, at.rounds) == frame_id}
            self._held -= held
            frame = frame._replace(running=frame.running - {at.node for at in held})
            self._frames = self._frames.set(frame_id, frame)
            for at in (s.At(number, frame_id.rounds) for number in sorted(frame.running)):
                if at in self._controls:
                    self._stop_control(at, None)
                else:
                    self._commands.append(s.CancelNode(at))
        self._over.append(frame_id)

    def _stop_control(self, at: s.At, failure: Failure | None, *, told: bool = False) -> None:
        """Stop all that a control node has open. `told`: its function has had its last word already."""
        control = self._controls[at]
        if control.stop is not None or s.END in control.asks:
            return
        # Waits and the like are dropped on the spot; who is called must say itself that it ended.
        asks = {key: ask for key, ask in control.asks.items() if key[0] == "call"}
        self._keep(at, control._replace(asks=asks, stop=s.Stop(failure, told)))
        self._commands.append(s.CancelNode(at))
        self._stop_bodies(at)
        self._see_stopped(at)

    def _stop_bodies(self, at: s.At, *, last: bool = False) -> None:
        """Stop what is open of a control node's bodies; those that tidy up only with `last`, when their time is up."""
        if not self._controls[at].frames:
            return
        node = self._plan.nodes[at.node]
        for frame_id in open_bodies(node, at, self._frames):
            if last or self._plan.graphs[frame_id.graph].name not in node.spec.bodies.last:
                self._stop_frame(frame_id, None)
                continue
            self._limit_last(at)
            # If a pause holds up something of it, as of any body, no more: it tidies up now.
            self._release({one for one in self._held if is_inside(self._plan, one, frame_id)})

    def _limit_last(self, at: s.At) -> None:
        """The time of a node's last bodies begins to count: one has begun, or the node is stopped while one runs."""
        control = self._controls[at]
        assert control.stop is not None  # noqa: S101 - its callers looked
        self._keep(at, control._replace(stop=control.stop._replace(since=self._now)))
        self._commands.append(s.LimitLastBodies(at, self._now))

    def _see_stopped(self, at: s.At) -> None:
        """End a control node that is being stopped, when nothing of it is open any more."""
        control = self._controls.get(at)
        if control is None or control.stop is None or control.busy or s.END in control.asks:
            return
        failure = control.stop.failure
        if not control.stop.told:
            self._keep(at, control._replace(stop=control.stop._replace(told=True)))
            self._tell(at, n.Stopped())
            control = self._controls[at]
            if control.busy or s.END in control.asks:
                return
        self._ask(at, s.END, s.CancelControl(at) if failure is None else s.FailControl(at, failure))

    # --- settling ---------------------------------------------------------------------------------------------------

    def _start(self, at: s.At) -> None:
        if self._paused and not tidies_up(self._plan, self._controls, at):
            self._held |= {at}
        else:
            self._commands.append(s.StartNode(at))

    def _release(self, due: Set[s.At]) -> None:
        self._held -= due
        self._commands.extend(s.StartNode(at) for at in sorted(due))

    def _put(self, frame_id: s.FrameId, frame: s.Frame) -> None:
        self._frames = self._frames.set(frame_id, frame)
        if frame.over:
            self._over.append(frame_id)

    def _settle(
        self, frame_id: s.FrameId, frame: s.Frame, deliveries: Iterable[Delivery], dead: Sequence[int] = ()
    ) -> None:
        settled = settle(self._plan, frame, deliveries, dead)
        self._commands.extend(s.SkipNode(s.At(number, frame_id.rounds)) for number in settled.skipped)
        for number in settled.ready:
            self._start(s.At(number, frame_id.rounds))
        self._put(frame_id, settled.frame)
