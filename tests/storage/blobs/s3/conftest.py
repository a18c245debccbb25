from collections.abc import Iterator
from dataclasses import replace

import pytest

from budflow.storage.blobs.place import S3Place
from budflow.storage.blobs.s3.bucket import Bucket, Patience
from budflow.storage.blobs.s3.store import S3Blobs
from tests.s3_server import S3Server
from tests.storage.blobs.faulty_proxy import FaultyProxy

ATTEMPTS = 2


def hurried(place: S3Place) -> S3Blobs:
    """A store that tries each request twice: pauses between tries grow."""
    blobs = S3Blobs(place)
    blobs.bucket = Bucket(place, Patience(ATTEMPTS, connect_seconds=2, read_seconds=2))
    return blobs


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[FaultyProxy]:
    """What stands before the S3 of `blobs`."""
    with FaultyProxy(s3_server.port).running() as running:
        yield running


@pytest.fixture
def blobs(proxy: FaultyProxy, s3_place: S3Place) -> S3Blobs:
    """Blobs in S3 behind the proxy."""
    return hurried(replace(s3_place, endpoint_url=proxy.address))
