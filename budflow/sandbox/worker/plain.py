"""What an author's code gives back, made JSON: strict where data would be lost, lenient where the meaning is plain.

Dates and times become ISO 8601 text, decimals and UUIDs text (a number would lose digits), tuples and sets lists.
Not a number, infinite, too large, binary, circular and anything else is an error that says where it stands.
"""

import json
import math
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from itertools import chain
from typing import Any
from uuid import UUID

from budflow.sandbox.worker.limits import INTEGER_MAX, INTEGER_MIN, ITEM_BYTES_MAX, NESTING_MAX

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")).encode

_HINTS: dict[str, str] = {
    "bytes": "decode it, or encode it with base64",
    "bytearray": "decode it, or encode it with base64",
    "memoryview": "decode it, or encode it with base64",
    "timedelta": "give its total_seconds()",
    "complex": "give its parts",
    "generator": "make it a list",
    "DataFrame": 'give its to_dict("records")',
    "ndarray": "give its tolist()",
}


class NotJson(Exception):
    """A value that is not JSON; the message says where it stands and what to do."""


def encoded(value: Mapping[Any, Any]) -> bytes:
    """The JSON of an item. Raises NotJson."""
    if not (type(value) is dict and _is_plain(value, 1)):
        value = _plain_object(value, (), (id(value),))
    try:
        data = _encode(value).encode()
    except UnicodeEncodeError as invalid:
        raise NotJson("a text has half of a surrogate pair, which no encoding can carry") from invalid
    if len(data) > ITEM_BYTES_MAX:
        raise NotJson(f"the item has {len(data)} bytes as JSON, more than {ITEM_BYTES_MAX}; store it and give a name")
    return data


def plain_or_shown(value: Any) -> Any:
    """The value as JSON, or what `repr` says of it: for log lines, which must not fail for it."""
    try:
        return _plain(value, (), ())
    except NotJson:
        return repr(value)[:1000]


def _is_plain(value: dict[Any, Any] | list[Any], depth: int) -> bool:
    """Whether it is JSON as it stands: the common case, decided without building anything."""
    if depth > NESTING_MAX:
        return False
    if type(value) is dict:
        for key in value:
            if type(key) is not str:
                return False
    for each in value.values() if type(value) is dict else value:
        kind = type(each)
        if kind is str or kind is bool or each is None:
            continue
        if kind is int:
            if not INTEGER_MIN <= each <= INTEGER_MAX:
                return False
        elif kind is float:
            if not math.isfinite(each):
                return False
        elif kind is dict or kind is list:
            if each and not _is_plain(each, depth + 1):
                return False
        else:
            return False
    return True


def _plain(value: Any, where: tuple[str, ...], above: tuple[int, ...]) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _plain(value.value, where, above)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        if INTEGER_MIN <= value <= INTEGER_MAX:
            return int(value)
        raise NotJson(_at(where, "the number has more than 64 bits; give it as text"))
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        raise NotJson(_at(where, f"{value!r} is not JSON; give None or a text"))
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        return _plain_container(value, where, above)
    kind = type(value).__name__
    hint = _HINTS.get(kind, "give its fields" if hasattr(value, "__dict__") else "give a text")
    raise NotJson(_at(where, f"a {kind} is not JSON; {hint}"))


def _plain_container(value: Any, where: tuple[str, ...], above: tuple[int, ...]) -> Any:
    if id(value) in above:
        raise NotJson(_at(where, "it contains itself"))
    if len(above) >= NESTING_MAX:
        raise NotJson(_at(where[:8], f"it is nested deeper than {NESTING_MAX}"))
    above = (*above, id(value))
    if isinstance(value, Mapping):
        return _plain_object(value, where, above)
    if isinstance(value, (set, frozenset)):
        value = _in_order(value)
    return [_plain(each, (*where, f"[{index}]"), above) for index, each in enumerate(value)]


def _plain_object(value: Mapping[Any, Any], where: tuple[str, ...], above: tuple[int, ...]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, each in value.items():
        if not isinstance(key, str):
            raise NotJson(_at(where, f"the key {key!r:.50} is a {type(key).__name__}; keys are text"))
        plain[str(key)] = _plain(each, (*where, f".{key:.50}"), above)
    return plain


def _in_order(values: Iterable[Any]) -> list[Any]:
    """The same order every time: that of a set of texts differs from process to process."""
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=repr)


def _at(where: tuple[str, ...], what: str) -> str:
    path = "".join(chain(where)).removeprefix(".")
    return f"{path}: {what}" if path else what
