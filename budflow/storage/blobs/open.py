"""Which blob store a server uses: the directory or the bucket that `blob_url` names, else one in the data directory."""

from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from budflow.execution.blobs import BlobStore
from budflow.services.retention import BlobFiles
from budflow.settings import Settings
from budflow.storage.blobs.directory import DirectoryBlobs
from budflow.storage.blobs.marker import BlobsNotShared
from budflow.storage.blobs.place import S3Place, read_blob_url

DIRECTORY = "blobs"
THIS_MACHINE = frozenset({"local", "localhost", "127.0.0.1", "::1"})


class Blobs(BlobStore, BlobFiles, Protocol):
    """All that is asked of blobs: by executions, and by what removes those that nobody needs."""


def open_blobs(blob_url: str | None, data_dir: Path) -> Blobs:
    """Open the blob store, which is made, or connected to, when it is first needed. Raises BlobUrlRefused."""
    place = _place(blob_url, data_dir)
    if isinstance(place, Path):
        return DirectoryBlobs(place)
    from budflow.storage.blobs.s3.store import S3Blobs  # noqa: PLC0415 - boto3 takes 0.2 s; a laptop never needs it

    return S3Blobs(place)


def require_shared_blobs(settings: Settings) -> None:
    """Refuse a directory of blobs for a Ray that may be on several machines. Raises BlobsNotShared, BlobUrlRefused.

    One that is reached by a loopback address has no other machines: they could not reach it.
    """
    host = urlsplit(f"//{settings.ray_address}").hostname
    place = _place(settings.blob_url, settings.data_dir)
    if isinstance(place, Path) and host not in THIS_MACHINE:
        raise BlobsNotShared(
            f"`ray_address` is {settings.ray_address}, and blobs are in the directory {place} of this machine.",
            hint="Set `BUDFLOW_BLOB_URL=s3://bucket/prefix`, the same everywhere: docs/deployment.md says how.",
        )


def _place(blob_url: str | None, data_dir: Path) -> Path | S3Place:
    return data_dir / DIRECTORY if blob_url is None else read_blob_url(blob_url)
