"""Watches what the pure core does with each event and says what is wrong with it, from the definitions alone.

It keeps its own books of frames, ports and items, out of events and commands, and shares nothing with the core but
the plan. Items are numbers here, each made once, so that a lost or doubled one shows.
"""

from collections.abc import Iterable

from budflow.execution import state as s
from budflow.model import event as e
from budflow.model.failure import Failure
from tests.execution.simulated_graphs import Case
from tests.execution.simulated_nodes import FINALLY
from tests.execution.simulated_rules import (
    Body,
    Control,
    Frame,
    Values,
    arriving,
    frame_id_of,
    items_from,
    needed,
    out_of,
    values_of,
    verdict,
    wanted,
)

LIGHT_ROUNDS_MAX = 256


class Witness:
    """Sees every event with the states around it and the commands that came of it. Raises AssertionError."""

    def __init__(self, case: Case) -> None:
        self.case, self.plan = case, case.plan
        self.frames: dict[s.FrameId, Frame] = {}
        self.controls: dict[s.At, Control] = {}
        self.closed: dict[s.FrameId, Frame] = {}
        self.cancelled: set[s.At] = set()
        self.finals: dict[s.At, int] = {}
        self.ends = 0
        self.paused = False
        self.ended = False
        self._touched: set[s.FrameId] = set()

    # --- what a driver asks ------------------------------------------------------------------------------------------

    def arrived(self, at: s.At) -> Values:
        """The items that reached a node."""
        frame = self.frame_of(at)
        return [] if frame is None else self.arrived_in(frame, at.node)

    def arrived_in(self, frame: Frame, number: int) -> Values:
        """The items that reached a node of this frame."""
        return [value for port in arriving(self.plan.nodes[number], frame) for value in port or ()]

    def frame_of(self, at: s.At) -> Frame | None:
        return self.frames.get(self.frame_id(at))

    def frame_id(self, at: s.At) -> s.FrameId:
        return s.FrameId(self.plan.nodes[at.node].graph, at.rounds)

    def runs(self, at: s.At) -> bool:
        """Whether a node was started and has not ended."""
        frame = self.frame_of(at)
        return frame is not None and at.node in frame.started and at.node not in frame.ended

    def tidies_up(self, at: s.At) -> bool:
        """Whether a control node is being stopped, and runs its `finally` before it ends."""
        control = self.controls.get(at)
        body = None if control is None or not control.stopped else control.bodies.get((FINALLY, 0))
        return body is not None and not body.over

    def frames_of(self, at: s.At) -> Iterable[tuple[s.FrameId, Frame]]:
        """The open frames of a container."""
        graphs = set(self.plan.nodes[at.node].bodies.values())
        depth = len(at.rounds)
        return [(i, f) for i, f in self.frames.items() if i.graph in graphs and i.rounds[:depth] == at.rounds]

    def body_of(self, frame_id: s.FrameId) -> tuple[s.At, str, int]:
        """Whose body a frame is: the container, the body's name, the round."""
        graph = self.plan.graphs[frame_id.graph]
        assert graph.container is not None
        node = self.plan.nodes[graph.container]
        return (
            s.At(node.index, frame_id.rounds[: node.depth]),
            graph.name,
            frame_id.rounds[-1] if node.spec.bodies.loops else 0,
        )

    # --- what happens ------------------------------------------------------------------------------------------------

    def see(self, event: e.Event, before: s.State, after: s.State, commands: list[s.Command]) -> None:
        """Take one event and all that the core made of it."""
        assert not self.ended or (after == before and not commands), "something changed after the end"
        self._touched = set()
        known = self._note(event)
        if not known:
            assert after == before, f"an event that means nothing any more changed the state: {event}"
            assert not commands, f"an event that means nothing any more brought commands: {event} {commands}"
            return
        for command in commands:
            self._command(command, after)
        if not self.ended:
            self._compare(after)

    def _note(self, event: e.Event) -> bool:
        """Keep the books; False where the core is to ignore the event."""
        if isinstance(event, e.Finished):
            self.ended = True
            return True
        if isinstance(event, e.Admitted):
            if self.frames:
                return False
            self.frames[s.ROOT] = Frame([], start=self.plan.index[event.trigger])
            self._touched.add(s.ROOT)
            return True
        if isinstance(event, e.CancelRequested):
            root = self.frames.get(s.ROOT)
            if root is None or self._idle(s.ROOT, root):
                return False
            self._stop(s.ROOT, event.failure)
            return True
        if isinstance(event, e.Paused | e.Continued | e.Responded):
            self.paused = isinstance(event, e.Paused)
            return True
        node = getattr(event, "node", None)
        return node is not None and self._note_node(event, s.At(self.plan.index[node], getattr(event, "rounds", ())))

    def _note_node(self, event: e.Event, at: s.At) -> bool:
        frame_id, control = self.frame_id(at), self.controls.get(at)
        self._touched.add(frame_id)
        match event:
            case e.NodeFinished() | e.NodeFailed() | e.NodeCancelled():
                return self.runs(at) and self._node_ended(event, at, frame_id)
            case e.NodeStarted() if event.params is not None and control is None and self.runs(at):
                arrived = self.arrived(at)[: event.items]
                self.controls[at] = Control(arrived)
                return True
            case e.NodeStarted() | e.CredentialsUsed() | e.WaitStarted() | e.ItemsFinished() | e.ItemsRetried():
                return False
        if control is None:
            return False
        match event:
            case e.ChildStarted() if event.call in control.calls:
                call, items, is_open = control.calls[event.call]
                control.calls[event.call] = (call, items, is_open and call.awaited)
                return True
            case e.ChildFinished() if event.call in control.calls and control.calls[event.call][2]:
                call, items, _ = control.calls[event.call]
                control.calls[event.call] = (call, items, False)
                control.results[event.call] = values_of(event.items)
                return True
            case e.RoundsFinished():
                return self._rounds_over(event, at, control)
            case e.TimeIsUp() if control.ending is None:
                if event.cleanup and control.stopped:
                    control.hurried = True
                    for inner_id, _ in self.frames_of(at):
                        self._stop(inner_id, None)
                elif not control.stopped and not self._has_decided(at, control):
                    control.reason = event.failure
                return True
            case e.WaitEnded() if control.ending is None and not control.stopped:
                control.waits += 1
                return True
            case e.ParamsResolved() if event.ask in control.resolves:
                control.resolves.remove(event.ask)
                if control.ending is None:
                    control.reason = event.failure
                return True
            case e.Reserved():
                return control.ending is None and not control.stopped
        return False

    def _has_decided(self, at: s.At, control: Control) -> bool:
        """Whether all that its end waits for is that calls are made which nobody awaits."""
        calls = [call for call, _, is_open in control.calls.values() if is_open]
        waits = any(call.awaited for call in calls) or bool(control.resolves) or any(True for _ in self.frames_of(at))
        return bool(calls) and not waits

    def _node_ended(
        self, event: e.NodeFinished | e.NodeFailed | e.NodeCancelled, at: s.At, frame_id: s.FrameId
    ) -> bool:
        frame = self.frames[frame_id]
        frame.ended.add(at.node)
        control = self.controls.pop(at, None)
        if control is not None:
            assert control.ending is not None, "a control node ended before it was told to"
            self._check_finally(at, control)
        if isinstance(event, e.NodeFinished):
            frame.outputs[at.node] = {port: values_of(items) for port, items in event.outputs.items()}
        elif isinstance(event, e.NodeFailed):
            self._stop(frame_id, event.failure)
        else:
            self._stop(frame_id, None)
        return True

    def _rounds_over(self, event: e.RoundsFinished, at: s.At, control: Control) -> bool:
        start, known = 0, False
        for offset, count in enumerate(event.counts):
            body = control.bodies.get((event.body, event.first + offset))
            stop = start + count
            if body is not None and not body.over:
                known = body.over = True
                body.out = values_of(event.items)[start:stop]
                body.failure = event.failures.get(event.first + offset)
                node = self.plan.nodes[at.node]
                self._close(frame_id_of(node, at, event.body, event.first + offset))
            start = stop
        return known

    # --- what the core says ------------------------------------------------------------------------------------------

    def _command(self, command: s.Command, after: s.State) -> None:
        match command:
            case s.StartNode(at):
                frame = self._open_frame_of(at)
                assert not self.paused or self._tidies_up(at), (
                    f"{self._name(at)} started while the execution was paused"
                )
                assert not frame.stopped, f"{self._name(at)} started in a graph that is being stopped"
                assert verdict(self.plan, frame, at.node) == "run", (
                    f"{self._name(at)} started early or against the rule"
                )
                assert at.node not in frame.started, f"{self._name(at)} started twice"
                frame.started.add(at.node)
            case s.SkipNode(at):
                frame = self._open_frame_of(at)
                assert verdict(self.plan, frame, at.node) == "skip", (
                    f"{self._name(at)} was skipped early or against the rule"
                )
                assert at.node not in frame.ended, f"{self._name(at)} was skipped twice"
                frame.ended.add(at.node)
                frame.skipped.add(at.node)
            case s.CancelNode(at):
                self._cancel(at, after)
            case s.OpenFrame():
                self._opened(command)
            case s.CloseFrame():
                self._closed(command)
            case s.CallChild(at, call):
                control = self.controls[at]
                assert call not in control.calls, "a call was made twice"
                control.calls[call] = (command, items_from(self.controls[at], command.source), True)
            case s.SettleControl() | s.FailControl() | s.CancelControl():
                self._control_ends(command)
            case s.ResolveParams(at, ask):
                self.controls[at].resolves.add(ask)
            case s.LimitLastBodies(at):
                assert self.tidies_up(at), f"{self._name(at)} is to be done soon with what it does not do"
            case s.ReportFault(at):
                assert self.plan.nodes[at.node].spec.name == "sim.hostile", f"a fault of a real node type: {command}"
            case s.End():
                self._end(command)

    def _open_frame_of(self, at: s.At) -> Frame:
        frame = self.frame_of(at)
        assert frame is not None, f"{self._name(at)} is spoken of, and its graph does not run"
        self._touched.add(self.frame_id(at))
        return frame

    def _cancel(self, at: s.At, after: s.State) -> None:
        assert at not in self.cancelled, f"{self._name(at)} was cancelled twice"
        self.cancelled.add(at)
        control = self.controls.get(at)
        if control is None:
            # Of a node that is no control node: so its whole graph is being stopped, if it is not over by now.
            if (frame_id := self.frame_id(at)) in self.frames:
                self._stop(frame_id, None)
            return
        assert control.ending is None, f"{self._name(at)} was stopped after it had decided its end"
        frame = self._open_frame_of(at)
        control.stopped = True
        control.resolves.clear()
        if after.stops(self.frame_id(at)) and not frame.stopped and self._may_be_stopped_by_name(self.frame_id(at)):
            self._stop(self.frame_id(at), None)
        for inner_id, _ in self.frames_of(at):
            _, body, number = self.body_of(inner_id)
            if body == FINALLY:
                control.bodies[body, number].last = True
            else:
                self._stop(inner_id, None)

    def _opened(self, command: s.OpenFrame) -> None:
        at, node = command.at, self.plan.nodes[command.at.node]
        control = self.controls[at]
        _, body, number = self.body_of(command.frame)
        assert (body, self.body_of(command.frame)[0]) == (command.body, at), "a frame was opened for another node"
        assert (body, number) not in control.bodies or node.spec.name == "sim.hostile", "a round began twice"
        assert command.frame not in self.frames, "a frame was opened twice"
        assert control.ending is None, "a body began after its container had decided its end"
        if control.stopped:
            assert body == FINALLY, f"{self._name(at)} began `{body}` though it was being stopped"
            assert not list(self.frames_of(at)), "a last body began before the others had ended"
        if body == FINALLY:
            self.finals[at] = self.finals.get(at, 0) + 1
            assert self.finals[at] == 1, "`finally` ran twice"
        entry = items_from(self.controls[at], command.source)
        control.bodies[body, number] = Body(entry, last=control.stopped)
        self.frames[command.frame] = Frame(entry)
        self._touched.add(command.frame)
        if node.spec.name == "flow.for_each":
            light = self.plan.graphs[command.frame.graph].light
            most = LIGHT_ROUNDS_MAX if light else node.node.params["concurrency"]
            assert len(list(self.frames_of(at))) <= most, "more rounds are open than may be"

    def _closed(self, command: s.CloseFrame) -> None:
        frame = self.frames[command.frame]
        at, body, number = self.body_of(command.frame)
        if command.stopped and not frame.stopped:
            assert self._may_be_stopped_by_name(command.frame), "a body ended as stopped that nobody stopped"
            self._stop(command.frame, None)
        assert self._idle(command.frame, frame), "a body was closed while something of it was open"
        assert command.failure == frame.failure, "a body ended for another reason than the first"
        assert command.stopped == (frame.stopped and frame.failure is None), "a body that ran is told as stopped"
        known = self.controls[at].bodies[body, number]
        known.over, known.failure, known.stopped = True, frame.failure, command.stopped
        if not frame.stopped:
            known.out = out_of(self.plan.graphs[command.frame.graph].exits, frame)
        self._close(command.frame)

    def _close(self, frame_id: s.FrameId) -> None:
        assert not any(self.frame_id(at) == frame_id for at in self.controls), "a graph ended before a node in it"
        self.closed[frame_id] = self.frames.pop(frame_id)

    def _control_ends(self, command: s.SettleControl | s.FailControl | s.CancelControl) -> None:
        at = command.at
        control = self.controls[at]
        name = self._name(at)
        assert control.ending is None, f"{name} decided its end twice"
        assert not list(self.frames_of(at)), f"{name} ended while a body of it was open"
        assert not any(is_open for _, _, is_open in control.calls.values()), f"{name} ended while a call was open"
        control.ending = command
        frame = self._open_frame_of(at)
        if isinstance(command, s.CancelControl):
            assert frame.stopped, f"{name} is told as cancelled, and its graph goes on"
            assert control.reason is None, f"{name} was cancelled though its time was up first"
        elif isinstance(command, s.FailControl) and control.reason is not None:
            assert command.failure == control.reason, f"{name} failed for another reason than the first"
        elif isinstance(command, s.SettleControl):
            assert not control.stopped, f"{name} settled though it was being stopped"
            gives = wanted(self.plan.nodes[at.node], control)
            given = {port: items_from(self.controls[at], source) for port, source in command.outputs.items()}
            if gives is not None:
                assert {p: v for p, v in given.items() if v} == {p: v for p, v in gives.items() if v}, (
                    f"{name} gives {given}, and should give {gives}"
                )

    def _end(self, command: s.End) -> None:
        self.ends += 1
        root = self.frames[s.ROOT]
        assert self.ends == 1, "the execution ended twice"
        assert self._idle(s.ROOT, root), "the execution ended while something was open"
        assert set(self.frames) == {s.ROOT}, "the execution ended while a body was open"
        wanted = "succeeded" if not root.stopped else "cancelled" if root.failure is None else "failed"
        assert (command.status, command.failure) == (wanted, root.failure), "it ended for another reason than the first"

    # --- the rules ---------------------------------------------------------------------------------------------------

    def _idle(self, frame_id: s.FrameId, frame: Frame) -> bool:
        """Whether nothing of a frame is open any more."""
        if frame.started - frame.ended:
            return False
        return frame.stopped or len(frame.ended) == len(self.plan.graphs[frame_id.graph].nodes)

    def _stop(self, frame_id: s.FrameId, failure: Failure | None) -> None:
        frame = self.frames[frame_id]
        self._touched.add(frame_id)
        if not frame.stopped:
            frame.stopped, frame.failure = True, failure

    def _tidies_up(self, at: s.At) -> bool:
        """Whether a node is part of a last body."""
        frame_id = self.frame_id(at)
        while frame_id != s.ROOT:
            container, body, number = self.body_of(frame_id)
            if self.controls[container].bodies[body, number].last:
                return True
            frame_id = self.frame_id(container)
        return False

    def _may_be_stopped_by_name(self, frame_id: s.FrameId) -> bool:
        """Whether the container may have stopped this body by a command of its function, since others have won."""
        if frame_id == s.ROOT:
            return False
        at = self.body_of(frame_id)[0]
        node = self.plan.nodes[at.node]
        won = [
            body for body in self.controls[at].bodies.values() if body.over and not body.failure and not body.stopped
        ]
        return node.spec.name == "flow.parallel" and len(won) >= needed(node)

    def _compare(self, after: s.State) -> None:
        """The core's state against these books."""
        assert set(after.frames) == set(self.frames), "other frames are open than should be"
        assert set(after.controls) == set(self.controls), "other control nodes are open than should be"
        for frame_id, kept_frame in after.frames.items():
            # All that runs in it may have decided its end already, so that nothing is left to be told.
            if kept_frame.stopping and not self.frames[frame_id].stopped and self._may_be_stopped_by_name(frame_id):
                self._stop(frame_id, None)
        for frame_id in self._touched & self.frames.keys():
            self._compare_frame(frame_id, self.frames[frame_id], after)
        for frame_id, frame in self.frames.items():
            if frame.stopped:
                self._check_stopped(frame_id, frame, after)
        for at, control in self.controls.items():
            kept = after.controls[at]
            assert kept.frames == sum(1 for _ in self.frames_of(at)), "a control node lost count of its bodies"
            if control.stopped:
                for frame_id, frame in self.frames_of(at):
                    _, body, number = self.body_of(frame_id)
                    assert frame.stopped or control.bodies[body, number].last, "a body goes on in a stopped container"
        root = self.frames[s.ROOT]
        if self._idle(s.ROOT, root):
            assert self.ends == 1, "nothing is open, and the execution did not end"
        self._check_size(after)

    def _compare_frame(self, frame_id: s.FrameId, frame: Frame, after: s.State) -> None:
        kept = after.frames[frame_id]
        running = frame.started - frame.ended
        assert kept.stopping == frame.stopped, "the core and the rules differ in what is being stopped"
        if frame.stopped:
            assert kept.running == running, "other nodes count as running than do"
            assert kept.failure == frame.failure, "the first reason to stop was not kept"
            return
        graph = self.plan.graphs[frame_id.graph]
        due = {
            number for number in graph.nodes if number not in frame.ended and verdict(self.plan, frame, number) == "run"
        }
        lost = [i for i in graph.nodes if i not in frame.ended and verdict(self.plan, frame, i) == "skip"]
        assert not lost, "a node is never skipped though all its edges have settled"
        assert kept.running == due, f"these should run: {due}, and these do: {set(kept.running)}"
        held = {at.node for at in after.held if self.frame_id(at) == frame_id}
        assert due - frame.started == held, "a node that is due was never started"
        assert kept.unsettled == len(graph.nodes) - len(frame.ended), "the core lost count of unsettled nodes"
        assert kept.out == sum(1 for _ in out_of(graph.exits, frame)) or frame_id == s.ROOT, (
            "items at `$out` miscounted"
        )

    def _check_stopped(self, frame_id: s.FrameId, frame: Frame, after: s.State) -> None:
        for number in frame.started - frame.ended:
            at = s.At(number, frame_id.rounds)
            # One that has decided its end goes on to it: with calls that nobody awaits, once they are made.
            ending = at in self.controls and s.END in after.controls[at].asks
            assert at in self.cancelled or ending, f"{self._name(at)} runs on in a graph that is being stopped"

    def _check_size(self, after: s.State) -> None:
        """The state is bounded by what is open: frames, running nodes, joins that wait."""
        for frame_id, frame in after.frames.items():
            assert not (frame.tallies.keys() & self.frames[frame_id].ended), "what has settled stays in the state"
            assert not frame.stopping or not frame.tallies
        for at, control in after.controls.items():
            opened = self.controls[at]
            most = len(opened.bodies) + len(opened.calls) + 2
            assert len(control.asks) <= most, "a control node keeps what was answered"
            assert len(control.ended) <= len(self.plan.nodes[at.node].bodies)
            assert len(repr(control.inner)) < 500, "what a control node remembers grows"
        for at in after.held:
            assert self.frame_id(at) in self.frames, "a node is held back whose graph is over"
            assert not self._tidies_up(at), "a pause holds back what tidies up after a stop"

    def _check_finally(self, at: s.At, control: Control) -> None:
        node = self.plan.nodes[at.node]
        if node.spec.name == "flow.try_catch" and FINALLY in node.bodies and ("body", 0) in control.bodies:
            assert control.hurried or self.finals.get(at) == 1, "`finally` did not run though its body had begun"

    def _name(self, at: s.At) -> str:
        return f"{self.plan.nodes[at.node].key}{list(at.rounds)}"
