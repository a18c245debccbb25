"""What a document must be before its shape is looked at: plain JSON that can be stored, of bounded depth and size."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from budflow.model.problem import Problem, pointer
from budflow.model.workflow import DOCUMENT_BYTES_MAX, NODES_MAX

JSON_DEPTH_MAX = 100
#: What pinning the types may add to a document that was within its limit when it was saved.
PINS_BYTES_MAX = 32 * NODES_MAX

_Place = tuple[str | int, ...]


def plain_problems(data: object) -> Iterator[Problem]:
    """Every value in `data` that JSON, UTF-8 or 64 bits cannot hold; or just that it is too deep or too large."""
    if _depth_exceeds(data, JSON_DEPTH_MAX):
        yield too_deep()
        return
    faulty = False
    for problem in _value_problems(data):
        faulty = True
        yield problem
    if not faulty and (size := len(orjson.dumps(data))) > DOCUMENT_BYTES_MAX + PINS_BYTES_MAX:
        yield too_large(size)


def too_deep() -> Problem:
    """The document nests deeper than anything sensible does."""
    return Problem(
        "document.too_deep",
        "",
        f"The document nests deeper than {JSON_DEPTH_MAX} levels of objects and arrays.",
        "Flatten it, or split it into several workflows.",
    )


def too_large(size: int) -> Problem:
    """The document has `size` bytes."""
    return Problem(
        "document.too_large",
        "",
        f"The document has {size} bytes; at most {DOCUMENT_BYTES_MAX} are allowed.",
        "Split it into several workflows and call them with `flow.sub_workflow`; fetch large data when it runs.",
    )


def _depth_exceeds(data: object, limit: int) -> bool:
    # Level by level and not by recursion: this is what protects everything that recurses afterwards.
    level: list[object] = [data]
    for _ in range(limit):
        level = [inner for outer in level for inner in _children(outer) if isinstance(inner, Mapping | list)]
        if not level:
            return False
    return True


def _children(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _value_problems(data: object) -> Iterator[Problem]:
    if not isinstance(data, dict | list) and (problem := _scalar_problem((), data)) is not None:
        yield problem
    pending: list[tuple[_Place, object]] = [((), data)]
    while pending:
        where, value = pending.pop()
        if isinstance(value, dict):
            yield from _key_problems(where, value)
        for part, inner in _parts(value):
            if isinstance(inner, dict | list):
                pending.append(((*where, part), inner))
            elif (problem := _scalar_problem((*where, part), inner) if _is_suspect(inner) else None) is not None:
                yield problem


def _parts(value: object) -> Iterable[tuple[str | int, object]]:
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()


def _key_problems(where: _Place, value: dict[Any, object]) -> Iterator[Problem]:
    for key in value:
        if not isinstance(key, str):
            yield _not_json(where, f"The key {key!r} is no text")
        elif not _is_unicode(key):
            yield _half_pair(where)


def _is_suspect(value: object) -> bool:
    # Most values of a large document are plain text and short numbers: the place of those is not worth building.
    if isinstance(value, str):
        return not value.isascii()
    return not isinstance(value, int) or not -(2**63) <= value < 2**63


def _scalar_problem(where: _Place, value: object) -> Problem | None:
    if isinstance(value, str):
        return None if _is_unicode(value) else _half_pair(where)
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else _not_json(where, f"{value} is no JSON number")
    if isinstance(value, int):
        if -(2**63) <= value < 2**64:
            return None
        message = "This number does not fit into 64 bits."
        return Problem("document.number_too_large", pointer(*where), message, "Write it as a text, in quotes.")
    return _not_json(where, f"A value of type {type(value).__name__} is not JSON")


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _half_pair(where: _Place) -> Problem:
    message = "The text holds half of a surrogate pair, which is no character."
    return Problem("document.not_json", pointer(*where), message, "Write the whole character, or leave it out.")


def _not_json(where: _Place, fault: str) -> Problem:
    hint = "Use objects with text keys, arrays, texts, finite numbers, true, false and null."
    return Problem("document.not_json", pointer(*where), f"{fault}.", hint)
