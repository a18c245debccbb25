"""What a `blob_url` may say."""

from pathlib import Path

import pytest

from budflow.storage.blobs.place import BlobUrlRefused, S3Place, read_blob_url


@pytest.mark.parametrize(
    ("url", "directory"),
    [
        ("file:///var/blobs", "/var/blobs"),
        ("file://localhost/var/blobs", "/var/blobs"),
        ("file:///var/my%20blobs", "/var/my blobs"),
    ],
)
def test_a_directory(url: str, directory: str) -> None:
    assert read_blob_url(url) == Path(directory)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("s3://bucket", S3Place("bucket")),
        ("s3://bucket/", S3Place("bucket")),
        ("s3://my.bucket-1/a/b/", S3Place("my.bucket-1", "a/b/")),
        ("s3://bucket/a?region=eu-central-1", S3Place("bucket", "a/", region="eu-central-1")),
        (
            "s3://bucket/a?endpoint_url=https://s3.example:9000&region=auto",
            S3Place("bucket", "a/", "https://s3.example:9000", "auto", "path"),
        ),
        (
            "s3://bucket?endpoint_url=https%3A%2F%2Fs3.example&addressing=virtual",
            S3Place("bucket", "", "https://s3.example", None, "virtual"),
        ),
    ],
)
def test_a_bucket(url: str, place: S3Place) -> None:
    assert read_blob_url(url) == place


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/var/blobs",
        "file://var/blobs",
        "file:blobs",
        "file:///var?x=1",
        "file:///a#b",
        "s3://",
        "s3:///prefix",
        "s3://Bucket/prefix",
        "s3://b/prefix",
        "s3://bucket:80/prefix",
        "s3://bucket/a//b",
        "s3://bucket/a/../b",
        "s3://bucket/ü",
        "s3://bucket/%2e",
        f"s3://bucket/{'a' * 300}",
        "s3://bucket/a#b",
        "s3://bucket/a?endpoint=https://s3.example",
        "s3://bucket/a?region=a&region=b",
        "s3://bucket/a?region=",
        "s3://bucket/a?region=Frankfurt am Main",
        "s3://bucket/a?addressing=other",
        "s3://bucket/a?endpoint_url=s3.example",
        "s3://bucket/a?endpoint_url=ftp://s3.example",
        "s3://bucket/a?endpoint_url=https://s3.example:none",
        "s3://bucket/a?endpoint_url=https://s3.example?x=1",
        "gs://bucket/prefix",
        "s3://[bucket",
    ],
)
def test_any_other_place_is_refused(url: str) -> None:
    with pytest.raises(BlobUrlRefused) as refused:
        read_blob_url(url)

    assert "file:///" in refused.value.hint
    assert "s3://" in refused.value.hint


@pytest.mark.parametrize(
    "url", ["s3://AKIA:shh-secret@bucket/a", "s3://bucket/a?endpoint_url=https://me:shh-secret@s3.example"]
)
def test_credentials_have_no_place_there_and_are_not_repeated(url: str) -> None:
    with pytest.raises(BlobUrlRefused) as refused:
        read_blob_url(url)

    assert "shh-secret" not in f"{refused.value.message} {refused.value.hint} {refused.value.details}"
