"""The files of the server that a node may use: streams of bytes below the directories that the settings name."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from budflow.errors import BudflowError


class FilesClosed(BudflowError):
    """Workflows may use no files on this server."""

    code = "file.not_allowed"
    http_status = 403
    hint = "Name the directories that workflows may use in the setting `file_roots`, then restart the server."


class FileReader(Protocol):
    """A file that is being read."""

    async def read(self) -> bytes:
        """The next bytes, some hundred KiB; none at the end. Raises FileFailed."""
        ...


class FileWriter(Protocol):
    """A file that is being written; it is durable when its context has ended without an error."""

    async def write(self, data: bytes) -> None:
        """Raises FileFailed, FileTooLarge."""
        ...


class FilesCapability(Protocol):
    """The guarded way to files: only below the allowed directories, no symbolic links, regular files only.

    A path is absolute, or counts from the first allowed directory.
    """

    def read(self, path: str) -> AbstractAsyncContextManager[FileReader]:
        """Raises FilesClosed, FileRefused, FileMissing, FileTooLarge, FileFailed."""
        ...

    def overwrite(self, path: str) -> AbstractAsyncContextManager[FileWriter]:
        """The file is replaced as a whole at the end, and stays as it is when an error ends the context."""
        ...

    def append(self, path: str) -> AbstractAsyncContextManager[FileWriter]:
        """What was written before an error stays written."""
        ...


class NoFiles:
    """Meets FilesCapability where no directory is allowed."""

    def read(self, path: str) -> AbstractAsyncContextManager[FileReader]:
        """See FilesCapability."""
        raise FilesClosed

    def overwrite(self, path: str) -> AbstractAsyncContextManager[FileWriter]:
        """See FilesCapability."""
        raise FilesClosed

    def append(self, path: str) -> AbstractAsyncContextManager[FileWriter]:
        """See FilesCapability."""
        raise FilesClosed


NO_FILES = NoFiles()
