import asyncio
import os
from datetime import timedelta
from pathlib import Path

import pytest

from budflow.model.identity import utc_now
from budflow.services import sweep_blobs as module
from budflow.services.use_case import Services
from budflow.settings import Settings
from budflow.storage.blobs.directory import DirectoryBlobs
from budflow.storage.memory.store import MemoryStore
from tests.services.duties.duty import services
from tests.until import until


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_SECONDS", 0)
    monkeypatch.setattr(module, "SWEEP_SECONDS", 0.001)


@pytest.fixture
def blobs(tmp_path: Path) -> DirectoryBlobs:
    """With one blob of two days ago that no row knows."""
    blobs = DirectoryBlobs(tmp_path)
    writer = blobs.open_writer("default")
    writer.write(b"old")
    path, at = blobs.path("default", writer.finish().sha256), (utc_now() - timedelta(days=2)).timestamp()
    os.utime(path, (at, at))
    return blobs


def count(blobs: DirectoryBlobs) -> int:
    return len(list(blobs.old_blobs(older_than=1e11)))


def given(blobs: DirectoryBlobs, url: str | None = None) -> Services:
    return services(store=MemoryStore(), blobs=blobs, settings=Settings(blob_url=url))


async def test_each_server_sweeps_its_own_directory_also_after_a_failure(
    blobs: DirectoryBlobs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    remove, failures = blobs.remove_unfinished, [OSError("no")]

    def failing(*, older_than: float) -> int:
        if failures:
            raise failures.pop()
        return remove(older_than=older_than)

    monkeypatch.setattr(blobs, "remove_unfinished", failing)
    task = asyncio.create_task(module.sweep_own_directory(given(blobs, "file:///somewhere")))

    await until(lambda: count(blobs) == 0)

    task.cancel()
    assert [record.message for record in caplog.records] == ["blobs.not_swept"]


async def test_no_server_sweeps_by_itself_what_all_share(blobs: DirectoryBlobs) -> None:
    await module.sweep_own_directory(given(blobs, "s3://bucket/prefix"))

    assert count(blobs) == 1
