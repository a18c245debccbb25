"""webhook → `data.set` → `http.respond`: executions a second that a server answers, each durably saved before that.

"Only the end" is the same workflow with `journal: end` and successes that are not kept. Load and server share the
machine; the bare figure is a FastAPI endpoint in the same run that parses JSON, returns it and stores nothing.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.bare import bare_server
from benchmarks.cases.webhook import SCRIPT, count, publish
from benchmarks.engine import POSTGRES, SQLITE, databases
from benchmarks.figure import Figure, typical
from benchmarks.wrk import Load, wrk
from budflow.cli.demo.server_process import ServerProcess, server_process

TITLE = "Webhooks a second"
ROUNDS = 3
SECONDS = 3
WARM_SECONDS = 1
CONNECTIONS = (10, 50)
GOALS = {SQLITE: 1_200, POSTGRES: 800}
ONLY_END_GOAL = 2_000
ONLY_END = {"journal": "end", "retention": {"succeeded_seconds": 0}}


def document(path: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The workflow below `/webhook/{path}`."""
    return {
        "format": 1,
        "name": path,
        "nodes": {
            "hook": {"type": "trigger.webhook", "params": {"path": path, "respond": "respond_node"}},
            "set": {
                "type": "data.set",
                "params": {"keep": False, "values": {"hello": "{{ $json.body.name }}", "x": 1}},
            },
            "answer": {"type": "http.respond", "params": {"body": "{{ $json }}"}},
        },
        "edges": [{"from": "hook", "to": "set"}, {"from": "set", "to": "answer"}],
        "settings": settings,
    }


async def measure() -> list[Figure]:
    """Each database with each number of connections, and what only keeps the end."""
    figures: list[Figure] = []
    async with bare_server() as bare:
        loads = [await wrk(bare, SCRIPT, seconds=SECONDS) for _ in range(ROUNDS)]
        figures.append(Figure("bare FastAPI, 10 connections", _rate(loads)))
    async with databases() as urls:
        for name, url in urls.items():
            figures.extend(await _on(name, url))
    return figures


async def _on(name: str, url: str | None) -> list[Figure]:
    figures: list[Figure] = []
    with TemporaryDirectory(prefix="budflow-bench-") as folder:
        variables = {} if url is None else {"BUDFLOW_DATABASE_URL": url}
        async with server_process(Path(folder) / "data", variables) as server:
            await publish(server, document("every", {}))
            await publish(server, document("end", ONLY_END))
            for path, what, goal in (("every", "every node", GOALS[name]), ("end", "only the end", ONLY_END_GOAL)):
                figures.extend([await _load(server, path, f"{name}, {what}", goal, number) for number in CONNECTIONS])
            left = await count(server, "running") + await count(server, "queued")
    figures.append(Figure(f"{name}: executions left unfinished", str(left), "0", left == 0))
    return figures


async def _load(server: ServerProcess, path: str, what: str, goal: int, connections: int) -> Figure:
    url = f"{server.address}/webhook/{path}"
    await wrk(url, SCRIPT, connections=connections, seconds=WARM_SECONDS)
    loads = [await wrk(url, SCRIPT, connections=connections, seconds=SECONDS) for _ in range(ROUNDS)]
    errors = sum(load.errors for load in loads)
    met = errors == 0 and typical([load.per_second for load in loads]) >= goal
    p99 = typical([load.p99 for load in loads]) * 1e3
    note = f"p99 {p99:.1f} ms" + (f", {errors} errors" if errors else "")
    return Figure(f"{what}, {connections} connections", _rate(loads), f"≥ {goal:,}/s", met, note)


def _rate(loads: list[Load]) -> str:
    rates = sorted(load.per_second for load in loads)
    return f"{typical(rates):,.0f}/s ({rates[0]:,.0f} to {rates[-1]:,.0f})"
