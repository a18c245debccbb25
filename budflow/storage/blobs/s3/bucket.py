"""A bucket of S3, or of what speaks like it: the requests that blobs need, by any thread, each with bounded retries."""

import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import boto3
from botocore.config import Config
from botocore.loaders import create_loader
from botocore.session import Session

from budflow.execution.blobs import BlobMissing, BlobUnreadable, BlobUnwritable
from budflow.storage.blobs.place import S3Place
from budflow.storage.blobs.s3.errors import FAILURES, code_of, failed, told

CONNECTIONS_MAX = 32
PIECE_BYTES = 1024 * 1024
#: What services answer that speak S3 but cannot list uploads.
_CANNOT = frozenset({"NotImplemented", "MethodNotAllowed"})


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a request is tried, with growing pauses between, and how long each try may stay without an answer."""

    attempts: int
    connect_seconds: float
    read_seconds: float


PATIENT = Patience(attempts=5, connect_seconds=5.0, read_seconds=30.0)
#: For who reads on an event loop, where all else stands still meanwhile: it must not last as long as a lease.
HASTY = Patience(attempts=3, connect_seconds=1.0, read_seconds=2.0)
#: For somebody who waits to be told whether it works.
IMPATIENT = Patience(attempts=1, connect_seconds=2.0, read_seconds=3.0)


class Found(NamedTuple):
    """An object in the bucket: its size, and when it was written, in seconds since 1970 by S3's clock."""

    key: str
    size_bytes: int
    at: float


class Upload(NamedTuple):
    """An object that is being uploaded in parts, and since when."""

    key: str
    id: str
    at: float


class Bucket:
    """What looks raises BlobUnreadable, what changes something BlobUnwritable. It connects when it is first used."""

    def __init__(self, place: S3Place, patience: Patience = PATIENT) -> None:
        self.place, self.patience = place, patience
        self._made: Any = None
        self._making = threading.Lock()

    @property
    def client(self) -> Any:
        """The client that boto3 is made of, opened once; any thread may use it."""
        with self._making:
            if self._made is None:
                self._made = _client(self.place, self.patience)
            return self._made

    def objects(self, prefix: str, *, page: int = 1000) -> Iterator[Found]:
        """Those whose keys begin so, in the order of their keys; `page` are asked for at a time."""
        wanted: dict[str, Any] = {"Bucket": self.place.bucket, "Prefix": prefix, "MaxKeys": page}
        while True:
            with told(BlobUnreadable, self.place):
                answer = self.client.list_objects_v2(**wanted)
            for one in answer.get("Contents", ()):
                yield Found(one["Key"], one["Size"], one["LastModified"].timestamp())
            if not answer.get("IsTruncated"):
                return
            wanted["ContinuationToken"] = answer["NextContinuationToken"]

    def get(self, key: str, start: int, size: int) -> bytes:
        """`size` bytes from `start` on, all of which the object must have. Raises BlobMissing too.

        What breaks off is gone on with from where it did, as often as a request is tried.
        """
        data = bytearray()
        for left in reversed(range(self.patience.attempts)):
            body = self._get(key, start + len(data), size - len(data))
            try:
                with closing(body):
                    for piece in body.iter_chunks(PIECE_BYTES):
                        data += piece
                if len(data) == size:
                    return bytes(data)
            except FAILURES as error:
                if not left:
                    raise failed(BlobUnreadable, self.place, error) from error
        raise _other_length(key, self.place)

    def put(self, key: str, data: bytes, sha256: bytes) -> None:
        """Write an object in one piece, at once or not at all. S3 compares the hash with what arrived."""
        with told(BlobUnwritable, self.place):
            self.client.put_object(
                Bucket=self.place.bucket, Key=key, Body=data, ChecksumSHA256=b64encode(sha256).decode()
            )

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is none."""
        with told(BlobUnwritable, self.place):
            self.client.delete_object(Bucket=self.place.bucket, Key=key)

    def begin_upload(self, key: str) -> str:
        """Begin an object that comes in parts; nobody sees it before its end. Returns the id of the upload."""
        with told(BlobUnwritable, self.place):
            answer = self.client.create_multipart_upload(Bucket=self.place.bucket, Key=key, ChecksumAlgorithm="SHA256")
        return str(answer["UploadId"])

    def put_part(self, key: str, upload: str, number: int, data: bytes, sha256: bytes) -> dict[str, Any]:
        """Write the part with this number, from 1 on. Returns what the end of the upload says of it."""
        checksum = b64encode(sha256).decode()
        with told(BlobUnwritable, self.place):
            answer = self.client.upload_part(
                Bucket=self.place.bucket,
                Key=key,
                UploadId=upload,
                PartNumber=number,
                Body=data,
                ChecksumSHA256=checksum,
            )
        said = {"PartNumber": number, "ETag": answer["ETag"]}
        # Only where S3 said that it compared it: other services may refuse to hear of it at the end.
        return said | ({"ChecksumSHA256": checksum} if answer.get("ChecksumSHA256") == checksum else {})

    def end_upload(self, key: str, upload: str, parts: list[dict[str, Any]], size_bytes: int) -> None:
        """Make the parts an object, all of them or nothing."""
        try:
            self.client.complete_multipart_upload(
                Bucket=self.place.bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
            )
        except FAILURES as error:
            # An answer that was lost lets the next try find no upload, though all is done.
            if code_of(error) != "NoSuchUpload" or [one.size_bytes for one in self.objects(key)] != [size_bytes]:
                raise failed(BlobUnwritable, self.place, error) from error

    def abort_upload(self, key: str, upload: str) -> bool:
        """Forget an upload and its parts; whether there was one."""
        try:
            self.client.abort_multipart_upload(Bucket=self.place.bucket, Key=key, UploadId=upload)
        except FAILURES as error:
            if code_of(error) == "NoSuchUpload":
                return False
            raise failed(BlobUnwritable, self.place, error) from error
        return True

    def uploads(self, prefix: str) -> Iterator[Upload]:
        """The uploads that have not ended, of objects whose keys begin so. A service that cannot tell has none."""
        wanted: dict[str, Any] = {"Bucket": self.place.bucket, "Prefix": prefix}
        while True:
            try:
                answer = self.client.list_multipart_uploads(**wanted)
            except FAILURES as error:
                if code_of(error) in _CANNOT:
                    return
                raise failed(BlobUnreadable, self.place, error) from error
            for one in answer.get("Uploads", ()):
                yield Upload(one["Key"], one["UploadId"], one["Initiated"].timestamp())
            if not answer.get("IsTruncated"):
                return
            wanted |= {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}

    def _get(self, key: str, start: int, size: int) -> Any:
        """The body of an answer that has just these bytes."""
        try:
            answer = self.client.get_object(
                Bucket=self.place.bucket, Key=key, Range=f"bytes={start}-{start + size - 1}"
            )
        except FAILURES as error:
            if code_of(error) == "NoSuchKey":
                raise BlobMissing(f"There is no {key} in {self.place}.") from error
            raise failed(BlobUnreadable, self.place, error) from error
        if not str(answer.get("ContentRange", "")).startswith(f"bytes {start}-{start + size - 1}/"):
            answer["Body"].close()
            raise _other_length(key, self.place)
        return answer["Body"]


def _other_length(key: str, place: S3Place) -> BlobUnreadable:
    return BlobUnreadable(f"The object {key} in {place} is not as long as it was.")


def _client(place: S3Place, patience: Patience) -> Any:
    config = Config(
        retries={"total_max_attempts": patience.attempts, "mode": "standard"},
        connect_timeout=patience.connect_seconds,
        read_timeout=patience.read_seconds,
        max_pool_connections=CONNECTIONS_MAX,
        s3={"addressing_style": place.addressing},
        # We hash what we write and know the hash of what we read. By default boto3 sends a sum of its own behind the
        # body, in an encoding that some services do not know.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    core = Session()  # Of our own: it must not be shared by threads while a client is made.
    core.register_component("data_loader", _loader())
    session = boto3.Session(botocore_session=core)
    return session.client("s3", place.region, endpoint_url=place.endpoint_url, config=config)


@cache
def _loader() -> Any:
    """What reads the description of S3 that comes with botocore, which takes 50 ms the first time."""
    return create_loader()
