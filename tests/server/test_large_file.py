"""A file that is larger than the memory it takes to work on it, in a real server; and the server's death meanwhile."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes import Serving, eventually, serving

pytestmark = pytest.mark.process

FILE_BYTES = 80_000_000
GROWTH_MEBIBYTES_MAX = 100
SECONDS = 300.0
DOCUMENT: dict[str, Any] = {
    "format": 1,
    "name": "Large",
    "nodes": {
        "start": {"type": "trigger.manual"},
        "read": {"type": "files.read_lines", "params": {"path": "in.jsonl"}},
        "each": {
            "type": "flow.for_each",
            "params": {"batch_size": 1000},
            "bodies": {
                "body": {
                    "nodes": {"set": {"type": "data.set", "params": {"values": {"double": "{{ $json.total * 2 }}"}}}},
                    "edges": [{"from": "$in", "to": "set"}, {"from": "set", "to": "$out"}],
                }
            },
        },
        "filter": {"type": "flow.filter", "params": {"condition": "{{ $json.country == 'DE' }}"}},
        "write": {"type": "files.write_lines", "params": {"path": "out.jsonl"}},
    },
    "edges": [
        {"from": "start", "to": "read"},
        {"from": "read", "to": "each"},
        {"from": "each", "to": "filter"},
        {"from": "filter.kept", "to": "write"},
    ],
}


def lines(size: int) -> Iterator[bytes]:
    """Customers, two of three from one country; about as many bytes."""
    note = "a note of some length about this customer, " * 6
    for number in range(size // 320):
        country = "FR" if number % 3 == 0 else "DE"
        yield b'{"id":%d,"country":"%s","total":%d,"note":"%s"}\n' % (
            number,
            country.encode(),
            number % 1000,
            note.encode(),
        )


def make(path: Path, size: int) -> int:
    """Write the file; how many lines it has."""
    with path.open("wb") as file:
        return sum(1 for line in lines(size) if file.write(line))


def peak_mebibytes(server: Serving) -> float:
    """The most memory that the process ever had."""
    [line] = [line for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines() if "VmHWM" in line]
    return int(line.split()[1]) / 1024


def nodes(server: Serving, execution_id: str) -> dict[str, Any]:
    detail = server.client.get(f"/executions/{execution_id}").json()
    return {node["key"]: node for node in detail["nodes"]}


def check(out: Path, count: int) -> None:
    """Each customer of the country, once and in order, with what was worked out."""
    kept = [number for number in range(count) if number % 3]
    with out.open("rb") as file:
        for number, line in zip(kept, file, strict=True):
            assert line.startswith(b'{"id":%d,"country":"DE","total":%d,' % (number, number % 1000))
            assert line.endswith(b'"double":%d}\n' % (number % 1000 * 2))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    return folder


def test_memory_does_not_grow_with_the_file(files: Path, data_dir: Path) -> None:
    count = make(files / "in.jsonl", FILE_BYTES)
    with serving(data_dir, BUDFLOW_FILE_ROOTS=str(files)) as server:
        warm_up = server.start(server.create(DOCUMENT | {"nodes": {"start": DOCUMENT["nodes"]["start"]}, "edges": []}))
        eventually(lambda: server.status_of(warm_up) == "succeeded", "a first execution")
        before = peak_mebibytes(server)

        execution_id = server.start(server.create(DOCUMENT))
        eventually(lambda: server.status_of(execution_id) not in ("queued", "running"), "the end", SECONDS)

        assert server.status_of(execution_id) == "succeeded"
        assert nodes(server, execution_id)["filter"]["counts"]["kept"] == count - (count + 2) // 3
        assert peak_mebibytes(server) - before < GROWTH_MEBIBYTES_MAX
    check(files / "out.jsonl", count)


def test_a_killed_server_goes_on_from_the_last_node_that_ended(files: Path, data_dir: Path) -> None:
    count = make(files / "in.jsonl", FILE_BYTES // 5)
    with serving(data_dir, BUDFLOW_FILE_ROOTS=str(files)) as server:
        execution_id = server.start(server.create(DOCUMENT))
        eventually(lambda: nodes(server, execution_id)["read"]["status"] == "succeeded", "the file is read", SECONDS)
        read_at = nodes(server, execution_id)["read"]["finished_at"]
        server.tell(signal.SIGKILL)
        server.process.wait()
    assert not (files / "out.jsonl").exists()

    with serving(data_dir, BUDFLOW_FILE_ROOTS=str(files)) as server:
        eventually(lambda: server.status_of(execution_id) not in ("queued", "running"), "the end", SECONDS)

        assert server.status_of(execution_id) == "succeeded"
        read = nodes(server, execution_id)["read"]
        assert (read["finished_at"], read["runs"]) == (read_at, 1)
    check(files / "out.jsonl", count)
    assert sorted(path.name for path in files.iterdir()) == ["in.jsonl", "out.jsonl"]
