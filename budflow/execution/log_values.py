"""What a node logs as plain JSON: bounded in size and depth, without secrets, whatever the values are."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time
from typing import Any

from budflow.model.redaction import Redaction

MESSAGE_CHARS_MAX = 4_000
#: Of all the fields of a line together.
FIELDS_CHARS_MAX = 4_000
FIELDS_VALUES_MAX = 100
DEPTH_MAX = 5
KEY_CHARS_MAX = 100
VALUE_CHARS_MAX = 1_000
#: A longer text is not looked through for secrets, and so is not shown at all.
SEEN_CHARS_MAX = 1_000_000
CUT = "…"
_INTEGERS = range(-(2**63), 2**64)


def message_of(message: object, redaction: Redaction | None) -> str:
    """The message of a line. Raises what the value's own methods raise."""
    return _text(message, redaction, MESSAGE_CHARS_MAX)


def fields_of(fields: Mapping[str, Any], redaction: Redaction | None) -> dict[str, Any]:
    """The fields of a line. Raises what the values' own methods raise."""
    if not fields:
        return {}
    room = _Room()
    plain: dict[str, Any] = {
        _text(name, redaction, KEY_CHARS_MAX): _plain(value, redaction, room, DEPTH_MAX)
        for name, value in fields.items()
        if room.values > 0
    }
    # Once more as a whole: a secret may stand in a number.
    return plain if redaction is None else redaction.data(plain)


@dataclass(slots=True)
class _Room:
    """What of a line's fields is still free."""

    values: int = FIELDS_VALUES_MAX
    chars: int = FIELDS_CHARS_MAX


def _plain(value: object, redaction: Redaction | None, room: _Room, depth: int) -> Any:
    room.values -= 1
    kind = type(value)
    if value is None or kind is bool or (kind is int and value in _INTEGERS):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, int) and int(value) in _INTEGERS:  # Of a class of its own, such as an enumeration's.
        return int(value)
    if isinstance(value, dict | list | tuple | set | frozenset):
        if depth == 0 or room.values <= 0:
            return CUT
        return _contents(value, redaction, room, depth)
    text = _text(value, redaction, max(0, min(VALUE_CHARS_MAX, room.chars)))
    room.chars -= len(text)
    return text


def _contents(
    value: dict[Any, Any] | list[Any] | tuple[Any, ...] | set[Any] | frozenset[Any],
    redaction: Redaction | None,
    room: _Room,
    depth: int,
) -> Any:
    if isinstance(value, dict):
        shape: dict[str, Any] = {}
        for key, inner in value.items():
            if room.values <= 0:
                shape[CUT] = f"{len(value) - len(shape):,} more"
                break
            name = _text(key, redaction, KEY_CHARS_MAX)
            room.chars -= len(name)
            shape[name] = _plain(inner, redaction, room, depth - 1)
        return shape
    items: list[Any] = []
    for inner in value:
        if room.values <= 0:
            items.append(f"{CUT} {len(value) - len(items):,} more")
            break
        items.append(_plain(inner, redaction, room, depth - 1))
    return items


def _text(value: object, redaction: Redaction | None, chars_max: int) -> str:
    if redaction is None and type(value) is str and len(value) <= chars_max and value.isascii():
        return value  # As most are.
    text = _said(value)
    if len(text) > SEEN_CHARS_MAX:
        return f"({len(text):,} characters, too many to be shown)"[: max(chars_max, 1)]
    if redaction is not None:
        text = redaction.text(text)  # Before it is cut: the beginning of a secret would not be known for one.
    if len(text) > chars_max:
        text = text[: max(0, chars_max - 1)] + CUT
    # Half of a surrogate pair could not be journaled.
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _said(value: object) -> str:
    if isinstance(value, str):
        return str.__str__(value)  # A subclass may have put another in its place.
    if isinstance(value, bytes | bytearray | memoryview):
        return f"({memoryview(value).nbytes:,} bytes)"
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, int):
        return f"(a number of {int(value).bit_length():,} bits)"  # Longer than Python may want to write.
    return repr(value)
