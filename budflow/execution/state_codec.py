"""The codec of what a run knows: a closed set of types as JSON, each value with the name of its type before it.

Plain JSON would lose what the engine relies on: tuples as keys, sets, the class of a command. Nothing is built but the
types that are named here, so stored bytes can make nothing else.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any, get_args

from immutables import Map

from budflow.errors import BudflowError
from budflow.execution import state as s
from budflow.execution.collected import Collected
from budflow.execution.open_node import Body, OpenControl, OpenWait
from budflow.model.control import ItemsFrom
from budflow.model.failure import Failure
from budflow.model.item import EMPTY, ItemList
from budflow.model.item_codec import decode_items, encode_items

#: Fields that are made again: timers, what follows from the node's inputs, and what the owner knows of calls.
_MADE_AGAIN: Mapping[type[Any], frozenset[str]] = {
    OpenControl: frozenset({"fed", "started", "timers"}),
    OpenWait: frozenset({"timer"}),
}
_TYPES: tuple[type[Any], ...] = (
    *(s.At, s.FrameId, s.Tally, s.Frame, s.Stop, s.Control, s.State),
    *get_args(s.Command),
    *get_args(ItemsFrom),
    *(Failure, Body, Collected, OpenControl, OpenWait),
)


class StateUnwritable(BudflowError):
    """The state of a run holds what the codec does not know."""

    code = "execution.state_unwritable"
    http_status = 500
    hint = "The state of a control node must be small JSON. The execution goes on, without a snapshot."


def encode_state(value: Any) -> Any:
    """A value as JSON; lists of items in it stay what they are, for `encode_lists`. Raises StateUnwritable."""
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    if kind is float:
        if not math.isfinite(value):
            raise StateUnwritable(f"{value} is not JSON.")
        return value
    if kind is ItemList:
        return value
    if (names := _FIELDS.get(kind)) is not None:
        return [kind.__name__, *[encode_state(getattr(value, name)) for name in names]]
    if (name := _PLAIN.get(kind)) is not None:
        return [name, *[encode_state(one) for one in value]]
    if isinstance(value, Mapping):
        name = "Map" if kind is Map else "dict"
        return [name, *[[encode_state(key), encode_state(one)] for key, one in value.items()]]
    if kind is datetime:
        return ["time", value.isoformat()]
    raise StateUnwritable(f"A state cannot hold {kind.__name__}.")


def encode_lists(value: Any) -> Any:
    """What orjson is to write for a list of items that `encode_state` left."""
    if isinstance(value, ItemList):
        return ["items", encode_items(value)]
    raise TypeError(f"{type(value).__name__} is not JSON")


def decode_state(shape: Any, open_list: Callable[[ItemList], ItemList]) -> Any:
    """The reverse of both; `open_list` makes lists in blobs readable.

    Raises KeyError, TypeError, ValueError or IndexError for what `encode_state` does not write.
    """
    if not isinstance(shape, list):
        return shape
    name, *parts = shape
    if name == "items":
        return open_list(decode_items(parts[0]))
    if name == "time":
        return datetime.fromisoformat(parts[0])
    if name in ("dict", "Map"):
        pairs = {decode_state(key, open_list): decode_state(one, open_list) for key, one in parts}
        return Map(pairs) if name == "Map" else pairs
    values = [decode_state(part, open_list) for part in parts]
    if (build := _BUILD.get(name)) is not None:
        return build(values)
    kind = _NAMES[name]
    made = {"fed": EMPTY} if kind is OpenControl else {}
    return kind(**made, **dict(zip(_FIELDS[kind], values, strict=True)))


_AS_IT_IS = frozenset({type(None), bool, int, str})
_PLAIN: Mapping[type[Any], str] = {tuple: "tuple", list: "list", frozenset: "set"}
_BUILD: Mapping[str, Callable[[Any], Any]] = {"tuple": tuple, "list": list, "set": frozenset}
_NAMES: Mapping[str, type[Any]] = {kind.__name__: kind for kind in _TYPES}


def _fields_of(kind: type[Any]) -> tuple[str, ...]:
    names = [field.name for field in fields(kind)] if is_dataclass(kind) else list(kind._fields)
    return tuple(name for name in names if name not in _MADE_AGAIN.get(kind, ()))


_FIELDS: Mapping[type[Any], tuple[str, ...]] = {kind: _fields_of(kind) for kind in _TYPES}
