"""What every blob store must do: whole or not there, found again, collected only when that is safe."""

import hashlib
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from budflow.execution.blobs import BlobCorrupt, BlobMissing, BlobUnwritable
from budflow.execution.lists import ListStore
from budflow.model.identity import utc_now
from budflow.model.item import BlobRef, Item, ItemList
from budflow.services.prune_executions import Pruner
from budflow.settings import Settings
from budflow.storage.blobs.s3 import read_ahead, writer as s3_writer
from budflow.storage.memory.store import MemoryStore
from tests.storage.blobs.stores import FUTURE, LONG_AGO, Stored, everything, put

MIB = 1024 * 1024
PART = 64 * 1024


def test_a_blob_is_known_by_the_hash_of_its_bytes(stored: Stored) -> None:
    ref = put(stored.blobs, b"some bytes")

    assert ref == BlobRef(hashlib.sha256(b"some bytes").hexdigest(), 10)
    assert stored.blobs.read("default", ref.sha256, 5, 100) == b"bytes"
    assert stored.blobs.read("default", ref.sha256, 0, 4) == b"some"


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 2 * PART, 7 * PART + 100])
def test_a_blob_of_any_size_is_read_as_it_was_written(
    stored: Stored, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_writer, "PART_BYTES", PART)
    data = os.urandom(size)

    ref = put(stored.blobs, data)

    assert ref == BlobRef(hashlib.sha256(data).hexdigest(), size)
    assert stored.again().read("default", ref.sha256, 0, size + 1) == data


def test_forty_megabytes_written_and_read_piece_by_piece_are_the_same(stored: Stored) -> None:
    piece = os.urandom(64 * 1024)
    writer = stored.blobs.open_writer("default")
    for number in range(640):
        writer.write(number.to_bytes(2) + piece[2:])
    ref = writer.finish()

    hashed, blobs = hashlib.sha256(), stored.again()
    for start in range(0, ref.size_bytes, 64 * 1024):
        hashed.update(blobs.read("default", ref.sha256, start, 64 * 1024))

    assert ref.size_bytes == 40 * MIB
    assert hashed.hexdigest() == ref.sha256


def test_any_range_can_be_read_in_any_order(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead, "FIRST_BYTES", 16)
    monkeypatch.setattr(read_ahead, "WINDOW_BYTES_MAX", 64)
    data = os.urandom(300)
    ref = put(stored.blobs, data)
    borders = [0, 1, 15, 16, 17, 47, 48, 49, 111, 112, 113, 299, 300, 301]

    for start in (*borders, *reversed(borders)):
        for size in (0, 1, 16, 17, 300):
            assert stored.blobs.read("default", ref.sha256, start, size) == data[start : start + size], (start, size)


def test_many_readers_get_their_own_bytes(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead, "FIRST_BYTES", 1_000)
    monkeypatch.setattr(read_ahead, "KEPT_BYTES_MAX", 10_000)
    data = os.urandom(50_000)
    ref = put(stored.blobs, data)

    def read(first: int) -> bytes:
        starts = range(first, len(data), 700)
        return b"".join(stored.blobs.read("default", ref.sha256, start, 700) for start in starts)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(read, range(0, 8_000, 1_000))) == [data[first:] for first in range(0, 8_000, 1_000)]


def test_nobody_sees_a_blob_before_it_is_finished(stored: Stored) -> None:
    writer = stored.blobs.open_writer("default")
    writer.write(b"some bytes")

    assert everything(stored.blobs) == []
    writer.abandon()
    assert stored.unfinished() == 0
    assert everything(stored.blobs) == []


def test_an_abandoned_blob_that_was_finished_stays(stored: Stored) -> None:
    writer = stored.blobs.open_writer("default")
    writer.write(b"x")
    ref = writer.finish()
    writer.abandon()

    assert stored.blobs.read("default", ref.sha256, 0, 1) == b"x"
    with pytest.raises(BlobUnwritable):
        writer.finish()


def test_the_same_bytes_are_stored_once_in_a_project_and_apart_in_another(stored: Stored) -> None:
    first, again, other = put(stored.blobs, b"x"), put(stored.blobs, b"x"), put(stored.blobs, b"x", "other")

    assert first == again == other
    assert everything(stored.blobs) == [("default", first.sha256), ("other", first.sha256)]
    assert stored.blobs.collect("other", first.sha256, older_than=FUTURE)
    assert stored.copies("default", first.sha256) == 1
    assert stored.blobs.read("default", first.sha256, 0, 1) == b"x"


def test_many_who_write_the_same_bytes_at_once_leave_one_blob(stored: Stored) -> None:
    data, blobs = os.urandom(100_000), [stored.blobs, stored.again()]
    together = threading.Barrier(6)

    def write(number: int) -> BlobRef:
        writer = blobs[number % 2].open_writer("default")
        writer.write(data)
        together.wait(10)
        ref = writer.finish()
        assert blobs[number % 2].read("default", ref.sha256, 0, len(data)) == data
        return ref

    with ThreadPoolExecutor(6) as pool:
        [ref] = set(pool.map(write, range(6)))

    assert everything(stored.blobs) == [("default", ref.sha256)]
    assert stored.copies("default", ref.sha256) == 1
    assert stored.again().read("default", ref.sha256, 0, len(data)) == data


@pytest.mark.parametrize("project", ["../../up/./..", "with space", "%41", "ü/ö", "a+b&c=d?e#f"])
def test_the_name_of_a_project_leads_nowhere_else(stored: Stored, project: str) -> None:
    ref = put(stored.blobs, b"x", project)

    assert stored.blobs.read(project, ref.sha256, 0, 1) == b"x"
    assert everything(stored.again()) == [(project, ref.sha256)]
    with pytest.raises(BlobMissing):
        stored.blobs.read("default", ref.sha256, 0, 1)


def test_a_blob_that_is_not_there_is_missing(stored: Stored) -> None:
    with pytest.raises(BlobMissing, match="There is no blob abc"):
        stored.blobs.read("default", "abc", 0, 1)


def test_a_blob_that_another_process_collected_is_missing(stored: Stored) -> None:
    ref = put(stored.blobs, bytes(2_000_000))
    stored.blobs.read("default", ref.sha256, 0, 1)

    assert stored.again().collect("default", ref.sha256, older_than=FUTURE)

    with pytest.raises(BlobMissing):
        stored.blobs.read("default", ref.sha256, 1_000_000, 1_000_000)


def test_who_reads_a_blob_reads_on_when_it_is_written_again(stored: Stored) -> None:
    data = os.urandom(2_000_000)
    ref, reader = put(stored.blobs, data), stored.again()
    begun = reader.read("default", ref.sha256, 0, 100)

    put(stored.blobs, data)

    assert begun + reader.read("default", ref.sha256, 100, 2_000_000) == data


def test_only_what_is_old_is_collected(stored: Stored) -> None:
    ref = put(stored.blobs, b"x")

    assert not stored.blobs.collect("default", ref.sha256, older_than=LONG_AGO)
    assert stored.blobs.collect("default", ref.sha256, older_than=FUTURE)
    assert not stored.blobs.collect("default", ref.sha256, older_than=FUTURE)
    assert everything(stored.blobs) == []


def test_a_blob_that_is_written_again_is_young_again(stored: Stored) -> None:
    ref = put(stored.blobs, b"x")
    stored.age("default", ref.sha256)
    assert list(stored.blobs.old_blobs(older_than=LONG_AGO + 1)) == [("default", ref.sha256)]

    put(stored.blobs, b"x")

    assert list(stored.blobs.old_blobs(older_than=LONG_AGO + 1)) == []
    assert not stored.blobs.collect("default", ref.sha256, older_than=LONG_AGO + 1)
    assert stored.blobs.read("default", ref.sha256, 0, 1) == b"x"


def test_what_is_written_while_it_is_collected_stays(stored: Stored) -> None:
    """Whoever is faster: after a writer has finished, the blob is there."""
    data = os.urandom(10_000)
    for _ in range(5):
        ref = put(stored.blobs, data)
        stored.age("default", ref.sha256)
        together = threading.Barrier(3)

        def collect(ref: BlobRef = ref, together: threading.Barrier = together) -> None:
            together.wait(10)
            stored.blobs.collect("default", ref.sha256, older_than=LONG_AGO + 1)

        with ThreadPoolExecutor(2) as pool:
            collecting = [pool.submit(collect), pool.submit(collect)]
            together.wait(10)
            put(stored.blobs, data)
            for one in collecting:
                one.result()

        assert stored.again().read("default", ref.sha256, 0, 10_000) == data


@pytest.mark.parametrize("wrong", [b"wrong bytes", b"some", b""], ids=["changed", "cut off", "empty"])
def test_a_blob_that_was_changed_is_mended_by_whoever_writes_it_again(stored: Stored, wrong: bytes) -> None:
    ref = put(stored.blobs, b"some bytes!")
    stored.replace("default", ref.sha256, wrong)

    assert put(stored.blobs, b"some bytes!") == ref

    assert stored.blobs.read("default", ref.sha256, 0, 100) == b"some bytes!"
    assert stored.again().read("default", ref.sha256, 0, 100) == b"some bytes!"
    assert stored.unfinished() == 0


@pytest.mark.parametrize("at", [0, 500, -1], ids=["begin", "middle", "index"])
def test_a_list_in_a_blob_that_was_changed_is_noticed(stored: Stored, at: int) -> None:
    lists = ListStore(stored.blobs)
    writer = lists.open_writer("default", chunk_bytes=500)
    writer.add([Item({"n": number, "text": os.urandom(50).hex()}) for number in range(200)], range(200))
    ref = writer.finish()
    whole = bytearray(stored.blobs.read("default", ref.sha256, 0, ref.size_bytes))
    whole[at] ^= 1
    stored.replace("default", ref.sha256, bytes(whole))

    with pytest.raises(BlobCorrupt):
        list(ListStore(stored.again()).stored("default", ref).items)


def test_a_list_is_read_in_another_process(stored: Stored) -> None:
    lists = ListStore(stored.blobs)
    writer = lists.open_writer("default")
    writer.add([Item({"n": number}) for number in range(100)], range(100))
    ref = writer.finish()

    there: ListStore = pickle.loads(pickle.dumps(lists))

    found: ItemList = there.stored("default", ref)
    assert [item.json["n"] for item in found.items] == list(range(100))


def test_what_dead_writers_left_is_removed_when_it_is_old(stored: Stored) -> None:
    stored.leave_unfinished()

    assert stored.blobs.remove_unfinished(older_than=LONG_AGO) == 0
    assert stored.unfinished() == 1
    assert stored.blobs.remove_unfinished(older_than=FUTURE) == 1
    assert stored.unfinished() == 0


async def test_blobs_that_nobody_refers_to_are_pruned_when_they_are_old(stored: Stored) -> None:
    pruner = Pruner(MemoryStore(), stored.blobs, Settings())
    old, young = put(stored.blobs, b"old"), put(stored.blobs, b"young")
    stored.age("default", old.sha256)

    assert await pruner.collect_orphans(utc_now()) == 1

    assert everything(stored.blobs) == [("default", young.sha256)]


def test_a_scratch_file_has_no_name(stored: Stored) -> None:
    with stored.blobs.scratch() as file:
        file.write(b"x")
        assert os.pread(file.fileno(), 10, 0) == b"x"
        assert stored.unfinished() == 0


def test_a_store_that_works_passes_its_check_and_stays_empty(stored: Stored) -> None:
    stored.blobs.check()
    stored.blobs.check(writing=True)

    assert everything(stored.blobs) == []
    assert stored.unfinished() == 0
    assert stored.blobs.place
