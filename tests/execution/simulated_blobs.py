"""Blobs of a simulated world: in memory, shared by its servers, and outliving each of them."""

import hashlib
import tempfile
from collections.abc import Callable
from random import Random
from typing import BinaryIO

from budflow.execution.blobs import BlobMissing, BlobUnwritable
from budflow.model.blobs import Buffer
from budflow.model.item import BlobRef


class SimulatedBlobs:
    """Meets budflow.execution.blobs.BlobStore. Each blob cannot be written with a chance of `faulty`.

    `deadly`: whoever is to die does so behind a blob, before anything refers to it; by `after_next`, which is set then.
    """

    def __init__(self, random: Random) -> None:
        self.random, self.faulty, self.deadly = random, 0.0, False
        self.after_next: Callable[[], object] | None = None
        self.kept: dict[tuple[str, str], bytes] = {}
        self.open: set[SimulatedWriter] = set()

    def open_writer(self, project_id: str) -> "SimulatedWriter":
        writer = SimulatedWriter(self, project_id)
        self.open.add(writer)
        return writer

    def read(self, project_id: str, sha256: str, start: int, size: int) -> bytes:
        blob = self.kept.get((project_id, sha256))
        if blob is None:
            raise BlobMissing(f"There is no blob {sha256}.")
        return blob[start : start + size]

    def view(self, project_id: str, sha256: str) -> None:
        """Nothing is mapped."""

    def scratch(self) -> BinaryIO:
        return tempfile.TemporaryFile(buffering=0)  # type: ignore[return-value] # a raw file, as the port asks for


class SimulatedWriter:
    """Meets budflow.execution.blobs.BlobWriter."""

    def __init__(self, blobs: SimulatedBlobs, project_id: str) -> None:
        self._blobs, self._project_id = blobs, project_id
        self._written = bytearray()

    def write(self, data: Buffer) -> None:
        if self._blobs.random.random() < self._blobs.faulty:
            raise BlobUnwritable("The disk is full, on purpose.")
        self._written += data

    def finish(self) -> BlobRef:
        blob = bytes(self._written)
        sha256 = hashlib.sha256(blob).hexdigest()
        self._blobs.kept[self._project_id, sha256] = blob
        self._blobs.open.discard(self)
        after, self._blobs.after_next = self._blobs.after_next, None
        if after is not None:
            after()
        return BlobRef(sha256, len(blob))

    def abandon(self) -> None:
        self._blobs.open.discard(self)
