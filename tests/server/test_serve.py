"""What a server refuses before it owns anything."""

import asyncio
from pathlib import Path

import pytest

from budflow.server.serve import serve
from budflow.server.work_on_ray import work_on_ray
from budflow.settings import Settings
from budflow.storage.blobs.marker import BlobsNotShared
from ray_jobs.placement import Wanted


def cluster(tmp_path: Path) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        executor="ray",
        ray_address="ray-head:6379",
        database_url="postgresql://db.example/budflow",
        blob_url="file:///var/blobs",
    )


def test_blobs_of_one_machine_are_refused_for_a_cluster(tmp_path: Path) -> None:
    with pytest.raises(BlobsNotShared, match="/var/blobs"):
        asyncio.run(serve(cluster(tmp_path), lambda served: None))

    assert list(tmp_path.iterdir()) == []


def test_runners_on_a_cluster_need_shared_blobs_too(tmp_path: Path) -> None:
    with pytest.raises(BlobsNotShared, match="ray-head:6379"):
        asyncio.run(work_on_ray(cluster(tmp_path), Wanted(), lambda status: None))
