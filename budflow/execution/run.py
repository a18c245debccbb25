"""A run: one execution being advanced in this process, by whoever holds its claim.

It feeds events to the pure core, carries out the commands that come back and hands every event to its link. All of it
happens on one event loop, so that an event and its commands are one step. One asyncio task runs one segment: a chain
of light nodes goes through without a hop, independent branches go on side by side.

A run may begin with a journal of any length, or a snapshot and what came after it: it folds what there is, and goes
on with what is open.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from budflow.execution import state as s
from budflow.execution.advance import advance, resume
from budflow.execution.arrival import Arrival, ignored, is_awaited
from budflow.execution.collecting import Collecting
from budflow.execution.controls import Controls, let_go
from budflow.execution.deadline import Deadline
from budflow.execution.doubt import Doubt
from budflow.execution.light_rounds import LightRounds
from budflow.execution.node_result import failure_of
from budflow.execution.node_work import NodeWork
from budflow.execution.open_node import Openings, OpenNode
from budflow.execution.ports import ExecutionBroken, Link, RunLetGo, Work
from budflow.execution.produced import Produced
from budflow.execution.records import Rest
from budflow.execution.replay import Replay
from budflow.execution.resting import RestWatch, rest_of
from budflow.execution.saved_run import SavedRun, saved_run, unpack
from budflow.execution.snapshot_link import SnapshotLink
from budflow.execution.stepwise import plan_of_run
from budflow.execution.thin_link import ThinLink
from budflow.execution.tools import Tools
from budflow.model import event as e
from budflow.model.event_lists import with_lists
from budflow.model.failure import Failure
from budflow.model.item import ItemList
from budflow.model.journal import EventUnwritable

ONCE_GRACE_SECONDS = 10.0


class Run:
    """Advances one execution from its events so far to its end."""

    def __init__(self, work: Work, link: Link, tools: Tools, runner: str) -> None:
        plan = plan_of_run(work.plan, work.admitted)
        work = work if plan is work.plan else replace(work, plan=plan)  # A copy for every run would cost more.
        since = len(work.events) if work.saved is not None else 0
        link = SnapshotLink(link, self._save, tools.snapshot_events, since)
        self._thin = None if work.plan.settings.journal == "every_node" else ThinLink(link, work.plan)
        link = self._thin or link
        self._work, self._plan, self._link, self._tools = work, work.plan, link, tools
        self._runner = runner
        self._loop = asyncio.get_running_loop()
        self._state = s.State()
        self._produced = Produced(work.plan)
        openings = Openings(work.execution, work.plan, self._produced, work.resume_url, work.surroundings)
        self._openings = openings
        self._node_work = NodeWork(
            work,
            link,
            openings,
            tools,
        )
        self._open: dict[s.At, OpenNode] = {}
        self._collecting = Collecting(
            tools.lists,
            work.execution.project_id,
            open_nodes=self._open,
            emit=self._happened,
            spawn=self._spawn,
            now=tools.now,
        )
        self._controls = Controls(
            self._produced,
            openings,
            self._node_work,
            link,
            self._collecting,
            open_nodes=self._open,
            emit=self._happened,
            close=self._settle,
            deliver=self.deliver,
            now=tools.now,
        )
        self._light = LightRounds(
            work,
            self._produced,
            openings,
            self._node_work,
            self._collecting,
            tools=tools,
            open_nodes=self._open,
            state=lambda: self._state,
            emit=self._emit,
            carry_out=self._carry_out,
            spawn=self._spawn,
        )
        self._resting = RestWatch(link, self._rest)
        self._doubt = Doubt(work, self._node_work, self._open, self._happened, tools.now, self._resting.look_soon)
        self._replayed: Replay | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._commands: deque[s.Command] = deque()
        self._carrying_out = False
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._deadline = Deadline(work, self.deliver, tools.now)

    def start(self) -> None:
        """Begin; everything after this is driven by the event loop, and what breaks it is told by `wait`."""
        try:
            replay = self._replayed = Replay(self._plan, self._produced, self._openings, self._open, self._controls)
            if self._work.saved is not None:
                replay.restore(unpack(self._work.saved, self._opened_list))
            self._state = replay.fold(map(self._opened, self._work.events))
            self._node_work.log.count(self._work.events)
            if self._thin is not None:
                self._thin.began((self._plan.nodes[at.node].key, at.rounds) for at in (*replay.recorded, *self._open))
            self._link.append(e.Started(self._tools.now(), self._runner, self._tools.place))
            self._deadline.watch()
            self._carry_out([*resume(self._state)])
            for opened in [*self._open.values()]:
                self._controls.watch(opened)
        except Exception as error:  # noqa: BLE001 - the worker's loop: a fault of one run is no fault of who starts it
            self._break(error)

    async def wait(self) -> None:
        """Until the last event is appended. Raises what broke the run itself, such as ClaimLost.

        Cancelling this lets the run go where it stands: nothing more is appended.
        """
        try:
            await self._ended
        finally:
            self.let_go()

    def deliver(self, event: e.Event) -> None:
        """Take an event from outside: the end of a child, an answer, a request to cancel. Ignored after the end."""
        if self._ended.done():
            return
        event = self._opened(event)
        try:
            if isinstance(event, Arrival) and not self._awaits(event):
                self._link.append(ignored(self._tools.now(), event))
            elif isinstance(event, e.WaitEnded) and self._doubt.decide(event):
                return
            elif isinstance(event, e.ChildStarted):
                self._carry_out(self._fold(event))  # Whoever started the child has journaled it.
            else:
                self._carry_out(self._emit(event))
        except Exception as error:  # noqa: BLE001 - the worker's loop: a fault of one run is no fault of who delivers
            self._break(error)

    def let_go(self) -> None:
        """Stop where it stands; nothing more is appended."""
        self._commands.clear()
        if not self._ended.done():
            self._ended.set_exception(RunLetGo())
            self._ended.exception()  # Nobody may be waiting.
        for opened in self._open.values():
            let_go(opened)
        self._deadline.cancel()
        self._resting.cancel()
        for task in self._tasks:
            task.cancel()

    # --- events and commands -------------------------------------------------------------------------------------

    def _emit(self, event: e.Event) -> list[s.Command]:
        """Journal an event and fold it; the caller carries the commands out. Raises EventUnwritable, with no change."""
        self._link.append(event)
        return self._fold(event)

    def _opened(self, event: e.Event) -> e.Event:
        """An event from the journal, its lists able to be read."""
        return event if self._tools.lists is None else with_lists(event, self._opened_list)

    def _opened_list(self, items: ItemList) -> ItemList:
        lists = self._tools.lists
        return items if lists is None else lists.open(self._work.execution.project_id, items)

    def _fold(self, event: e.Event) -> list[s.Command]:
        self._resting.works()  # What it waits for from now on may be something else.
        node = getattr(event, "node", None)
        if node is not None:
            self._controls.note(event, s.At(self._plan.index[node], getattr(event, "rounds", ())))
        self._state, commands = advance(self._plan, self._state, event)
        return commands

    def _happened(self, event: e.Event) -> None:
        """Journal an event, fold it and do what follows."""
        if not self._ended.done():
            self._carry_out(self._emit(event))

    def _carry_out(self, commands: Iterable[s.Command], chain: int | None = None) -> s.At | None:
        """Do what the core says. A node of segment `chain` is not started but returned, for its task to go on with.

        Carrying out a command may emit events that bring more commands: they queue up here rather than recurse.
        """
        self._commands.extend(commands)
        if self._carrying_out:
            return None
        self._carrying_out = True
        following: s.At | None = None
        try:
            while self._commands:
                command = self._commands.popleft()
                if isinstance(command, s.StartNode):
                    # Of several rounds of the segment's own nodes that begin now, it goes on with one.
                    following = self._start_node(command.at, chain if following is None else None) or following
                else:
                    self._do(command)
        finally:
            self._carrying_out = False
        if self._tasks <= self._doubt.tasks and following is None:
            self._resting.look_soon()
        return following

    def _start_node(self, at: s.At, chain: int | None) -> s.At | None:
        node = self._plan.nodes[at.node]
        frame_id = s.FrameId(node.graph, at.rounds)
        if not self._state.runs(frame_id, at.node):
            return None  # It was withdrawn while this command waited for its turn.
        if self._state.stops(frame_id):
            # Something failed while this command waited for its turn: the node is counted as running, but never was.
            self._carry_out(self._emit(e.NodeCancelled(self._tools.now(), node.key, at.rounds)))
        elif node.graph and self._plan.graphs[node.graph].light:
            self._light.add(frame_id)
        elif node.weight == "control":
            opened = self._begin(at)
            self._controls.begin(opened)
            self._controls.watch(opened)
        elif chain is not None and self._plan.segment_of[at.node] == chain:
            return at
        else:
            opened = self._begin(at)
            opened.task = self._spawn(self._run_segment(opened))
        return None

    def _do(self, command: s.Command) -> None:
        match command:
            case s.SkipNode():
                pass
            case s.CancelNode(at):
                self._cancel_node(at)
            case s.Answer():
                self._answer(command)
            case s.ReportFault(at, fault):
                failure_of(self._plan.nodes[at.node], fault)  # Writes the traceback to the log.
            case s.End():
                self._end(command.status, command.failure)
            case _:
                self._controls.do(command)
                if isinstance(command, s.CloseFrame) and self._collecting.ended(
                    command.at, command.body, command.frame.rounds[-1:]
                ):
                    self._spawn(self._collecting.collect(command.at, command.body))

    def _end(self, status: e.EndStatus, failure: Failure | None) -> None:
        if self._state.phase == "ended":
            return
        if (rest := self._node_work.log.rest()) is not None:
            self._link.append(rest)
        self._emit(e.Finished(self._tools.now(), status, failure))
        if not self._ended.done():
            self._ended.set_result(None)

    def _break(self, error: BaseException) -> None:
        """Give the run up for a fault that is none of the workflow's."""
        if not self._ended.done():
            self._ended.set_exception(error)
            self._ended.exception()  # Nobody may be waiting yet.
        self.let_go()

    def _save(self) -> SavedRun | None:
        """What is known now, for a snapshot."""
        if self._ended.done() or self._replayed is None:
            return None
        try:
            if self._thin is not None:
                self._thin.write()  # What the snapshot stands for must stand in the journal.
        except ExecutionBroken as error:
            self._break(error)
            return None
        return saved_run(self._state, self._produced, self._open.values(), self._replayed.recorded)

    def _rest(self) -> Rest | None:
        """What it waits for; None while something computes."""
        if self._ended.done() or not self._tasks <= self._doubt.tasks:
            return None
        # Time that is up brings nothing any more.
        deadline = None if self._state.stops(s.ROOT) else self._deadline.at
        return rest_of(self._state, self._open.values(), deadline, self._doubt)

    # --- nodes that do work --------------------------------------------------------------------------------------

    def _begin(self, at: s.At) -> OpenNode:
        recorded = None if self._replayed is None else self._replayed.recorded.pop(at, None)
        now = self._tools.now() if recorded is None or recorded.started_at is None else recorded.started_at
        opened = self._openings.open(at, now)
        opened.recorded = recorded
        self._open[at] = opened
        return opened

    def _spawn(self, work: "asyncio._CoroutineLike[None]") -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        self._resting.works()
        task.add_done_callback(self._task_done)
        return task

    async def _run_segment(self, opened: OpenNode) -> None:
        segment = self._plan.segment_of[opened.node.index]
        while True:
            event: e.NodeFinished | e.NodeFailed | e.NodeCancelled
            opened.begun = True
            try:
                if opened.recorded is not None:
                    await self._doubt.settle(opened)
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
        elif self._tasks <= self._doubt.tasks:
            self._resting.look_soon()

    def _close(self, opened: OpenNode, event: e.NodeFinished | e.NodeFailed | e.NodeCancelled) -> list[s.Command]:
        """Journal how a node ended. What cannot be written makes it fail, and what follows is its `on_error`."""
        del self._open[opened.at]
        opened.over = True
        let_go(opened)
        try:
            self._link.append(event)
        except EventUnwritable as error:
            event = self._node_work.failed(opened, failure_of(opened.node, error, opened.path))
            self._link.append(event)
        if isinstance(event, e.NodeFinished):
            self._produced.keep(opened.at, event.outputs)
        self._state, commands = advance(self._plan, self._state, event)
        return commands

    def _settle(self, opened: OpenNode, event: e.NodeFinished | e.NodeFailed | e.NodeCancelled) -> None:
        if opened.at in self._open:
            self._carry_out(self._close(opened, event))

    # --- from outside ----------------------------------------------------------------------------------------------

    def _awaits(self, event: Arrival) -> bool:
        at = s.At(self._plan.index[event.node], event.rounds)
        return is_awaited(self._state, at, event) or (isinstance(event, e.WaitEnded) and self._doubt.asks(at))

    def _cancel_node(self, at: s.At) -> None:
        opened = self._open.get(at)
        if opened is None:
            self._light.cancel(at)
            return
        opened.cancelled = True
        if opened.control is not None:
            self._controls.stop(opened)
        elif opened.task is None or not opened.begun:
            return  # A task that is cancelled before its first turn never gets to say so: this one sees it by itself.
        elif opened.effect == "once" and opened.task not in self._doubt.tasks:
            # Cut off in the middle, nobody would know whether it happened: it gets a while to end by itself.
            opened.grace = self._loop.call_later(ONCE_GRACE_SECONDS, opened.task.cancel)
        else:
            opened.task.cancel()

    def _answer(self, command: s.Answer) -> None:
        opened = self._open.get(command.at)
        if self._state.responded or opened is None:
            return
        now = self._tools.now()
        answer = e.Responded(now, opened.node.key, command.status_code, command.headers, command.body)
        self._carry_out(self._emit(answer))
