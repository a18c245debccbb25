"""Which blob store a setting opens, and where a directory does not suffice."""

import subprocess
import sys
from pathlib import Path

import pytest

from budflow.settings import Settings
from budflow.storage.blobs.directory import DirectoryBlobs
from budflow.storage.blobs.marker import BlobsNotShared
from budflow.storage.blobs.open import open_blobs, require_shared_blobs
from budflow.storage.blobs.place import BlobUrlRefused
from budflow.storage.blobs.s3.store import S3Blobs

CLUSTER = "ray-head:6379"


@pytest.mark.parametrize(("url", "directory"), [(None, "/data/blobs"), ("file:///var/blobs", "/var/blobs")])
def test_blobs_are_in_a_directory(url: str | None, directory: str) -> None:
    blobs = open_blobs(url, Path("/data"))

    assert isinstance(blobs, DirectoryBlobs)
    assert blobs.place == directory


def test_blobs_are_in_a_bucket() -> None:
    blobs = open_blobs("s3://bucket/prefix?endpoint_url=http://127.0.0.1:1", Path("/data"))

    assert isinstance(blobs, S3Blobs)
    assert blobs.place == "s3://bucket/prefix/ at http://127.0.0.1:1"


def test_a_place_that_is_none_is_refused() -> None:
    with pytest.raises(BlobUrlRefused):
        open_blobs("/var/blobs", Path("/data"))


def test_who_keeps_blobs_in_a_directory_never_imports_boto3() -> None:
    look = (
        "import sys; from pathlib import Path; from budflow.storage.blobs.open import open_blobs;"
        "open_blobs(None, Path('/data')); assert not {'boto3', 'botocore'} & set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", look], check=True)


@pytest.mark.parametrize("blob_url", [None, "file:///var/blobs"])
def test_a_directory_is_refused_where_ray_is_on_several_machines(blob_url: str | None) -> None:
    with pytest.raises(BlobsNotShared, match="ray-head:6379") as refused:
        require_shared_blobs(Settings(ray_address=CLUSTER, blob_url=blob_url))

    assert "s3://" in refused.value.hint


@pytest.mark.parametrize("address", ["local", "127.0.0.1:6379", "localhost:6379", "[::1]:6379"])
def test_a_directory_suffices_for_many_processes_of_one_machine(address: str) -> None:
    require_shared_blobs(Settings(ray_address=address))


def test_a_bucket_suffices_anywhere() -> None:
    require_shared_blobs(Settings(ray_address=CLUSTER, blob_url="s3://bucket/prefix"))
