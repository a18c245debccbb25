"""Writing a blob to S3: first to a file of this machine, since its key is known only at the end; then up, in parts."""

import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from budflow.execution.blobs import BlobUnwritable
from budflow.model.blobs import Buffer
from budflow.model.item import BlobRef
from budflow.storage.blobs.s3.bucket import Bucket

#: A blob that has no more goes up in one request, a larger one in parts of this size.
PART_BYTES = 16 * 1024 * 1024
#: S3 takes no more: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
PARTS_MAX = 10_000
#: The parts of what is larger than 160 GiB are larger, but no larger than this.
PART_BYTES_MAX = 64 * 1024 * 1024
#: Of one blob, on their way at the same time.
PARTS_AT_ONCE = 3

#: Whoever has this holds a part in memory: so few are there at most in this process.
_in_memory = threading.BoundedSemaphore(4)

#: Brings the bytes to a key, whole or not at all.
Upload = Callable[[str], None]


class S3Writer:
    """Meets BlobWriter. `keep(sha256, size, upload)` chooses the key of what was written."""

    def __init__(self, bucket: Bucket, keep: Callable[[str, int, Upload], None]) -> None:
        self._bucket, self._keep = bucket, keep
        self._hash = hashlib.sha256()
        self._size = 0
        self._file = scratch_file()

    def write(self, data: Buffer) -> None:
        """See BlobWriter."""
        self._hash.update(data)
        self._size += len(data)
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise _no_scratch(error) from error

    def finish(self) -> BlobRef:
        """See BlobWriter."""
        if self._file.closed:
            raise BlobUnwritable("This blob is finished.")
        ref = BlobRef(self._hash.hexdigest(), self._size)
        self._keep(ref.sha256, ref.size_bytes, self._upload)
        self._file.close()
        return ref

    def abandon(self) -> None:
        """See BlobWriter."""
        self._file.close()

    def _upload(self, key: str) -> None:
        if self._size <= PART_BYTES:
            with _in_memory:
                self._bucket.put(key, self._read(0, self._size), self._hash.digest())
        else:
            self._upload_parts(key, part_bytes(self._size))

    def _upload_parts(self, key: str, size: int) -> None:
        id_ = self._bucket.begin_upload(key)

        def put(number: int) -> dict[str, Any]:
            with _in_memory:
                data = self._read((number - 1) * size, size)
                return self._bucket.put_part(key, id_, number, data, hashlib.sha256(data).digest())

        pool = ThreadPoolExecutor(PARTS_AT_ONCE, thread_name_prefix="blob-part")
        try:
            numbers = range(1, -(-self._size // size) + 1)
            self._bucket.end_upload(key, id_, list(pool.map(put, numbers)), self._size)
        except BaseException:
            pool.shutdown(cancel_futures=True)  # First: a part that arrives behind the abort would stay.
            with suppress(BlobUnwritable):  # What led here is told; what stays is removed when it is old.
                self._bucket.abort_upload(key, id_)
            raise
        finally:
            pool.shutdown()

    def _read(self, start: int, size: int) -> bytes:
        try:
            return os.pread(self._file.fileno(), size, start)
        except OSError as error:
            raise _no_scratch(error) from error


def scratch_file() -> BinaryIO:
    """A file of this machine without a name and without a buffer. Raises BlobUnwritable."""
    try:
        return TemporaryFile(buffering=0)
    except OSError as error:
        raise _no_scratch(error) from error


def part_bytes(size: int) -> int:
    """How large the parts of a blob are: all the same, as some services ask for. Raises BlobUnwritable."""
    wanted = -(-size // PARTS_MAX)
    if wanted > PART_BYTES_MAX:
        raise BlobUnwritable(
            f"A blob of {size:,} bytes is too large: S3 takes it in {PARTS_MAX:,} parts, which have at most "
            f"{PART_BYTES_MAX:,} each.",
            hint="Reduce it before, or go through it in several lists.",
        )
    return max(PART_BYTES, wanted)


def _no_scratch(error: OSError) -> BlobUnwritable:
    return BlobUnwritable(
        f"A blob cannot be written to a temporary file on this machine: {error.strerror}.",
        hint="Make room, or set TMPDIR to a directory on a disk that has it.",
    )
