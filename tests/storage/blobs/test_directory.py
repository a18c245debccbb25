"""Blobs as files: whole or not there, found again, collected only when that is safe."""

import hashlib
import os
from pathlib import Path

import pytest

from budflow.execution.blobs import BlobMissing, BlobUnreadable, BlobUnwritable
from budflow.model.item import BlobRef
from budflow.storage.blobs.directory import DirectoryBlobs

LONG_AGO = 1_000_000_000.0
FUTURE = 10_000_000_000.0


@pytest.fixture
def blobs(tmp_path: Path) -> DirectoryBlobs:
    return DirectoryBlobs(tmp_path / "blobs")


def put(blobs: DirectoryBlobs, data: bytes, project: str = "default") -> BlobRef:
    writer = blobs.open_writer(project)
    writer.write(data)
    return writer.finish()


def everything(blobs: DirectoryBlobs) -> list[tuple[str, str]]:
    return sorted(blobs.old_blobs(older_than=FUTURE))


def test_a_blob_is_known_by_the_hash_of_its_bytes(blobs: DirectoryBlobs) -> None:
    ref = put(blobs, b"some bytes")

    assert ref == BlobRef(hashlib.sha256(b"some bytes").hexdigest(), 10)
    assert blobs.read("default", ref.sha256, 5, 100) == b"bytes"
    assert blobs.read("default", ref.sha256, 0, 4) == b"some"


def test_nobody_sees_a_blob_before_it_is_finished(blobs: DirectoryBlobs) -> None:
    writer = blobs.open_writer("default")
    writer.write(b"some bytes")

    assert everything(blobs) == []
    writer.abandon()
    assert list(blobs.unfinished().parent.iterdir()) == []


def test_what_is_durable_before_its_name_is_the_whole(blobs: DirectoryBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    ref = put(blobs, b"x")

    path = blobs.path("default", ref.sha256)
    assert "unfinished" in synced[0], "the bytes before the name"
    assert str(path.parent) in synced[1:], "then the directory that has the name"


def test_an_abandoned_blob_that_was_finished_stays(blobs: DirectoryBlobs) -> None:
    writer = blobs.open_writer("default")
    writer.write(b"x")
    ref = writer.finish()
    writer.abandon()

    assert blobs.read("default", ref.sha256, 0, 1) == b"x"
    with pytest.raises(BlobUnwritable):
        writer.finish()


def test_the_same_bytes_are_stored_once_in_a_project_and_apart_in_another(blobs: DirectoryBlobs) -> None:
    first, again, other = put(blobs, b"x"), put(blobs, b"x"), put(blobs, b"x", "other")

    assert first == again == other
    assert everything(blobs) == [("default", first.sha256), ("other", first.sha256)]


def test_the_name_of_a_project_leads_nowhere_else(blobs: DirectoryBlobs, tmp_path: Path) -> None:
    ref = put(blobs, b"x", "../../up/./..")

    assert blobs.read("../../up/./..", ref.sha256, 0, 1) == b"x"
    assert [path.name for path in tmp_path.iterdir()] == ["blobs"]
    assert everything(blobs) == [("../../up/./..", ref.sha256)]


def test_a_blob_that_is_not_there_is_missing(blobs: DirectoryBlobs) -> None:
    with pytest.raises(BlobMissing, match="There is no blob abc"):
        blobs.read("default", "abc", 0, 1)


def test_what_the_disk_refuses_is_told(blobs: DirectoryBlobs, tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("a file where the directory should be")

    with pytest.raises(BlobUnwritable):
        blobs.open_writer("default")
    with pytest.raises(BlobUnwritable):
        blobs.scratch()
    with pytest.raises(BlobUnreadable):
        blobs.read("default", "abc", 0, 1)


def test_only_what_is_old_is_collected(blobs: DirectoryBlobs) -> None:
    ref = put(blobs, b"x")

    assert not blobs.collect("default", ref.sha256, older_than=LONG_AGO)
    assert blobs.collect("default", ref.sha256, older_than=FUTURE)
    assert not blobs.collect("default", ref.sha256, older_than=FUTURE)
    assert everything(blobs) == []


def test_a_blob_that_is_written_again_is_young_again(blobs: DirectoryBlobs) -> None:
    ref = put(blobs, b"x")
    os.utime(blobs.path("default", ref.sha256), (LONG_AGO, LONG_AGO))
    assert list(blobs.old_blobs(older_than=LONG_AGO + 1)) == [("default", ref.sha256)]

    put(blobs, b"x")

    assert list(blobs.old_blobs(older_than=LONG_AGO + 1)) == []
    assert not blobs.collect("default", ref.sha256, older_than=LONG_AGO + 1)


@pytest.mark.parametrize("wrong", [b"wrong bytes", b"some", b""], ids=["changed", "cut off", "empty"])
def test_a_blob_that_the_disk_changed_is_mended_by_whoever_writes_it_again(blobs: DirectoryBlobs, wrong: bytes) -> None:
    ref = put(blobs, b"some bytes!")
    path = blobs.path("default", ref.sha256)
    path.write_bytes(wrong)

    with path.open("rb") as reading:
        assert put(blobs, b"some bytes!") == ref
        assert reading.read() == wrong, "who has it open reads on"

    assert blobs.read("default", ref.sha256, 0, 100) == b"some bytes!"
    assert list(blobs.unfinished().parent.iterdir()) == []


def test_what_dead_writers_left_is_removed_when_it_is_old(blobs: DirectoryBlobs) -> None:
    blobs.open_writer("default").write(b"x")

    assert blobs.remove_unfinished(older_than=LONG_AGO) == 0
    assert blobs.remove_unfinished(older_than=FUTURE) == 1
    assert list(blobs.unfinished().parent.iterdir()) == []


def test_a_scratch_file_has_no_name(blobs: DirectoryBlobs) -> None:
    with blobs.scratch() as file:
        file.write(b"x")
        assert list(blobs.unfinished().parent.iterdir()) == []
