"""What nodes read and write by the blob store: durable, checked, of one project, and beside the event loop."""

import asyncio
import hashlib
import threading
from pathlib import Path
from random import Random

import pytest

from budflow.execution import stored_blobs as module
from budflow.execution.blobs import BlobCorrupt, BlobMissing, BlobStore, BlobUnwritable
from budflow.execution.stored_blobs import StoredBlobs
from budflow.model.blobs import NO_BLOBS, BlobsClosed, BlobTooLarge
from budflow.model.item import BlobRef
from budflow.storage.blobs.directory import DirectoryBlobs
from tests.execution.simulated_blobs import SimulatedBlobs

REF = BlobRef(hashlib.sha256(b"some bytes").hexdigest(), 10, "text/plain", "a.txt")


@pytest.fixture(params=["mapped", "loaded"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    """One that can map a blob, and one that cannot."""
    return DirectoryBlobs(tmp_path) if request.param == "mapped" else SimulatedBlobs(Random(0))


@pytest.fixture
def blobs(store: BlobStore) -> StoredBlobs:
    return StoredBlobs(store, "default")


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE_BYTES", 4)


async def test_what_is_put_is_known_by_its_hash_and_told_as_it_is_to_be(blobs: StoredBlobs) -> None:
    assert await blobs.put(b"some bytes", media_type="text/plain", name="a.txt") == REF
    assert await blobs.put(memoryview(bytearray(b"some bytes"))) == REF._replace(
        media_type="application/octet-stream", name=None
    )


async def test_it_is_read_as_a_whole_and_cannot_be_changed(blobs: StoredBlobs) -> None:
    await blobs.put(b"some bytes")

    whole = await blobs.read(REF)

    assert (bytes(whole), whole.readonly) == (b"some bytes", True)


async def test_it_is_streamed_in_pieces(blobs: StoredBlobs) -> None:
    await blobs.put(b"some bytes")

    assert [piece async for piece in blobs.stream(REF)] == [b"some", b" byt", b"es"]


async def test_nothing_is_a_blob_too(blobs: StoredBlobs) -> None:
    ref = await blobs.put(b"")

    assert bytes(await blobs.read(ref)) == b""
    assert [piece async for piece in blobs.stream(ref)] == []


async def test_it_is_written_piece_by_piece_and_is_there_at_the_end(blobs: StoredBlobs) -> None:
    async with blobs.write(media_type="text/plain", name="a.txt") as sink:
        await sink.write(b"some ")
        await sink.write(bytearray(b"bytes"))
        with pytest.raises(BlobUnwritable, match="not finished"):
            _ = sink.ref

    assert sink.ref == REF
    assert bytes(await blobs.read(REF)) == b"some bytes"


async def test_an_error_in_between_leaves_nothing(tmp_path: Path) -> None:
    blobs = StoredBlobs(DirectoryBlobs(tmp_path), "default")

    with pytest.raises(ZeroDivisionError):
        async with blobs.write() as sink:
            await sink.write(b"some bytes")
            raise ZeroDivisionError

    assert files_below(tmp_path) == []


def files_below(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


async def test_another_project_does_not_have_it(store: BlobStore, blobs: StoredBlobs) -> None:
    await blobs.put(b"some bytes")

    with pytest.raises(BlobMissing):
        await StoredBlobs(store, "other").read(REF)


async def test_what_changed_on_the_disk_is_found_out(tmp_path: Path) -> None:
    store = DirectoryBlobs(tmp_path)
    blobs = StoredBlobs(store, "default")
    await blobs.put(b"some bytes")
    store.path("default", REF.sha256).write_bytes(b"some bites")

    with pytest.raises(BlobCorrupt):
        await blobs.read(REF)
    with pytest.raises(BlobCorrupt):
        _ = [piece async for piece in blobs.stream(REF)]


async def test_one_that_is_shorter_than_it_was_is_found_out(store: BlobStore, blobs: StoredBlobs) -> None:
    await blobs.put(b"some bytes")

    with pytest.raises(BlobCorrupt):
        _ = [piece async for piece in blobs.stream(REF._replace(size_bytes=11))]


async def test_a_mapped_blob_stays_readable_when_it_is_collected(tmp_path: Path) -> None:
    store = DirectoryBlobs(tmp_path)
    blobs = StoredBlobs(store, "default")
    await blobs.put(b"some bytes")
    whole = await blobs.read(REF)

    store.path("default", REF.sha256).unlink()

    assert bytes(whole) == b"some bytes"


async def test_there_is_a_limit_to_what_is_read_as_a_whole(blobs: StoredBlobs) -> None:
    with pytest.raises(BlobTooLarge, match="5,000,000,000 bytes"):
        await blobs.read(REF._replace(size_bytes=5_000_000_000))


async def test_a_disk_that_is_full_is_told() -> None:
    store = SimulatedBlobs(Random(0))
    store.faulty = 1.0

    with pytest.raises(BlobUnwritable):
        await StoredBlobs(store, "default").put(b"some bytes")
    assert store.open == set()


async def test_one_who_is_cancelled_waits_until_its_piece_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    store, began, go_on = SimulatedBlobs(Random(0)), threading.Event(), threading.Event()
    blobs = StoredBlobs(store, "default")

    async def write() -> None:
        async with blobs.write() as sink:
            writer = next(iter(store.open))
            monkeypatch.setattr(writer, "write", lambda data: (began.set(), go_on.wait(10)))
            await sink.write(b"some")

    task = asyncio.create_task(write())
    await asyncio.to_thread(began.wait, 10)
    task.cancel()
    await asyncio.sleep(0)
    assert store.open
    go_on.set()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert store.open == set()


async def test_without_a_store_a_node_is_told_so() -> None:
    for use in (NO_BLOBS.read(REF), NO_BLOBS.put(b"")):
        with pytest.raises(BlobsClosed):
            await use
    with pytest.raises(BlobsClosed):
        NO_BLOBS.stream(REF)
    with pytest.raises(BlobsClosed):
        NO_BLOBS.write()
