"""The executor of `budflow run --ray`: an execution is one Ray task, and only the command that started it knows it."""

import asyncio
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import ray
from ray.exceptions import RayError, RayTaskError

from budflow.execution.ports import ExecutionBroken, Link, RunLetGo, Running, Work
from budflow.execution.tools import no_sandbox
from budflow.model import event as e
from budflow.model.identity import utc_now
from budflow.runner import Runner, open_runner
from ray_jobs.advancing import Advancing
from ray_jobs.cluster import Cluster, Joined
from ray_jobs.segment_policy import NO_POLICY, SegmentPolicy
from ray_jobs.segments import RaySegments
from ray_jobs.serverless import Outcome
from ray_jobs.tasks import execute_workflow_task, retry_failed_execution_task
from ray_jobs.wire import pack_work, unpack_events

#: How long a task has to end by itself when it is cancelled; then its process is killed.
CANCEL_SECONDS = 1.0


class TaskLost(ExecutionBroken):
    """The Ray worker that ran the execution died, or its node."""

    code = "ray.task_lost"
    http_status = 500
    hint = "It may have run out of memory. What it did so far is unknown; `--retries` begins it anew."


class TaskBroken(ExecutionBroken):
    """The engine failed in the Ray task."""

    code = "ray.task_broken"
    http_status = 500
    hint = "Every node of the cluster needs the same BudFlow as this machine; logs under Ray's directory say more."


def open_in_task(
    http_allow: tuple[str, ...], file_roots: tuple[Path, ...], policy: SegmentPolicy = NO_POLICY
) -> Runner:
    """What such a task opens. Heavy nodes are tasks of their own, with the resources that they ask for."""
    segments = RaySegments(partial(open_runner, http_allow, file_roots=file_roots), policy)
    sandbox_of = no_sandbox if policy.sandbox is None else policy.sandbox.of
    return open_runner(http_allow, None, segments, file_roots=file_roots, sandbox_of=sandbox_of)


class TaskExecutor:
    """Meets Executor."""

    name = "ray"

    def __init__(self, cluster: Cluster, joined: Joined, opening: bytes) -> None:
        """`opening` is a pickled OpenTools, for Ray's processes."""
        self._cluster, self._joined, self._opening = cluster, joined, opening
        self._running: set[RunningTask] = set()

    def start(self, work: Work, link: Link) -> Running:
        """See Executor."""
        running = RunningTask(work, link, self._opening)
        self._running.add(running)
        running.task.add_done_callback(lambda _: self._running.discard(running))
        return running

    def status(self) -> Mapping[str, Any]:
        """See Executor."""
        return {"name": self.name, "address": self._joined.address, "tasks": len(self._running)}

    async def close(self) -> None:
        """See Executor."""
        running = [one.task for one in self._running]
        for task in running:
            if not task.cancelling():  # A second time would keep it from seeing to its end over there.
                task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await asyncio.to_thread(self._cluster.stop)


class RunningTask(Advancing):
    """One execution as a task. What it did is told when it has ended. `wait` raises TaskLost and TaskBroken."""

    def __init__(self, work: Work, link: Link, opening: bytes) -> None:
        retries = work.execution.origin is not None and work.execution.origin.kind == "retry"
        task = retry_failed_execution_task if retries else execute_workflow_task
        # Without a CPU it would always run on this machine: any node of the cluster may take it.
        named = task.options(name=f"{work.plan.name}/{work.execution.id}", scheduling_strategy="SPREAD")
        self._ref = named.remote(orjson.dumps(work.document), pack_work(work), opening)
        self._work, self._link = work, link
        self._wish: e.CancelRequested | None = None
        super().__init__(self._advance())

    def deliver(self, event: e.Event) -> None:
        """See Running. While it runs it hears nothing: one that is to be cancelled is ended as a whole."""
        if isinstance(event, e.CancelRequested):
            self._wish = event
            self.task.cancel()

    async def _advance(self) -> None:
        try:
            outcome = await self._outcome()
        except asyncio.CancelledError:
            await self._cancel()
            if self._wish is None:
                raise
            self._link.append(self._wish, e.Finished(utc_now(), "cancelled"))
            return
        self._link.append(*unpack_events(outcome.journal)[len(self._work.events) :])
        if outcome.rest is not None:
            self._link.idle(outcome.rest)
            raise RunLetGo

    async def _outcome(self) -> Outcome:
        try:
            outcome: Outcome = await self._ref
        except RayTaskError as error:
            raise TaskBroken(f"{type(error.cause).__name__}: {error.cause}") from error
        except RayError as error:
            raise TaskLost(f"{type(error).__name__} while it ran.") from error
        return outcome

    async def _cancel(self) -> None:
        """End the task where it runs, and its heavy segments: it is asked, and killed where it does not listen."""
        ray.cancel(self._ref)
        ended, _ = await asyncio.to_thread(ray.wait, [self._ref], timeout=CANCEL_SECONDS, fetch_local=False)
        if not ended:
            ray.cancel(self._ref, force=True)
