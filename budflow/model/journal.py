"""The codec of the journal: events to rows and back. Every shape an event ever had stays readable by upcasters."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import orjson

from budflow.errors import BudflowError
from budflow.model import event as e
from budflow.model.execution import Parent, Place
from budflow.model.failure import Failure
from budflow.model.item import BlobRef, Item, ItemError, ItemList, Json

Upcaster = Callable[[Json], Json]

#: (type, version) → the payload of the next version. Pure; kept as long as any journal may hold the old shape.
UPCASTERS: Mapping[tuple[str, int], Upcaster] = {}


class EventUnwritable(BudflowError):
    """An event holds something that JSON cannot."""

    code = "journal.unwritable"
    http_status = 500
    hint = "A node gave a number past 64 bits, half of a surrogate pair or a value that is not JSON; turn it into text."


class EventUnreadable(BudflowError):
    """A row of the journal cannot be read."""

    code = "journal.unreadable"
    http_status = 500
    hint = "The execution stays as it is. If the server was downgraded, go back to the release that wrote the row."


def encode(seq: int, event: e.Event) -> e.StoredEvent:
    """One event as a row; `payload` is compact JSON, dates in it are RFC 3339. Raises EventUnwritable."""
    try:
        payload = orjson.dumps(_ENCODERS[type(event)](event), default=_plain, option=orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError as error:
        raise EventUnwritable(f"Event {seq} ({event.TYPE}) is not JSON: {error}.", seq=seq) from error
    return e.StoredEvent(seq, event.TYPE, event.VERSION, event.at, payload)


def decode(row: e.StoredEvent) -> e.Event:
    """One row as an event. Raises EventUnreadable for an unknown type, a newer version or a malformed payload."""
    decoder = _DECODERS.get(row.type)
    if decoder is None:
        raise EventUnreadable(f"Unknown event type {row.type} at {row.seq}.", seq=row.seq, type=row.type)
    current, build = decoder
    if row.version > current:
        message = f"Event {row.seq} ({row.type}) has version {row.version}, newer than this release reads."
        raise EventUnreadable(message, seq=row.seq, version=row.version)
    try:
        shape = orjson.loads(row.payload)
        for version in range(row.version, current):
            shape = UPCASTERS[row.type, version](shape)
        return build(row.at, shape)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise EventUnreadable(f"Event {row.seq} ({row.type}) is malformed: {error}.", seq=row.seq) from error


def encode_items(items: ItemList) -> Json:
    """A list of items by columns; columns that say nothing are left out."""
    shape: Json = {"json": [item.json for item in items.items]}
    binary = {i: {k: list(ref) for k, ref in item.binary.items()} for i, item in enumerate(items.items) if item.binary}
    if binary:
        shape["binary"] = binary
    errors = {i: list(item.error) for i, item in enumerate(items.items) if item.error}
    if errors:
        shape["errors"] = errors
    lineage = list(items.lineage)
    if lineage and lineage != list(range(len(lineage))):
        shape["from"] = lineage
    return shape


def decode_items(shape: Json) -> ItemList:
    """The reverse of `encode_items`. Raises one of the errors that `decode` takes for a malformed payload."""
    values = shape["json"]
    binary = {int(i): {k: BlobRef(*ref) for k, ref in refs.items()} for i, refs in shape.get("binary", {}).items()}
    errors = {int(i): ItemError(*error) for i, error in shape.get("errors", {}).items()}
    if binary or errors:
        items = [Item(v, binary.get(i, {}), errors.get(i)) for i, v in enumerate(values)]
    else:
        items = [Item(value) for value in values]
    return ItemList(items, shape.get("from") or list(range(len(values))))


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _encode_parent(parent: Parent | None) -> Json | None:
    return (
        None
        if parent is None
        else {"execution_id": parent.execution_id, "node": parent.node, "call": parent.call, "depth": parent.depth}
    )


def _encode_outputs(outputs: Mapping[str, ItemList]) -> Json:
    return {port: encode_items(items) for port, items in outputs.items()}


def _encode_failure(failure: Failure | None) -> Json | None:
    return None if failure is None else failure.to_json()


def _encode_place(place: Place | None) -> Json | None:
    return None if place is None else place.to_json()


_ENCODERS: Mapping[type, Callable[[Any], Json]] = {
    e.Admitted: lambda x: {
        "trigger": x.trigger,
        "mode": x.mode,
        "principal": x.principal,
        "items": encode_items(x.items),
        "parent": _encode_parent(x.parent),
    },
    e.Started: lambda x: {"runner": x.runner, "place": x.place.to_json()},
    e.NodeStarted: lambda x: {"node": x.node, "items": x.items, "params": x.params},
    e.ItemsRetried: lambda x: {
        "node": x.node,
        "tries": x.tries,
        "failed": x.failed,
        "delay_seconds": x.delay_seconds,
        "failure": x.failure.to_json(),
    },
    e.NodeFinished: lambda x: {
        "node": x.node,
        "started_at": x.started_at,
        "outputs": _encode_outputs(x.outputs),
        "tries": x.tries,
        "place": _encode_place(x.place),
    },
    e.NodeFailed: lambda x: {
        "node": x.node,
        "started_at": x.started_at,
        "failure": x.failure.to_json(),
        "tries": x.tries,
        "place": _encode_place(x.place),
    },
    e.NodeCancelled: lambda x: {"node": x.node},
    e.ResultIgnored: lambda x: {"node": x.node, "reason": x.reason},
    e.ChildStarted: lambda x: {
        "node": x.node,
        "call": x.call,
        "execution_id": x.execution_id,
        "workflow_id": x.workflow_id,
    },
    e.ChildFinished: lambda x: {
        "node": x.node,
        "call": x.call,
        "status": x.status,
        "items": encode_items(x.items),
        "failure": _encode_failure(x.failure),
    },
    e.Responded: lambda x: {"node": x.node, "status_code": x.status_code, "headers": x.headers, "body": x.body},
    e.CancelRequested: lambda x: {"by": x.by, "failure": _encode_failure(x.failure)},
    e.Finished: lambda x: {"status": x.status, "failure": _encode_failure(x.failure)},
}


def _parent(shape: Json | None) -> Parent | None:
    return None if shape is None else Parent(**shape)


def _place(shape: Json | None) -> Place | None:
    return None if shape is None else Place(**shape)


def _failure(shape: Json | None) -> Failure | None:
    return None if shape is None else Failure(**shape)


def _outputs(shape: Json) -> Mapping[str, ItemList]:
    return {port: decode_items(items) for port, items in shape.items()}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


_DECODERS: Mapping[str, tuple[int, Callable[[datetime, Json], e.Event]]] = {
    e.Admitted.TYPE: (
        e.Admitted.VERSION,
        lambda at, x: e.Admitted(
            at, x["trigger"], x["mode"], x["principal"], decode_items(x["items"]), _parent(x["parent"])
        ),
    ),
    e.Started.TYPE: (e.Started.VERSION, lambda at, x: e.Started(at, x["runner"], Place(**x["place"]))),
    e.NodeStarted.TYPE: (e.NodeStarted.VERSION, lambda at, x: e.NodeStarted(at, x["node"], x["items"], x["params"])),
    e.ItemsRetried.TYPE: (
        e.ItemsRetried.VERSION,
        lambda at, x: e.ItemsRetried(
            at, x["node"], x["tries"], x["failed"], x["delay_seconds"], Failure(**x["failure"])
        ),
    ),
    e.NodeFinished.TYPE: (
        e.NodeFinished.VERSION,
        lambda at, x: e.NodeFinished(
            at, x["node"], _time(x["started_at"]), _outputs(x["outputs"]), x["tries"], _place(x["place"])
        ),
    ),
    e.NodeFailed.TYPE: (
        e.NodeFailed.VERSION,
        lambda at, x: e.NodeFailed(
            at, x["node"], _time(x["started_at"]), Failure(**x["failure"]), x["tries"], _place(x["place"])
        ),
    ),
    e.NodeCancelled.TYPE: (e.NodeCancelled.VERSION, lambda at, x: e.NodeCancelled(at, x["node"])),
    e.ResultIgnored.TYPE: (e.ResultIgnored.VERSION, lambda at, x: e.ResultIgnored(at, x["node"], x["reason"])),
    e.ChildStarted.TYPE: (
        e.ChildStarted.VERSION,
        lambda at, x: e.ChildStarted(at, x["node"], x["call"], x["execution_id"], x["workflow_id"]),
    ),
    e.ChildFinished.TYPE: (
        e.ChildFinished.VERSION,
        lambda at, x: e.ChildFinished(
            at, x["node"], x["call"], x["status"], decode_items(x["items"]), _failure(x["failure"])
        ),
    ),
    e.Responded.TYPE: (
        e.Responded.VERSION,
        lambda at, x: e.Responded(at, x["node"], x["status_code"], x["headers"], x["body"]),
    ),
    e.CancelRequested.TYPE: (
        e.CancelRequested.VERSION,
        lambda at, x: e.CancelRequested(at, x["by"], _failure(x["failure"])),
    ),
    e.Finished.TYPE: (e.Finished.VERSION, lambda at, x: e.Finished(at, x["status"], _failure(x["failure"]))),
}
