"""The living nodes of the cluster and what is free on them: asked of Ray in a thread, by all segments of a runner."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ray
from ray._private.state import available_resources_per_node
from ray.exceptions import RayError

from budflow.log import get_log
from ray_jobs.demand import Demand, ResourcesInfeasible
from ray_jobs.placement import RayNode

#: What was seen is good for so long where it is enough for what somebody asks for.
KEPT_SECONDS = 5.0
#: And where it is not, for so long: many segments may be waiting at the same time.
FRESH_SECONDS = 0.5


log = get_log(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """The nodes at one moment, and what is free on them, by their ids."""

    nodes: Sequence[RayNode]
    free: Mapping[str, Mapping[str, float]]


class LivingNodes:
    """Looks for those who wait at the same time once, and keeps what it saw for a moment."""

    def __init__(self) -> None:
        self._seen = Seen((), {})
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()

    @property
    def latest(self) -> Sequence[RayNode]:
        """The nodes when somebody last looked."""
        return self._seen.nodes

    async def require(self, demand: Demand) -> None:
        """Raises ResourcesInfeasible where no node has what is asked for, be it in use or not."""
        if time.monotonic() - self._looked_at < KEPT_SECONDS and any(map(demand.met_by, self._seen.nodes)):
            return
        seen = await self.look()
        if seen is not None and not any(map(demand.met_by, seen.nodes)):
            raise ResourcesInfeasible(demand.nowhere(seen.nodes))

    async def look(self) -> Seen | None:
        """What there is; None while Ray cannot say, as while its head is away."""
        async with self._looking:
            if time.monotonic() - self._looked_at >= FRESH_SECONDS:
                try:
                    self._seen = await asyncio.to_thread(_read)
                except (RayError, RuntimeError, OSError) as error:
                    log.warning("ray.nodes_unknown", error=f"{type(error).__name__}: {error}")
                    return None
                self._looked_at = time.monotonic()
            return self._seen


def _read() -> Seen:
    shapes = ray.nodes()  # type: ignore[no-untyped-call] # Ray gives it no types
    free = available_resources_per_node()  # type: ignore[no-untyped-call] # Ray gives it no types
    return Seen([RayNode.of(shape) for shape in shapes if shape["Alive"]], free)
