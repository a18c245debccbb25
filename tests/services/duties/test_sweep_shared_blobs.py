import asyncio
from typing import cast

import pytest

from budflow.services import sweep_blobs as steps
from budflow.services.duties.sweep_shared_blobs import sweep_shared_blobs
from budflow.services.leader_ports import NotLeader
from budflow.services.retention import BlobFiles
from budflow.services.use_case import Services
from budflow.settings import Settings
from budflow.storage.memory.store import MemoryStore
from tests.services.duties.duty import FakeTerm, performing, services
from tests.until import until


class Bucket:
    """A store that all share, with one blob that no row knows."""

    def __init__(self) -> None:
        self.blobs, self.looked = [("default", "aa")], 0

    def remove_unfinished(self, *, older_than: float) -> int:
        self.looked += 1
        return 0

    def old_blobs(self, *, older_than: float) -> list[tuple[str, str]]:
        return iter([*self.blobs])  # type: ignore[return-value] # an iterator, as its port says

    def collect(self, project_id: str, sha256: str, *, older_than: float) -> bool:
        self.blobs.remove((project_id, sha256))
        return True


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "FIRST_SECONDS", 0)
    monkeypatch.setattr(steps, "STEP_SECONDS", 0, raising=False)


def given(bucket: Bucket, url: str | None) -> Services:
    return services(store=MemoryStore(), blobs=cast(BlobFiles, bucket), settings=Settings(blob_url=url))


async def test_the_leader_removes_what_no_row_knows() -> None:
    bucket = Bucket()

    async with performing(sweep_shared_blobs, given(bucket, "s3://bucket/prefix")):
        await until(lambda: not bucket.blobs)


async def test_who_leads_no_more_removes_nothing() -> None:
    bucket, term = Bucket(), FakeTerm()
    term.leads = False

    with pytest.raises(NotLeader):
        async with performing(sweep_shared_blobs, given(bucket, "s3://bucket/prefix"), term) as task:
            await asyncio.wait([task])

    assert bucket.blobs


async def test_a_directory_is_left_to_those_who_have_it() -> None:
    bucket = Bucket()

    async with performing(sweep_shared_blobs, given(bucket, None)) as task:
        done, _ = await asyncio.wait([task], timeout=0.02)

    assert not done
    assert bucket.looked == 0
