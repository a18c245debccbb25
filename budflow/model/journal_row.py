"""Rows of a journal before anybody makes events of them: whether all are there, and what is wrong where not."""

from collections.abc import Iterable
from typing import Any

import orjson

from budflow.errors import BudflowError
from budflow.model.event import StoredEvent


class EventUnreadable(BudflowError):
    """The journal of an execution is damaged: a row is missing or malformed."""

    code = "journal.unreadable"
    http_status = 500
    hint = "An execution that was under way ends with this. Restore the rows from a backup, or start a new execution."


class EventOfNewerRelease(EventUnreadable):
    """An event was written by a newer release than this one."""

    code = "journal.newer_release"
    http_status = 500
    hint = "The execution stays as it is until a server of that release goes on with it, or somebody cancels it."


def payload_of(row: StoredEvent) -> Any:
    """The payload as it stands in the row, of any version. Raises EventUnreadable where it is no JSON."""
    try:
        return orjson.loads(row.payload)
    except orjson.JSONDecodeError as error:
        fault = error if row.payload else "it cannot be unpacked"
        raise EventUnreadable(f"Event {row.seq} ({row.type}) is malformed: {fault}.", seq=row.seq) from error


def missing(seq: int) -> EventUnreadable:
    """What is said of a row that is not there."""
    return EventUnreadable(f"Event {seq} is missing from the journal.", seq=seq)


def check_order(rows: Iterable[StoredEvent], first: int) -> None:
    """Raise EventUnreadable where the rows are not all those from the number `first` on."""
    for seq, row in enumerate(rows, first):
        if row.seq != seq:
            raise missing(seq)
