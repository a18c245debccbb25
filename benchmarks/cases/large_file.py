"""A JSON-lines file of 1 GB: `files.read_lines` → `data.set` → `flow.filter` → `files.write_lines`, in a real server.

Each list between the nodes stands in a blob, compressed and durable; memory is the most that the process ever had.
Latency is that of a request for the execution's status meanwhile: the same event loop answers it.
"""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2

from benchmarks.figure import Figure, percentile
from budflow.cli.demo.server_process import ServerProcess, server_process

TITLE = "A large file"
FILE_BYTES = 1_000_000_000
MEBIBYTES_MAX = 300
POLL_SECONDS = 0.05
DOCUMENT: dict[str, Any] = {
    "format": 1,
    "name": "Large",
    "nodes": {
        "start": {"type": "trigger.manual"},
        "read": {"type": "files.read_lines", "params": {"path": "in.jsonl"}},
        "set": {"type": "data.set", "params": {"values": {"double": "{{ $json.total * 2 }}"}}},
        "filter": {"type": "flow.filter", "params": {"condition": "{{ $json.country == 'DE' }}"}},
        "write": {"type": "files.write_lines", "params": {"path": "out.jsonl"}},
    },
    "edges": [
        {"from": "start", "to": "read"},
        {"from": "read", "to": "set"},
        {"from": "set", "to": "filter"},
        {"from": "filter.kept", "to": "write"},
    ],
}


async def measure() -> list[Figure]:
    """One execution over the whole file."""
    with TemporaryDirectory(prefix="budflow-bench-") as folder:
        files = Path(folder) / "files"
        files.mkdir()
        lines = make(files / "in.jsonl")
        async with server_process(Path(folder) / "data", {"BUDFLOW_FILE_ROOTS": str(files)}) as server:
            idle = peak_mebibytes(server.pid)
            began = time.perf_counter()
            detail, latencies = await run(server)
            seconds = time.perf_counter() - began
            peak = peak_mebibytes(server.pid)
        written = (files / "out.jsonl").stat().st_size
        stored = sum(path.stat().st_size for path in (Path(folder) / "data" / "blobs").rglob("*") if path.is_file())
    nodes = {node["key"]: node for node in detail["nodes"]}
    kept = nodes["filter"]["counts"]["kept"]
    return [
        Figure(
            f"{lines:,} lines",
            f"{seconds:.0f} s = {FILE_BYTES / seconds / 1e6:.0f} MB/s",
            note=", ".join(
                f"{key} {nodes[key]['duration_ms'] / 1000:.0f} s" for key in ("read", "set", "filter", "write")
            ),
        ),
        Figure("peak memory", f"{peak:.0f} MB", f"< {MEBIBYTES_MAX} MB", peak < MEBIBYTES_MAX, f"idle {idle:.0f} MB"),
        Figure("kept by the filter", f"{kept:,} lines", "two of three", kept == lines - (lines + 2) // 3),
        Figure("written; in blobs meanwhile", f"{written / 1e6:.0f} MB; {stored / 1e6:.0f} MB"),
        Figure(
            "status meanwhile: p50, p99",
            " ms, ".join(f"{percentile(latencies, p) * 1e3:.0f}" for p in (0.5, 0.99)) + " ms",
        ),
    ]


async def run(server: ServerProcess) -> tuple[dict[str, Any], list[float]]:
    """What the execution did, and how long each look at its status took."""
    latencies: list[float] = []
    async with httpx2.AsyncClient(base_url=f"{server.address}/api/v1", headers=server.headers, timeout=60) as http:
        created = (await http.post("/workflows", json={"document": DOCUMENT})).raise_for_status().json()
        path = f"/workflows/{created['workflow']['id']}/executions"
        started = (await http.post(path, json={})).raise_for_status().json()["execution"]["id"]
        while True:
            asked = time.perf_counter()
            answer = (await http.get(f"/executions/{started}?detail=status")).raise_for_status().json()
            latencies.append(time.perf_counter() - asked)
            if answer["execution"]["status"] not in ("queued", "running"):
                break
            await asyncio.sleep(POLL_SECONDS)
        detail: dict[str, Any] = (await http.get(f"/executions/{started}")).raise_for_status().json()
    assert detail["execution"]["status"] == "succeeded", detail["execution"]["failure"]
    return detail, latencies


def make(path: Path) -> int:
    """Write the file; how many lines it has."""
    written = lines = 0
    with path.open("wb") as file:
        for line in customers():
            written += file.write(line)
            lines += 1
            if written >= FILE_BYTES:
                return lines
    return lines


def customers() -> Iterator[bytes]:
    """About 320 bytes each; two of three are from one country."""
    number = 0
    words = b"alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau".split()
    while True:
        note = b" ".join(words[(number * step + step) % len(words)] for step in range(1, 41))
        yield b'{"id":%d,"country":"%s","total":%d,"note":"%s"}\n' % (
            number,
            b"DE" if number % 3 else b"FR",
            number % 1000,
            note,
        )
        number += 1


def peak_mebibytes(pid: int) -> float:
    """The most resident memory that the process ever had."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024
