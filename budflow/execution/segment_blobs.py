"""How the process of a heavy segment reaches blobs: those that its nodes use, and lists too long for memory."""

from typing import Protocol

from budflow.execution.lists import ListStore
from budflow.execution.stored_blobs import StoredBlobs
from budflow.execution.tools import Tools
from budflow.model.blobs import BlobsCapability
from budflow.model.item import ItemList


class SegmentBlobs(BlobsCapability, Protocol):
    """The blobs of the segment's project."""

    def list_store(self, items: ItemList) -> ListStore:
        """Where the stored parts of these items can be read, and new lists be written."""
        ...


class OwnBlobs(StoredBlobs):
    """Meets SegmentBlobs in a process that has the blob store itself."""

    def __init__(self, lists: ListStore, project_id: str) -> None:
        super().__init__(lists.blobs, project_id)
        self._lists = lists

    def list_store(self, items: ItemList) -> ListStore:
        """See SegmentBlobs."""
        return self._lists


def own_blobs(tools: Tools, project_id: str) -> OwnBlobs | None:
    """Those that this process has by its tools."""
    return None if tools.lists is None or not project_id else OwnBlobs(tools.lists, project_id)
