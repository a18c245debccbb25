"""The codec of the journal: events to rows and back. Every shape an event ever had stays readable by upcasters."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from budflow.errors import BudflowError
from budflow.model import event as e
from budflow.model.event_lists import blobs_of
from budflow.model.execution import Origin, Parent, Place
from budflow.model.failure import Failure
from budflow.model.item import ItemList, Json
from budflow.model.item_codec import decode_items, encode_items, to_plain
from budflow.model.journal_row import EventOfNewerRelease, EventUnreadable, payload_of
from budflow.model.log import LogLine

Upcaster = Callable[[Json], Json]

#: (type, version) → the payload of the next version. Pure; kept as long as any journal may hold the old shape.
UPCASTERS: Mapping[tuple[str, int], Upcaster] = {}


class EventUnwritable(BudflowError):
    """An event holds something that JSON cannot."""

    code = "journal.unwritable"
    http_status = 500
    hint = "A node gave a number past 64 bits, half of a surrogate pair or a value that is not JSON; turn it into text."


def encode(seq: int, event: e.Event) -> e.StoredEvent:
    """One event as a row; `payload` is compact JSON, dates in it are RFC 3339. Raises EventUnwritable."""
    try:
        payload = orjson.dumps(_ENCODERS[type(event)](event), default=to_plain, option=orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError as error:
        raise EventUnwritable(f"Event {seq} ({event.TYPE}) is not JSON: {error}.", seq=seq) from error
    return e.StoredEvent(seq, event.TYPE, event.VERSION, event.at, payload, blobs_of(event))


def decode(row: e.StoredEvent) -> e.Event:
    """One row as an event. Raises EventUnreadable, and EventOfNewerRelease for an unknown type or a newer version."""
    decoder = _DECODERS.get(row.type)
    if decoder is None:
        raise EventOfNewerRelease(f"Unknown event type {row.type} at {row.seq}.", seq=row.seq, type=row.type)
    current, build = decoder
    if row.version > current:
        message = f"Event {row.seq} ({row.type}) has version {row.version}, newer than this release reads."
        raise EventOfNewerRelease(message, seq=row.seq, version=row.version)
    shape = payload_of(row)
    try:
        for version in range(row.version, current):
            shape = UPCASTERS[row.type, version](shape)
        return build(row.at, shape)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        fault = f"the field `{error.args[0]}` is missing" if isinstance(error, KeyError) else error
        raise EventUnreadable(f"Event {row.seq} ({row.type}) is malformed: {fault}.", seq=row.seq) from error


def _encode_parent(parent: Parent | None) -> Json | None:
    return (
        None
        if parent is None
        else {
            "execution_id": parent.execution_id,
            "node": parent.node,
            "call": parent.call,
            "depth": parent.depth,
            "awaited": parent.awaited,
        }
    )


def _encode_origin(origin: Origin | None) -> Json | None:
    return None if origin is None else {"execution_id": origin.execution_id, "kind": origin.kind, "node": origin.node}


def _in_rounds(shape: Json, rounds: e.Rounds, log: Sequence[LogLine] = ()) -> Json:
    """Most nodes are in no loop, and log nothing: nothing is written of that."""
    if rounds:
        shape["rounds"] = rounds
    if log:
        shape["log"] = [line.to_json() for line in log]
    return shape


def _encode_outputs(outputs: Mapping[str, ItemList]) -> Json:
    return {port: encode_items(items) for port, items in outputs.items()}


def _encode_failure(failure: Failure | None) -> Json | None:
    return None if failure is None else failure.to_json()


def _encode_place(place: Place | None) -> Json | None:
    return None if place is None else place.to_json()


def _encode_admitted(admitted: e.Admitted) -> Json:
    shape: Json = {
        "trigger": admitted.trigger,
        "mode": admitted.mode,
        "principal": admitted.principal,
        "items": encode_items(admitted.items),
        "parent": _encode_parent(admitted.parent),
        "pinned": admitted.pinned,
        "until": admitted.until,
        "origin": _encode_origin(admitted.origin),
        "callers": admitted.callers,
    }
    if admitted.credentials:
        shape["credentials"] = admitted.credentials
    return shape


_ENCODERS: Mapping[type, Callable[[Any], Json]] = {
    e.Admitted: _encode_admitted,
    e.Started: lambda x: {"runner": x.runner, "place": x.place.to_json()},
    e.NodeStarted: lambda x: _in_rounds(
        {"node": x.node, "items": x.items, "params": x.params, "begun": x.begun}
        | ({"postponed": x.postponed} if x.postponed else {}),
        x.rounds,
    ),
    e.CredentialsUsed: lambda x: _in_rounds({"node": x.node, "credentials": x.credentials}, x.rounds),
    e.ItemsStarted: lambda x: _in_rounds({"node": x.node, "begun": x.begun}, x.rounds),
    e.ItemsFinished: lambda x: _in_rounds(
        {"node": x.node, "ordinals": x.ordinals, "items": encode_items(x.items)}, x.rounds
    ),
    e.ItemsRetried: lambda x: _in_rounds(
        {
            "node": x.node,
            "tries": x.tries,
            "failed": x.failed,
            "delay_seconds": x.delay_seconds,
            "failure": x.failure.to_json(),
        },
        x.rounds,
    ),
    e.NodeLogged: lambda x: _in_rounds({"node": x.node}, x.rounds, x.log),
    e.NodeFinished: lambda x: _in_rounds(
        {
            "node": x.node,
            "started_at": x.started_at,
            "outputs": _encode_outputs(x.outputs),
            "tries": x.tries,
            "place": _encode_place(x.place),
            **({} if x.static is None else {"static": x.static}),
        },
        x.rounds,
        x.log,
    ),
    e.NodeFailed: lambda x: _in_rounds(
        {
            "node": x.node,
            "started_at": x.started_at,
            "failure": x.failure.to_json(),
            "tries": x.tries,
            "place": _encode_place(x.place),
        },
        x.rounds,
        x.log,
    ),
    e.NodeCancelled: lambda x: _in_rounds({"node": x.node}, x.rounds, x.log),
    e.ResultIgnored: lambda x: _in_rounds({"node": x.node, "reason": x.reason, "signal": x.signal}, x.rounds),
    e.ChildStarted: lambda x: _in_rounds(
        {"node": x.node, "call": x.call, "execution_id": x.execution_id, "workflow_id": x.workflow_id}, x.rounds
    ),
    e.ChildFinished: lambda x: _in_rounds(
        {
            "node": x.node,
            "call": x.call,
            "status": x.status,
            "items": encode_items(x.items),
            "failure": _encode_failure(x.failure),
        },
        x.rounds,
    ),
    e.ParamsResolved: lambda x: _in_rounds(
        {
            "node": x.node,
            "ask": x.ask,
            "params": x.params,
            **({} if x.failure is None else {"failure": x.failure.to_json()}),
        },
        x.rounds,
    ),
    e.Reserved: lambda x: _in_rounds(
        {
            "node": x.node,
            "ask": x.ask,
            "due": x.due,
            **({} if x.failure is None else {"failure": x.failure.to_json()}),
        },
        x.rounds,
    ),
    e.RoundsFinished: lambda x: _in_rounds(
        {
            "node": x.node,
            "body": x.body,
            "first": x.first,
            "counts": x.counts,
            "items": encode_items(x.items),
            "failures": {number: failure.to_json() for number, failure in x.failures.items()},
        },
        x.rounds,
    ),
    e.RoundsCollected: lambda x: _in_rounds(
        {"node": x.node, "body": x.body, "first": x.first, "stop": x.stop, "outputs": _encode_outputs(x.outputs)},
        x.rounds,
    ),
    e.WaitStarted: lambda x: _in_rounds(
        {"node": x.node, "wait": x.wait, "reason": x.reason, "until": x.until, "ask": x.ask}, x.rounds
    ),
    e.WaitEnded: lambda x: _in_rounds(
        {"node": x.node, "wait": x.wait, "outcome": x.outcome, "by": x.by, "answer": x.answer}, x.rounds
    ),
    e.TimeIsUp: lambda x: _in_rounds({"node": x.node, "failure": x.failure.to_json(), "cleanup": x.cleanup}, x.rounds),
    e.Paused: lambda x: {"by": x.by},
    e.Continued: lambda x: {"by": x.by},
    e.Responded: lambda x: {"node": x.node, "status_code": x.status_code, "headers": x.headers, "body": x.body},
    e.CancelRequested: lambda x: {"by": x.by, "failure": _encode_failure(x.failure)},
    e.Finished: lambda x: {"status": x.status, "failure": _encode_failure(x.failure)},
}


def _parent(shape: Json | None) -> Parent | None:
    return None if shape is None else Parent(**shape)


def _origin(shape: Json | None) -> Origin | None:
    return None if shape is None else Origin(**shape)


def _rounds(shape: Json) -> e.Rounds:
    return tuple(shape.get("rounds", ()))


def _log(shape: Json) -> tuple[LogLine, ...]:
    return tuple(map(LogLine.of_json, shape["log"])) if "log" in shape else ()


def _place(shape: Json | None) -> Place | None:
    return None if shape is None else Place(**shape)


def _failure(shape: Json | None) -> Failure | None:
    return None if shape is None else Failure(**shape)


def _outputs(shape: Json) -> Mapping[str, ItemList]:
    return {port: decode_items(items) for port, items in shape.items()}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _decoder(event: type[Any], build: Callable[[datetime, Json], e.Event]) -> tuple[str, tuple[int, Any]]:
    return event.TYPE, (event.VERSION, build)


_DECODERS: Mapping[str, tuple[int, Callable[[datetime, Json], e.Event]]] = dict(
    (
        _decoder(
            e.Admitted,
            lambda at, x: e.Admitted(
                at,
                x["trigger"],
                x["mode"],
                x["principal"],
                decode_items(x["items"]),
                _parent(x["parent"]),
                x.get("pinned", False),
                x.get("until"),
                _origin(x.get("origin")),
                tuple(x.get("callers", ())),
                dict(x.get("credentials", {})),
            ),
        ),
        _decoder(e.Started, lambda at, x: e.Started(at, x["runner"], Place(**x["place"]))),
        _decoder(
            e.NodeStarted,
            lambda at, x: e.NodeStarted(
                *(at, x["node"], x["items"], x["params"], _rounds(x)),
                x["begun"] if "begun" in x else x["items"],
                tuple(x["postponed"]) if "postponed" in x else None,
            ),
        ),
        _decoder(e.CredentialsUsed, lambda at, x: e.CredentialsUsed(at, x["node"], dict(x["credentials"]), _rounds(x))),
        _decoder(e.ItemsStarted, lambda at, x: e.ItemsStarted(at, x["node"], x["begun"], _rounds(x))),
        _decoder(
            e.ItemsFinished,
            lambda at, x: e.ItemsFinished(at, x["node"], tuple(x["ordinals"]), decode_items(x["items"]), _rounds(x)),
        ),
        _decoder(
            e.ItemsRetried,
            lambda at, x: e.ItemsRetried(
                at, x["node"], x["tries"], x["failed"], x["delay_seconds"], Failure(**x["failure"]), _rounds(x)
            ),
        ),
        _decoder(e.NodeLogged, lambda at, x: e.NodeLogged(at, x["node"], _log(x), _rounds(x))),
        _decoder(
            e.NodeFinished,
            lambda at, x: e.NodeFinished(
                at,
                x["node"],
                _time(x["started_at"]),
                _outputs(x["outputs"]),
                x["tries"],
                _place(x["place"]),
                _rounds(x),
                x.get("static"),
                _log(x),
            ),
        ),
        _decoder(
            e.NodeFailed,
            lambda at, x: e.NodeFailed(
                at,
                x["node"],
                _time(x["started_at"]),
                Failure(**x["failure"]),
                x["tries"],
                _place(x["place"]),
                _rounds(x),
                _log(x),
            ),
        ),
        _decoder(e.NodeCancelled, lambda at, x: e.NodeCancelled(at, x["node"], _rounds(x), _log(x))),
        _decoder(
            e.ResultIgnored, lambda at, x: e.ResultIgnored(at, x["node"], x["reason"], _rounds(x), x.get("signal"))
        ),
        _decoder(
            e.ChildStarted,
            lambda at, x: e.ChildStarted(at, x["node"], x["call"], x["execution_id"], x["workflow_id"], _rounds(x)),
        ),
        _decoder(
            e.ChildFinished,
            lambda at, x: e.ChildFinished(
                at, x["node"], x["call"], x["status"], decode_items(x["items"]), _failure(x["failure"]), _rounds(x)
            ),
        ),
        _decoder(
            e.ParamsResolved,
            lambda at, x: e.ParamsResolved(
                at, x["node"], x["ask"], x["params"], _rounds(x), _failure(x.get("failure"))
            ),
        ),
        _decoder(
            e.Reserved,
            lambda at, x: e.Reserved(at, x["node"], x["ask"], _time(x["due"]), _rounds(x), _failure(x.get("failure"))),
        ),
        _decoder(
            e.RoundsFinished,
            lambda at, x: e.RoundsFinished(
                at,
                x["node"],
                x["body"],
                x["first"],
                tuple(x["counts"]),
                decode_items(x["items"]),
                {int(number): Failure(**failure) for number, failure in x["failures"].items()},
                _rounds(x),
            ),
        ),
        _decoder(
            e.RoundsCollected,
            lambda at, x: e.RoundsCollected(
                at, x["node"], x["body"], x["first"], x["stop"], _outputs(x["outputs"]), _rounds(x)
            ),
        ),
        _decoder(
            e.WaitStarted,
            lambda at, x: e.WaitStarted(
                at,
                x["node"],
                x["wait"],
                x["reason"],
                None if x["until"] is None else _time(x["until"]),
                x["ask"],
                _rounds(x),
            ),
        ),
        _decoder(
            e.WaitEnded,
            lambda at, x: e.WaitEnded(at, x["node"], x["wait"], x["outcome"], x["by"], x["answer"], _rounds(x)),
        ),
        _decoder(
            e.TimeIsUp, lambda at, x: e.TimeIsUp(at, x["node"], Failure(**x["failure"]), x["cleanup"], _rounds(x))
        ),
        _decoder(e.Paused, lambda at, x: e.Paused(at, x["by"])),
        _decoder(e.Continued, lambda at, x: e.Continued(at, x["by"])),
        _decoder(e.Responded, lambda at, x: e.Responded(at, x["node"], x["status_code"], x["headers"], x["body"])),
        _decoder(e.CancelRequested, lambda at, x: e.CancelRequested(at, x["by"], _failure(x["failure"]))),
        _decoder(e.Finished, lambda at, x: e.Finished(at, x["status"], _failure(x["failure"]))),
    )
)
