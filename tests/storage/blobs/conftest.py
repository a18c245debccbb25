from pathlib import Path

import pytest

from budflow.storage.blobs.place import S3Place
from tests.s3_server import S3Server
from tests.storage.blobs.stores import Stored, StoredInDirectory, StoredInS3


@pytest.fixture
def s3_place(s3_server: S3Server, s3_bucket: str) -> S3Place:
    """A place in a bucket of its own."""
    return S3Place(s3_bucket, "some/where/", s3_server.address, "us-east-1", "path")


@pytest.fixture
def in_s3(s3_server: S3Server, s3_place: S3Place) -> StoredInS3:
    """The blob store in S3."""
    return StoredInS3(s3_place, s3_server.client())


@pytest.fixture(params=["directory", "s3"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Stored:
    """One adapter after the other."""
    if request.param == "directory":
        return StoredInDirectory(tmp_path / "blobs")
    found: Stored = request.getfixturevalue("in_s3")
    return found
