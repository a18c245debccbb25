"""Bodies that give, round after round, more than is to be in memory."""

import asyncio
import threading
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from budflow.execution import collected, light_rounds, list_work, spill
from budflow.execution.blobs import BlobUnwritable
from budflow.execution.lists import ListStore, ListWriter
from budflow.execution.repeat import retry_events
from budflow.execution.tools import Tools
from budflow.model import event as e
from budflow.model.identity import utc_now
from budflow.model.journal import decode, encode
from budflow.model.spilled import Spilled
from budflow.storage.blobs.directory import DirectoryBlobs
from tests.execution.fakes import PLACE, FakeHttp, FakeLink, until
from tests.execution.much import Flow, finished, numbers

pytestmark = pytest.mark.generated

MUCH = 100
COUNT = 1_000
EDGES = ["start > numbers", "numbers > each"]


@pytest.fixture(autouse=True)
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a hundred items are much, and that it takes some events until there are."""
    monkeypatch.setattr(spill, "ITEMS_MAX", MUCH)
    monkeypatch.setattr(collected, "LOOSE_PARTS_MAX", 10)
    monkeypatch.setattr(light_rounds, "ROUNDS_MAX", 30)
    monkeypatch.setattr(list_work, "BATCH_ITEMS_MAX", 10)


@pytest.fixture
def blobs(tmp_path: Path) -> DirectoryBlobs:
    return DirectoryBlobs(tmp_path)


def each(inner: str, count: int = COUNT, **params: Any) -> dict[str, Any]:
    """Numbers, one by one or a few at a time through a body with one node."""
    params_of = {"data.set": {"values": {"twice": "{{ $json.n * 2 }}"}}}
    body = {
        "nodes": {"inner": {"type": inner, "params": params_of.get(inner, {})}},
        "edges": [{"from": "$in", "to": "inner"}, {"from": "inner", "to": "$out"}],
    }
    return {**numbers(count), "each": {"type": "flow.for_each", "params": params, "bodies": {"body": body}}}


def plain(outputs: Any) -> Any:
    """Items by port with all that belongs to them, wherever they stand."""
    return {port: ([*items.items], [*items.lineage]) for port, items in outputs.items()}


async def in_memory(nodes: dict[str, Any], blobs: DirectoryBlobs) -> FakeLink:
    """The same without anything to move items to."""
    flow = Flow(blobs, nodes, EDGES)
    flow.tools = Tools(PLACE, FakeHttp())
    return await flow.end()


BODIES = [
    pytest.param("data.set", {}, id="one-by-one"),
    pytest.param("data.set", {"batch_size": 7}, id="some-at-a-time"),
    pytest.param("data.set", {"batch_size": 450}, id="many-at-a-time"),
    pytest.param("test.odd", {"on_item_error": "continue"}, id="failed-in-place"),
    pytest.param("test.odd", {"on_item_error": "failed_output"}, id="failed-apart"),
    pytest.param("test.odd", {"on_item_error": "failed_output", "batch_size": 20}, id="all-failed"),
    pytest.param("test.double", {"concurrency": 5}, id="no-light-body"),
    pytest.param("test.double", {"concurrency": 3, "batch_size": 30}, id="no-light-body-some-at-a-time"),
]


@pytest.mark.parametrize(("inner", "params"), BODIES)
async def test_rounds_give_the_same_as_in_memory(blobs: DirectoryBlobs, inner: str, params: dict[str, Any]) -> None:
    nodes = each(inner, **params)

    link = await Flow(blobs, nodes, EDGES).end()

    outputs = finished(link, "each").outputs
    assert plain(outputs) == plain(finished(await in_memory(nodes, blobs), "each").outputs)
    assert all(isinstance(items.items, Spilled) for items in outputs.values() if items)
    assert max(len(encode(0, event).payload) for event in link.events) < 20_000


@pytest.mark.parametrize(("inner", "params"), BODIES)
async def test_a_journal_is_gone_on_from_wherever_it_ends(
    blobs: DirectoryBlobs, inner: str, params: dict[str, Any]
) -> None:
    flow = Flow(blobs, each(inner, 400, **params), EDGES)
    first = await flow.end()
    wanted = plain(finished(first, "each").outputs)
    rows = [encode(seq, event) for seq, event in enumerate(first.events)]
    step = max(1, len(rows) // 25)

    for stop in range(2, len(rows) - 1, step):
        again = await flow.end(*map(decode, rows[:stop]))

        assert plain(finished(again, "each").outputs) == wanted


async def test_what_is_moved_is_journaled_and_held_no_more(blobs: DirectoryBlobs) -> None:
    run, link = Flow(blobs, each("data.set"), EDGES).begin()
    most = 0
    while not link.of(e.Finished):
        await asyncio.sleep(0)
        controls = [opened.control for opened in run._open.values() if opened.control is not None]
        most = max([most, *(sum(body.ended for body in control.bodies.values()) for control in controls)])

    rows = [range(one.first, one.stop) for one in link.of(e.RoundsCollected)]
    assert [*chain(*rows)] == [*range(rows[-1].stop)]
    assert len(rows) > 3
    assert most < 5 * MUCH


async def test_rounds_that_run_in_one_go_and_give_much_are_a_reference_in_the_journal(blobs: DirectoryBlobs) -> None:
    link = await Flow(blobs, each("data.set", batch_size=450), EDGES).end()

    events = link.of(e.RoundsFinished)
    assert [count for one in events for count in one.counts] == [450, 450, 100]
    assert all(isinstance(one.items.items, Spilled) for one in events)
    written = {one.sha256 for event in events for one in encode(0, event).blobs}
    assert {one.sha256 for one in encode(0, finished(link, "each")).blobs} == written


async def test_a_retry_collects_what_it_keeps_by_itself(blobs: DirectoryBlobs) -> None:
    flow = Flow(blobs, each("data.set"), EDGES)
    first = await flow.end()
    collected_at = next(at for at, event in enumerate(first.events) if isinstance(event, e.RoundsCollected))
    admitted = first.of(e.Admitted)[0]

    kept = retry_events(flow.plan, first.events[: collected_at + 3], admitted)
    again = await flow.end(admitted, *kept)

    assert not any(isinstance(event, e.RoundsCollected) for event in kept)
    assert any(isinstance(event, e.RoundsFinished) for event in kept)
    assert plain(finished(again, "each").outputs) == plain(finished(first, "each").outputs)


async def test_a_blob_of_rounds_that_is_gone_fails_who_needs_it(blobs: DirectoryBlobs) -> None:
    nodes = {**each("data.set"), "set": {"type": "data.set", "params": {"values": {"n": 1}}}}
    flow = Flow(blobs, nodes, [*EDGES, "each > set"])
    first = await flow.end()
    cut = [event for event in first.events if getattr(event, "node", "") != "set"][:-1]
    [moved, *_] = first.of(e.RoundsCollected)
    [ref] = encode(0, moved).blobs
    blobs.path("default", ref.sha256).unlink()
    flow.tools = Tools(PLACE, FakeHttp(), lists=ListStore(blobs))

    again = await flow.end(*(decode(encode(seq, event)) for seq, event in enumerate(cut)))

    failure = again.of(e.NodeFailed)[0].failure
    assert (failure.code, failure.node) == ("blob.missing", "set")


async def test_an_item_is_traced_through_rounds_that_were_moved(blobs: DirectoryBlobs) -> None:
    nodes = {
        **each("data.set"),
        "set": {"type": "data.set", "params": {"values": {"from": "{{ $node.numbers.json.n }}"}}},
    }

    link = await Flow(blobs, nodes, [*EDGES, "each > set"]).end()

    found = finished(link, "set").outputs["main"].items
    assert [item.json for item in found] == [{"n": n, "twice": 2 * n, "from": n} for n in range(COUNT)]


async def test_what_other_control_nodes_give_is_moved_too(blobs: DirectoryBlobs) -> None:
    body = {"nodes": {}, "edges": [{"from": "$in", "to": "$out"}]}
    nodes = {
        **{f"few{n}": {"type": "test.numbers", "params": {"count": MUCH - 10}} for n in range(2)},
        "merge": {"type": "flow.try_catch", "bodies": {"body": body}},
    }

    link = await Flow(blobs, nodes, ["start > few0", "start > few1", "few0 > merge", "few1 > merge"]).end()

    items = finished(link, "merge").outputs["main"]
    assert isinstance(items.items, Spilled)
    assert [item.json["n"] for item in items.items] == [*range(MUCH - 10), *range(MUCH - 10)]


async def test_a_full_disk_fails_the_rounds(blobs: DirectoryBlobs) -> None:
    run, link = Flow(blobs, each("data.set", MUCH - 1, batch_size=MUCH), EDGES).begin()
    monkey = pytest.MonkeyPatch()
    monkey.setattr(spill, "ITEMS_MAX", MUCH - 1)
    try:
        blobs.directory.rmdir()
        blobs.directory.write_text("no directory")
        await run.wait()
    finally:
        monkey.undo()

    assert link.of(e.NodeFailed)[0].failure.code == "blob.unwritable"


async def test_a_full_disk_while_rounds_gather_lets_the_execution_go(
    blobs: DirectoryBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = Flow(blobs, each("data.set"), EDGES)
    wanted = plain(finished(await flow.end(), "each").outputs)
    lists = flow.tools.lists
    assert lists is not None
    open_writer = lists.open_writer

    def full(project_id: str, *rest: int) -> ListWriter:
        if link.of(e.NodeStarted):
            raise BlobUnwritable
        return open_writer(project_id, *rest)

    monkeypatch.setattr(lists, "open_writer", full)
    run, link = flow.begin()
    with pytest.raises(BlobUnwritable):
        await run.wait()
    monkeypatch.setattr(lists, "open_writer", open_writer)
    again = await flow.end(*link.events)

    assert plain(finished(again, "each").outputs) == wanted


async def test_rounds_that_are_stopped_while_they_are_moved_are_void(
    blobs: DirectoryBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening, asked = threading.Event(), threading.Event()
    flow = Flow(blobs, each("data.set", batch_size=450), EDGES)
    lists = flow.tools.lists
    assert lists is not None
    open_writer = lists.open_writer

    def slowly(project_id: str, *rest: int) -> ListWriter:
        if link.of(e.NodeStarted):
            asked.set()
            opening.wait(5)
        return open_writer(project_id, *rest)

    monkeypatch.setattr(lists, "open_writer", slowly)
    run, link = flow.begin()
    await until(asked.is_set)
    run.deliver(e.CancelRequested(utc_now(), "me"))
    opening.set()
    await run.wait()

    assert link.end.status == "cancelled"
    assert link.of(e.RoundsFinished) == []
