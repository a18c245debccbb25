"""What passes between the owner of an execution and the runner actor that advances it: bytes of the journal's codec.

A message is the size of its head in 4 bytes, the head as JSON, and the parts that the head gives the sizes of. Ray
passes bytes as they are, where objects would be pickled on one side and built again on the other.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from budflow.execution.ports import ChildCall, Work
from budflow.execution.records import RateAsk, Rest
from budflow.graph.plan import Plan
from budflow.model.event import Event, StoredEvent
from budflow.model.execution import Execution, Limit, Origin, Parent
from budflow.model.item_codec import decode_items, encode_items
from budflow.model.journal import decode, encode

_SIZE_BYTES = 4
_TIMES = ("created_at", "started_at", "finished_at", "wake_at")


@dataclass(frozen=True, slots=True)
class CredentialAsk:
    """A run's request for a credential, which is to be sealed for `public_key`. Each has a number of its own."""

    number: int
    node: str
    slot: str
    public_key: bytes


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did since the last one.

    `commit` asks for an answer only when everything so far is durable, `flush` that it be made so without waiting.
    `rest` is what it waits for while it computes nothing. `snapshot` has what the run knew after so many of `events`.
    After `done` the actor holds nothing of the run any more; `broken` says what ended it where it was no event,
    `unreadable` whether that is its journal. `credential_asks` are answered by `RunnerActor.hand_over`.
    """

    events: Sequence[Event]
    calls: Sequence[ChildCall] = ()
    cancelled_calls: Sequence[tuple[str, int, tuple[int, ...]]] = ()
    asks: Sequence[RateAsk] = ()
    rest: Rest | None = None
    commit: bool = False
    flush: bool = False
    done: bool = False
    broken: str | None = None
    snapshot: tuple[int, bytes] | None = None
    unreadable: bool = False
    credential_asks: Sequence[CredentialAsk] = ()


def ask_info(execution_id: str, number: int) -> bytes:
    """What a sealed credential is bound to: the ask of one execution that it answers."""
    return f"budflow/execution/{execution_id}/{number}".encode()


def pack_report(
    events: Sequence[StoredEvent],
    calls: Sequence[ChildCall],
    cancelled_calls: Sequence[tuple[str, int, tuple[int, ...]]],
    asks: Sequence[RateAsk] = (),
    rest: Rest | None = None,
    snapshot: tuple[int, bytes] | None = None,
    credential_asks: Sequence[CredentialAsk] = (),
    **flags: Any,
) -> bytes:
    """A Report as bytes; `flags` are its other fields. Sequence numbers are left out: only the owner gives them."""
    items = [orjson.dumps(encode_items(call.items), option=orjson.OPT_NON_STR_KEYS) for call in calls]
    head = {
        "events": _heads(events),
        "calls": [
            (call.node, call.call, call.workflow_id, call.version, len(part), call.rounds, call.awaited)
            for call, part in zip(calls, items, strict=True)
        ],
        "cancelled_calls": cancelled_calls,
        "asks": asks,
        "rest": rest,
        "credential_asks": [(ask.number, ask.node, ask.slot, ask.public_key.hex()) for ask in credential_asks],
        "snapshot": None if snapshot is None else (snapshot[0], len(snapshot[1])),
        **flags,
    }
    parts = [*(event.payload for event in events), *items]
    return _message(head, parts if snapshot is None else [*parts, snapshot[1]])


def unpack_report(packed: bytes) -> Report:
    """The reverse of `pack_report`. Raises EventUnreadable for an event this release does not know."""
    head, parts = _opened(packed)
    events = _events(head.pop("events"), parts)
    calls = [
        ChildCall(
            node, call, workflow_id, version, decode_items(orjson.loads(parts.take(size))), tuple(rounds), awaited
        )
        for node, call, workflow_id, version, size, rounds, awaited in head.pop("calls")
    ]
    cancelled_calls = [(node, call, tuple(rounds)) for node, call, rounds in head.pop("cancelled_calls")]
    asks = [RateAsk(**{**ask, "rounds": tuple(ask["rounds"])}) for ask in head.pop("asks")]
    rest = _rest(head.pop("rest"))
    credential_asks = [
        CredentialAsk(number, node, slot, bytes.fromhex(key)) for number, node, slot, key in head.pop("credential_asks")
    ]
    shape = head.pop("snapshot")
    snapshot = None if shape is None else (shape[0], parts.take(shape[1]))
    return Report(
        events, calls, cancelled_calls, asks, rest, snapshot=snapshot, credential_asks=credential_asks, **head
    )


def pack_work(work: Work) -> bytes:
    """An execution, its events so far and what else its runner cannot know."""
    stored = [encode(0, event) for event in work.events]
    head = {
        "execution": work.execution,
        "events": _heads(stored),
        "resume_url": work.resume_url,
        "static": dict(work.static),
        "surroundings": dict(work.surroundings),
        "saved": None if work.saved is None else len(work.saved),
    }
    return _message(head, [*(event.payload for event in stored), work.saved or b""])


def unpack_work(packed: bytes, plan_of: Callable[[Execution], Plan]) -> Work:
    """The reverse of `pack_work`, without the document, and the failure, which only one that has ended has."""
    head, parts = _opened(packed)
    shape = head["execution"]
    times = {name: datetime.fromisoformat(shape[name]) if shape[name] else None for name in _TIMES}
    parts_of = {"parent": Parent, "origin": Origin, "limit": Limit}
    inner = {name: build(**shape[name]) if shape[name] else None for name, build in parts_of.items()}
    execution = Execution(**{**shape, **times, **inner, "failure": None})
    events = tuple(_events(head["events"], parts))
    saved = None if head["saved"] is None else parts.take(head["saved"])
    plan, around = plan_of(execution), head["surroundings"]
    return Work(execution, {}, plan, events, head["resume_url"], head["static"], saved, around)


def origin_of(packed: bytes) -> str | None:
    """As what a packed work goes on for another execution: `retry` or `fork`; None where it does not."""
    origin = _opened(packed)[0]["execution"]["origin"]
    return None if origin is None else str(origin["kind"])


def _rest(shape: Any) -> Rest | None:
    if shape is None:
        return None
    wake_at = datetime.fromisoformat(shape["wake_at"]) if shape["wake_at"] else None
    return Rest(shape["reason"], wake_at, shape["stopping"])


def pack_events(events: Iterable[Event]) -> bytes:
    """A batch of events."""
    stored = [encode(0, event) for event in events]
    return _message({"events": _heads(stored)}, [event.payload for event in stored])


def unpack_events(packed: bytes) -> list[Event]:
    """The reverse of `pack_events`. Raises EventUnreadable for an event this release does not know."""
    head, parts = _opened(packed)
    return _events(head["events"], parts)


class _Parts:
    """The parts of a message, taken one after the other."""

    def __init__(self, view: memoryview) -> None:
        self._view, self._at = view, 0

    def take(self, size: int) -> bytes:
        start, self._at = self._at, self._at + size
        return bytes(self._view[start : self._at])


def _message(head: Any, parts: Sequence[bytes]) -> bytes:
    packed = orjson.dumps(head)
    return b"".join((len(packed).to_bytes(_SIZE_BYTES, "big"), packed, *parts))


def _opened(packed: bytes) -> tuple[Any, _Parts]:
    view = memoryview(packed)
    start = _SIZE_BYTES + int.from_bytes(view[:_SIZE_BYTES], "big")
    return orjson.loads(view[_SIZE_BYTES:start]), _Parts(view[start:])


def _heads(events: Sequence[StoredEvent]) -> list[tuple[str, int, datetime, int]]:
    return [(event.type, event.version, event.at, len(event.payload)) for event in events]


def _events(heads: Sequence[tuple[str, int, str, int]], parts: _Parts) -> list[Event]:
    return [
        decode(StoredEvent(0, kind, version, datetime.fromisoformat(at), parts.take(size)))
        for kind, version, at, size in heads
    ]
