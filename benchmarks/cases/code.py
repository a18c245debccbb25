"""Code in the sandbox, from the server's side: a task goes through sandboxd to a worker and back, a fresh process each.

sandboxd is a process of its own, as beside a server. Cold is from no container to the first result. Through the
protocol alone go client, broker and a worker that answers at once, all three in one process. 10,000 items are against
the same code in plain Python, in this process.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from benchmarks.figure import Figure, milliseconds, typical
from budflow.model.item import Item
from budflow.model.log import NO_LOG
from budflow.model.sandbox import CodeTask, SandboxCapability
from budflow.sandbox.client import SandboxClient
from budflow.sandbox.daemon import Isolator, serving
from budflow.sandbox.daemon_settings import SOCKET_FILE, DaemonSettings
from budflow.sandbox.keeper import ExistingSandboxd, SandboxKeeper
from tests.docker_engine import DockerServer
from tests.sandbox.fake_workers import FakeRunner

TITLE = "Code in the sandbox"
TASKS = 60
COLD_STARTS = 5
MANY = 10_000
MANY_ROUNDS = 5
ONE = "return {'total': items[0]['n'] + 1}"
EACH = "return [{**item, 'total': item['price'] * item['count']} for item in items]"
WARM_MS, PROTOCOL_MS, MANY_MS, COLD_MS, PROCESS_MS = 15.0, 2.0, 150.0, 700.0, 60.0
PROJECT = "prj_bench"


async def measure() -> list[Figure]:
    """The protocol alone, containers of a Docker engine that is started for it, and processes without one."""
    figures = await _protocol()
    docker = await asyncio.to_thread(DockerServer.start)
    try:
        figures += await _containers(docker.url)
    finally:
        await asyncio.to_thread(docker.stop)
    return figures + await _processes()


async def _protocol() -> list[Figure]:
    with TemporaryDirectory(prefix="bf-") as folder:
        settings = DaemonSettings(directory=Path(folder), workers_warm=0, drain_seconds=0)

        async def isolate(_owner: str) -> Isolator:
            return Isolator(FakeRunner(), None)

        async with serving(settings, isolate, None):
            client = SandboxClient(ExistingSandboxd(f"unix:{Path(folder) / SOCKET_FILE}"))
            try:
                spent = await _spent(client.of(PROJECT), TASKS * 5)
            finally:
                await client.close()
    return [_figure("the protocol alone, one item", spent, PROTOCOL_MS)]


async def _containers(url: str) -> list[Figure]:
    async with _sandbox("docker", docker_url=url, workers_warm=1, workers_max=4) as client:
        sandbox = client.of(PROJECT)
        await _spent(sandbox, 3)  # Makes the base image, and the first container.
        warm = await _spent(sandbox, TASKS)
        plain, through = await _many(sandbox)
    cold = []
    for _ in range(COLD_STARTS):
        async with _sandbox("docker", docker_url=url, workers_warm=0) as client:
            await client.describe()  # sandboxd itself runs beside the server.
            cold += await _spent(client.of(PROJECT), 1)
    more = (typical(through) - typical(plain)) * 1000
    return [
        _figure("one item on a warm container", warm, WARM_MS),
        Figure(
            f"{MANY:,} items in one task, more than plain Python",
            f"{more:.0f} ms",
            f"≤ {MANY_MS:g} ms",
            more <= MANY_MS,
            f"{milliseconds(through)}, plain {milliseconds(plain)}",
        ),
        _figure("from no container to the first result", cold, COLD_MS),
    ]


async def _processes() -> list[Figure]:
    async with _sandbox("process", workers_warm=1, workers_max=4) as client:
        sandbox = client.of(PROJECT)
        await _spent(sandbox, 3)
        warm = await _spent(sandbox, TASKS)
    cold = []
    for _ in range(COLD_STARTS):
        async with _sandbox("process", workers_warm=0) as client:
            await client.describe()
            cold += await _spent(client.of(PROJECT), 1)
    return [
        _figure("one item on a warm worker without Docker", warm, PROCESS_MS),
        Figure("from no worker without Docker to the first result", milliseconds(cold)),
    ]


@asynccontextmanager
async def _sandbox(way: Literal["docker", "process"], **settings: Any) -> AsyncIterator[SandboxClient]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bf-")))
        given = DaemonSettings(directory=folder, sandbox=way, cpus=os.cpu_count() or 1, log_level="error", **settings)
        keeper = await stack.enter_async_context(SandboxKeeper(given))
        client = SandboxClient(keeper)
        stack.push_async_callback(client.close)
        yield client


async def _spent(sandbox: SandboxCapability, times: int) -> list[float]:
    """Seconds of each of so many tasks of one item, one after the other."""
    return [await _run(sandbox, _task(ONE, [{"n": number}])) for number in range(times)]


async def _many(sandbox: SandboxCapability) -> tuple[list[float], list[float]]:
    """Seconds of plain Python, and through the sandbox, by turns."""
    rows = [{"id": number, "name": f"Article {number}", "price": 9.5, "count": number % 7} for number in range(MANY)]
    plain, through = [], []
    for _ in range(MANY_ROUNDS):
        began = time.perf_counter()
        _in_plain_python(rows)
        plain.append(time.perf_counter() - began)
        through.append(await _run(sandbox, _task(EACH, rows)))
    return plain, through


def _in_plain_python(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**item, "total": item["price"] * item["count"]} for item in items]


async def _run(sandbox: SandboxCapability, task: CodeTask) -> float:
    began = time.perf_counter()
    count = 0
    async for part in sandbox.run(task, NO_LOG):
        count += len(part.items)
    if count != len(task.items):
        raise RuntimeError(f"{count} items came back of {len(task.items)}.")
    return time.perf_counter() - began


def _task(code: str, rows: list[dict[str, Any]]) -> CodeTask:
    items = [Item(row) for row in rows]
    return CodeTask("all", code, items, datetime(2026, 1, 31, tzinfo=UTC), "seed", "bench/bench/code")


def _figure(what: str, spent: list[float], goal: float) -> Figure:
    return Figure(what, milliseconds(spent), f"≤ {goal:g} ms", typical(spent) * 1000 <= goal)
