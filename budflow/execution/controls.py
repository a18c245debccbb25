"""The control nodes of one execution: what their functions asked for is done here, and what came of it is told.

Pure functions decide (budflow.execution.turn); this keeps the items, the timers and the calls that belong to it.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from budflow.errors import BudflowError
from budflow.execution import state as s
from budflow.execution.blobs import BlobUnreadable
from budflow.execution.collecting import Collecting, note_collected
from budflow.execution.control_items import items_from
from budflow.execution.frames import frame_of, round_of
from budflow.execution.lineage import out_of
from budflow.execution.node_result import NodeTimedOut, ResultMalformed, failure_of
from budflow.execution.node_work import NodeWork
from budflow.execution.open_node import Body, OpenControl, Openings, OpenNode, OpenWait
from budflow.execution.ports import ChildCall, Link
from budflow.execution.produced import Produced
from budflow.execution.records import RateAsk
from budflow.model import event as e
from budflow.model.control import FromBody
from budflow.model.failure import Failure
from budflow.model.item import EMPTY, ItemList
from budflow.model.joined import part_of
from budflow.model.spilled import ListTooLong

#: How long a last body (`finally`) may take when its node is being stopped; each that begins has this for itself.
CLEANUP_SECONDS = 30.0
#: Timers are set for so long at most, and set anew: a clock may be changed meanwhile.
TIMER_SECONDS_MAX = 3_600.0


class Controls:
    """Carries out what concerns control nodes. `emit` journals an event and folds it; commands follow by themselves.

    `close` is the same for an event that ends a node, and `deliver` for one that a timer brings.
    """

    def __init__(
        self,
        produced: Produced,
        openings: Openings,
        node_work: NodeWork,
        link: Link,
        collecting: Collecting,
        *,
        open_nodes: Mapping[s.At, OpenNode],
        emit: Callable[[e.Event], None],
        close: Callable[[OpenNode, e.NodeFinished | e.NodeFailed | e.NodeCancelled], None],
        deliver: Callable[[e.Event], None],
        now: Callable[[], datetime],
    ) -> None:
        self._produced, self._openings, self._node_work, self._link = produced, openings, node_work, link
        self._collecting = collecting
        self._open, self._emit, self._close, self._deliver, self._now = open_nodes, emit, close, deliver, now
        self._loop = asyncio.get_running_loop()

    def do(self, command: s.Command) -> None:
        """Carry out one of the commands that concern control nodes."""
        match command:
            case s.OpenFrame():
                self.open_frame(command)
            case s.CloseFrame():
                self.close_frame(command)
            case s.CallChild():
                self._call(command)
            case s.StartWait():
                self._wait(command)
            case s.ResolveParams():
                self._resolve(command)
            case s.ReserveRate():
                self._reserve(command)
            case s.SettleControl():
                self._settle(command)
            case s.FailControl(at, failure) if at in self._open:
                self._fail(self._open[at], failure)
            case s.CancelControl(at) if at in self._open:
                self._close(self._open[at], self._node_work.cancelled(self._open[at]))
            case s.LimitLastBodies():
                self._limit_last_bodies(command)

    # --- what is done, and not folded ---------------------------------------------------------------------------------

    def begin(self, opened: OpenNode) -> None:
        """A control node is reached: evaluate its parameters and say that it begins."""
        if (given := self._node_work.given(opened)) is not None:
            self._close(opened, given)
            return
        try:
            opened.control = self._openings.open_control(opened)
            size = len(opened.control.fed)
            params = opened.node.params.resolve(self._openings.scope_of(opened)(0 if opened.items else None))
            shape = params.model_dump(mode="json", exclude={opened.node.spec.feed or ""})
            self._emit(e.NodeStarted(opened.started_at, opened.node.key, size, shape, opened.at.rounds))
        except BudflowError as error:
            self._fail(opened, failure_of(opened.node, error, opened.path))

    def _call(self, command: s.CallChild) -> None:
        """Start another workflow; where it was started before, its end will come by itself."""
        opened = self._open.get(command.at)
        if opened is None or opened.control is None or command.call in opened.control.started:
            return
        node, rounds = opened.node, opened.at.rounds
        try:
            items = self._items_of_call(opened.control, command)
        except ResultMalformed as error:
            failure = failure_of(node, error, opened.path)
            self._emit(e.ChildFinished(self._now(), node.key, command.call, "failed", EMPTY, failure, rounds))
            return
        opened.control.started.add(command.call)
        call = ChildCall(node.key, command.call, command.workflow_id, command.version, items, rounds, command.awaited)
        self._link.call(call)

    def _wait(self, command: s.StartWait) -> None:
        """Begin a wait, or go on with one that has begun."""
        opened = self._open.get(command.at)
        if opened is None or opened.control is None:
            return
        waits = opened.control.waits
        if command.wait not in waits:
            until = command.until
            if until is None and command.seconds is not None:
                until = self._now() + timedelta(seconds=command.seconds)
            self._emit(
                e.WaitStarted(
                    self._now(), opened.node.key, command.wait, command.reason, until, command.ask, opened.at.rounds
                )
            )
        self._set_timer(command.at, command.wait, waits[command.wait])

    def _resolve(self, command: s.ResolveParams) -> None:
        """Evaluate a node's parameters again, with the first of other items."""
        opened = self._open.get(command.at)
        if opened is None or opened.control is None:
            return
        node = opened.node
        try:
            items = items_from(opened.control, command.source).items
            params = node.params.resolve(self._openings.scope_of(opened, items)(0 if items else None))
            shape = params.model_dump(mode="json", exclude={node.spec.feed or ""})
            self._emit(e.ParamsResolved(self._now(), node.key, command.ask, shape, opened.at.rounds))
        except BudflowError as error:
            failure = failure_of(node, error, opened.path)
            self._emit(e.ParamsResolved(self._now(), node.key, command.ask, {}, opened.at.rounds, failure))

    def _reserve(self, command: s.ReserveRate) -> None:
        """Ask for room in a shared rate; the answer is delivered."""
        opened = self._open.get(command.at)
        if opened is not None:
            self._link.reserve(
                RateAsk(
                    opened.node.key,
                    command.ask,
                    command.key,
                    command.amount,
                    command.limit,
                    command.per_seconds,
                    opened.at.rounds,
                )
            )

    def _settle(self, command: s.SettleControl) -> None:
        """A node is done."""
        opened = self._open.get(command.at)
        if opened is None or opened.control is None:
            return
        lists: dict[str, ItemList] = {}
        try:
            for port, source in command.outputs.items():
                lists[port] = _checked(opened, port, items_from(opened.control, source))
        except (ResultMalformed, ListTooLong, BlobUnreadable) as error:
            self._fail(opened, failure_of(opened.node, error, opened.path))
            return
        self._collecting.settle(
            opened,
            lists,
            lambda stored: self._close(opened, self._node_work.finished(opened, stored)),
            lambda error: self._fail(opened, failure_of(opened.node, error, opened.path)),
        )

    def _fail(self, opened: OpenNode, failure: Failure) -> None:
        """A node failed; what follows is its `on_error`."""
        self._close(opened, self._node_work.failed(opened, failure))

    def stop(self, opened: OpenNode) -> None:
        """Give up what a node waits for; from now on only its last bodies have a time limit."""
        control = opened.control
        if control is None:
            return
        for wait in control.waits.values():
            _cancel(wait.timer)
        for number in control.started - control.calls.keys():
            self._link.cancel_call(opened.node.key, number, opened.at.rounds)
        control.stopped = True
        _set_deadline(control, None)

    def _limit_last_bodies(self, command: s.LimitLastBodies) -> None:
        """A last body of a node that is being stopped begins, or goes on: see to its time limit."""
        opened = self._open.get(command.at)
        if opened is None or opened.control is None:
            return
        deadline = command.since + timedelta(seconds=CLEANUP_SECONDS)
        _set_deadline(opened.control, deadline)
        delay = max(0.0, (deadline - self._now()).total_seconds())
        opened.control.timers.append(self._loop.call_later(delay, self._cleanup_took_too_long, opened))

    def watch(self, opened: OpenNode) -> None:
        """See to a node's own time limit."""
        limit, control = opened.node.node.timeout_seconds, opened.control
        if limit is None or control is None or control.stopped or opened.over:
            return
        control.deadline = opened.started_at + timedelta(seconds=limit)
        delay = (control.deadline - self._now()).total_seconds()
        if delay > TIMER_SECONDS_MAX:
            control.timers.append(self._loop.call_later(TIMER_SECONDS_MAX, self.watch, opened))
        else:
            control.timers.append(self._loop.call_later(max(0.0, delay), self._took_too_long, opened))

    # --- what is noted, live and while a journal is folded ------------------------------------------------------------

    def note(self, event: e.Event, at: s.At) -> None:
        """Keep what an event says of a control node's own items, calls and waits."""
        opened = self._open.get(at)
        if opened is None:
            return
        if isinstance(event, e.NodeStarted) and event.params is not None:
            opened.control = opened.control or self._openings.open_control(opened)
            return
        control = opened.control
        if control is None:
            return
        match event:
            case e.ChildStarted():
                control.started.add(event.call)
            case e.ChildFinished():
                control.calls[event.call] = event.items
            case e.WaitStarted():
                control.waits[event.wait] = OpenWait(event.until)
            case e.WaitEnded():
                wait = control.waits.pop(event.wait, None)
                control.answers[event.wait] = event.answer
                _cancel(None if wait is None else wait.timer)
            case e.RoundsFinished():
                self._note_rounds(opened, event)
            case e.RoundsCollected():
                note_collected(control, event)
            case e.TimeIsUp(cleanup=True):
                _set_deadline(control, None)

    def note_call(self, control: OpenControl, command: s.CallChild) -> None:
        """Keep the items of a call, which its result will be traced back to; where there are none it will fail."""
        with suppress(ResultMalformed):
            self._items_of_call(control, command)

    def _items_of_call(self, control: OpenControl, command: s.CallChild) -> ItemList:
        items = control.sources[command.call] = items_from(control, command.source)
        return items

    def open_frame(self, command: s.OpenFrame) -> None:
        """Items enter a body."""
        opened = self._open[command.at]
        if opened.control is None:
            return
        items = items_from(opened.control, command.source)
        if isinstance(command.source, FromBody):
            # What went on into the next round is asked for by nobody else.
            opened.control.bodies.pop((command.source.body, command.source.round), None)
        self._produced.entries[command.frame] = items
        opened.control.bodies[command.body, round_of(opened.node, command.frame)] = Body(items)

    def close_frame(self, command: s.CloseFrame) -> None:
        """A body is over: keep what it gave, and forget the rest."""
        opened = self._open.get(command.at)
        if opened is not None and opened.control is not None:
            body = opened.control.bodies.get((command.body, round_of(opened.node, command.frame)))
            if body is not None:
                body.failure = command.failure
                if command.failure is None and not command.stopped:
                    body.give(out_of(self._produced, command.frame))
        self._produced.forget(command.frame)

    def _note_rounds(self, opened: OpenNode, event: e.RoundsFinished) -> None:
        control = opened.control
        assert control is not None  # noqa: S101 - its caller looked
        start = 0
        for offset, count in enumerate(event.counts):
            number = event.first + offset
            body = control.bodies.get((event.body, number))
            stop = start + count
            if body is not None and (failure := event.failures.get(number)) is not None:
                body.failure = failure
            elif body is not None:
                body.give(part_of(event.items, start, stop))
            self._produced.forget(frame_of(opened.node, opened.at, event.body, number))
            start = stop

    # --- time ------------------------------------------------------------------------------------------------------

    def _set_timer(self, at: s.At, number: int, wait: OpenWait) -> None:
        if wait.until is not None:
            delay = (wait.until - self._now()).total_seconds()
            wait.timer = self._loop.call_later(
                min(max(0.0, delay), TIMER_SECONDS_MAX), self._timer_ended, at, number, wait
            )

    def _timer_ended(self, at: s.At, number: int, wait: OpenWait) -> None:
        if wait.until is not None and wait.until > self._now():
            self._set_timer(at, number, wait)
            return
        key = self._produced.plan.nodes[at.node].key
        self._deliver(e.WaitEnded(self._now(), key, number, "elapsed", rounds=at.rounds))

    def _took_too_long(self, opened: OpenNode) -> None:
        if not opened.over:
            failure = failure_of(opened.node, NodeTimedOut(), opened.path)
            self._deliver(e.TimeIsUp(self._now(), opened.node.key, failure, rounds=opened.at.rounds))

    def _cleanup_took_too_long(self, opened: OpenNode) -> None:
        if not opened.over:
            message = f"The last body of `{opened.node.key}` was not done within {CLEANUP_SECONDS:g} s."
            failure = failure_of(opened.node, NodeTimedOut(message), opened.path)
            self._deliver(e.TimeIsUp(self._now(), opened.node.key, failure, cleanup=True, rounds=opened.at.rounds))


def let_go(opened: OpenNode) -> None:
    """Cancel all timers of an open node."""
    _cancel(opened.grace)
    if opened.log is not None:
        opened.log.close()
    if opened.control is not None:
        for timer in opened.control.timers:
            timer.cancel()
        for wait in opened.control.waits.values():
            _cancel(wait.timer)


def _set_deadline(control: OpenControl, deadline: datetime | None) -> None:
    """Another time limit than before, or none; its timer is set by the caller."""
    for timer in control.timers:
        timer.cancel()
    control.timers.clear()
    control.deadline = deadline


def _checked(opened: OpenNode, port: str, items: ItemList) -> ItemList:
    if port not in opened.node.output_names:
        raise ResultMalformed(f"`{opened.node.spec.name}` settled a port `{port}` that it does not have.")
    return items


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
