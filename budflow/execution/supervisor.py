"""The owner of a server's executions: admits them, and hands in what comes from outside for those under way."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Set
from dataclasses import replace
from typing import Any

from budflow.execution.active import Active
from budflow.execution.figures import EngineFigures
from budflow.execution.hearing import Hearing
from budflow.execution.holding import Holding
from budflow.execution.intake import Intake
from budflow.execution.plans import PlanCache
from budflow.execution.ports import NOTHING_AROUND, CredentialSource, ExecutionStore, Executor
from budflow.execution.queue_room import QueueRoom
from budflow.execution.records import AdmissionKey, JournalWrite
from budflow.execution.signal import signal_of
from budflow.execution.spread import Spread
from budflow.execution.uses import uses_at_door
from budflow.execution.wakes import Wakes
from budflow.execution.watched import Watched
from budflow.graph.plan import Plan
from budflow.log import get_log
from budflow.model import event as e
from budflow.model.execution import Claim, Execution, QueueFull, RunnerKind
from budflow.model.identity import utc_now
from budflow.model.journal import encode
from budflow.model.workflow import VersionRecord

#: How often a server that stops looks whether what is left only waits.
DRAIN_LOOK_SECONDS = 0.1

log = get_log(__name__)


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
        lease_seconds: float = 10.0,
        credentials: CredentialSource,
        wakes: Wakes,
        resume_url: Callable[[Execution], str | None] = lambda _: None,
        surroundings: Mapping[str, Mapping[str, Any]] = NOTHING_AROUND,
        kind: RunnerKind = "main",
        details: Mapping[str, Any] | None = None,
        claims: bool = True,
    ) -> None:
        """`kind` and `details` say to people what the runner is; see ExecutionStore.open_lease. `surroundings` is what
        expressions may read of the server: see Work.

        Without `claims` it takes nothing from the queue, and of what is submitted only what a caller waits for.
        """
        self._store, self.runner, self._queue_room = store, runner, QueueRoom(store, queued_max)
        self.figures, self.surroundings = EngineFigures(), surroundings
        self._tasks: set[asyncio.Task[None]] = set()
        self._claims, self._wakes = claims, wakes
        self.watched = Watched(wakes, lambda execution_id: execution_id in self.holding.held)
        self.holding = Holding(
            store,
            plans,
            executor,
            runner=runner,
            resume_url=resume_url,
            surroundings=surroundings,
            cancel=self.cancel,
            spawn=self._spawn,
            credentials=credentials,
            freed=lambda urgent: self.intake.freed(urgent),
            look=lambda: self.intake.offer(),
            figures=self.figures,
            wakes=wakes,
            watched=self.watched,
            spread=Spread(lambda: self.intake.runners, lambda: self.intake.room, wakes),
        )
        self.intake = Intake(
            store,
            plans,
            self.holding,
            runner=runner,
            running_max=running_max,
            lease_seconds=lease_seconds,
            wakes=wakes,
            kind=kind,
            details=details,
            claims=claims,
        )
        self._hearing = Hearing(wakes, self.intake, self.holding, runner=runner)

    async def start(self) -> None:
        """Become known as a living runner, take over from dead ones, and begin to claim what is due."""
        await self.intake.open()
        self._hearing.begin()
        self.watched.begin()
        intake = self.intake
        for work in (intake.beat_forever, intake.claim_forever, intake.listen_forever, intake.sweep_forever):
            self._spawn(work())

    async def stop(self, drain_seconds: float = 10.0) -> None:
        """Claim no more, let what runs end for a while, then let go; what is left is given back."""
        held = self.holding.held
        self.holding.stopping = True
        self.intake.look()
        loop = asyncio.get_running_loop()
        end = loop.time() + drain_seconds
        while (busy := [one for one in held.values() if one.rest is None]) and (left := end - loop.time()) > 0:
            await asyncio.wait([one.ended for one in busy], timeout=min(left, DRAIN_LOOK_SECONDS))
        await _end(self._tasks)  # First whatever may begin more.
        await asyncio.sleep(0)  # A task that is cancelled before its first turn could not let its run go.
        await _end({one.task for one in held.values() if one.task is not None})
        await self.holding.executor.close()
        self._hearing.end()
        await self.intake.close()
        self.watched.end()

    def use(self, executor: Executor) -> Executor:
        """Start executions with `executor` from now on; returns the one used so far, which finishes what it has."""
        before, self.holding.executor = self.holding.executor, executor
        return before

    def active(self, execution_id: str) -> Active | None:
        """The execution, while this process has it."""
        return self.holding.held.get(execution_id)

    def drop(self, execution_id: str, token: int) -> bool:
        """Let go what is held by an older claim than `token`, which another runner has; whether it was.

        Nothing is lost where that is not so: what is still leased to this runner it takes up again.
        """
        held = self.holding.held.get(execution_id)
        if held is None or held.execution.token >= token:
            return False
        held.give_up()
        return True

    async def store(self, execution_id: str) -> None:
        """Have all that happened to an execution so far durable, where this process has it. Raises what broke it."""
        held = self.holding.held.get(execution_id)
        if held is not None:
            await held.commit()

    def status(self) -> Mapping[str, Any]:
        """Figures for `budflow status`."""
        return {
            "runner": self.runner,
            "running": len(self.holding.held),
            "running_max": self.intake.running_max,
            "executor": dict(self.holding.executor.status()),
        }

    async def submit(
        self,
        execution: Execution,
        admitted: e.Admitted,
        version: VersionRecord,
        plan: Plan,
        *,
        durable: bool = True,
        trigger_key: AdmissionKey | None = None,
        reused: tuple[e.Event, ...] = (),
    ) -> Active | None:
        """Take a new execution on: at once where there is room, else into the queue (then None is returned).

        With `durable` it is stored when this returns. Without, it is stored before its first effect and before its
        answer, whichever comes first: the caller must acknowledge nothing until `answered` is set. `reused` are events
        of the execution that it repeats.
        Raises QueueFull, LimitReached and what ExecutionStore.admit does for the key, with nothing stored.
        """
        if self.holding.stopping:
            raise QueueFull("The server is shutting down.")
        events = (admitted, *reused)
        full = self.intake.queued or len(self.holding.held) >= self.intake.running_max
        if full or execution.limit is not None or (durable and not self._claims):
            await self._queue_room.take()
            stored = [encode(seq, event) for seq, event in enumerate(events)]
            await self._store.admit(execution, stored, trigger_key, uses_at_door(execution, plan, admitted))
            self.intake.look()
            if full or not self._claims:  # Else it only waits for its limit, and can be taken up here as well.
                self._wakes.tell("queue", "" if execution.limit is not None else execution.id)
                await asyncio.sleep(0)  # It goes out before whatever the caller does next.
            self.intake.listen()  # It may have displaced one that is here,
            if execution.limit is not None and execution.limit.policy == "cancel_oldest":
                self._wakes.tell("signals")  # or elsewhere.
            return None
        leased = replace(execution, status="running", runner=self.runner, token=1, started_at=execution.created_at)
        if trigger_key is not None:
            # First of all it must be clear that this request is not the second one of its kind.
            rows = tuple(encode(seq, event) for seq, event in enumerate(events))
            claim = Claim(leased.id, self.runner, leased.token)
            with self.holding.stored(leased.id):
                uses = uses_at_door(execution, plan, admitted)
                await self._store.append(JournalWrite(claim, rows, leased, trigger_key=trigger_key, uses=uses))
                return await self.holding.launch(leased, version, plan, events, claim=claim, next_seq=len(rows))
        held = await self.holding.launch(leased, version, plan, events, admission=leased)
        if durable:
            await held.commit()
        return held

    async def cancel(self, project_id: str, execution_id: str, by: str) -> Execution | None:
        """Cancel an execution, wherever it is. Returns its row, unchanged where it had ended; None when unknown."""
        ended = encode(0, e.Finished(utc_now(), "cancelled"))
        execution = await self._store.request_cancel(project_id, execution_id, ended)
        held = self.holding.held.get(execution_id)
        if held is not None and held.execution.project_id == project_id:
            self.holding.deliver_cancel(held, by)
            return execution or held.execution  # It may not be stored yet.
        self._wakes.tell("signals", execution_id)
        self.watched.changed(execution_id, ended=True)
        self.intake.offer()
        return execution

    async def signal(self, project_id: str, execution_id: str, event: e.Paused | e.Continued) -> Execution | None:
        """Hand an event in from outside, wherever the execution is. None when unknown; raises ExecutionEnded."""
        execution = await self._store.send_signal(project_id, signal_of(execution_id, event))
        self.holding.deliver(execution_id, event)
        return execution

    async def answer(self, project_id: str, execution_id: str, event: e.WaitEnded) -> None:
        """Answer a wait, wherever the execution is; durable when this returns. Raises WaitClosed."""
        await self._store.answer_wait(project_id, signal_of(execution_id, event))
        self.holding.deliver(execution_id, event)

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
