"""A run: one execution being advanced in this process, by whoever holds its claim.

It feeds events to the pure core, carries out the commands that come back and hands every event to its link. All of it
happens on one event loop, so that an event and its commands are one step. One asyncio task runs one segment: a chain
of light nodes goes through without a hop, independent branches go on side by side.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from budflow.errors import BudflowError
from budflow.execution import state as s
from budflow.execution.advance import advance
from budflow.execution.lineage import NodeViews, inputs_of
from budflow.execution.node_run import NodeResult, NodeRun, effect_of, run_node, settle
from budflow.execution.ports import ChildCall, Heavy, Link, Work
from budflow.expressions.evaluate import Scope
from budflow.graph.plan import PlanNode
from budflow.model import event as e
from budflow.model.execution import Place
from budflow.model.failure import Failure, NodeError
from budflow.model.identity import utc_now
from budflow.model.item import EMPTY, Item, ItemList, join
from budflow.model.node import FromCall, FromInputs, HttpCapability
from budflow.model.workflow import Effect

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


@dataclass(slots=True)
class _Open:
    """A node that runs: its items, and the task or the calls it waits for."""

    started_at: datetime
    items: Sequence[Item]
    task: asyncio.Task[None] | None = None
    effect: Effect = "pure"
    calls: dict[int, ItemList] = field(default_factory=dict)
    cancelled: bool = False


class Run:
    """Advances one execution from its events so far to its end."""

    def __init__(self, work: Work, link: Link, tools: Tools, runner: str) -> None:
        self._work, self._plan, self._link, self._tools = work, work.plan, link, tools
        self._runner = runner
        self._state = s.State()
        self._produced: dict[int, Sequence[ItemList]] = {}
        self._open: dict[int, _Open] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._commands: deque[s.Command] = deque()
        self._carrying_out = False
        self._items_in = EMPTY
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._deadline: asyncio.TimerHandle | None = None
        self._names: dict[str, Any] = {
            "execution": {"id": work.execution.id, "mode": work.execution.mode},
            "workflow": {"id": self._plan.workflow_id, "name": self._plan.name, "version": self._plan.version},
        }
        self._zone = ZoneInfo(self._plan.settings.timezone)

    def start(self) -> None:
        """Begin; everything after this is driven by the event loop."""
        commands: list[s.Command] = []
        for event in self._work.events:
            if isinstance(event, e.Admitted):
                self._items_in = event.items
            self._state, commands = advance(self._plan, self._state, event)
        limit = self._plan.settings.timeout_seconds
        if limit is not None:
            self._deadline = asyncio.get_running_loop().call_later(limit, self._time_is_up)
        self._link.append(e.Started(self._tools.now(), self._runner, self._tools.place))
        self._carry_out(commands)

    async def wait(self) -> None:
        """Until the last event is appended. Raises what broke the run itself, such as ClaimLost."""
        try:
            await asyncio.shield(self._ended)
        finally:
            if not self._ended.done() or self._ended.exception() is not None:
                for task in self._tasks:
                    task.cancel()

    def deliver(self, event: e.Event) -> None:
        """Take an event from outside: the end of a child, or a request to cancel."""
        if self._state.phase == "ended":
            return
        if isinstance(event, e.ChildFinished):
            self._child_finished(event)
        else:
            self._carry_out(self._emit(event))

    # --- events and commands -------------------------------------------------------------------------------------

    def _emit(self, event: e.Event) -> list[s.Command]:
        """Journal an event and fold it; the caller carries the commands out."""
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
        try:
            return self._carry_out_queued(chain)
        finally:
            self._carrying_out = False

    def _carry_out_queued(self, chain: int | None) -> PlanNode | None:
        following: PlanNode | None = None
        while self._commands:
            match command := self._commands.popleft():
                case s.StartNode(number):
                    node = self._plan.nodes[number]
                    if node.weight == "control":
                        self._begin_control(node)
                    elif chain is not None and self._plan.segment_of[number] == chain:
                        following = node
                    else:
                        self._spawn(node)
                case s.CancelNode(number):
                    self._cancel_node(number)
                case s.CallChild():
                    self._call_child(command)
                case s.Answer():
                    self._answer(command)
                case s.SettleControl(number, outputs):
                    self._settle_control(self._plan.nodes[number], outputs)
                case s.FailControl(number, failure):
                    self._fail_control(self._plan.nodes[number], failure)
                case s.End(status, failure):
                    self._end(status, failure)
                case s.SkipNode():
                    pass
        return following

    def _spawn(self, node: PlanNode) -> None:
        opened = self._begin(node)
        opened.task = asyncio.get_running_loop().create_task(self._run_segment(node))
        self._tasks.add(opened.task)
        opened.task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None and not self._ended.done():
            self._ended.set_exception(task.exception())  # type: ignore[arg-type] # checked one line above

    async def _run_segment(self, first: PlanNode) -> None:
        node: PlanNode | None = first
        segment = self._plan.segment_of[first.index]
        task = asyncio.current_task()
        while node is not None:
            opened = self._open.get(node.index) or self._begin(node)
            opened.task = task
            event: e.NodeFinished | e.NodeFailed | e.NodeCancelled
            try:
                event = await self._run_node(node, opened)
            except asyncio.CancelledError:
                if self._ended.done():
                    raise
                event = e.NodeCancelled(self._tools.now(), node.key)
            del self._open[node.index]
            commands = self._emit(event)
            if opened.effect != "pure":
                self._link.flush()  # The effect happened: the sooner that is durable, the less is ever repeated.
            node = self._carry_out(commands, segment)

    def _end(self, status: e.EndStatus, failure: Failure | None) -> None:
        self._emit(e.Finished(self._tools.now(), status, failure))
        if self._deadline is not None:
            self._deadline.cancel()
        if not self._ended.done():
            self._ended.set_result(None)

    def _time_is_up(self) -> None:
        failure = Failure.of(ExecutionTimedOut())
        self.deliver(e.CancelRequested(self._tools.now(), "timeout_seconds", failure))

    # --- nodes that do work --------------------------------------------------------------------------------------

    def _begin(self, node: PlanNode) -> _Open:
        lists, _ = inputs_of(node, self._produced)
        items = self._items_in.items if node.spec.trigger else join(lists).items if lists else ()
        opened = _Open(self._tools.now(), items[:1] if node.node.run_once else items)
        self._open[node.index] = opened
        return opened

    async def _run_node(self, node: PlanNode, opened: _Open) -> e.NodeFinished | e.NodeFailed:
        if node.node.disabled:
            return self._finished(node, opened, self._passed_through(node, opened.items))
        run = self._node_run(node, opened)
        effect = effect_of(run)
        if effect != "pure":
            opened.effect = effect
            self._link.append(e.NodeStarted(opened.started_at, node.key, len(opened.items)))
            await self._link.commit()  # What the world outside is about to see must be known first.
        place = None
        if node.weight == "heavy" and self._tools.heavy is not None:
            result, place = await self._tools.heavy.run(self._work, run)
        else:
            result = await run_node(run)
        settled = settle(node, opened.items, result)
        event: e.NodeFinished | e.NodeFailed
        if isinstance(settled, Failure):
            event = e.NodeFailed(self._tools.now(), node.key, opened.started_at, settled, result.tries, place)
        else:
            event = self._finished(node, opened, settled, result.tries, place)
        return event

    def _finished(
        self,
        node: PlanNode,
        opened: _Open,
        outputs: Mapping[str, ItemList],
        tries: int = 1,
        place: Place | None = None,
    ) -> e.NodeFinished:
        self._produced[node.index] = [outputs.get(name, EMPTY) for name in node.output_names]
        full = {name: outputs.get(name, EMPTY) for name in node.output_names}
        return e.NodeFinished(self._tools.now(), node.key, opened.started_at, full, tries, place)

    def _passed_through(self, node: PlanNode, items: Sequence[Item]) -> dict[str, ItemList]:
        return {node.output_names[0]: ItemList(items, range(len(items)))}

    def _node_run(self, node: PlanNode, opened: _Open) -> NodeRun:
        _, ports = inputs_of(node, self._produced)
        if node.spec.trigger:
            ports = {"main": range(len(opened.items))}

        def on_retry(tries: int, failed: int, delay: float, failure: Failure) -> None:
            self._link.append(e.ItemsRetried(self._tools.now(), node.key, tries, failed, delay, failure))

        return NodeRun(
            node=node,
            items=opened.items,
            ports=ports,
            scope=self._scope_of(node, opened),
            now=opened.started_at,
            effect_scope=self._work.execution.id,
            http=self._tools.http,
            on_retry=on_retry,
        )

    def _scope_of(self, node: PlanNode, opened: _Open) -> Callable[[int | None], Scope]:
        items = opened.items
        names = {**self._names, "now": opened.started_at.astimezone(self._zone)}
        if not node.params.node_keys:
            return lambda ordinal: (
                Scope({}, 0, names) if ordinal is None else Scope(items[ordinal].json, ordinal, names)
            )

        def with_nodes(ordinal: int | None) -> Scope:
            views = NodeViews(self._plan, self._produced, node, ordinal)
            json = {} if ordinal is None else items[ordinal].json
            return Scope(json, ordinal or 0, {**names, "node": views})

        return with_nodes

    # --- cancelling ----------------------------------------------------------------------------------------------

    def _cancel_node(self, number: int) -> None:
        opened = self._open.get(number)
        if opened is None:
            return
        opened.cancelled = True
        if opened.task is None:
            node = self._plan.nodes[number]
            for call in opened.calls:
                self._link.cancel_call(node.key, call)
            if not opened.calls:
                self._control_cancelled(node)
        elif opened.effect == "once":
            # Cut off in the middle, nobody would know whether it happened: it gets a while to end by itself.
            asyncio.get_running_loop().call_later(ONCE_GRACE_SECONDS, opened.task.cancel)
        else:
            opened.task.cancel()

    # --- control nodes -------------------------------------------------------------------------------------------

    def _begin_control(self, node: PlanNode) -> None:
        opened = self._begin(node)
        if node.node.disabled:
            self._settle(node, self._passed_through(node, opened.items))
            return
        try:
            params = node.params.resolve(self._scope_of(node, opened)(0 if opened.items else None))
        except BudflowError as error:
            self._fail_control(node, Failure.of(error, node.key))
            return
        started = e.NodeStarted(opened.started_at, node.key, len(opened.items), params.model_dump(mode="json"))
        self._carry_out(self._emit(started))

    def _call_child(self, command: s.CallChild) -> None:
        node = self._plan.nodes[command.node]
        opened = self._open[command.node]
        opened.calls[command.call] = EMPTY
        items = ItemList(opened.items, range(len(opened.items)))
        self._link.call(ChildCall(node.key, command.call, command.workflow_id, command.version, items))

    def _child_finished(self, event: e.ChildFinished) -> None:
        node = self._plan.nodes[self._plan.index[event.node]]
        opened = self._open.get(node.index)
        if opened is None:
            self._link.append(e.ResultIgnored(self._tools.now(), event.node, "the node no longer waits for it"))
            return
        opened.calls[event.call] = event.items
        self._carry_out(self._emit(event))
        if opened.cancelled and node.index in self._open:
            self._control_cancelled(node)

    def _control_cancelled(self, node: PlanNode) -> None:
        del self._open[node.index]
        self._carry_out(self._emit(e.NodeCancelled(self._tools.now(), node.key)))

    def _settle_control(self, node: PlanNode, outputs: Mapping[str, FromInputs | FromCall]) -> None:
        opened = self._open[node.index]
        lists: dict[str, ItemList] = {}
        for port, source in outputs.items():
            if isinstance(source, FromCall):
                items = opened.calls[source.call].items
                lists[port] = ItemList(items, [-1] * len(items))
            else:
                lists[port] = ItemList(opened.items, range(len(opened.items)))
        self._settle(node, lists)

    def _fail_control(self, node: PlanNode, failure: Failure) -> None:
        opened = self._open[node.index]
        failure = failure if failure.node is not None else replace(failure, node=node.key)
        failed = NodeResult(failed=dict.fromkeys(range(max(len(opened.items), 1)), failure))
        settled = settle(node, opened.items, failed)
        if isinstance(settled, Failure):
            del self._open[node.index]
            failed_event = e.NodeFailed(self._tools.now(), node.key, opened.started_at, settled)
            self._carry_out(self._emit(failed_event))
        else:
            self._settle(node, settled)

    def _settle(self, node: PlanNode, outputs: Mapping[str, ItemList]) -> None:
        opened = self._open.pop(node.index)
        self._carry_out(self._emit(self._finished(node, opened, outputs)))

    def _answer(self, command: s.Answer) -> None:
        if self._state.responded:
            return
        node = self._plan.nodes[command.node]
        answer = e.Responded(self._tools.now(), node.key, command.status_code, command.headers, command.body)
        self._carry_out(self._emit(answer))
