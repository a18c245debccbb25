"""The nodes of the cluster for `budflow status`: asked of Ray in a thread, and kept for some seconds."""

import asyncio
import time
from typing import Any

import ray
from ray._private.state import available_resources_per_node
from ray.exceptions import RayError

from budflow.log import get_log
from budflow.model.label import NODE_ID

#: Ray's own figures are about as old as this.
KEPT_SECONDS = 3.0
#: Resources of which every node has one of its own name: they say where, not how much.
OWN_PREFIX = "node:"

log = get_log(__name__)


class NodeWatch:
    """What Ray says of its nodes, the dead ones too."""

    def __init__(self) -> None:
        self._seen: list[dict[str, Any]] = []
        self._asked_at = float("-inf")
        self._asking: asyncio.Future[None] | None = None
        self._closed = False

    def latest(self) -> list[dict[str, Any]]:
        """What was seen last; where that is old Ray is asked again, for whoever looks next. Never waits."""
        busy = self._closed or (self._asking is not None and not self._asking.done())
        if not busy and time.monotonic() - self._asked_at >= KEPT_SECONDS:
            self._asking = asyncio.get_running_loop().run_in_executor(None, self.look)
        return self._seen

    async def close(self) -> None:
        """Ask no more. To be awaited before Ray is left: one who asks then starts a Ray anew."""
        self._closed = True
        if self._asking is not None:
            await self._asking

    def look(self) -> None:
        """Ask Ray; blocks for some milliseconds, and longer where its head is away."""
        self._asked_at = time.monotonic()
        try:
            self._seen = _read()
        except (RayError, RuntimeError, OSError) as error:
            log.warning("ray.nodes_unknown", error=f"{type(error).__name__}: {error}")


def _read() -> list[dict[str, Any]]:
    available = available_resources_per_node()  # type: ignore[no-untyped-call] # Ray gives it no types
    shapes = ray.nodes()  # type: ignore[no-untyped-call] # Ray gives it no types
    nodes = [
        {
            "id": shape["NodeID"],
            "host": shape["NodeManagerHostname"],
            "alive": shape["Alive"],
            "resources": _amounts(shape.get("Resources") or {}),
            "available": _amounts(available.get(shape["NodeID"], {})),
            "labels": _labels(shape.get("Labels") or {}),
        }
        for shape in shapes
    ]
    return sorted(nodes, key=lambda node: (not node["alive"], node["host"], node["id"]))


def _amounts(resources: dict[str, float]) -> dict[str, float]:
    return {name: amount for name, amount in sorted(resources.items()) if not name.startswith(OWN_PREFIX)}


def _labels(labels: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in sorted(labels.items()) if name != NODE_ID}
