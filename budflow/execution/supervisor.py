"""The owner of a server's executions: admits, claims, hands to the executor, starts children, cancels."""

import asyncio
from collections import deque
from collections.abc import Coroutine, Mapping, Set
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from budflow.errors import BudflowError
from budflow.execution.active import Active
from budflow.execution.children import Children
from budflow.execution.held import Held
from budflow.execution.journal import Journal, JournalClosed
from budflow.execution.plans import PlanCache
from budflow.execution.ports import ExecutionBroken, ExecutionStore, Executor, Running, Work
from budflow.graph.plan import Plan
from budflow.log import get_log
from budflow.model import event as e
from budflow.model.execution import Claim, ClaimLost, Execution, QueueFull
from budflow.model.failure import Failure
from budflow.model.identity import utc_now
from budflow.model.journal import decode, encode
from budflow.model.workflow import VersionRecord

POLL_SECONDS = 1.0

log = get_log(__name__)


class _NotStarted:
    """Meets Running: what the executor could not even begin."""

    def __init__(self, fault: Exception) -> None:
        self._fault = fault

    def deliver(self, event: e.Event) -> None:
        """See Running."""

    async def wait(self) -> None:
        """See Running."""
        raise self._fault


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
        self._held: dict[str, Held] = {}
        self._claimed: deque[tuple[Claim, Execution]] = deque()  # Leased to this runner, and not yet taken up.
        self._children = Children(plans, runner, self._launch_child, self._spawn)
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
        loop = asyncio.get_running_loop()
        end = loop.time() + drain_seconds
        while self._held and (left := end - loop.time()) > 0:
            await asyncio.wait([held.ended for held in self._held.values()], timeout=left)
        await _end(self._tasks)  # First whatever may begin more.
        await asyncio.sleep(0)  # A task that is cancelled before its first turn could not let its run go.
        await _end({held.task for held in self._held.values() if held.task is not None})
        await self._executor.close()

    def use(self, executor: Executor) -> Executor:
        """Start executions with `executor` from now on; returns the one used so far, which finishes what it has."""
        before, self._executor = self._executor, executor
        return before

    def active(self, execution_id: str) -> Active | None:
        """The execution, while this process has it."""
        return self._held.get(execution_id)

    def status(self) -> Mapping[str, Any]:
        """Figures for `budflow status`."""
        return {
            "runner": self.runner,
            "running": len(self._held),
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
        if self._queued or len(self._held) >= self._running_max:
            if await self._store.count_queued() >= self._queued_max:
                raise QueueFull
            await self._store.admit(execution, [encode(0, admitted)])
            self._queued = True
            self._wake.set()
            return None
        leased = replace(execution, status="running", runner=self.runner, token=1, started_at=execution.created_at)
        held = self._launch(leased, version, plan, (admitted,), admission=leased)
        if durable:
            await held.commit()
        return held

    async def cancel(self, project_id: str, execution_id: str, by: str) -> Execution | None:
        """Cancel an execution, wherever it is. Returns its row, unchanged where it had ended; None when unknown."""
        ended = encode(0, e.Finished(utc_now(), "cancelled"))
        execution = await self._store.request_cancel(project_id, execution_id, ended)
        held = self._held.get(execution_id)
        if held is not None and held.execution.project_id == project_id:
            self._deliver_cancel(held, by)
            return execution or held.execution  # It may not be stored yet.
        return execution

    # --- from the queue ------------------------------------------------------------------------------------------

    async def _claim_forever(self) -> None:
        while not self._stopping:
            try:
                await self._claim()
            except Exception as error:  # noqa: BLE001 - the worker's loop: whatever it was, the next turn tries again
                log.warning("claim.failed", error=f"{type(error).__name__}: {error}")
            try:
                await asyncio.wait_for(self._wake.wait(), POLL_SECONDS)
            except TimeoutError:
                continue
            self._wake.clear()

    async def _claim(self) -> None:
        free = self._running_max - len(self._held) - len(self._claimed)
        if free > 0:
            self._queued = False  # Whoever is queued from now on says so, also while the store is being asked.
            claims: list[tuple[Claim, Execution]] | None = None
            try:
                claims = await self._store.claim(self.runner, limit=free)
            finally:
                self._queued = self._queued or claims is None or len(claims) == free
            self._claimed.extend(claims)
        for _ in range(len(self._claimed)):
            # One that cannot be taken up now stays claimed, and gets its next turn behind the others.
            claim, execution = self._claimed.popleft()
            try:
                await self._take_up(claim, execution)
            except ClaimLost:
                continue  # Somebody else has it.
            except Exception as error:  # noqa: BLE001 - the worker's loop: the others go on
                log.warning("claim.not_taken_up", execution=execution.id, error=f"{type(error).__name__}: {error}")
                self._claimed.append((claim, execution))

    async def _take_up(self, claim: Claim, execution: Execution) -> None:
        rows = await self._store.read_events(execution.project_id, execution.id)
        try:
            events = tuple(decode(row) for row in rows)
            version, plan = await self._plans.get(execution.project_id, execution.workflow_id, execution.version)
        except BudflowError as error:
            if error.http_status == HTTPStatus.SERVICE_UNAVAILABLE:
                raise  # That may pass; try again.
            # It can never run: end it with the reason rather than leave it in the queue for ever.
            journal = Journal(self._store, claim, next_seq=len(rows))
            journal.append(e.Finished(utc_now(), "failed", Failure.of(error)))
            await journal.commit()
            return
        self._launch(execution, version, plan, events, claim=claim, next_seq=len(rows))

    async def _cancel_forever(self) -> None:
        """Find out what another server process was asked to cancel."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if not self._held:
                continue
            try:
                wanted = await self._store.cancelling(self.runner)
            except Exception as error:  # noqa: BLE001 - the worker's loop: whatever it was, the next turn tries again
                log.warning("cancelling.failed", error=f"{type(error).__name__}: {error}")
                continue
            for execution_id in wanted:
                held = self._held.get(execution_id)
                if held is not None and not held.execution.cancelling:
                    self._deliver_cancel(held, "somebody at another server")

    def _deliver_cancel(self, held: Held, by: str) -> None:
        held.execution = replace(held.execution, cancelling=True)
        held.deliver(e.CancelRequested(utc_now(), by))

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
    ) -> Held:
        held = Held(execution, plan, self._children, self._spawn)
        held.journal = Journal(
            self._store,
            claim or Claim(execution.id, self.runner, execution.token),
            next_seq=next_seq,
            admission=admission,
            on_break=held.stop_waiting,
        )
        if admission is not None:
            held.append(*events)
        work = Work(execution, version.document, plan, events)
        try:
            held.running = self._executor.start(work, held)
        except Exception as error:  # noqa: BLE001 - the worker's loop: one execution must not end the others
            held.running = _NotStarted(error)
        self._held[execution.id] = held
        held.task = asyncio.get_running_loop().create_task(self._see_through(held, held.running))
        if execution.cancelling:
            held.deliver(e.CancelRequested(utc_now(), "before it was taken up"))
        return held

    def _launch_child(self, execution: Execution, version: VersionRecord, plan: Plan, admitted: e.Admitted) -> Held:
        return self._launch(execution, version, plan, (admitted,), next_seq=1)

    async def _see_through(self, held: Held, running: Running) -> None:
        """Wait for the end of one execution, make it durable, and tell everybody."""
        broken: BudflowError | None = JournalClosed()
        try:
            await running.wait()
            await held.journal.finish()
            broken = None
        except asyncio.CancelledError:
            if held.journal.broken is None:
                raise  # The server stops, or its loop does.
            broken = await self._end_broken(held, held.journal.broken)
        except Exception as error:  # noqa: BLE001 - the worker's loop: one execution must not end the others
            broken = await self._end_broken(held, error)
        finally:
            held.journal.close()
            del self._held[held.execution.id]
            held.settle(broken)
            if self._queued:
                self._wake.set()

    async def _end_broken(self, held: Held, error: Exception) -> BudflowError | None:
        """What waiters are told of an execution that broke. A fault that would only happen again ends it here."""
        if isinstance(error, BudflowError) and not isinstance(error, ExecutionBroken):
            log.warning("execution.let_go", execution=held.execution.id, error=str(error))
            return error
        log.error("execution.broken", execution=held.execution.id, exc_info=error)
        reason = error if isinstance(error, ExecutionBroken) else ExecutionBroken(f"{type(error).__name__}: {error}")
        if held.journal.broken is not None:
            return reason
        try:
            held.append(e.Finished(utc_now(), "failed", Failure.of(reason)))
            await held.journal.finish()
        except Exception as second:  # noqa: BLE001 - the worker's loop: it stays unfinished in the store
            log.warning("execution.let_go", execution=held.execution.id, error=str(second))
            return reason
        return None

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("supervisor.task_failed", exc_info=task.exception())


async def _end(tasks: Set[asyncio.Task[None]]) -> None:
    ending = [*tasks]
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
