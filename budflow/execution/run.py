"""A run: one execution being advanced in this process, by whoever holds its claim.

It feeds events to the pure core, carries out the commands that come back and hands every event to its link. All of it
happens on one event loop, so that an event and its commands are one step. One asyncio task runs one segment: a chain
of light nodes goes through without a hop, independent branches go on side by side.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from budflow.errors import BudflowError
from budflow.execution import state as s
from budflow.execution.advance import advance
from budflow.execution.node_run import ResultMalformed, failure_of
from budflow.execution.node_work import NodeWork
from budflow.execution.open_node import Openings, OpenNode
from budflow.execution.ports import ChildCall, ExecutionBroken, Heavy, Link, Work
from budflow.graph.plan import PlanNode
from budflow.model import event as e
from budflow.model.execution import Place
from budflow.model.failure import Failure, NodeError
from budflow.model.identity import utc_now
from budflow.model.item import ItemList
from budflow.model.journal import EventUnwritable
from budflow.model.node import FromCall, FromInputs, HttpCapability

ONCE_GRACE_SECONDS = 10.0


class ExecutionTimedOut(NodeError):
    """The execution did not end within the workflow's `timeout_seconds`."""

    code = "execution.timed_out"
    hint = "Raise `settings.timeout_seconds`, or find the slow node in the execution's events."


@dataclass(frozen=True, slots=True)
class Tools:
    """What a run may use of the process that it is in. `heavy` runs segments elsewhere; None: here."""

    place: Place
    http: HttpCapability
    heavy: Heavy | None = None
    now: Callable[[], datetime] = utc_now


class Run:
    """Advances one execution from its events so far to its end."""

    def __init__(self, work: Work, link: Link, tools: Tools, runner: str) -> None:
        self._work, self._plan, self._link, self._tools = work, work.plan, link, tools
        self._runner = runner
        self._loop = asyncio.get_running_loop()
        self._state = s.State()
        self._openings = Openings(work.execution, work.plan)
        self._node_work = NodeWork(work, link, self._openings, http=tools.http, heavy=tools.heavy, now=tools.now)
        self._open: dict[int, OpenNode] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._commands: deque[s.Command] = deque()
        self._carrying_out = False
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._deadline: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin; everything after this is driven by the event loop, and what breaks it is told by `wait`."""
        try:
            commands: list[s.Command] = []
            for event in self._work.events:
                if isinstance(event, e.Admitted):
                    self._openings.admitted = event.items.items
                self._state, commands = advance(self._plan, self._state, event)
            limit = self._plan.settings.timeout_seconds
            if limit is not None:
                self._deadline = self._loop.call_later(limit, self._time_is_up)
            self._link.append(e.Started(self._tools.now(), self._runner, self._tools.place))
            self._carry_out(commands)
        except Exception as error:  # noqa: BLE001 - the worker's loop: a fault of one run is no fault of who starts it
            self._break(error)

    async def wait(self) -> None:
        """Until the last event is appended. Raises what broke the run itself, such as ClaimLost.

        Cancelling this lets the run go where it stands: nothing more is appended.
        """
        try:
            await self._ended
        finally:
            self._let_go()

    def deliver(self, event: e.Event) -> None:
        """Take an event from outside: the end of a child, or a request to cancel. Ignored after the end."""
        if self._ended.done():
            return
        try:
            if isinstance(event, e.ChildFinished):
                self._child_finished(event)
            else:
                self._carry_out(self._emit(event))
        except Exception as error:  # noqa: BLE001 - the worker's loop: a fault of one run is no fault of who delivers
            self._break(error)

    # --- events and commands -------------------------------------------------------------------------------------

    def _emit(self, event: e.Event) -> list[s.Command]:
        """Journal an event and fold it; the caller carries the commands out. Raises EventUnwritable, with no change."""
        self._link.append(event)
        self._state, commands = advance(self._plan, self._state, event)
        return commands

    def _carry_out(self, commands: Sequence[s.Command], chain: int | None = None) -> PlanNode | None:
        """Do what the core says. A node of segment `chain` is not started but returned, for its task to go on with.

        Carrying out a command may emit events that bring more commands: they queue up here rather than recurse.
        """
        self._commands.extend(commands)
        if self._carrying_out:
            return None
        self._carrying_out = True
        following: PlanNode | None = None
        try:
            while self._commands:
                command = self._commands.popleft()
                if isinstance(command, s.StartNode):
                    following = self._start_node(self._plan.nodes[command.node], chain) or following
                else:
                    self._do(command)
        finally:
            self._carrying_out = False
        return following

    def _start_node(self, node: PlanNode, chain: int | None) -> PlanNode | None:
        if self._state.phase == "stopping":
            # Something failed while this command waited for its turn: the node is counted as running, but never was.
            self._carry_out(self._emit(e.NodeCancelled(self._tools.now(), node.key)))
        elif node.weight == "control":
            self._begin_control(node)
        elif chain is not None and self._plan.segment_of[node.index] == chain:
            return node
        else:
            opened = self._begin(node)
            opened.task = self._loop.create_task(self._run_segment(opened))
            self._tasks.add(opened.task)
            opened.task.add_done_callback(self._task_done)
        return None

    def _do(self, command: s.Command) -> None:
        if isinstance(command, s.SkipNode):
            return
        if isinstance(command, s.End):
            self._end(command.status, command.failure)
            return
        opened = self._open.get(command.node)
        if opened is None:
            return  # It has ended, or never began, while this command waited for its turn.
        match command:
            case s.CancelNode():
                self._cancel_node(opened)
            case s.CallChild():
                self._call_child(opened, command)
            case s.Answer():
                self._answer(opened, command)
            case s.SettleControl(_, outputs):
                self._settle_control(opened, outputs)
            case s.FailControl(_, failure):
                self._fail_control(opened, failure)
            case s.FaultyControl(_, fault):
                self._fail_control(opened, failure_of(opened.node, fault))

    def _end(self, status: e.EndStatus, failure: Failure | None) -> None:
        self._emit(e.Finished(self._tools.now(), status, failure))
        if self._deadline is not None:
            self._deadline.cancel()
        if not self._ended.done():
            self._ended.set_result(None)

    def _break(self, error: BaseException) -> None:
        """Give the run up for a fault that is none of the workflow's."""
        if not self._ended.done():
            self._ended.set_exception(error)
        self._let_go()

    def _let_go(self) -> None:
        self._commands.clear()
        for opened in self._open.values():
            if opened.grace is not None:
                opened.grace.cancel()
        if self._deadline is not None:
            self._deadline.cancel()
        for task in self._tasks:
            task.cancel()

    def _time_is_up(self) -> None:
        failure = Failure.of(ExecutionTimedOut())
        self.deliver(e.CancelRequested(self._tools.now(), "timeout_seconds", failure))

    # --- nodes that do work --------------------------------------------------------------------------------------

    def _begin(self, node: PlanNode) -> OpenNode:
        opened = self._open[node.index] = self._openings.open(node, self._tools.now())
        return opened

    async def _run_segment(self, opened: OpenNode) -> None:
        segment = self._plan.segment_of[opened.node.index]
        while True:
            event: e.NodeFinished | e.NodeFailed | e.NodeCancelled
            opened.begun = True
            try:
                event = await self._node_work.do(opened)
            except asyncio.CancelledError:
                if self._ended.done() or not opened.cancelled:
                    raise
                event = self._node_work.cancelled(opened)
            commands = self._close(opened, event)
            if opened.effect != "pure":
                self._link.flush()  # The effect happened: the sooner that is durable, the less is ever repeated.
            following = self._carry_out(commands, segment)
            if following is None:
                return
            task, opened = opened.task, self._begin(following)
            opened.task = task

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._ended.done():
            return
        fault = ExecutionBroken("A segment was cancelled from outside.") if task.cancelled() else task.exception()
        if fault is not None:
            self._break(fault)

    def _close(self, opened: OpenNode, event: e.NodeFinished | e.NodeFailed | e.NodeCancelled) -> list[s.Command]:
        """Journal how a node ended. What cannot be written makes it fail, and what follows is its `on_error`."""
        del self._open[opened.node.index]
        if opened.grace is not None:
            opened.grace.cancel()
        try:
            self._link.append(event)
        except EventUnwritable as error:
            event = self._node_work.failed(opened, failure_of(opened.node, error))
            self._link.append(event)
        if isinstance(event, e.NodeFinished):
            self._openings.keep(opened.node, event.outputs)
        self._state, commands = advance(self._plan, self._state, event)
        return commands

    # --- cancelling ----------------------------------------------------------------------------------------------

    def _cancel_node(self, opened: OpenNode) -> None:
        opened.cancelled = True
        if opened.task is None:
            for call in opened.awaits:
                self._link.cancel_call(opened.node.key, call)
            self._cancel_control(opened)
        elif not opened.begun:
            return  # A task that is cancelled before its first turn never gets to say so: this one sees it by itself.
        elif opened.effect == "once":
            # Cut off in the middle, nobody would know whether it happened: it gets a while to end by itself.
            opened.grace = self._loop.call_later(ONCE_GRACE_SECONDS, opened.task.cancel)
        else:
            opened.task.cancel()

    # --- control nodes -------------------------------------------------------------------------------------------

    def _begin_control(self, node: PlanNode) -> None:
        opened = self._begin(node)
        if node.node.disabled:
            self._settle(opened, self._node_work.passed_through(opened))
            return
        try:
            params = node.params.resolve(self._openings.scope_of(opened)(0 if opened.items else None))
            shape = params.model_dump(mode="json")
            commands = self._emit(e.NodeStarted(opened.started_at, node.key, len(opened.items), shape))
        except BudflowError as error:
            self._fail_control(opened, failure_of(node, error))
            return
        self._carry_out(commands)

    def _call_child(self, opened: OpenNode, command: s.CallChild) -> None:
        opened.awaits.add(command.call)
        call = ChildCall(opened.node.key, command.call, command.workflow_id, command.version, opened.passed_through())
        self._link.call(call)

    def _child_finished(self, event: e.ChildFinished) -> None:
        opened = self._open.get(self._plan.index[event.node])
        if opened is None or event.call not in opened.awaits:
            self._link.append(e.ResultIgnored(self._tools.now(), event.node, "the node no longer waits for it"))
            return
        opened.awaits.discard(event.call)
        opened.calls[event.call] = event.items
        self._carry_out(self._emit(event))
        if opened.cancelled:
            self._cancel_control(opened)

    def _cancel_control(self, opened: OpenNode) -> None:
        """A control node has been cancelled when the last of what it called has ended."""
        if not opened.awaits and opened.node.index in self._open:
            self._settle(opened, self._node_work.cancelled(opened))

    def _settle_control(self, opened: OpenNode, outputs: Mapping[str, FromInputs | FromCall]) -> None:
        lists: dict[str, ItemList] = {}
        for port, source in outputs.items():
            unknown = isinstance(source, FromCall) and source.call not in opened.calls
            if unknown or port not in opened.node.output_names:
                malformed = ResultMalformed(f"`{opened.node.spec.name}` settled a port or from a call that it has not.")
                self._fail_control(opened, failure_of(opened.node, malformed))
                return
            if isinstance(source, FromCall):
                items = opened.calls[source.call].items
                lists[port] = ItemList(items, [-1] * len(items))
            else:
                lists[port] = opened.passed_through()
        self._settle(opened, self._node_work.finished(opened, lists))

    def _fail_control(self, opened: OpenNode, failure: Failure) -> None:
        failure = failure if failure.node is not None else replace(failure, node=opened.node.key)
        self._settle(opened, self._node_work.failed(opened, failure))

    def _settle(self, opened: OpenNode, event: e.NodeFinished | e.NodeFailed | e.NodeCancelled) -> None:
        self._carry_out(self._close(opened, event))

    def _answer(self, opened: OpenNode, command: s.Answer) -> None:
        if self._state.responded:
            return
        now = self._tools.now()
        answer = e.Responded(now, opened.node.key, command.status_code, command.headers, command.body)
        try:
            commands = self._emit(answer)
        except EventUnwritable as error:
            self._fail_control(opened, failure_of(opened.node, error))
            return
        self._carry_out(commands)
