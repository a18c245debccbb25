"""Answers that fit into an agent's context: what a tool says may go is shortened, and what was left out is told."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

STRING_CHARS_MAX = 500


@dataclass(frozen=True, slots=True)
class _Spot:
    """A value inside an answer, by what holds it. `path` is as long as the value is deep."""

    holder: Any
    name: Any
    path: str

    @property
    def value(self) -> Any:
        return self.holder[self.name]

    @property
    def size_bytes(self) -> int:
        return len(orjson.dumps(self.value))


def fit(answer: dict[str, Any], cut: tuple[str, ...], bytes_max: int) -> dict[str, Any]:
    """Shorten `answer` (which is changed) to about `bytes_max` bytes of JSON.

    The lists that `cut` names are halved, the largest first, before the next pattern's turn; what is no list becomes
    null. Then long strings are cut. What went is in `omitted`: by path, how many entries
    or characters. An answer whose parts may none of them go stays as it is.
    """
    excess = len(orjson.dumps(answer)) - bytes_max
    omitted: dict[str, int] = {}
    for pattern in cut:
        while excess > 0:
            spots = [spot for spot in _find(answer, pattern.split(".")) if spot.value]
            if not spots:
                break
            largest = max(spots, key=lambda spot: spot.size_bytes)
            before = largest.size_bytes
            omitted[largest.path] = omitted.get(largest.path, 0) + _shorten(largest)
            excess -= before - largest.size_bytes
    if excess > 0:
        _cut_strings(answer, omitted)
    return {**answer, "omitted": omitted} if omitted else answer


def _shorten(spot: _Spot) -> int:
    value = spot.value
    if not isinstance(value, list):
        spot.holder[spot.name] = None
        return 1
    kept = value[: len(value) // 2]
    spot.holder[spot.name] = kept
    if isinstance(spot.holder, dict) and "truncated" in spot.holder:
        spot.holder["truncated"] = True
    return len(value) - len(kept)


def _find(value: Any, parts: list[str], path: str = "") -> Iterator[_Spot]:
    part, *rest = parts
    for name, inner in _children(value):
        if part in ("*", name):
            spot = _Spot(value, name, f"{path}/{name}")
            if not rest:
                yield spot
            elif inner is not None:
                yield from _find(inner, rest, spot.path)


def _cut_strings(value: Any, omitted: dict[str, int], path: str = "") -> None:
    for name, inner in _children(value):
        here = f"{path}/{name}"
        if isinstance(inner, str) and len(inner) > STRING_CHARS_MAX:
            value[name] = f"{inner[:STRING_CHARS_MAX]}…"
            omitted[here] = len(inner) - STRING_CHARS_MAX
        else:
            _cut_strings(inner, omitted, here)


def _children(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []
