"""Blobs as files: what holds for a directory beyond what every blob store does."""

import os
from pathlib import Path

import pytest

from budflow.execution.blobs import BlobUnreadable, BlobUnwritable
from budflow.storage.blobs.directory import DirectoryBlobs
from tests.storage.blobs.stores import put


@pytest.fixture
def blobs(tmp_path: Path) -> DirectoryBlobs:
    return DirectoryBlobs(tmp_path / "blobs")


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


def test_the_name_of_a_project_leads_to_no_other_directory(blobs: DirectoryBlobs, tmp_path: Path) -> None:
    put(blobs, b"x", "../../up/./..")

    assert [path.name for path in tmp_path.iterdir()] == ["blobs"]


def test_what_the_disk_refuses_is_told(blobs: DirectoryBlobs, tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("a file where the directory should be")

    with pytest.raises(BlobUnwritable):
        blobs.open_writer("default")
    with pytest.raises(BlobUnwritable):
        blobs.scratch()
    with pytest.raises(BlobUnreadable):
        blobs.read("default", "abc", 0, 1)
    with pytest.raises(BlobUnwritable, match="is no directory"):
        blobs.check()


def test_who_reads_a_file_that_is_written_anew_reads_on(blobs: DirectoryBlobs) -> None:
    ref = put(blobs, b"some bytes!")
    path = blobs.path("default", ref.sha256)
    path.write_bytes(b"wrong bytes")

    with path.open("rb") as reading:
        assert put(blobs, b"some bytes!") == ref
        assert reading.read() == b"wrong bytes"


def test_a_directory_that_is_not_there_yet_is_fine(blobs: DirectoryBlobs, tmp_path: Path) -> None:
    blobs.check(writing=True)

    assert list(tmp_path.iterdir()) == []
