"""Runs of nodes that give, and take, more than is to be in memory."""

import asyncio
import threading
from pathlib import Path

import pytest

from budflow.execution import list_work, node_run, spill
from budflow.execution.lists import ListStore, ListWriter
from budflow.execution.tools import Tools
from budflow.model import event as e
from budflow.model.identity import utc_now
from budflow.model.item import Item
from budflow.model.journal import decode, encode
from budflow.model.spilled import Spilled
from budflow.storage.blobs.directory import DirectoryBlobs
from tests.execution.fakes import PLACE, FakeHttp, until
from tests.execution.much import Flow, files, finished, numbers, values

MUCH = 100


@pytest.fixture(autouse=True)
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a hundred items are much."""
    monkeypatch.setattr(spill, "ITEMS_MAX", MUCH)
    monkeypatch.setattr(list_work, "FIRST_BATCH_ITEMS", 10)
    monkeypatch.setattr(list_work, "BATCH_ITEMS_MAX", 10)
    monkeypatch.setattr(node_run, "ITEMS_AT_ONCE", 50)


@pytest.fixture
def blobs(tmp_path: Path) -> DirectoryBlobs:
    return DirectoryBlobs(tmp_path)


async def test_much_goes_to_a_blob_and_little_stays(blobs: DirectoryBlobs) -> None:
    nodes = {**numbers(), "few": {"type": "data.limit", "params": {"count": 5}}}

    link = await Flow(blobs, nodes, ["start > numbers", "numbers > few"]).end()

    assert link.end.status == "succeeded"
    much, few = finished(link, "numbers").outputs["main"], finished(link, "few").outputs["main"]
    assert isinstance(much.items, Spilled)
    assert values(much) == list(range(1_000))
    assert list(much.lineage) == [0] * 1_000
    assert few.items == list(much.items[:5])
    assert isinstance(few.items, list)
    assert files(blobs) == 1


async def test_many_bytes_are_much_too(blobs: DirectoryBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill, "CONTENT_BYTES_MAX", 200)

    link = await Flow(blobs, numbers(40), ["start > numbers"]).end()

    assert isinstance(finished(link, "numbers").outputs["main"].items, Spilled)


async def test_what_a_node_gives_leaves_memory_while_it_runs(
    blobs: DirectoryBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    take = spill.Spill.take

    async def watched(self: spill.Spill, gathered: spill.Gathered) -> None:
        taken.append(sum(len(items) for items, _ in gathered.values()))
        await take(self, gathered)

    monkeypatch.setattr(spill.Spill, "take", watched)

    await Flow(blobs, numbers(5_000), ["start > numbers"]).end()

    assert len(taken) > 40
    assert max(taken) <= MUCH + 10


async def test_every_kind_of_node_takes_and_gives_much(blobs: DirectoryBlobs) -> None:
    nodes = {
        **numbers(),
        "set": {"type": "data.set", "params": {"values": {"n": "{{ $json.n + 1 }}"}}},
        "filter": {"type": "flow.filter", "params": {"condition": "{{ $json.n % 2 == 0 }}"}},
        "double": {"type": "test.double"},
        "sum": {"type": "data.aggregate", "params": {"operations": [{"operation": "sum", "field": "n", "name": "n"}]}},
    }
    edges = ["start > numbers", "numbers > set", "set > filter", "filter.kept > double", "double > sum"]

    link = await Flow(blobs, nodes, edges).end()

    evens = list(range(2, 1_001, 2))
    assert link.end.status == "succeeded"
    kept = finished(link, "filter").outputs["kept"]
    assert values(kept) == evens
    assert list(kept.lineage) == [n - 1 for n in evens]
    assert values(finished(link, "double").outputs["main"]) == [2 * n for n in evens]
    assert link.output("sum") == [{"n": 2 * sum(evens)}]


async def test_branches_sort_and_join_without_being_in_memory(blobs: DirectoryBlobs) -> None:
    nodes = {
        **numbers(500),
        "parity": {"type": "flow.if", "params": {"condition": "{{ $json.n % 2 == 0 }}"}},
        "both": {"type": "flow.merge"},
        "down": {"type": "data.sort", "params": {"by": [{"field": "n", "order": "desc"}]}},
        "last": {"type": "data.limit", "params": {"count": 200, "keep": "last"}},
    }
    edges = [
        *("start > numbers", "numbers > parity", "parity.true > both", "parity.false > both"),
        *("both > down", "down > last"),
    ]

    link = await Flow(blobs, nodes, edges).end()

    assert link.end.failure is None
    both, down = finished(link, "both").outputs["main"], finished(link, "down").outputs["main"]
    assert values(both) == [*range(0, 500, 2), *range(1, 500, 2)]
    assert values(down) == list(range(499, -1, -1))
    assert [values(both)[source] for source in down.lineage] == values(down)
    assert values(finished(link, "last").outputs["main"]) == list(range(199, -1, -1))


async def test_an_item_is_traced_through_lists_in_blobs(blobs: DirectoryBlobs) -> None:
    nodes = {
        **numbers(300),
        "filter": {"type": "flow.filter", "params": {"condition": "{{ $json.n >= 150 }}"}},
        "set": {"type": "data.set", "params": {"keep": False, "values": {"n": "{{ $node.numbers.json.n }}"}}},
    }

    link = await Flow(blobs, nodes, ["start > numbers", "numbers > filter", "filter.kept > set"]).end()

    assert values(finished(link, "set").outputs["main"]) == list(range(150, 300))


async def test_a_disabled_node_passes_references_on(blobs: DirectoryBlobs) -> None:
    nodes = {**numbers(), "off": {"type": "flow.no_op", "disabled": True}}

    link = await Flow(blobs, nodes, ["start > numbers", "numbers > off"]).end()

    passed = finished(link, "off").outputs["main"]
    assert values(passed) == list(range(1_000))
    assert list(passed.lineage) == list(range(1_000))
    assert files(blobs) == 1


async def test_the_journal_holds_a_reference_and_is_gone_on_from(blobs: DirectoryBlobs) -> None:
    nodes = {**numbers(), "set": {"type": "data.set", "params": {"values": {"n": "{{ $json.n + 1 }}"}}}}
    flow = Flow(blobs, nodes, ["start > numbers", "numbers > set"])
    first = await flow.end()
    cut = [event for event in first.events if not isinstance(event, e.Finished) and getattr(event, "node", "") != "set"]
    rows = [encode(seq, event) for seq, event in enumerate(cut)]
    assert max(len(row.payload) for row in rows) < 1_000
    assert [len(row.blobs) for row in rows] == [0, 0, 0, 1]

    again = await flow.end(*map(decode, rows))

    assert values(finished(again, "set").outputs["main"]) == list(range(1, 1_001))


@pytest.mark.parametrize("on_error", ["continue", "error_output"])
async def test_failed_items_pass_on_where_they_stood(blobs: DirectoryBlobs, on_error: str) -> None:
    nodes = {**numbers(), "odd": {"type": "test.odd", "on_error": on_error}}

    link = await Flow(blobs, nodes, ["start > numbers", "numbers > odd"]).end()

    outputs = finished(link, "odd").outputs
    failed = outputs["main" if on_error == "continue" else "error"]
    assert values(outputs["main"]) == list(
        range(0 if on_error == "continue" else 1, 1_000, 1 if len(outputs) == 1 else 2)
    )
    errors = [(item.json["n"], item.error.message) for item in failed.items if item.error is not None]
    assert errors == [(n, f"{n} is even.") for n in range(0, 1_000, 2)]


async def test_the_first_failed_item_stops_a_node_that_has_much_to_do(blobs: DirectoryBlobs) -> None:
    nodes = {**numbers(), "odd": {"type": "test.odd"}}

    link = await Flow(blobs, nodes, ["start > numbers", "numbers > odd"]).end()

    [failed] = link.of(e.NodeFailed)
    assert failed.failure.message == "0 is even."


@pytest.mark.parametrize("on_error", ["continue", "error_output", "stop"])
async def test_new_items_that_failed_follow_on_error(blobs: DirectoryBlobs, on_error: str) -> None:
    link = await Flow(blobs, numbers(300, "test.rejects", on_error=on_error), ["start > numbers"]).end()

    if on_error == "stop":
        [failed] = link.of(e.NodeFailed)
        assert failed.failure.message == "0 is even."
        return
    outputs = finished(link, "numbers").outputs
    if on_error == "continue":
        assert values(outputs["main"]) == list(range(300))
        assert [item.error is None for item in outputs["main"].items] == [False, True] * 150
    else:
        assert values(outputs["main"]) == list(range(1, 300, 2))
        assert values(outputs["error"]) == list(range(0, 300, 2))


@pytest.mark.parametrize("on_error", ["continue", "stop"])
async def test_of_a_node_that_breaks_in_between_nothing_stays(blobs: DirectoryBlobs, on_error: str) -> None:
    link = await Flow(blobs, numbers(1_000, "test.breaks", on_error=on_error), ["start > numbers"]).end()

    assert files(blobs) == 0
    await until(lambda: not list(blobs.unfinished().parent.iterdir()))
    if on_error == "stop":
        assert link.of(e.NodeFailed)[0].failure.code == "node.crashed"
    else:
        [item] = finished(link, "numbers").outputs["main"].items
        assert item.error is not None


@pytest.mark.parametrize("count", [50, 1_000])
async def test_a_list_that_is_not_done_in_time_fails(blobs: DirectoryBlobs, count: int) -> None:
    link = await Flow(blobs, numbers(count, "test.hangs", timeout_seconds=0.3), ["start > numbers"]).end()

    assert link.of(e.NodeFailed)[0].failure.code == "node.timed_out"
    assert files(blobs) == 0
    await until(lambda: not list(blobs.unfinished().parent.iterdir()))


async def test_a_cancelled_node_leaves_nothing_behind(blobs: DirectoryBlobs) -> None:
    run, link = Flow(blobs, numbers(1_000, "test.hangs"), ["start > numbers"]).begin()
    await until(lambda: list(blobs.unfinished().parent.iterdir()))

    run.deliver(e.CancelRequested(utc_now(), "me"))
    await run.wait()

    assert link.end.status == "cancelled"
    await until(lambda: not list(blobs.unfinished().parent.iterdir()))


async def test_what_cannot_be_written_fails_the_node_whatever_its_on_error(blobs: DirectoryBlobs) -> None:
    nodes = {**numbers(), "odd": {"type": "test.unwritable", "on_error": "continue"}}

    link = await Flow(blobs, nodes, ["start > numbers", "numbers > odd"]).end()

    assert link.of(e.NodeFailed)[0].failure.code == "journal.unwritable"


async def test_a_blob_that_is_gone_fails_the_node_that_needs_it(blobs: DirectoryBlobs) -> None:
    nodes = {
        **numbers(),
        "set": {"type": "data.set", "params": {"values": {"n": 1}}, "on_error": "continue"},
        "sum": {"type": "data.aggregate", "params": {"operations": [{"operation": "count"}]}, "on_error": "continue"},
    }
    for reader in ("set", "sum"):
        flow = Flow(blobs, {key: nodes[key] for key in ("numbers", reader)}, ["start > numbers", f"numbers > {reader}"])
        first = await flow.end()
        rows = [encode(0, event) for event in first.events[:4]]
        [ref] = rows[3].blobs
        blobs.path("default", ref.sha256).unlink()
        flow.tools = Tools(PLACE, FakeHttp(), lists=ListStore(blobs))

        link = await flow.end(*map(decode, rows))

        failure = link.of(e.NodeFailed)[0].failure
        assert (failure.code, failure.node) == ("blob.missing", reader)
        assert failure.hint


async def test_a_full_disk_fails_the_node(blobs: DirectoryBlobs, tmp_path: Path) -> None:
    blobs.directory.rmdir()
    blobs.directory.write_text("no directory")

    link = await Flow(blobs, numbers(), ["start > numbers"]).end()

    assert link.of(e.NodeFailed)[0].failure.code == "blob.unwritable"


async def test_all_items_of_a_long_list_are_not_put_into_one_expression(
    blobs: DirectoryBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("budflow.model.spilled.all_json.__defaults__", (MUCH,))
    nodes = {**numbers(), "set": {"type": "data.set", "params": {"values": {"n": "{{ len($node.numbers.items) }}"}}}}

    link = await Flow(blobs, nodes, ["start > numbers", "numbers > set"]).end()

    failure = link.of(e.NodeFailed)[0].failure
    assert "1,000 items; at most 100" in failure.message


async def test_the_rest_follows_although_the_first_part_is_still_being_moved(blobs: DirectoryBlobs) -> None:
    lists = ListStore(blobs)
    many, opening = spill.ITEMS_MAX, threading.Event()
    open_writer = lists.open_writer

    def slowly(project_id: str) -> ListWriter:
        opening.wait(5)
        return open_writer(project_id)

    lists.open_writer = slowly  # type: ignore[method-assign] # a disk that takes its time
    moving = spill.Spill(lists, "default")
    gathered: spill.Gathered = {"main": ([Item({"n": n}) for n in range(many)], list(range(many)))}
    await moving.take(gathered)
    gathered["main"] = ([Item({"n": many})], [many])
    asyncio.get_running_loop().call_later(0.05, opening.set)
    stored = await moving.finish(gathered)

    assert len(stored["main"]) == many + 1
