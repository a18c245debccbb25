"""What the status tells of blobs: asked for once in a while, and never waited for long."""

import threading
from collections.abc import Iterator

import pytest

from budflow.execution.blobs import BlobUnwritable
from budflow.services import cluster_watch
from budflow.services.cluster_watch import ClusterWatch
from budflow.storage.blobs.directory import DirectoryBlobs


class Blobs(DirectoryBlobs):
    """Counts how often it is looked at; `silent` holds the answer back."""

    def __init__(self) -> None:
        self.looks, self.broken = 0, False
        self.answers = threading.Event()

    @property
    def place(self) -> str:
        return "s3://bucket/"

    def check(self, *, writing: bool = False) -> None:
        self.looks += 1
        assert self.answers.wait(10)
        if self.broken:
            raise BlobUnwritable


@pytest.fixture
def blobs() -> Iterator[Blobs]:
    new = Blobs()
    yield new
    new.answers.set()  # Its thread ends with the test.


async def test_blobs_are_looked_at_once_however_many_ask(blobs: Blobs) -> None:
    watch = ClusterWatch()
    blobs.answers.set()

    assert [await watch.blobs(blobs) for _ in range(3)] == [None] * 3
    assert blobs.looks == 1


async def test_that_they_cannot_be_reached_is_kept_too(blobs: Blobs) -> None:
    watch = ClusterWatch()
    blobs.answers.set()
    blobs.broken = True

    found = [await watch.blobs(blobs) for _ in range(3)]

    assert [error and error.code for error in found] == ["blob.unwritable"] * 3
    assert blobs.looks == 1


async def test_blobs_that_do_not_answer_are_not_waited_for(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_watch, "BLOBS_WAIT_SECONDS", 0.01)

    error = await ClusterWatch().blobs(blobs)

    assert error is not None
    assert error.message == "Blobs cannot be read in s3://bucket/: it does not answer in time."
