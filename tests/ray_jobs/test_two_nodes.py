"""A table passes through heavy nodes on two Ray nodes by reference: neither journaled, nor JSON, nor put twice.

`BUDFLOW_TABLE_BYTES=1000000000` makes it a campaign, whose figures go to build/tables.json.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest

from tests.processes import Serving, eventually, serving
from tests.ray_cluster import RayCluster, ray_cluster
from tests.ray_jobs.table_maker import ROW_BYTES, installed
from tests.ray_jobs.test_worker_pool import keeping

pytestmark = [
    *(pytest.mark.process, pytest.mark.postgres, pytest.mark.ray),
    pytest.mark.xdist_group("ray"),
]

TABLE_BYTES = int(os.environ.get("BUDFLOW_TABLE_BYTES", "12000000"))
ROWS = TABLE_BYTES // ROW_BYTES
#: Of each Ray node: about two tables; what is more goes to its disk.
STORE_BYTES = max(80 * 1024 * 1024, 3 * TABLE_BYTES)
SECONDS = 60 + TABLE_BYTES / 5_000_000
#: The seven nodes, each on the other Ray node than the one before.
CHAIN: dict[str, dict[str, Any]] = {
    "made": {"type": "test.make_table", "params": {"rows": ROWS}},
    "most": {"type": "table.filter", "params": {"column": "n", "operator": ">", "value": 0}},
    "doubled": {
        "type": "table.add_column",
        "params": {"name": "double", "left": "n", "operator": "*", "right": 2},
    },
    "some": {"type": "table.filter", "params": {"column": "rest", "operator": "!=", "value": 0}},
    "less": {
        "type": "table.add_column",
        "params": {"name": "less", "left": "double", "operator": "-", "right": "half"},
    },
    "sums": {
        "type": "table.group",
        "params": {"by": ["rest"], "operations": [{"operation": "sum", "column": "less", "name": "sum"}]},
    },
    "rows": {"type": "table.to_items"},
}
TABLES = 6


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RayCluster]:
    """Two nodes that have the extension, of one CPU each."""
    store = f"--object-store-memory={STORE_BYTES}"
    head = ("--num-cpus=1", '--resources={"left": 1}', "--include-dashboard=false", store)
    with installed(tmp_path / "extension"), ray_cluster(*head) as running:
        running.add("--num-cpus=1", '--resources={"right": 1}', store)
        yield running


@pytest.fixture
def main(tmp_path: Path, postgres_url: str, cluster: RayCluster) -> Iterator[Serving]:
    """A server that leaves the queue to the actors, and has the extension too."""
    with serving(tmp_path / "main", BUDFLOW_DATABASE_URL=postgres_url, BUDFLOW_CLAIM="false") as server:
        yield server


def document() -> dict[str, Any]:
    sides = ["left", "right"] * 4
    nodes = {
        key: {**node, "resources": {"num_cpus": 1, side: 0.1}}
        for (key, node), side in zip(CHAIN.items(), sides, strict=False)
    }
    keys = ["start", *nodes]
    edges = [{"from": one, "to": other} for one, other in pairwise(keys)]
    return {"format": 1, "name": "tables", "nodes": {"start": {"type": "trigger.manual"}, **nodes}, "edges": edges}


def test_a_table_passes_through_two_nodes_by_reference(cluster: RayCluster, main: Serving, postgres_url: str) -> None:
    with keeping(cluster, main, postgres_url) as worker:
        actors = worker.up(2)
        began = time.monotonic()
        execution_id = main.start(main.create(document()))
        eventually(lambda: main.status_of(execution_id) not in ("queued", "running"), "it ends", SECONDS)
        seconds = time.monotonic() - began
        shown = main.client.get(f"/executions/{execution_id}").json()
        assert shown["execution"]["status"] == "succeeded", shown["execution"]
        memory = {pid: _memory(pid) for pid in actors}

    places = [node["place"]["ray_node"] for node in shown["nodes"] if node["key"] in CHAIN]
    assert len({*places}) == 2
    assert all(one != other for one, other in pairwise(places))
    expected = [{"rest": rest, "sum": _expected(rest)} for rest in (1, 2, 3)]
    assert [item["json"] for item in shown["result"]["items"]] == expected

    journal = asyncio.run(_journal(postgres_url, execution_id))
    assert journal < 20_000, "of the table there is nothing in the journal"
    blobs = list((main.data_dir / "blobs" / "projects").glob("*/*/*"))
    assert len(blobs) == TABLES
    assert {_beginning(path) for path in blobs} == {b"ARROW1"}
    told = b"".join(path.read_bytes() for path in cluster.directory.glob("*/session_latest/logs/worker-*.err"))
    counted = (told.count(b"blob.taken"), told.count(b"blob.loaded"))
    assert counted == (TABLES, 0), "each table was put once, and none was read from the blobs"
    _publish(
        seconds=round(seconds, 1),
        journal_bytes=journal,
        blob_bytes=sorted(path.stat().st_size for path in blobs),
        actors=[memory[pid] for pid in actors],
        nodes={node["key"]: _seconds(node) for node in shown["nodes"]},
    )


def _expected(rest: int) -> float:
    """Twice a number less its half, for all numbers with that remainder."""
    return 1.5 * sum(range(rest, ROWS, 4))


def _seconds(node: Any) -> float:
    began, ended = (datetime.fromisoformat(node[name]) for name in ("started_at", "finished_at"))
    return (ended - began).total_seconds()


async def _journal(url: str, execution_id: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        query = "SELECT sum(octet_length(payload)) FROM events WHERE execution_id = $1"
        return int(await connection.fetchval(query, execution_id))
    finally:
        await connection.close()


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(6)


def _memory(pid: int) -> dict[str, int]:
    """In MiB: the most that a process had, what it has alone, and what it shares, such as the object store."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {
        name: int(rest.split()[0]) // 1024 for name, _, rest in (line.partition(":") for line in lines) if "kB" in rest
    }
    return {"peak": found["VmHWM"], "own": found["RssAnon"], "shared": found["RssShmem"], "mapped": found["RssFile"]}


def _publish(**figures: Any) -> None:
    if "BUDFLOW_TABLE_BYTES" in os.environ:
        path = Path("build/tables.json")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(orjson.dumps({"table_bytes": TABLE_BYTES, **figures}, option=orjson.OPT_INDENT_2))
