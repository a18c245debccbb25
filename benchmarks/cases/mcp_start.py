"""From the start of `budflow mcp` to its first answer on stdio, alone and as a client of a running server."""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.figure import Figure, milliseconds
from budflow.cli.demo.server_process import server_process

TITLE = "`budflow mcp`"
RUNS = 5
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "bench", "version": "1"},
    },
}


async def measure() -> list[Figure]:
    """Time the first answer both ways."""
    with TemporaryDirectory(prefix="budflow-bench-") as folder:
        data = Path(folder) / "data"
        await first_answer(data)  # Makes the database.
        alone = [await first_answer(data) for _ in range(RUNS)]
        async with server_process(data, {}):
            await first_answer(data)  # The server loads MCP with the first of these at the latest.
            client = [await first_answer(data) for _ in range(RUNS)]
    return [
        Figure("first answer, embedded", milliseconds(alone), "≤ 1.8 s", median(alone) <= 1.8),
        Figure("first answer, client of a server", milliseconds(client), "≤ 1.5 s", median(client) <= 1.5),
    ]


async def first_answer(data_dir: Path) -> float:
    """Seconds from the start of the process to the answer to `initialize`."""
    environment = {**os.environ, "BUDFLOW_DATA_DIR": str(data_dir)}
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from budflow.cli.main import main; main()",
        "mcp",
        env=environment,
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(HELLO).encode() + b"\n")
    await process.stdin.drain()
    answer = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
    spent = time.perf_counter() - began
    assert "result" in answer, answer
    process.stdin.close()
    await asyncio.wait_for(process.wait(), 30)
    return spent
