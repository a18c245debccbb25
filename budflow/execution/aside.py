"""What a node puts aside while it runs, because it is too much for memory: in a file that is gone with the run."""

import hashlib
import os
from typing import BinaryIO

from budflow.execution.blobs import BlobMissing, BlobStore, BlobUnwritable
from budflow.execution.lists import ListStore
from budflow.model.blobs import Buffer
from budflow.model.item import BlobRef, ItemList

#: Small, since of many lists that are gone through side by side one chunk each is in memory.
CHUNK_BYTES = 32 * 1024

_NOBODY = ""  # The file belongs to one run: it knows no projects.


class Aside:
    """Lists of one run of a node."""

    def __init__(self, blobs: BlobStore) -> None:
        self._file = blobs.scratch()
        self._lists = ListStore(_OneFile(self._file))

    def put(self, items: ItemList) -> ItemList:
        """The same list, out of memory. Blocks. Raises BlobUnwritable and EventUnwritable."""
        writer = self._lists.open_writer(_NOBODY, CHUNK_BYTES)
        writer.add(items.items, items.lineage)
        return self._lists.stored(_NOBODY, writer.finish())

    def close(self) -> None:
        """Forget all of it."""
        self._file.close()


class _OneFile:
    """Meets BlobStore: one blob behind the other in a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.starts: dict[str, int] = {}

    def open_writer(self, project_id: str) -> "_Writer":
        return _Writer(self, self._file)

    def read(self, project_id: str, sha256: str, start: int, size: int) -> bytes:
        if self._file.closed:
            raise BlobMissing("The node that put this aside has ended.")
        return os.pread(self._file.fileno(), size, self.starts[sha256] + start)

    def view(self, project_id: str, sha256: str) -> None:
        pass

    def scratch(self) -> BinaryIO:
        return self._file


class _Writer:
    """Meets BlobWriter."""

    def __init__(self, store: _OneFile, file: BinaryIO) -> None:
        self._store, self._file = store, file
        self._hash = hashlib.sha256()
        self._start = file.seek(0, os.SEEK_END)
        self._size = 0

    def write(self, data: Buffer) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise BlobUnwritable(f"A file cannot be written: {error.strerror}.") from error
        self._hash.update(data)
        self._size += len(data)

    def finish(self) -> BlobRef:
        sha256 = self._hash.hexdigest()
        self._store.starts[sha256] = self._start
        return BlobRef(sha256, self._size)

    def abandon(self) -> None:
        pass
