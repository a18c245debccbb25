"""Where the server's time goes while webhook → `data.set` → `http.respond` runs with 10 connections, by layer.

A sampling profile of the whole process, threads that write to the database included; waiting does not count. What a
library does counts for the layer that called it.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.cases.webhook import SCRIPT, publish
from benchmarks.cases.webhook_rates import WARM_SECONDS, document
from benchmarks.engine import databases
from benchmarks.figure import Figure
from benchmarks.sampling import LAYERS, CannotLook, layers_of
from benchmarks.wrk import wrk
from budflow.cli.demo.server_process import server_process

TITLE = "Where the time of a webhook goes"
SECONDS = 6


async def measure() -> list[Figure]:
    """Both databases."""
    shares: dict[str, Mapping[str, float]] = {}
    try:
        async with databases() as urls:
            for name, url in urls.items():
                shares[name] = await _on(url)
    except CannotLook as reason:
        return [Figure("not measured", str(reason).splitlines()[-1])]
    first = next(iter(shares.values()))
    return [
        Figure(layer, ", ".join(f"{name} {found.get(layer, 0):.0%}" for name, found in shares.items()))
        for layer in sorted(LAYERS, key=lambda layer: -first.get(layer, 0))
    ]


async def _on(url: str | None) -> Mapping[str, float]:
    with TemporaryDirectory(prefix="budflow-bench-") as folder:
        variables = {} if url is None else {"BUDFLOW_DATABASE_URL": url}
        async with server_process(Path(folder) / "data", variables) as server:
            await publish(server, document("every", {}))
            hook = f"{server.address}/webhook/every"
            await wrk(hook, SCRIPT, seconds=WARM_SECONDS)
            load = asyncio.create_task(wrk(hook, SCRIPT, seconds=SECONDS + 1))
            try:
                return await layers_of(server.pid, SECONDS)
            finally:
                await load
