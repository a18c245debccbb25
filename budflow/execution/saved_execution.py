"""The snapshot of an execution: what its owner and its run know at one point of the journal, as one row's bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import zstandard

from budflow import __version__
from budflow.errors import BudflowError
from budflow.execution.saved_run import SavedRunUnreadable
from budflow.model import event as e
from budflow.model.item import ItemList
from budflow.model.item_codec import decode_items, encode_items
from budflow.model.journal import decode, encode

_SIZE_BYTES = 4
_LEVEL = 1  # As in the journal.


class SnapshotOfOtherRelease(SavedRunUnreadable):
    """Another release of BudFlow wrote the snapshot."""

    code = "execution.snapshot_foreign"


@dataclass(frozen=True, slots=True)
class SavedExecution:
    """What the owner of an execution knows, apart from its run: that is bytes here, since it may be elsewhere.

    `calls` are the starts of its calls that have not ended, `waits` the keys of open waits by node path, `sinks` the
    outputs of nodes that lead nowhere, by number. It is `stopping` once somebody asked for that.
    """

    run: bytes
    calls: Sequence[e.ChildStarted]
    responded: e.Responded | None
    waits: Mapping[str, Sequence[str]]
    sinks: Mapping[int, ItemList]
    stopping: bool = False

    def pack(self) -> bytes:
        """All of it, compressed; may be called in a thread."""
        head = {
            "release": __version__,
            "calls": [_row(event) for event in self.calls],
            "responded": None if self.responded is None else _row(self.responded),
            "waits": self.waits,
            "stopping": self.stopping,
            "sinks": [(number, encode_items(items)) for number, items in self.sinks.items()],
        }
        packed = orjson.dumps(head, option=orjson.OPT_NON_STR_KEYS)
        message = b"".join((len(packed).to_bytes(_SIZE_BYTES, "big"), packed, self.run))
        return zstandard.ZstdCompressor(level=_LEVEL).compress(message)


def unpack_saved(payload: bytes) -> SavedExecution:
    """The reverse of `SavedExecution.pack`. Raises SnapshotOfOtherRelease, SavedRunUnreadable."""
    try:
        message = zstandard.ZstdDecompressor().decompress(payload)
        start = _SIZE_BYTES + int.from_bytes(message[:_SIZE_BYTES], "big")
        head = orjson.loads(message[_SIZE_BYTES:start])
        if head["release"] != __version__:
            raise SnapshotOfOtherRelease(f"It was written by BudFlow {head['release']}.")
        calls = [event for event in map(_event, head["calls"]) if isinstance(event, e.ChildStarted)]
        answer = None if head["responded"] is None else _event(head["responded"])
        sinks = {number: decode_items(items) for number, items in head["sinks"]}
        waits, stopping = head["waits"], head["stopping"]
    except SavedRunUnreadable:
        raise
    except (BudflowError, zstandard.ZstdError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise SavedRunUnreadable(f"A snapshot is not readable: {type(error).__name__}: {error}.") from error
    responded = answer if isinstance(answer, e.Responded) else None
    return SavedExecution(message[start:], calls, responded, waits, sinks, stopping)


def _row(event: e.Event) -> tuple[str, int, datetime, str]:
    stored = encode(0, event)
    return stored.type, stored.version, stored.at, stored.payload.decode()


def _event(row: Any) -> e.Event:
    kind, version, at, payload = row
    return decode(e.StoredEvent(0, kind, version, datetime.fromisoformat(at), payload.encode()))
