"""Heavy segments as Ray tasks: one task each, with the resources that the node asks for."""

import asyncio
import os
import secrets
import socket
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any

import ray
from ray.exceptions import RayError, RuntimeEnvSetupError

from budflow.execution.hand_over import NO_HAND_OVER, Giving, TicketRefused
from budflow.execution.node_result import NodeResult, NodeRun
from budflow.execution.ports import HandOver, Work
from budflow.execution.segment import OpenTools, all_failed, limit_seconds, pack, unpack_result
from budflow.execution.segment_log import hear
from budflow.model.blobs import BlobsClosed
from budflow.model.execution import Place
from budflow.model.failure import NodeError
from budflow.model.item import BlobRef
from budflow.model.journal import EventUnwritable
from budflow.model.spilled import Spilled
from ray_jobs.beginnings import Beginnings
from ray_jobs.blobs import BlobObjects
from ray_jobs.demand import Demand, ResourcesInfeasible
from ray_jobs.living_nodes import LivingNodes
from ray_jobs.pending import Pending, Told
from ray_jobs.rounds import INLINE_BYTES_MAX, RayRounds
from ray_jobs.runtime_envs import build_failure
from ray_jobs.segment_policy import NO_POLICY, RuntimeEnvUntrusted, SegmentPolicy
from ray_jobs.taken_over import TakenOver
from ray_jobs.tasks import BEGUN, NodeOutcome, execute_node_task, packed_runner

#: As many items are made into bytes on the event loop, as the journal does with what a node gives.
PACKED_HERE_MAX = 10


class SegmentLost(NodeError):
    """The Ray worker that ran the node died."""

    code = "ray.segment_lost"
    hint = "It may have run out of memory; ask for more in `resources`, or give the node less to do at a time."


@dataclass(frozen=True, slots=True)
class _Out:
    """A run whose task is under way, and what that may ask for."""

    run: NodeRun
    giving: Giving
    project_id: str
    pending: Pending


class RaySegments(RayRounds):
    """Meets Heavy, inside a runner actor, which its tasks ask for their credentials: `hand_over` seals them.

    They ask it for their blobs too, which it reads and writes: `objects` are those that Ray has by now.
    """

    hand_over: HandOver = NO_HAND_OVER

    def __init__(self, open_tools: OpenTools, policy: SegmentPolicy = NO_POLICY) -> None:
        self._policy = policy
        super().__init__(open_tools, LivingNodes())
        self._out: dict[int, _Out] = {}
        self.objects = BlobObjects()
        # Not from 1: an actor that was restarted must not take the task of the one before it for one of its own.
        self._numbers = count(secrets.randbits(48))
        self._taken_over = TakenOver()
        self._told = Told()
        self._beginnings: Beginnings | None = None

    async def run(self, work: Work, run: NodeRun) -> tuple[NodeResult, Place]:
        """See Heavy. The node's time limit counts from here: waiting for resources is part of it."""
        demand, policy = Demand.of(run.node.node), self._policy
        ours, giving = Place("ray", socket.gethostname(), os.getpid()), Giving(run, self.hand_over)
        try:
            runtime_env = policy.runtime_env_of(run.node.spec)
            if not policy.scale_up_seconds:
                await self._nodes.require(demand)
            payload: Any = await _packed(run, giving.ticket, work.execution.project_id)
        except (EventUnwritable, ResourcesInfeasible, RuntimeEnvUntrusted) as error:
            return all_failed(run, error), ours
        if len(payload) > INLINE_BYTES_MAX:
            payload = ray.put(payload)
        self._taken_over.begin(work.execution)
        name = f"{work.plan.name}/{work.execution.id}/{run.node.key}"
        number, runner = next(self._numbers), self._runner
        try:
            options = {**demand.options(), **policy.options(runtime_env)}
            task = execute_node_task.options(name=name, **options).remote(payload, self._opening, runner, number)
        except ValueError as error:  # Such as 1.5 GPUs, which Ray does not divide.
            return all_failed(run, ResourcesInfeasible(str(error))), ours
        pending = Pending(
            work.execution.id,
            run,
            demand,
            self._nodes,
            self._told,
            scale_up_seconds=policy.scale_up_seconds,
            runtime_env=runtime_env,
            told_of=runner is not None,
        )
        self._out[number] = _Out(run, giving, work.execution.project_id, pending)
        try:
            return await _result(task, pending, run, ours)
        finally:
            del self._out[number]
            giving.end()

    async def answer(self, number: int, question: bytes) -> bytes:
        """What the task of a segment asks for, which has this number. Raises TicketRefused."""
        out = self._out.get(number)
        if out is None:
            raise TicketRefused
        return await out.giving.answer(question)

    async def find_blob(self, number: int, ref: BlobRef, *, anew: bool) -> Any:
        """Ray's reference to the content of a blob, for the task of the segment with this number.

        Raises BlobsClosed for one that has ended, and what BlobObjects raises.
        """
        out = self._asking(number)
        return await self.objects.find(out.run.blobs, out.project_id, ref, anew=anew)

    async def take_blob(self, number: int, content: Any, ref: BlobRef) -> BlobRef:
        """Make durable what that task has put into the object store. Raises as `find_blob` does."""
        out = self._asking(number)
        return await self.objects.take(out.run.blobs, out.project_id, content, ref)

    def hear(self, number: int, told: bytes) -> None:
        """Take what the task of a segment logs meanwhile; the result of one that has ended has it all."""
        if told == BEGUN:
            self._began(number)
        elif (out := self._out.get(number)) is not None:
            hear(told, out.run)

    @cached_property
    def _runner(self) -> bytes | None:
        """How tasks reach this actor, once for all of them; None in a process that is no actor."""
        context = ray.get_runtime_context()
        if context.get_actor_id() is None:
            return None
        self._beginnings = Beginnings(self._began)
        return packed_runner(context.current_actor, self._beginnings.name)

    def _began(self, number: int) -> None:
        out = self._out.get(number)
        if out is not None:
            out.pending.began()

    def _asking(self, number: int) -> _Out:
        out = self._out.get(number)
        if out is None:
            raise BlobsClosed("The node has ended, as far as its runner knows.")
        return out


async def _packed(run: NodeRun, ticket: str, project_id: str) -> bytes:
    """The run as bytes, made in a thread where that may take long; the way there and back costs more than few items."""
    few = len(run.items) <= PACKED_HERE_MAX and not isinstance(run.items, Spilled) and not run.node.params.node_keys
    if few:
        return pack(run, ticket, project_id=project_id)
    return await asyncio.to_thread(pack, run, ticket, project_id=project_id)


async def _result(
    task: "ray.ObjectRef[bytes]", pending: Pending, run: NodeRun, ours: Place
) -> tuple[NodeResult, Place]:
    answered = False
    try:
        async with asyncio.timeout(limit_seconds(run)):
            outcome = NodeOutcome.of_bytes(await pending.result(task))
        answered = True
        return unpack_result(outcome.packed, run), outcome.place
    except TimeoutError:
        return pending.late(), ours
    except ResourcesInfeasible as error:
        return all_failed(run, error), ours
    except RuntimeEnvSetupError as error:
        return all_failed(run, build_failure(pending.runtime_env or "of the cluster", error)), ours
    except RayError as error:
        return all_failed(run, SegmentLost(f"{type(error).__name__} while it ran `{run.node.spec.name}`.")), ours
    finally:
        if not answered:
            ray.cancel(task, force=True)  # The only way to stop a computation; also frees a task that still waits.
