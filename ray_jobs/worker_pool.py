"""The pool of `budflow worker --ray`: makes the runner actors that are wanted, provisions them, and replaces the dead.

Nothing is lost with the worker process: the actors are detached, and the next one finds them by their names.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

import ray
from ray.exceptions import RayError

from budflow.credentials.settings_hand_over import Given
from budflow.errors import BudflowError
from budflow.log import get_log
from budflow.model.identity import new_id
from ray_jobs.cluster import Joined
from ray_jobs.kept_runner import KeptRunner
from ray_jobs.placement import Placed, RayNode, Wanted, place
from ray_jobs.pool_status import PoolStatus

#: How often the nodes are looked at.
NODES_SECONDS = 1.0
#: Beyond draining, for which each actor has its own time.
LEAVE_SECONDS = 10.0

log = get_log(__name__)


class RayConnectionLost(BudflowError):
    """The Ray node of this machine is gone, by which this worker reached the cluster."""

    code = "ray.connection_lost"
    http_status = 503
    hint = "Start the node again, and this worker, as a supervisor of services does. The actors went on without it."


class WorkerPool:
    """All actors that one worker keeps. Several workers on one cluster that want the same keep the same actors."""

    def __init__(self, given: Given, wanted: Wanted, joined: Joined) -> None:
        """`given` is for the actors, `joined` how this process reached the cluster."""
        self._given, self._wanted, self._joined = given, wanted, joined
        self._keeper = new_id("keep")
        self._kept: dict[str, KeptRunner] = {}
        self._placed = Placed({})
        self._told: set[str] = set()

    def status(self) -> PoolStatus:
        """What every actor is doing, by name."""
        kept = [self._kept[name] for name in sorted(self._kept)]
        problems = [runner.problem for runner in kept if runner.problem is not None]
        runners = tuple(runner.to_json() for runner in kept)
        return PoolStatus(self._joined.address, runners, (*self._placed.problems, *problems))

    async def keep(self, stop: asyncio.Event, on_status: Callable[[PoolStatus], None]) -> None:
        """Keep the pool until `stop`; `on_status` is told every second. Raises RayConnectionLost."""
        while not stop.is_set():
            await self._look_at_nodes()
            status = self.status()
            self._tell(status)
            on_status(status)
            await _wait(stop, NODES_SECONDS)

    async def leave(self, drain_seconds: float) -> tuple[int, int]:
        """Drain every actor that no other worker keeps: how many ended, and how many others keep."""
        kept, self._kept = [*self._kept.values()], {}
        ended = await asyncio.gather(*(runner.leave(drain_seconds, LEAVE_SECONDS) for runner in kept))
        return sum(ended), len(ended) - sum(ended)

    async def let_go(self) -> None:
        """Look after the actors no more, and leave them running."""
        await asyncio.gather(*(runner.let_go() for runner in self._kept.values()))

    async def _look_at_nodes(self) -> None:
        try:
            nodes = await asyncio.to_thread(list_nodes)
        except (RayError, RuntimeError, OSError) as error:
            # The head is away. The actors go on without it, and so does looking after those that there are.
            log.warning("pool.nodes_unknown", error=f"{type(error).__name__}: {error}")
        else:
            self._arrange(nodes)

    def _arrange(self, nodes: list[RayNode]) -> None:
        """Begin to keep what is wanted now, and forget actors whose nodes are gone: they went with them."""
        if all(node.id != self._joined.node for node in nodes):
            raise RayConnectionLost
        self._placed = place(self._wanted, nodes)
        siblings = Counter(node.id for node in self._placed.nodes.values())
        for name, node in self._placed.nodes.items():
            if name not in self._kept:
                self._kept[name] = KeptRunner(
                    name, node, self._wanted, self._given, keeper=self._keeper, siblings=siblings[node.id]
                )
        for name in self._kept.keys() - self._placed.nodes.keys():
            log.warning("runner.node_gone", actor=name, node=str(self._kept[name].node))
            self._kept.pop(name).forget()

    def _tell(self, status: PoolStatus) -> None:
        """Log each problem when it comes up, and again when it comes up again."""
        for problem in status.problems:
            if problem.message not in self._told:
                log.warning("pool.problem", code=problem.code, message=problem.message, hint=problem.hint)
        self._told = {problem.message for problem in status.problems}


def list_nodes() -> list[RayNode]:
    """The living nodes; blocks a few milliseconds."""
    return [RayNode.of(shape) for shape in ray.nodes() if shape["Alive"]]  # type: ignore[no-untyped-call] # Ray gives it no types


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
