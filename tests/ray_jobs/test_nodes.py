"""The nodes of Ray as `budflow status` shows them: of a local Ray, and while it cannot say."""

import asyncio

import pytest

from ray_jobs import nodes
from ray_jobs.executor import RayExecutor
from ray_jobs.nodes import NodeWatch
from tests.ray_session import ZONE
from tests.until import until

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray")]


async def test_an_executor_tells_of_its_nodes_and_what_is_free_on_them(ray_executor: RayExecutor) -> None:
    await until(lambda: bool(ray_executor.status()["nodes"]))

    [node] = ray_executor.status()["nodes"]
    assert node["alive"] is True
    assert node["resources"]["CPU"] == 2
    assert 0 <= node["available"]["CPU"] <= 2
    assert not [name for name in node["resources"] if name.startswith("node:")]
    assert node["labels"] == {"ray.io/availability-zone": ZONE}


async def test_what_was_seen_stays_while_ray_cannot_say(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = NodeWatch()
    seen = [{"id": "a"}]
    monkeypatch.setattr(nodes, "_read", lambda: seen)
    watch.look()

    def away() -> list[dict[str, object]]:
        raise OSError("The head is away.")

    monkeypatch.setattr(nodes, "_read", away)
    monkeypatch.setattr(nodes, "KEPT_SECONDS", 0)

    assert watch.latest() == seen
    await watch.close()
    assert watch.latest() == seen


async def test_ray_is_asked_once_at_a_time_and_not_any_more_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = NodeWatch()
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    times = 0

    def read() -> list[dict[str, object]]:
        nonlocal times
        times += 1
        loop.call_soon_threadsafe(asked.set)
        return []

    monkeypatch.setattr(nodes, "_read", read)
    watch.latest()
    watch.latest()
    await asked.wait()
    await watch.close()
    monkeypatch.setattr(nodes, "KEPT_SECONDS", 0)
    watch.latest()

    assert times == 1
