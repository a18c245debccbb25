"""Every blob store as the conformance suite sees it, with what can happen to it behind its back."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from budflow.model.item import BlobRef
from budflow.storage.blobs.directory import DirectoryBlobs
from budflow.storage.blobs.open import Blobs
from budflow.storage.blobs.place import S3Place
from budflow.storage.blobs.s3.store import S3Blobs

LONG_AGO = 1_000_000_000.0
FUTURE = 10_000_000_000.0


class Stored(Protocol):
    """A blob store and its inside."""

    blobs: Blobs

    def again(self) -> Blobs:
        """The same blobs as another process sees them."""
        ...

    def age(self, project: str, sha256: str) -> None:
        """Let what is stored of a blob now be from LONG_AGO."""
        ...

    def replace(self, project: str, sha256: str, data: bytes) -> None:
        """Put other bytes where a blob is."""
        ...

    def copies(self, project: str, sha256: str) -> int:
        """How often a blob is there."""
        ...

    def leave_unfinished(self) -> None:
        """Do what a writer does that dies in the middle."""
        ...

    def unfinished(self) -> int:
        """How much is left of writers that did not finish."""
        ...


class StoredInDirectory:
    """Files."""

    def __init__(self, directory: Path) -> None:
        self.blobs = DirectoryBlobs(directory)

    def again(self) -> DirectoryBlobs:
        return DirectoryBlobs(self.blobs.directory)

    def age(self, project: str, sha256: str) -> None:
        os.utime(self.blobs.path(project, sha256), (LONG_AGO, LONG_AGO))

    def replace(self, project: str, sha256: str, data: bytes) -> None:
        self.blobs.path(project, sha256).write_bytes(data)

    def copies(self, project: str, sha256: str) -> int:
        return int(self.blobs.path(project, sha256).exists())

    def leave_unfinished(self) -> None:
        self.blobs.open_writer("default").write(b"x")

    def unfinished(self) -> int:
        return len(list(self.blobs.unfinished().parent.iterdir()))


class StoredInS3:
    """Objects; `client` looks behind the store."""

    def __init__(self, place: S3Place, client: Any) -> None:
        self.client = client
        self._aged: set[str] = set()
        self._place = place
        self.blobs = self.again()

    def again(self) -> S3Blobs:
        blobs = S3Blobs(self._place)
        blobs.bucket.client.meta.events.register("after-call.s3.ListObjectsV2", self._make_old)
        return blobs

    def age(self, project: str, sha256: str) -> None:
        self._aged |= set(self.keys(sha256))

    def replace(self, project: str, sha256: str, data: bytes) -> None:
        for key in self.keys(sha256):
            self.client.put_object(Bucket=self._place.bucket, Key=key, Body=data)

    def copies(self, project: str, sha256: str) -> int:
        return len(self.keys(sha256))

    def leave_unfinished(self) -> None:
        self.blobs.bucket.begin_upload(f"{self._place.prefix}projects/default/abc/1")

    def unfinished(self) -> int:
        return len(self.client.list_multipart_uploads(Bucket=self._place.bucket).get("Uploads", ()))

    def keys(self, containing: str = "") -> list[str]:
        found = self.client.list_objects_v2(Bucket=self._place.bucket).get("Contents", ())
        return [one["Key"] for one in found if containing in one["Key"]]

    def _make_old(self, parsed: Mapping[str, Any], **_: Any) -> None:
        for one in parsed.get("Contents", ()):
            if one["Key"] in self._aged:
                one["LastModified"] = datetime.fromtimestamp(LONG_AGO, UTC)


def put(blobs: Blobs, data: bytes, project: str = "default") -> BlobRef:
    """Write a blob."""
    writer = blobs.open_writer(project)
    try:
        writer.write(data)
        return writer.finish()
    finally:
        writer.abandon()


def everything(blobs: Blobs) -> list[tuple[str, str]]:
    """All blobs by project and hash."""
    return sorted(blobs.old_blobs(older_than=FUTURE))
