"""Heavy segments as Ray tasks: one task each, with the resources that the node asks for."""

import asyncio
import os
import pickle
import socket
import time
from collections.abc import Mapping
from itertools import count
from typing import Any

import ray
from ray.exceptions import RayError

from budflow.execution.hand_over import NO_HAND_OVER, Giving, TicketRefused
from budflow.execution.node_result import NodeResult, NodeRun
from budflow.execution.ports import HandOver, Work
from budflow.execution.segment import OpenTools, all_failed, late, limit_seconds, pack, unpack_result
from budflow.execution.segment_log import hear
from budflow.model.execution import Place
from budflow.model.failure import NodeError
from budflow.model.journal import EventUnwritable
from ray_jobs.tasks import NodeOutcome, execute_node_task

#: Above this Ray passes an argument by its object store; put there by hand it is stored just once.
INLINE_BYTES_MAX = 100 * 1024
RESOURCES_KEPT_SECONDS = 5.0
#: What a node's `resources` call what Ray's nodes call otherwise.
RAY_NAMES: Mapping[str, str] = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}


class ResourcesInfeasible(NodeError):
    """No node of the Ray cluster has the resources that this node asks for."""

    code = "ray.resources_infeasible"
    hint = "Ask for less in `resources`, or add a machine that has it to the cluster."


class SegmentLost(NodeError):
    """The Ray worker that ran the node died."""

    code = "ray.segment_lost"
    hint = "It may have run out of memory; ask for more in `resources`, or give the node less to do at a time."


class RaySegments:
    """Meets Heavy, inside a runner actor, which its tasks ask for their credentials: `hand_over` seals them."""

    hand_over: HandOver = NO_HAND_OVER

    def __init__(self, open_tools: OpenTools) -> None:
        self._opening = pickle.dumps(open_tools)
        self._giving: dict[int, Giving] = {}
        self._runs: dict[int, NodeRun] = {}
        self._numbers = count(1)
        self._nodes: list[Mapping[str, float]] = []
        self._looked_at = float("-inf")

    async def run(self, work: Work, run: NodeRun) -> tuple[NodeResult, Place]:
        """See Heavy. The node's time limit counts from here: waiting for resources is part of it."""
        wanted = run.node.node.resources
        ours, giving = Place("ray", socket.gethostname(), os.getpid()), Giving(run, self.hand_over)
        if not await self._feasible(wanted):
            return all_failed(run, ResourcesInfeasible(_message(wanted, self._nodes))), ours
        try:
            payload: Any = await asyncio.to_thread(pack, run, giving.ticket)
        except EventUnwritable as error:
            return all_failed(run, error), ours
        if len(payload) > INLINE_BYTES_MAX:
            payload = ray.put(payload)
        name = f"{work.plan.name}/{work.execution.id}/{run.node.key}"
        number, context = next(self._numbers), ray.get_runtime_context()
        runner = None if context.get_actor_id() is None else (context.current_actor, number)
        try:
            task = execute_node_task.options(name=name, **_options(wanted)).remote(payload, self._opening, runner)
        except ValueError as error:  # Such as 1.5 GPUs, which Ray does not divide.
            return all_failed(run, ResourcesInfeasible(str(error))), ours
        self._giving[number], self._runs[number] = giving, run
        try:
            return await _result(task, run, ours)
        finally:
            del self._giving[number], self._runs[number]
            giving.end()

    async def answer(self, number: int, question: bytes) -> bytes:
        """What the task of a segment asks for, which has this number. Raises TicketRefused."""
        giving = self._giving.get(number)
        if giving is None:
            raise TicketRefused
        return await giving.answer(question)

    def hear(self, number: int, told: bytes) -> None:
        """Take what the task of a segment logs meanwhile; the result of one that has ended has it all."""
        run = self._runs.get(number)
        if run is not None:
            hear(told, run)

    async def _feasible(self, wanted: Mapping[str, float]) -> bool:
        if self._fits(wanted) and time.monotonic() - self._looked_at < RESOURCES_KEPT_SECONDS:
            return True
        nodes = await asyncio.to_thread(ray.nodes)
        self._nodes = [node["Resources"] for node in nodes if node["Alive"]]
        self._looked_at = time.monotonic()
        return self._fits(wanted)

    def _fits(self, wanted: Mapping[str, float]) -> bool:
        needs = {RAY_NAMES.get(name, name): amount for name, amount in wanted.items()}
        return any(all(has.get(name, 0) >= amount for name, amount in needs.items()) for has in self._nodes)


async def _result(task: "ray.ObjectRef[NodeOutcome]", run: NodeRun, ours: Place) -> tuple[NodeResult, Place]:
    answered = False
    try:
        async with asyncio.timeout(limit_seconds(run)):
            outcome = await task
        answered = True
        return unpack_result(outcome.packed, run), outcome.place
    except TimeoutError:
        return late(run), ours
    except RayError as error:
        return all_failed(run, SegmentLost(f"{type(error).__name__} while it ran `{run.node.spec.name}`.")), ours
    finally:
        if not answered:
            ray.cancel(task, force=True)  # The only way to stop a computation; also frees a task that still waits.


def _options(wanted: Mapping[str, float]) -> dict[str, Any]:
    """A node's `resources` as Ray's options; one CPU where it says nothing of CPUs."""
    known = {name: wanted[name] for name in RAY_NAMES if name in wanted}
    custom = {name: amount for name, amount in wanted.items() if name not in RAY_NAMES}
    return {"num_cpus": 1, **known, "resources": custom} if custom else {"num_cpus": 1, **known}


def _message(wanted: Mapping[str, float], nodes: list[Mapping[str, float]]) -> str:
    asked = ", ".join(f"{name}={amount:g}" for name, amount in wanted.items())
    most = {name: max(node.get(ray_name, 0) for node in nodes) for name, ray_name in RAY_NAMES.items()} if nodes else {}
    return (
        f"No Ray node has {asked}; the most that one has is " + ", ".join(f"{k}={v:g}" for k, v in most.items()) + "."
    )
