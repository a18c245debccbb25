"""webhook → `data.set` → answer, every execution durably saved (SQLite, full sync) before it is answered.

The peer is a bare FastAPI endpoint that parses JSON and returns it, measured in the same run by turns. The open loop
sends at a fixed rate whatever the answers do, so its latencies hold the waiting that a closed loop hides.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import httpx2

from benchmarks.bare import bare_server
from benchmarks.figure import Figure, percentile
from benchmarks.wrk import Load, wrk
from budflow.cli.demo.server_process import ServerProcess, server_process

TITLE = "Webhooks"
ROUNDS = 7
SECONDS = 4
OPEN_RATE = 300
OPEN_SECONDS = 15
BODY = {"name": "Ada", "total": 120}
SCRIPT = f"""
wrk.method = "POST"
wrk.body = '{json.dumps(BODY)}'
wrk.headers["Content-Type"] = "application/json"
"""
DOCUMENT = {
    "format": 1,
    "name": "Bench",
    "nodes": {
        "hook": {"type": "trigger.webhook", "params": {"path": "bench", "respond": "last_node"}},
        "set": {
            "type": "data.set",
            "params": {"keep": False, "values": {"hello": "{{ $json.body.name }}", "x": 1}},
        },
    },
    "edges": [{"from": "hook", "to": "set"}],
}


async def measure() -> list[Figure]:
    """Bare and BudFlow by turns, then the open loop, then a check that nothing was lost."""
    with TemporaryDirectory(prefix="budflow-bench-") as folder:
        async with bare_server() as bare, server_process(Path(folder) / "data", {}) as server:
            await publish(server, DOCUMENT)
            hook = f"{server.address}/webhook/bench"
            await wrk(hook, SCRIPT, seconds=2)
            pairs: list[tuple[Load, Load]] = []
            for _ in range(ROUNDS):
                pairs.append((await wrk(bare, SCRIPT, seconds=SECONDS), await wrk(hook, SCRIPT, seconds=SECONDS)))
            latencies = await open_loop(hook, OPEN_RATE, OPEN_SECONDS)
            unfinished = await count(server, "running") + await count(server, "queued")
    ratio = median(ours.per_second / peer.per_second for peer, ours in pairs)
    spread = median(ours.p99 / ours.p50 for _, ours in pairs)
    ours = [one for _, one in pairs]
    errors = sum(one.errors for one in ours)
    p50_all, p99_all = median(one.p50 for one in ours), median(one.p99 for one in ours)
    p99 = percentile(latencies, 0.99)
    return [
        Figure("bare FastAPI, 10 connections", f"{median(peer.per_second for peer, _ in pairs):.0f}/s"),
        Figure(
            "durable executions, 10 connections",
            f"{median(one.per_second for one in ours):.0f}/s = {ratio:.0%} of bare",
            "≥ 15 %",
            ratio >= 0.15 and errors == 0,
            f"{errors} errors, {sum(peer.errors for peer, _ in pairs)} of the peer",
        ),
        Figure(
            "p99 against p50",
            f"{spread:.1f} times ({p50_all * 1e3:.1f} ms, {p99_all * 1e3:.1f} ms)",
            "≤ 10 times",
            spread <= 10,
        ),
        Figure(
            f"open loop at {OPEN_RATE}/s: p50, p99",
            f"{percentile(latencies, 0.5) * 1e3:.1f} ms, {p99 * 1e3:.1f} ms",
            "p99 ≤ 50 ms",
            p99 <= 0.05,
        ),
        Figure("executions left unfinished", str(unfinished), "0", unfinished == 0),
    ]


async def publish(server: ServerProcess, document: Mapping[str, Any]) -> None:
    """Create and publish a workflow."""
    async with httpx2.AsyncClient(base_url=server.address, headers=server.headers) as http:
        created = (await http.post("/api/v1/workflows", json={"document": document})).raise_for_status().json()
        (await http.post(f"/api/v1/workflows/{created['workflow']['id']}/publish", json={})).raise_for_status()


async def count(server: ServerProcess, status: str) -> int:
    """How many executions have this status, 200 at most."""
    listed = await server.get(f"/api/v1/executions?status={status}&limit=200")
    return len(listed["executions"])


async def open_loop(url: str, rate: int, seconds: int) -> list[float]:
    """Send at a fixed rate over a pool of connections; seconds from when each was due to when it was answered."""
    parts = urlsplit(url)
    body = json.dumps(BODY).encode()
    request = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    latencies: list[float] = []

    async def send(due: float) -> None:
        connection = idle.pop() if idle else await asyncio.open_connection(parts.hostname, parts.port)
        reader, writer = connection
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        [length] = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        await reader.readexactly(length)
        latencies.append(time.perf_counter() - due)
        idle.append(connection)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(rate * seconds):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(send(due))
    for _, writer in idle:
        writer.close()
    return latencies
