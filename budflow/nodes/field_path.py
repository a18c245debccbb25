"""Field paths: `customer.city` names a field inside an item's json, for reading it and for changing a copy.

A segment is a key of an object, or, when reading, the position in a list (`lines.0.price`). A key that itself holds a
dot cannot be named. A field that is missing reads as None, like one that is null.
"""

from functools import lru_cache
from typing import Annotated, Any

from pydantic import StringConstraints

from budflow.model.failure import NodeError
from budflow.model.item import Json

FieldPath = Annotated[str, StringConstraints(pattern=r"^[^.]+(\.[^.]+)*$", max_length=500)]


class PathBlocked(NodeError):
    """A part of the path is neither an object nor missing."""

    code = "data.path_blocked"
    hint = "Set the whole field instead of a field inside it, or remove it first."


@lru_cache(maxsize=4096)
def segments(path: str) -> tuple[str, ...]:
    """The parts between the dots."""
    return tuple(path.split("."))


def read(json: Json, path: str) -> Any:
    """The value at `path`; None where any part of it is missing."""
    here: Any = json
    for name in segments(path):
        if isinstance(here, dict):
            here = here.get(name)
        elif isinstance(here, list) and name.isdecimal() and int(name) < len(here):
            here = here[int(name)]
        else:
            return None
    return here


def put(json: Json, path: str, value: Any) -> None:
    """Set `path` in `json`, whose outermost object the caller owns; the objects on the way are copied or made.

    Raises PathBlocked where something on the way is a text, a number or a list.
    """
    *parents, last = segments(path)
    here = json
    for name in parents:
        child = here.get(name)
        if child is not None and not isinstance(child, dict):
            raise PathBlocked(f"The field {path} cannot be set: {name} holds no object.")
        here[name] = here = dict(child or {})
    here[last] = value


def remove(json: Json, path: str) -> None:
    """Take `path` out of `json`, whose outermost object the caller owns; nothing happens where it is missing."""
    *parents, last = segments(path)
    holder = read(json, ".".join(parents)) if parents else json
    if not isinstance(holder, dict) or last not in holder:
        return
    here = json
    for name in parents:
        if not isinstance(here.get(name), dict):
            return  # A position in a list: lists are read, never changed in part.
        here[name] = here = dict(here[name])
    del here[last]
