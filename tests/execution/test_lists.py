"""Lists in blobs: written in chunks, read a chunk at a time, and never believed without their hash."""

import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from budflow.execution import lists as module
from budflow.execution.blobs import BlobCorrupt, BlobMissing
from budflow.execution.lists import ListStore
from budflow.model.item import BlobRef, Item, ItemError, ItemList
from budflow.model.journal import EventUnwritable
from budflow.model.spilled import ListRef
from budflow.storage.blobs.directory import DirectoryBlobs


@pytest.fixture
def blobs(tmp_path: Path) -> DirectoryBlobs:
    return DirectoryBlobs(tmp_path)


@pytest.fixture
def lists(blobs: DirectoryBlobs) -> ListStore:
    return ListStore(blobs)


def write(lists: ListStore, items: ItemList, chunk_bytes: int = 100) -> ListRef:
    writer = lists.open_writer("default", chunk_bytes)
    writer.add(items.items, items.lineage)
    return writer.finish()


def numbers(count: int) -> ItemList:
    return ItemList([Item({"n": n}) for n in range(count)], list(range(count)))


def damage(blobs: DirectoryBlobs, ref: ListRef, at: int) -> None:
    path = blobs.path("default", ref.sha256)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_list_comes_back_as_it_was(lists: ListStore) -> None:
    items = ItemList(
        [
            Item({"n": 1}),
            Item({"text": "ü\u0000"}, {"f": BlobRef("a" * 64, 3, "text/plain", "f.txt")}),
            Item({}, error=ItemError("x.y", "no", "hint", "node")),
        ],
        [2, -1, 0],
    )

    back = lists.stored("default", write(lists, items, chunk_bytes=1))

    assert list(back.items) == items.items
    assert list(back.lineage) == items.lineage


@pytest.mark.parametrize(
    "lineage", [list(range(50)), [-1] * 50, list(range(7, 57)), [n // 3 for n in range(50)]], ids=str
)
def test_any_lineage_comes_back(lists: ListStore, lineage: list[int]) -> None:
    back = lists.stored("default", write(lists, ItemList(numbers(50).items, lineage)))

    assert list(back.lineage) == lineage


def test_a_reference_says_how_much_it_is(lists: ListStore, blobs: DirectoryBlobs) -> None:
    ref = write(lists, numbers(1000))

    assert ref.items == 1000
    assert ref.size_bytes == blobs.path("default", ref.sha256).stat().st_size
    assert ref.content_bytes > 1000 * len('{"n":1},')


def test_a_list_may_be_written_in_many_goes_and_may_be_empty(lists: ListStore) -> None:
    writer = lists.open_writer("default")
    for start in range(0, 100, 10):
        writer.add([Item({"n": start})] * 10, [start] * 10)

    assert len(writer) == 100
    assert [item.json["n"] for item in lists.stored("default", writer.finish()).items][::10] == list(range(0, 100, 10))
    assert list(lists.stored("default", lists.open_writer("default").finish()).items) == []


def test_chunks_stay_near_their_size_whatever_the_items_are(lists: ListStore) -> None:
    items = [Item({"text": "x" * (1 if n % 100 else 5_000)}) for n in range(1000)]

    ref = write(lists, ItemList(items, range(1000)), chunk_bytes=2_000)
    chunks = lists.chunks("default", ref)

    stops = [0]
    while stops[-1] < 1000:
        stops.append(chunks.stop(stops[-1]))
    sizes = [sum(len(item.json["text"]) for item in items[a:b]) for a, b in pairwise(stops)]
    assert max(sizes) < 8_000
    assert len(sizes) < 200
    assert list(lists.stored("default", ref).items) == items


def test_a_blob_that_is_gone_is_missing(lists: ListStore, blobs: DirectoryBlobs) -> None:
    ref = write(lists, numbers(10))
    blobs.path("default", ref.sha256).unlink()

    with pytest.raises(BlobMissing):
        lists.stored("default", ref).items[0]
    with pytest.raises(BlobMissing):
        lists.stored("other", ref).items[0]


@pytest.mark.parametrize("at", [0, 50, -1], ids=["first chunk", "later chunk", "index"])
def test_a_single_wrong_bit_is_noticed(lists: ListStore, blobs: DirectoryBlobs, at: int) -> None:
    ref = write(lists, numbers(1000))
    damage(blobs, ref, at)

    with pytest.raises(BlobCorrupt) as corrupt:
        list(lists.stored("default", ref).items)

    assert corrupt.value.code == "blob.corrupt"
    assert corrupt.value.hint


def test_a_blob_that_was_cut_off_is_noticed(lists: ListStore, blobs: DirectoryBlobs) -> None:
    ref = write(lists, numbers(1000))
    path = blobs.path("default", ref.sha256)
    path.write_bytes(path.read_bytes()[:-10])

    with pytest.raises(BlobCorrupt):
        lists.stored("default", ref).items[0]


def test_a_damaged_list_is_mended_by_the_next_that_is_the_same(lists: ListStore, blobs: DirectoryBlobs) -> None:
    ref = write(lists, numbers(1000))
    damage(blobs, ref, 50)

    assert write(lists, numbers(1000)) == ref

    assert [item.json for item in lists.stored("default", ref).items] == [item.json for item in numbers(1000).items]


def test_a_reference_with_another_index_is_noticed(lists: ListStore) -> None:
    ref = write(lists, numbers(10))

    with pytest.raises(BlobCorrupt):
        lists.stored("default", ref._replace(index_sha256="0" * 64)).items[0]


@pytest.mark.parametrize("value", [2**70, object(), "\ud800"])
def test_what_is_no_json_is_refused(lists: ListStore, value: Any) -> None:
    writer = lists.open_writer("default")

    with pytest.raises(EventUnwritable):
        writer.add([Item({"x": value})], [0])
    writer.abandon()


def test_another_process_gets_the_same_lists(lists: ListStore) -> None:
    ref = write(lists, numbers(10))

    there: ListStore = pickle.loads(pickle.dumps(lists))

    assert len(list(there.stored("default", ref).items)) == 10


def test_a_list_tells_which_blobs_its_items_refer_to(lists: ListStore) -> None:
    one, two = BlobRef("a" * 64, 3), BlobRef("b" * 64, 4, "text/plain", "b.txt")
    items = [Item({}, {"one": one}), Item({}), Item({}, {"one": one, "two": two})]

    ref = write(lists, ItemList(items, [0, 1, 2]), chunk_bytes=1)

    assert ref.binary == ((one.sha256, 3), (two.sha256, 4))


def test_there_is_a_limit_to_the_blobs_that_a_list_refers_to(lists: ListStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BINARY_MAX", 1)
    items = [Item({}, {"file": BlobRef(name * 64, 3)}) for name in "ab"]

    with pytest.raises(EventUnwritable, match="can refer to 1 blobs"):
        write(lists, ItemList(items, [0, 1]))
