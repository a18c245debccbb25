"""What light nodes go through is read in threads, chunk after chunk: the event loop waits for no blob store."""

import threading
from pathlib import Path
from typing import Any

import pytest

from budflow.execution import lists as module
from budflow.execution.at_hand import reach
from budflow.execution.lists import ListStore
from budflow.execution.node_result import NodeRun
from budflow.execution.node_run import run_node
from budflow.expressions.evaluate import Scope
from budflow.graph.plan import compile_plan
from budflow.graph.validate import check
from budflow.model.identity import utc_now
from budflow.model.item import Item, ItemList
from budflow.storage.blobs.directory import DirectoryBlobs
from tests.execution.fakes import FakeHttp
from tests.execution.heavy_nodes import TESTING
from tests.execution.office import Flow


class Watched(DirectoryBlobs):
    """Remembers which threads read."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.readers: list[threading.Thread] = []

    def read(self, project_id: str, sha256: str, start: int, size: int) -> bytes:
        self.readers.append(threading.current_thread())
        return super().read(project_id, sha256, start, size)


@pytest.fixture
def blobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.setattr(module, "CHUNKS_KEPT", 1)  # As where many others read meanwhile.
    return Watched(tmp_path)


def stored(blobs: Watched, count: int) -> ItemList:
    """A list of so many items in some ten chunks, of which none is in memory."""
    writer = ListStore(blobs).open_writer("default", chunk_bytes=3 * count)
    writer.add([Item({"n": number, "text": "x" * 20}) for number in range(count)], range(count))
    return ListStore(blobs).stored("default", writer.finish())


def run_of(node: dict[str, Any], items: ItemList) -> NodeRun:
    document = Flow({"it": node}, ["start > it"]).document("test")
    plan = compile_plan(check(document, TESTING).require("run"), TESTING)
    return NodeRun(
        node=plan.nodes[plan.index["it"]],
        items=items.items,
        ports={"main": range(len(items))},
        scope=lambda ordinal: Scope(items.items[ordinal or 0].json, ordinal or 0, {"now": utc_now()}),
        now=utc_now(),
        effect_scope="exe_1",
        http=FakeHttp(),
        on_retry=lambda *told: None,
    )


@pytest.mark.parametrize(
    ("node", "count"),
    [
        ({"type": "data.set", "params": {"values": {"m": "{{ $json.n + 1 }}"}}}, 500),
        ({"type": "http.request", "params": {"url": "https://crm.example/{{ $json.n }}"}}, 500),
        ({"type": "data.aggregate", "params": {"operations": [{"operation": "max", "field": "n"}]}}, 20_000),
    ],
    ids=["a batch", "items", "parts"],
)
async def test_no_chunk_is_read_on_the_event_loop(blobs: Watched, node: dict[str, Any], count: int) -> None:
    items = stored(blobs, count)

    result = await run_node(run_of(node, items))

    assert not result.failed
    assert result.ports
    assert len(blobs.readers) >= 10
    assert threading.main_thread() not in blobs.readers


async def test_what_somebody_keeps_is_not_read_again(blobs: Watched) -> None:
    items = stored(blobs, 500).items

    kept = await reach(items, 0)
    await reach(items, 499)
    read = len(blobs.readers)

    assert items[0].json["n"] == 0
    assert kept is not None
    assert len(blobs.readers) == read
    assert await reach(items, 500) is None
