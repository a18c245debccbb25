"""The owner of a server's executions: admits, claims, hands to the executor, starts children, cancels."""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import Any

import structlog

from budflow.errors import BudflowError
from budflow.execution.active import Active
from budflow.execution.journal import Journal
from budflow.execution.plans import PlanCache
from budflow.execution.ports import ChildCall, ExecutionStore, Executor, Work
from budflow.graph.plan import Plan
from budflow.model import event as e
from budflow.model.execution import TERMINAL, Claim, ClaimLost, Execution, Parent, QueueFull
from budflow.model.failure import Failure, NodeError
from budflow.model.identity import new_id, utc_now
from budflow.model.item import EMPTY, ItemList
from budflow.model.journal import decode, encode
from budflow.model.workflow import VersionRecord

CALL_DEPTH_MAX = 32
POLL_SECONDS = 1.0

log = structlog.get_logger(__name__)


class CallTooDeep(NodeError):
    """Workflows call each other too deeply."""

    code = "workflow.call_too_deep"
    hint = f"At most {CALL_DEPTH_MAX} levels are allowed; look for a workflow that calls itself."


class Supervisor:
    """All executions of one server process. Everything here runs on one event loop."""

    def __init__(
        self,
        store: ExecutionStore,
        plans: PlanCache,
        executor: Executor,
        *,
        runner: str,
        running_max: int,
        queued_max: int,
    ) -> None:
        self._store, self._plans, self._executor, self.runner = store, plans, executor, runner
        self._running_max, self._queued_max = running_max, queued_max
        self._active: dict[str, Active] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._queued = True  # Whether there may be queued executions; the first look at the store tells.
        self._stopping = False

    async def start(self) -> None:
        """Begin to claim what is queued."""
        self._spawn(self._claim_forever())
        self._spawn(self._cancel_forever())

    async def stop(self, drain_seconds: float = 10.0) -> None:
        """Claim no more, let what runs end for a while, then let go; what is left stays unfinished in the store."""
        self._stopping = True
        self._wake.set()
        waiting = [active.ended for active in self._active.values()]
        if waiting:
            await asyncio.wait(waiting, timeout=drain_seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._executor.close()

    def use(self, executor: Executor) -> Executor:
        """Start executions with `executor` from now on; returns the one used so far, which finishes what it has."""
        before, self._executor = self._executor, executor
        return before

    def active(self, execution_id: str) -> Active | None:
        """The execution, while this process has it."""
        return self._active.get(execution_id)

    def status(self) -> Mapping[str, Any]:
        """Figures for `budflow status`."""
        return {
            "runner": self.runner,
            "running": len(self._active),
            "running_max": self._running_max,
            "executor": dict(self._executor.status()),
        }

    # --- admission -----------------------------------------------------------------------------------------------

    async def submit(
        self, execution: Execution, admitted: e.Admitted, version: VersionRecord, plan: Plan, *, durable: bool = True
    ) -> Active | None:
        """Take a new execution on: at once where there is room, else into the queue (then None is returned).

        With `durable` it is stored when this returns. Without, it is stored before its first effect and before its
        answer, whichever comes first: the caller must acknowledge nothing until `answered` is set.
        Raises QueueFull, with nothing stored.
        """
        if self._stopping:
            raise QueueFull("The server is shutting down.")
        if self._queued or len(self._active) >= self._running_max:
            if await self._store.count_queued() >= self._queued_max:
                raise QueueFull
            await self._store.admit(execution, [encode(0, admitted)])
            self._queued = True
            self._wake.set()
            return None
        leased = replace(execution, status="running", runner=self.runner, token=1, started_at=execution.created_at)
        active = self._launch(leased, version, plan, (admitted,), admission=leased)
        if durable and active.journal is not None:
            await active.journal.commit()
        return active

    async def cancel(self, project_id: str, execution_id: str, by: str) -> Execution | None:
        """Cancel an execution, wherever it is. Returns its row, unchanged where it had ended; None when unknown."""
        ended = encode(0, e.Finished(utc_now(), "cancelled"))
        execution = await self._store.request_cancel(project_id, execution_id, ended)
        active = self._active.get(execution_id)
        if execution is not None and execution.status not in TERMINAL and active is not None:
            self._deliver_cancel(active, by)
        return execution

    # --- from the queue ------------------------------------------------------------------------------------------

    async def _claim_forever(self) -> None:
        while not self._stopping:
            try:
                await self._claim()
            except BudflowError as error:
                log.warning("claim.failed", code=error.code, message=error.message)
            try:
                await asyncio.wait_for(self._wake.wait(), POLL_SECONDS)
            except TimeoutError:
                continue
            self._wake.clear()

    async def _claim(self) -> None:
        free = self._running_max - len(self._active)
        if free <= 0:
            return
        claims = await self._store.claim(self.runner, limit=free)
        self._queued = len(claims) == free
        for claim, execution in claims:
            await self._take_up(claim, execution)

    async def _take_up(self, claim: Claim, execution: Execution) -> None:
        rows = await self._store.read_events(execution.project_id, execution.id)
        try:
            events = tuple(decode(row) for row in rows)
            version, plan = await self._plans.get(execution.project_id, execution.workflow_id, execution.version)
        except BudflowError as error:
            # It can never run: end it with the reason rather than leave it in the queue for ever.
            journal = self._journal(execution, claim, len(rows), None)
            journal.append(e.Finished(utc_now(), "failed", Failure.of(error)))
            await journal.commit()
            return
        self._launch(execution, version, plan, events, claim=claim, next_seq=len(rows))

    async def _cancel_forever(self) -> None:
        """Find out what another server process was asked to cancel."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if not self._active:
                continue
            try:
                wanted = await self._store.cancelling(self.runner)
            except BudflowError as error:
                log.warning("cancelling.failed", code=error.code, message=error.message)
                continue
            for execution_id in wanted:
                active = self._active.get(execution_id)
                if active is not None and not active.execution.cancelling:
                    self._deliver_cancel(active, "somebody at another server")

    def _deliver_cancel(self, active: Active, by: str) -> None:
        active.execution = replace(active.execution, cancelling=True)
        if active.running is not None:
            active.running.deliver(e.CancelRequested(utc_now(), by))

    # --- running -------------------------------------------------------------------------------------------------

    def _launch(
        self,
        execution: Execution,
        version: VersionRecord,
        plan: Plan,
        events: tuple[e.Event, ...],
        *,
        claim: Claim | None = None,
        admission: Execution | None = None,
        next_seq: int = 0,
    ) -> Active:
        active = Active(execution, plan)
        self._active[execution.id] = active
        claim = claim or Claim(execution.id, self.runner, execution.token)
        active.journal = self._journal(execution, claim, next_seq, admission, active)
        if admission is not None:
            active.journal.append(*events)
        active.running = self._executor.start(Work(execution, version.document, plan, events), active.journal)
        self._spawn(self._see_through(active))
        return active

    def _journal(
        self,
        execution: Execution,
        claim: Claim,
        next_seq: int,
        admission: Execution | None,
        active: Active | None = None,
    ) -> Journal:
        def on_event(event: e.Event) -> None:
            if active is not None:
                active.observe(event)
                if isinstance(event, e.Responded) and not active.answered.done():
                    self._spawn(self._announce_answer(active))

        return Journal(
            self._store,
            claim,
            next_seq=next_seq,
            admission=admission,
            on_event=on_event,
            on_call=lambda call: self._spawn(self._call_child(execution.id, call)),
            on_cancel_call=lambda node, call: self._spawn(self._cancel_child(execution.id, node, call)),
        )

    async def _announce_answer(self, active: Active) -> None:
        if active.journal is not None:
            await active.journal.commit()
        if not active.answered.done():
            active.answered.set_result(None)

    async def _see_through(self, active: Active) -> None:
        """Wait for the end of one execution, make it durable, and tell everybody."""
        broken: Exception | None = None
        try:
            if active.running is not None and active.journal is not None:
                await active.running.wait()
                await active.journal.commit()
        except ClaimLost as error:
            log.warning("execution.claim_lost", execution=active.execution.id)
            broken = error
        except Exception as error:  # The boundary of the worker's loop: one execution must not end the others.
            log.exception("execution.broken", execution=active.execution.id)
            broken = error
        finally:
            del self._active[active.execution.id]
        for future in (active.answered, active.ended):
            if future.done():
                continue
            if broken is None:
                future.set_result(None)
            else:
                future.set_exception(broken)
                future.exception()  # Whoever waits gets it; nobody need wait.
        if self._queued:
            self._wake.set()

    # --- children ------------------------------------------------------------------------------------------------

    async def _call_child(self, parent_id: str, call: ChildCall) -> None:
        parent = self._active.get(parent_id)
        if parent is None or parent.running is None or parent.journal is None:
            return
        try:
            child = await self._start_child(parent, parent.journal, call)
        except BudflowError as error:
            failure = Failure.of(error, call.node)
            parent.running.deliver(e.ChildFinished(utc_now(), call.node, call.call, "failed", EMPTY, failure))
            return
        await asyncio.wait([child.ended])
        if child.ended.exception() is None and child.finished is not None:
            finished = child.finished
            items = child.result() if finished.status == "succeeded" else EMPTY
            failure_of_child = _from_child(child, finished, call.node)
            parent.running.deliver(
                e.ChildFinished(utc_now(), call.node, call.call, finished.status, items, failure_of_child)
            )

    async def _start_child(self, parent: Active, journal: Journal, call: ChildCall) -> Active:
        above = parent.execution
        depth = above.parent.depth + 1 if above.parent is not None else 1
        if depth > CALL_DEPTH_MAX:
            raise CallTooDeep
        if call.version is None:
            version, plan = await self._plans.get_published(above.project_id, call.workflow_id)
        else:
            version, plan = await self._plans.get(above.project_id, call.workflow_id, call.version)
        now = utc_now()
        execution = Execution(
            id=new_id("exe"),
            project_id=above.project_id,
            workflow_id=call.workflow_id,
            version=version.version,
            mode="child",
            status="running",
            created_at=now,
            started_at=now,
            priority=above.priority,
            parent=Parent(above.id, call.node, call.call, depth),
            runner=self.runner,
            token=1,
        )
        items = ItemList(call.items.items, [-1] * len(call.items))
        trigger = plan.trigger(None)
        admitted = e.Admitted(now, trigger.key, "child", f"execution:{above.id}", items, execution.parent)
        journal.add_child(
            (execution, (encode(0, admitted),)),
            e.ChildStarted(now, call.node, call.call, execution.id, call.workflow_id),
        )
        await journal.commit()
        parent.children[call.node, call.call] = execution.id
        child = self._launch(execution, version, plan, (admitted,), next_seq=1)
        if parent.execution.cancelling:
            self._deliver_cancel(child, f"execution:{above.id}")
        return child

    async def _cancel_child(self, parent_id: str, node: str, call: int) -> None:
        parent = self._active.get(parent_id)
        child_id = parent.children.get((node, call)) if parent is not None else None
        if parent is not None and child_id is not None:
            await self.cancel(parent.execution.project_id, child_id, f"execution:{parent_id}")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("supervisor.task_failed", exc_info=task.exception())


def _from_child(child: Active, finished: e.Finished, node: str) -> Failure | None:
    """The child's failure as the parent sees it: the same code, with the way down to where it happened."""
    if finished.status == "succeeded":
        return None
    failure = finished.failure or Failure("execution.cancelled", "The called execution was cancelled.")
    where = f" at `{failure.node}`" if failure.node else ""
    message = f"In `{child.plan.name}` ({child.execution.id}){where}: {failure.message}"
    return Failure(failure.code, message, failure.hint, node, failure.retriable)
