"""A thousand executions at once, each of which waits one second for the answer to an HTTP request (SQLite).

They come in by a webhook that answers with the result. The time runs from the first request to the last answer, the
memory is the server's highest; the requests' own server answers each after one second.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from benchmarks.cases.webhook import BODY, publish
from benchmarks.figure import Figure, typical
from benchmarks.slow import slow_server
from budflow.cli.demo.server_process import ServerProcess, server_process

TITLE = "Executions that wait for HTTP"
EXECUTIONS = 1_000
WAIT_SECONDS = 1.0
ROUNDS = 3
BEYOND_GOAL = 2.0
MEMORY_GOAL = 400


def document(url: str) -> Mapping[str, Any]:
    """Webhook → http.request, answered by the last node."""
    return {
        "format": 1,
        "name": "Waiting",
        "nodes": {
            "hook": {"type": "trigger.webhook", "params": {"path": "wait", "respond": "last_node"}},
            "ask": {"type": "http.request", "params": {"url": url}},
        },
        "edges": [{"from": "hook", "to": "ask"}],
    }


async def measure() -> list[Figure]:
    """Send them all at once, some times over."""
    beyond: list[float] = []
    async with slow_server(WAIT_SECONDS) as slow:
        with TemporaryDirectory(prefix="budflow-bench-") as folder:
            variables = {"BUDFLOW_HTTP_ALLOW": "127.0.0.1"}
            async with server_process(Path(folder) / "data", variables) as server:
                await publish(server, document(slow))
                for _ in range(ROUNDS):
                    beyond.append(await send_all(server) - WAIT_SECONDS)
                memory = highest_mebibytes(server.pid)
    return [
        Figure(
            f"{EXECUTIONS:,} executions, beyond the wait",
            f"{typical(beyond):.1f} s ({min(beyond):.1f} to {max(beyond):.1f})",
            f"≤ {BEYOND_GOAL:g} s",
            typical(beyond) <= BEYOND_GOAL,
        ),
        Figure("highest memory of the server", f"{memory:.0f} MB", f"≤ {MEMORY_GOAL} MB", memory <= MEMORY_GOAL),
    ]


async def send_all(server: ServerProcess) -> float:
    """Seconds until the last of them was answered."""
    parts = urlsplit(server.address)
    body = json.dumps(BODY).encode()
    request = (
        f"POST /webhook/wait HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body

    async def send() -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(request)
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200"), answer[:500]
        writer.close()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(EXECUTIONS):
            group.create_task(send())
    return time.perf_counter() - began


def highest_mebibytes(pid: int) -> float:
    """The most memory that the process ever had resident."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024
