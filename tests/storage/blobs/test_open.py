"""Which blob store a setting names."""

from pathlib import Path

import pytest

from budflow.storage.blobs.open import BlobUrlRefused, open_blobs


@pytest.mark.parametrize(
    ("url", "directory"),
    [
        (None, "/data/blobs"),
        ("file:///var/blobs", "/var/blobs"),
        ("file://localhost/var/blobs", "/var/blobs"),
        ("file:///var/my%20blobs", "/var/my blobs"),
    ],
)
def test_blobs_are_in_a_directory(url: str | None, directory: str) -> None:
    assert open_blobs(url, Path("/data")).directory == Path(directory)


@pytest.mark.parametrize(
    "url", ["s3://bucket/prefix", "/var/blobs", "file://var/blobs", "file:blobs", "file:///var?x=1", "file:///a#b"]
)
def test_any_other_place_is_refused_by_name(url: str) -> None:
    with pytest.raises(BlobUrlRefused) as refused:
        open_blobs(url, Path("/data"))

    assert "file:///" in refused.value.hint
