"""A segment's task until it begins: what it waits for stands in the node's log, and it does not wait for ever."""

import asyncio
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from budflow.execution.node_result import NodeResult, NodeRun, NodeTimedOut
from budflow.execution.segment import all_failed, late
from budflow.model.identity import utc_now
from budflow.model.log import Level
from ray_jobs.demand import Demand, ResourcesInfeasible
from ray_jobs.living_nodes import LivingNodes

if TYPE_CHECKING:
    import ray

LOOK_SECONDS = 1.0
#: A task that has not begun after so long, although a node has what it asks for, says so.
WAIT_SECONDS = 3.0
#: The node that had what it asks for may be back by then, or be seen again by a head that was restarted.
BACK_SECONDS = 10.0
#: Of the rounds of one node, which may wait in hundreds, one says so in this time.
SILENT_SECONDS = 60.0
TOLD_MAX = 1_000


class Told:
    """What the segments of a runner said lately, and which runtime environments tasks have begun in."""

    def __init__(self) -> None:
        self._at: OrderedDict[tuple[str, ...], float] = OrderedDict()
        self.ready: set[str] = set()

    def lately(self, *what: str) -> bool:
        """Whether the same was said within the last minute; from now on it was."""
        now = time.monotonic()
        if now - self._at.get(what, float("-inf")) < SILENT_SECONDS:
            return True
        self._at[what] = now
        self._at.move_to_end(what)
        if len(self._at) > TOLD_MAX:
            self._at.popitem(last=False)
        return False


class Pending:
    """The task of one run. It is `told_of` where somebody will say that it `began`."""

    def __init__(
        self,
        execution_id: str,
        run: NodeRun,
        demand: Demand,
        nodes: LivingNodes,
        told: Told,
        *,
        scale_up_seconds: float,
        runtime_env: str | None,
        told_of: bool = True,
    ) -> None:
        self._execution_id, self._run, self._demand = execution_id, run, demand
        self._nodes, self._told = nodes, told
        self._patience_seconds, self.runtime_env = scale_up_seconds or BACK_SECONDS, runtime_env
        self._told_of, self._begun = told_of, False
        self._since, self._at = time.monotonic(), utc_now()
        self._nowhere_since: float | None = None
        self._said = False

    def began(self) -> None:
        """The task runs."""
        if self._begun:
            return
        self._begun = True
        if self.runtime_env is not None:
            self._told.ready.add(self.runtime_env)
        if self._said:
            begun = "Begins" if self.runtime_env is None else f"Begins in the runtime environment `{self.runtime_env}`"
            self._say("info", f"{begun}, after {time.monotonic() - self._since:.1f} s.")

    async def result(self, task: "ray.ObjectRef[bytes]") -> bytes:
        """What the task gives. Raises ResourcesInfeasible, and a RayError for what becomes of the task."""
        answer = asyncio.ensure_future(task)
        try:
            while not (await asyncio.wait({answer}, timeout=None if self._begun else LOOK_SECONDS))[0]:
                if not self._begun:
                    await self._look()
            outcome: bytes = answer.result()
            self.began()  # What a short task said may come later than what it gives.
            return outcome
        finally:
            answer.cancel()

    def late(self) -> NodeResult:
        """The result of a run whose time is up."""
        if self._begun or not self._told_of:
            return late(self._run)
        seconds = time.monotonic() - self._since
        error = NodeTimedOut(
            f"It waited on Ray for {self._demand} for {seconds:.0f} s, and did not begin within its `timeout_seconds`.",
            hint="Wait for what uses the cluster, add a machine to it, ask for less in `resources`, or give it longer.",
        )
        return all_failed(self._run, error)

    async def _look(self) -> None:
        """Say what it waits for. Raises ResourcesInfeasible when no node has it and none is waited for any more."""
        seen = await self._nodes.look()
        if seen is None or self._begun:
            return
        having = [node for node in seen.nodes if self._demand.met_by(node)]
        if not having:
            self._wait_for_node(self._demand.nowhere(seen.nodes))
            return
        self._nowhere_since = None
        if not self._told_of:
            return
        full = not any(self._demand.fits(seen.free.get(node.id, {})) for node in having)
        # While it is built, the task has its resources already.
        if self.runtime_env is not None and not (full and self.runtime_env in self._told.ready):
            self._say_once("environment", f"Preparing the runtime environment `{self.runtime_env}`…")
        elif full and time.monotonic() - self._since >= WAIT_SECONDS:
            self._say_once("full", self._demand.taken(having, seen.free))

    def _wait_for_node(self, nowhere: str) -> None:
        now = time.monotonic()
        if self._nowhere_since is None:
            self._nowhere_since = now
        if now - self._nowhere_since >= self._patience_seconds:
            raise ResourcesInfeasible(nowhere)
        self._say_once("nowhere", f"{nowhere} Waits {self._patience_seconds:g} s for one to join the cluster.")

    def _say_once(self, what: str, message: str) -> None:
        if not self._told.lately(self._execution_id, self._run.node.key, what):
            self._say("warning" if what != "environment" else "info", message)

    def _say(self, level: Level, message: str) -> None:
        self._said = True
        demand = self._demand
        fields = {"since": self._at.isoformat(), "resources": dict(demand.amounts), "labels": dict(demand.labels)}
        self._run.log.add(level, message, fields, None)
