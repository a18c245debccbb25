"""The executor `ray`: hands leased executions to runner actors and journals what they report on the owner's side."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import orjson
import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError

from budflow.execution.node_result import failure_of
from budflow.execution.ports import ExecutionBroken, HandOver, Link, Running, Work
from budflow.execution.records import Rest
from budflow.model.event import Event
from budflow.model.failure import Failure
from budflow.model.journal_row import EventUnreadable
from ray_jobs.advancing import Advancing
from ray_jobs.cluster import JOIN_SECONDS, Cluster, Joined, RayStartFailed
from ray_jobs.nodes import NodeWatch
from ray_jobs.pool import READY_SECONDS_MAX, Pool, Runner, RunnerLost
from ray_jobs.rounds import INLINE_BYTES_MAX
from ray_jobs.runner import OpenRunner, RunUnknown
from ray_jobs.segment_policy import NO_POLICY, SegmentPolicy
from ray_jobs.wire import CredentialAsk, Report, ask_info, pack_events, pack_work, unpack_report

BEGIN_TRIES = 3
DOCUMENTS_MAX = 1_000


class RunBroken(ExecutionBroken):
    """The engine failed in the runner actor."""

    code = "ray.run_broken"
    http_status = 500
    hint = (
        "This is a fault of the server, not of the workflow; the actor's log under Ray's directory has the traceback."
    )


class RayExecutor:
    """Meets Executor. Everything but `open` runs on the event loop of the owner."""

    name = "ray"

    def __init__(self, cluster: Cluster, joined: Joined, pool: Pool, hand_over: HandOver) -> None:
        self.cluster, self.joined, self.pool, self._hand_over = cluster, joined, pool, hand_over
        self._nodes = NodeWatch()
        self._running: dict[str, RunningOnRay] = {}
        self._documents: OrderedDict[tuple[str, str, int], Any] = OrderedDict()

    @staticmethod
    def open(
        cluster: Cluster,
        size: int,
        runner: str,
        http_allow: tuple[str, ...],
        open_runner: OpenRunner,
        hand_over: HandOver,
        policy: SegmentPolicy = NO_POLICY,
    ) -> "RayExecutor":
        """Start the cluster and `size` runner actors on it; blocks. Raises RayStartFailed, with nothing left behind."""
        joined = cluster.start(None if cluster.local else JOIN_SECONDS)
        try:
            pool = Pool.open(size, runner, http_allow, open_runner, local=cluster.local, policy=policy)
        except GetTimeoutError as error:
            cluster.stop()
            message = f"The {size} runner actors did not start within {READY_SECONDS_MAX:g} s."
            hint = "Executions run in process meanwhile. A node with a free CPU is needed, with this BudFlow installed."
            raise RayStartFailed(message, hint=hint) from error
        except RayError as error:
            cluster.stop()
            raise RayStartFailed(f"The runner actors did not start: {error}") from error
        executor = RayExecutor(cluster, joined, pool, hand_over)
        executor._nodes.look()
        return executor

    @property
    def dashboard_url(self) -> str | None:
        """Where people can look at Ray; None without a dashboard."""
        return self.joined.dashboard

    def start(self, work: Work, link: Link) -> Running:
        """See Executor. A child runs on another actor than its parent, where there is one."""
        running = RunningOnRay(self.pool, work, self._document(work), link, self._hand_over)
        self._running[work.execution.id] = running
        running.task.add_done_callback(lambda _: self._running.pop(work.execution.id, None))
        return running

    def status(self) -> Mapping[str, Any]:
        """See Executor."""
        return {
            "name": self.name,
            "address": self.joined.address,
            "dashboard": self.joined.dashboard,
            "resources": dict(self.joined.resources),
            "runners": [runner.to_json() for runner in self.pool.runners],
            "nodes": self._nodes.latest(),
        }

    async def close(self) -> None:
        """See Executor."""
        await self.let_go()
        await self._nodes.close()
        await asyncio.to_thread(self._stop)

    async def let_go(self) -> None:
        """Stop whatever still runs, but not Ray: it stays unfinished in the store."""
        tasks = [running.task for running in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.pool.close()

    def _stop(self) -> None:
        if not self.cluster.local:
            self.pool.kill()
        self.cluster.stop()

    def _document(self, work: Work) -> Any:
        """The workflow as JSON, or a reference to it in Ray's object store where it is large: put there once."""
        key = (work.execution.project_id, work.execution.workflow_id, work.execution.version)
        document = self._documents.get(key)
        if document is None:
            document = orjson.dumps(work.document)
            if len(document) > INLINE_BYTES_MAX:
                document = ray.put(document)
            self._documents[key] = document
            if len(self._documents) > DOCUMENTS_MAX:
                self._documents.popitem(last=False)
        self._documents.move_to_end(key)
        return document


class RunningOnRay(Advancing):
    """One execution on a runner actor. Its task polls the actor, and writes; others hand events and credentials in.

    `wait` raises RunnerLost, RunBroken, EventUnreadable, and ClaimLost from the journal.
    """

    def __init__(self, pool: Pool, work: Work, document: Any, link: Link, hand_over: HandOver) -> None:
        self._pool, self._work, self._document, self._link = pool, work, document, link
        self._hand_over = hand_over
        self._id = work.execution.id
        self._runner: Runner | None = None
        self._rest: Rest | None = None
        self._inbound: asyncio.Queue[Event] = asyncio.Queue()
        self._handing: set[asyncio.Task[None]] = set()
        super().__init__(self._advance())

    def deliver(self, event: Event) -> None:
        """See Running."""
        self._inbound.put_nowait(event)

    async def _advance(self) -> None:
        delivering: asyncio.Task[None] | None = None
        done = False
        try:
            runner, report = await self._begin()
            delivering = asyncio.get_running_loop().create_task(self._deliver(runner))
            while True:
                durable = await self._take(runner, report)
                if report.done:
                    done = True
                    return
                report = await self._call(runner, "resume", self._id, durable)
        finally:
            if delivering is not None:
                delivering.cancel()
            for handing in self._handing:
                handing.cancel()
            if self._runner is not None:
                self._runner.executions.discard(self._id)
                if not done:
                    self._runner.actor.drop.remote(self._id)

    async def _begin(self) -> tuple[Runner, Report]:
        """Hand the work over. An actor that died meanwhile has reported nothing, so another may begin it anew."""
        parent = self._work.execution.parent
        work = pack_work(self._work)
        for left in reversed(range(BEGIN_TRIES)):
            runner = self._runner = self._pool.pick(apart_from=parent.execution_id if parent else None)
            runner.executions.add(self._id)
            await self._pool.ready(runner)
            try:
                return runner, await self._call(runner, "begin", work, self._document)
            except RunnerLost:
                runner.executions.discard(self._id)
                if not left:
                    raise
        raise RunnerLost

    async def _take(self, runner: Runner, report: Report) -> bool:
        """Journal what the run did, and do what it asks for; whether everything so far is durable now."""
        if report.snapshot is None:
            self._link.append(*report.events)
        else:
            count, saved = report.snapshot
            self._link.append(*report.events[:count])
            self._link.snapshot(lambda: saved)
            self._link.append(*report.events[count:])
        for call in report.calls:
            self._link.call(call)
        for node, number, rounds in report.cancelled_calls:
            self._link.cancel_call(node, number, rounds)
        for ask in report.asks:
            self._link.reserve(ask)
        for credential_ask in report.credential_asks:
            handing = asyncio.get_running_loop().create_task(self._hand_credential_over(runner, credential_ask))
            self._handing.add(handing)
            handing.add_done_callback(self._handing.discard)
        if report.rest != self._rest:
            self._rest = report.rest
            self._link.idle(report.rest)
        if report.broken is not None:
            raise EventUnreadable(report.broken) if report.unreadable else RunBroken(report.broken)
        if report.commit:
            await self._link.commit()
        elif report.flush:
            self._link.flush()
        return report.commit

    async def _deliver(self, runner: Runner) -> None:
        """Hand events in, in order; what came while one call was under way goes with the next."""
        while True:
            events = [await self._inbound.get()]
            while not self._inbound.empty():
                events.append(self._inbound.get_nowait())
            try:
                await runner.actor.deliver.options(name=self._name("deliver")).remote(self._id, pack_events(events))
            except RayError:
                return  # The poll beside it meets the same, and says so.

    async def _hand_credential_over(self, runner: Runner, ask: CredentialAsk) -> None:
        """Open what a node of the run is to have, and hand it in: sealed, or why it may not have it."""
        sealed: bytes | Failure
        try:
            credential = await self._link.open_credential(ask.node, ask.slot)
            sealed = self._hand_over.seal(credential, ask.public_key, ask_info(self._id, ask.number))
        except Exception as error:  # noqa: BLE001 - the boundary of a node's call, which waits for it over there
            sealed = failure_of(self._work.plan.nodes[self._work.plan.index[ask.node]], error)
        try:
            await runner.actor.hand_over.options(name=self._name("hand_over")).remote(self._id, ask.number, sealed)
        except RayError:
            return  # The poll beside it meets the same, and says so.

    async def _call(self, runner: Runner, method: str, *args: Any) -> Report:
        call = getattr(runner.actor, method).options(name=self._name(method))
        try:
            return unpack_report(await call.remote(*args))
        except RunUnknown as error:
            raise RunnerLost(f"{runner.name} was restarted while it advanced {self._id}.") from error
        except RayTaskError as error:
            raise RunBroken(str(error.cause)) from error
        except RayActorError as error:
            self._pool.lost(runner)
            raise RunnerLost(f"{runner.name} (process {runner.place.pid}) died.") from error
        except RayError as error:
            raise RunnerLost(f"{runner.name}: {error}") from error

    def _name(self, segment: str) -> str:
        return f"{self._work.plan.name}/{self._id}/{segment}"
