"""Blobs in a bucket of S3, or of what speaks like it: `projects/PROJECT/SHA256/COPY`.

S3 has no lock, and nobody can delete an object only if it was not written anew since. So nobody writes to a key that
was there before: each time that the same bytes are written they become a copy of their own, and the one who wrote it
removes those that are older. Whoever collects a blob removes the copies that it has seen, all of them old; one that is
made meanwhile has another key.
"""

import asyncio
import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from typing import BinaryIO, NamedTuple
from urllib.parse import quote, unquote

from budflow.errors import BudflowError
from budflow.execution.blobs import BlobCorrupt, BlobMissing
from budflow.log import get_log
from budflow.storage.blobs.place import S3Place
from budflow.storage.blobs.s3.bucket import HASTY, IMPATIENT, Bucket, Found
from budflow.storage.blobs.s3.read_ahead import ReadAhead
from budflow.storage.blobs.s3.writer import S3Writer, Upload, scratch_file

#: Of which copy a blob was read last is believed for so long; then S3 is asked again.
KNOWN_SECONDS = 60.0
KNOWN_MAX = 4_096
#: A copy may be removed while it is read, by one who wrote a newer one; so often it is looked for again.
LOOKS_MAX = 10

log = get_log(__name__)


class _Known(NamedTuple):
    """The copy of a blob that is read, and when that was found out."""

    copy: Found
    at: float


class S3Blobs:
    """Meets BlobStore and BlobFiles."""

    def __init__(self, place: S3Place) -> None:
        self.bucket, self.hasty = Bucket(place), Bucket(place, HASTY)
        self._probe = Bucket(place, IMPATIENT)
        self._projects = f"{place.prefix}projects/"
        self._windows = ReadAhead()
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type["S3Blobs"], tuple[S3Place]]:
        """For another process, which finds credentials of its own."""
        return (S3Blobs, (self.bucket.place,))

    @property
    def place(self) -> str:
        """See BlobFiles."""
        return str(self.bucket.place)

    def check(self, *, writing: bool = False) -> None:
        """See BlobFiles."""
        next(self._probe.objects(self._projects, page=1), None)
        if writing:
            key = f"{self.bucket.place.prefix}probe/{secrets.token_hex(8)}"
            self._probe.put(key, b"probe", hashlib.sha256(b"probe").digest())
            try:
                self._probe.get(key, 0, 5)
            finally:
                self._probe.delete(key)

    def open_writer(self, project_id: str) -> S3Writer:
        """See BlobStore."""
        return S3Writer(
            self.bucket, lambda sha256, size, upload: self._keep(self._folder(project_id, sha256), size, upload)
        )

    def read(self, project_id: str, sha256: str, start: int, size: int) -> bytes:
        """See BlobStore. What comes in one piece is checked against the hash: raises BlobCorrupt."""
        folder = self._folder(project_id, sha256)
        for _ in range(LOOKS_MAX):
            copy = self._copy(folder, sha256)
            try:
                return self._windows.read(copy.key, copy.size_bytes, start, size, partial(self._fetch, copy, sha256))
            except BlobMissing:
                self._forget(folder)
        raise _missing(sha256)

    def view(self, project_id: str, sha256: str) -> None:
        """See BlobStore. What is in a bucket has to be loaded."""

    def scratch(self) -> BinaryIO:
        """See BlobStore."""
        return scratch_file()

    def collect(self, project_id: str, sha256: str, *, older_than: float) -> bool:
        """See BlobFiles."""
        folder = self._folder(project_id, sha256)
        copies = list(self.bucket.objects(folder))
        if not copies or max(copy.at for copy in copies) >= older_than:
            return False
        for copy in copies:
            self.bucket.delete(copy.key)
        self._forget(folder)
        return True

    def old_blobs(self, *, older_than: float) -> Iterator[tuple[str, str]]:
        """See BlobFiles."""
        for folder, copies in groupby(self.bucket.objects(self._projects), lambda one: one.key.rpartition("/")[0]):
            if max(copy.at for copy in copies) < older_than:
                project, _, sha256 = folder.removeprefix(self._projects).partition("/")
                yield unquote(project), sha256

    def remove_unfinished(self, *, older_than: float) -> int:
        """See BlobFiles. These are uploads in parts."""
        old = [upload for upload in self.bucket.uploads(self._projects) if upload.at < older_than]
        return sum(self.bucket.abort_upload(upload.key, upload.id) for upload in old)

    def _folder(self, project_id: str, sha256: str) -> str:
        project = quote(project_id, safe="").replace(".", "%2E")  # Some services know what .. is in a key.
        return f"{self._projects}{project}/{sha256}/"

    def _keep(self, folder: str, size: int, upload: Upload) -> None:
        # Of two that S3 dates to the same second the later one is the newer.
        key = f"{folder}{time.time_ns():016x}{secrets.token_hex(4)}"
        upload(key)
        self._forget(folder)
        with self._lock:
            self._remember(folder, Found(key, size, time.time()))
        try:
            copies = sorted(self.bucket.objects(folder), key=lambda copy: (copy.at, copy.key))
            # All writers see one order, and the last of it stays: of several that do this at once one copy is left.
            for copy in copies[:-1]:
                self.bucket.delete(copy.key)
        except BudflowError as error:
            log.warning("blobs.copies_not_removed", code=error.code, message=error.message)

    def _copy(self, folder: str, sha256: str) -> Found:
        """The newest copy of a blob. Raises BlobMissing."""
        with self._lock:
            known = self._known.get(folder)
        if known is not None and time.monotonic() - known.at < KNOWN_SECONDS:
            return known.copy
        newest = max(self._reader().objects(folder), key=lambda copy: (copy.at, copy.key), default=None)
        if newest is None:
            raise _missing(sha256)
        with self._lock:
            self._remember(folder, newest)
        return newest

    def _fetch(self, copy: Found, sha256: str, start: int, size: int) -> bytes:
        data = self._reader().get(copy.key, start, size)
        if start == 0 and size == copy.size_bytes and hashlib.sha256(data).hexdigest() != sha256:
            raise BlobCorrupt(f"The blob {sha256} is not what was written.", sha256=sha256)
        return data

    def _reader(self) -> Bucket:
        """Light nodes read the lists that they work on between the turns of their loop."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self.bucket
        return self.hasty

    def _remember(self, folder: str, copy: Found) -> None:
        self._known[folder] = _Known(copy, time.monotonic())
        self._known.move_to_end(folder)
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)

    def _forget(self, folder: str) -> None:
        with self._lock:
            known = self._known.pop(folder, None)
        if known is not None:
            self._windows.forget(known.copy.key)


def _missing(sha256: str) -> BlobMissing:
    return BlobMissing(f"There is no blob {sha256}.", sha256=sha256)
