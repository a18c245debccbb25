"""Files in memory, for nodes that read and write them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from budflow.egress.files import FileMissing

PART_BYTES = 7  # Small and odd: lines are cut anywhere.


class FakeFiles:
    """Meets FilesCapability. `contents` are what stands in the files, by path."""

    def __init__(self, contents: Mapping[str, bytes] | None = None) -> None:
        self.contents = dict(contents or {})

    @asynccontextmanager
    async def read(self, path: str) -> AsyncIterator["FakeFile"]:
        if path not in self.contents:
            raise FileMissing(f"There is no {path}.")
        yield FakeFile(self.contents[path])

    @asynccontextmanager
    async def overwrite(self, path: str) -> AsyncIterator["FakeFile"]:
        file = FakeFile()
        yield file
        self.contents[path] = file.written

    @asynccontextmanager
    async def append(self, path: str) -> AsyncIterator["FakeFile"]:
        file = FakeFile()
        yield file
        self.contents[path] = self.contents.get(path, b"") + file.written


class FakeFile:
    """One open file."""

    def __init__(self, content: bytes = b"") -> None:
        self._left = content
        self.written = b""

    async def read(self) -> bytes:
        part, self._left = self._left[:PART_BYTES], self._left[PART_BYTES:]
        return part

    async def write(self, data: bytes) -> None:
        self.written += data
