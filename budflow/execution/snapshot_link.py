"""A link that has a snapshot taken after every so many events, so that few are left to fold for who takes over."""

import asyncio
from collections.abc import Callable

from budflow.execution.link_around import LinkAround
from budflow.execution.ports import Link
from budflow.execution.saved_run import SavedRun
from budflow.model import event as e


class SnapshotLink(LinkAround):
    """Meets Link. `save` says what the run knows; None where that cannot be told now.

    A snapshot is due after `every` events and as many more as the one before was large: so writing them never costs
    more than a part of what running costs. `since` counts the events that were read behind the last one.
    """

    def __init__(self, link: Link, save: Callable[[], SavedRun | None], every: int, since: int) -> None:
        super().__init__(link)
        self._save, self._every, self._due, self._since = save, every, every, since
        self._soon: asyncio.Handle | None = None

    def append(self, *events: e.Event) -> None:
        """See Link."""
        self._link.append(*events)
        self._since += len(events)
        if self._since >= self._due and self._soon is None:
            # Between two turns of the run, when all that its events bring has been done.
            self._soon = asyncio.get_running_loop().call_soon(self._take)

    def _take(self) -> None:
        self._soon, self._since = None, 0
        saved = self._save()
        if saved is not None:
            self._due = self._every + saved.size
            self._link.snapshot(saved.pack)
