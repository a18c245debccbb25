"""Chunks of rounds that compute for long as Ray tasks: one task each, with one CPU, on whatever node has it free."""

import pickle
from typing import Any

import ray
from ray.exceptions import RayError

from budflow.execution.ports import Work
from budflow.execution.segment import OpenTools
from budflow.model.failure import NodeError
from ray_jobs.demand import DEFAULT, Demand
from ray_jobs.living_nodes import LivingNodes
from ray_jobs.tasks import NodeOutcome, execute_node_task

#: Above this Ray passes an argument by its object store; put there by hand it is stored just once.
INLINE_BYTES_MAX = 100 * 1024
#: About what a worker of Ray takes until it has imported everything.
START_SECONDS = 0.5

ONE_CPU = Demand(DEFAULT, {})


class RoundsLost(NodeError):
    """The Ray worker that ran rounds of a body died."""

    code = "ray.rounds_lost"
    hint = "They are run again by the runner itself; nothing is to be done."


class RayRounds:
    """Meets the part of Heavy that is about rounds."""

    def __init__(self, open_tools: OpenTools, nodes: LivingNodes) -> None:
        self._opening, self._nodes = pickle.dumps(open_tools), nodes
        self._warm = False

    async def run_rounds(self, work: Work, chunk: bytes) -> bytes:
        """See Heavy. Raises RoundsLost, and ResourcesInfeasible where no node of the cluster has a CPU."""
        await self._nodes.require(ONE_CPU)
        payload: Any = ray.put(chunk) if len(chunk) > INLINE_BYTES_MAX else chunk
        name = f"{work.plan.name}/{work.execution.id}/rounds"
        task = execute_node_task.options(name=name, **ONE_CPU.options()).remote(payload, self._opening, None, 0)
        answered = False
        try:
            outcome = NodeOutcome.of_bytes(await task)
            answered = self._warm = True
        except RayError as error:
            raise RoundsLost(f"{type(error).__name__} while it ran rounds of a body.") from error
        finally:
            if not answered:
                ray.cancel(task, force=True)  # The only way to stop a computation.
        return outcome.packed

    @property
    def width(self) -> int:
        """See Heavy: the CPUs of the cluster."""
        return max(1, sum(int(node.resources.get("CPU", 0)) for node in self._nodes.latest))

    @property
    def start_seconds(self) -> float:
        """See Heavy."""
        return 0.0 if self._warm else START_SECONDS
