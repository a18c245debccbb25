"""From the start of the process to the first 200 of `/readyz`, the data directory made before; and what it weighs."""

import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.figure import Figure, milliseconds
from budflow.cli.demo.server_process import server_process

TITLE = "Start-up and idle memory"
RUNS = 5
IDLE_SECONDS = 3.0


async def measure() -> list[Figure]:
    """Start the server some times; look at its memory when everything that loads later has been loaded."""
    times: list[float] = []
    memory = 0.0
    with TemporaryDirectory(prefix="budflow-bench-") as folder:
        for _ in range(RUNS + 1):
            began = time.perf_counter()
            async with server_process(Path(folder) / "data", {}) as server:
                times.append(time.perf_counter() - began)
                if len(times) == RUNS + 1:
                    await asyncio.sleep(IDLE_SECONDS)
                    memory = resident_mebibytes(server.pid)
    first, warm = times[0], times[1:]
    return [
        Figure(
            "`budflow serve` to `/readyz`",
            milliseconds(warm),
            "≤ 1.5 s",
            sorted(warm)[len(warm) // 2] <= 1.5,
            f"the first, which makes the database: {first * 1000:.0f} ms",
        ),
        Figure("idle memory, MCP loaded", f"{memory:.0f} MB", "≤ 150 MB", memory <= 150),
    ]


def resident_mebibytes(pid: int) -> float:
    """The resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024
