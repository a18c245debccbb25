"""The runner actor: a long-lived process on Ray that advances the executions handed to it with the engine itself.

It owns nothing. The owner begins a run by a call and polls for what it did; every call returns a batch of events. An
outside effect happens only after the owner has answered that its start is durable, so a run whose owner is gone, or
who gave its work to another, does no harm.
"""

import asyncio
import hashlib
import os
import socket
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
import ray

from budflow.execution.heavy import Heavy
from budflow.execution.run import Run
from budflow.execution.segment import Opened
from budflow.graph.plan import Plan, compile_plan
from budflow.graph.validate import check
from budflow.log import configure, get_log
from budflow.model.execution import Execution, Place
from budflow.model.failure import Failure
from budflow.model.item import BlobRef
from budflow.model.journal_row import EventUnreadable
from ray_jobs.outbox import Outbox
from ray_jobs.segment_policy import NO_POLICY, SegmentPolicy
from ray_jobs.segments import RaySegments
from ray_jobs.wire import unpack_events, unpack_work

#: A poll is answered after so long even if there is nothing to say.
POLL_SECONDS = 10.0
#: A run that nobody polls for so long has lost its owner.
ABANDONED_SECONDS = 120.0
PLANS_MAX = 1_000

#: The composition of a runner: hosts that workflows may reach, the place it is, where its heavy segments run.
OpenRunner = Callable[[tuple[str, ...], Place | None, Heavy | None], Opened]

log = get_log(__name__)


class RunUnknown(Exception):
    """This actor does not hold the run: it was restarted, or gave the run up."""


@dataclass(slots=True)
class _Held:
    """A run, what it reports by, and when to give it up."""

    run: Run
    outbox: Outbox
    over: asyncio.Task[None]
    token: int
    abandoned: asyncio.TimerHandle | None = None


class RunnerActor:
    """One process of the pool. All its runs share one event loop, which these methods run on too."""

    def __init__(
        self,
        name: str,
        runner: str,
        http_allow: tuple[str, ...],
        open_runner: OpenRunner,
        policy: SegmentPolicy = NO_POLICY,
    ) -> None:
        configure("info")  # On stderr, which Ray keeps in a file for each worker.
        self._runner = runner
        self._place = Place("ray", socket.gethostname(), os.getpid(), name, ray.get_runtime_context().get_node_id())
        self._segments = RaySegments(partial(open_runner, http_allow, None, None), policy)
        opened = open_runner(http_allow, self._place, self._segments)
        self._segments.hand_over = opened.tools.hand_over
        self._registry, self._tools = opened.registry, policy.with_sandbox(opened.tools)
        self._plans: OrderedDict[tuple[str, str, int, bytes], Plan] = OrderedDict()
        self._held: dict[str, _Held] = {}

    async def place(self) -> Place:
        """Where this is; answers as soon as the actor is ready."""
        return self._place

    async def begin(self, packed: bytes, document: bytes) -> bytes:
        """Advance an execution from its events so far, as `pack_work` has them; a Report of what it did first.

        `document` is the stored workflow as JSON. Beginning a run anew drops the one before.
        """
        work = unpack_work(packed, lambda execution: self._plan(execution, document))
        execution = work.execution
        self._drop(execution.id)
        outbox = Outbox(execution.id, self._tools.hand_over)
        run = Run(work, outbox, self._tools, self._runner)
        run.start()
        over = asyncio.get_running_loop().create_task(run.wait())
        over.add_done_callback(lambda _: outbox.end())
        self._held[execution.id] = _Held(run, outbox, over, execution.token)
        return await self._report(execution.id)

    async def resume(self, execution_id: str, durable: bool) -> bytes:
        """A Report of what the run did since the last one; `durable` answers a report that asked for a commit."""
        held = self._held.get(execution_id)
        if held is None:
            raise RunUnknown(execution_id)
        if durable:
            held.outbox.durable()
        return await self._report(execution_id)

    async def deliver(self, execution_id: str, events: bytes) -> None:
        """Hand in what came from outside; ignored where the run has ended meanwhile."""
        held = self._held.get(execution_id)
        if held is not None:
            for event in unpack_events(events):
                held.run.deliver(event)

    async def hand_over(self, execution_id: str, number: int, sealed: bytes | Failure) -> None:
        """Answer a CredentialAsk of a report: what is sealed for its key, or why nothing is. Ignored a second time."""
        held = self._held.get(execution_id)
        if held is not None:
            held.outbox.hand_over(number, sealed)

    async def hand_over_to_segment(self, number: int, question: bytes) -> bytes:
        """Sealed credentials for the task of a heavy segment, which asks. Raises TicketRefused."""
        return await self._segments.answer(number, question)

    async def find_blob_for_segment(self, number: int, ref: BlobRef, anew: bool) -> list[Any]:
        """Ray's reference to the content of a blob, for the task of a heavy segment, in a list, so that Ray passes the
        reference itself. Raises as RaySegments.find_blob.
        """
        return [await self._segments.find_blob(number, ref, anew=anew)]

    async def take_blob_of_segment(self, number: int, contents: list[Any], ref: BlobRef) -> BlobRef:
        """Make durable what such a task wrote: a list of one reference. Raises as RaySegments.take_blob."""
        return await self._segments.take_blob(number, contents[0], ref)

    async def hear_segment(self, number: int, told: bytes) -> None:
        """What the task of a heavy segment logs while it runs."""
        self._segments.hear(number, told)

    async def drop(self, execution_id: str, token: int | None = None) -> bool:
        """Stop a run and forget it, with a `token` only one of an older claim than that; whether there was one."""
        held = self._held.get(execution_id)
        return held is not None and (token is None or held.token < token) and self._drop(execution_id)

    def holds(self, execution_id: str) -> bool:
        """Whether a run of this execution is here."""
        return execution_id in self._held

    async def _report(self, execution_id: str) -> bytes:
        held = self._held[execution_id]
        if held.abandoned is not None:
            held.abandoned.cancel()
        await held.outbox.wait(POLL_SECONDS)
        if not held.over.done():
            loop = asyncio.get_running_loop()
            held.abandoned = loop.call_later(ABANDONED_SECONDS, self._drop, execution_id)
            return held.outbox.take()
        self._held.pop(execution_id, None)
        error = _error(held.over)
        if isinstance(error, EventUnreadable):
            return held.outbox.take(done=True, broken=error.message, unreadable=True)
        return held.outbox.take(done=True, broken=_broken(held.over))

    def _drop(self, execution_id: str) -> bool:
        held = self._held.pop(execution_id, None)
        if held is None:
            return False
        if held.abandoned is not None:
            held.abandoned.cancel()
        held.over.cancel()
        return True

    def _plan(self, execution: Execution, document: bytes) -> Plan:
        # Of a partial run the document is only a part of the version's.
        key = (execution.project_id, execution.workflow_id, execution.version, hashlib.sha256(document).digest())
        plan = self._plans.get(key)
        if plan is None:
            workflow = check(orjson.loads(document), self._registry).require("run")
            plan = compile_plan(workflow, self._registry, workflow_id=execution.workflow_id, version=execution.version)
            self._plans[key] = plan
            if len(self._plans) > PLANS_MAX:
                self._plans.popitem(last=False)
        self._plans.move_to_end(key)
        return plan


def _error(over: asyncio.Task[None]) -> BaseException | None:
    return None if over.cancelled() else over.exception()


def _broken(over: asyncio.Task[None]) -> str | None:
    """What ended a run where it was not its last event."""
    if over.cancelled():
        return "The run was stopped."
    error = over.exception()
    if error is None:
        return None
    log.error("run.broken", exc_info=error)
    return f"{type(error).__name__}: {error}"
