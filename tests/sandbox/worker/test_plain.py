"""What becomes JSON, how, and what does not."""

import json
from collections import Counter, OrderedDict, defaultdict, namedtuple
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from budflow.sandbox.worker.plain import NotJson, encoded, plain_or_shown

Pair = namedtuple("Pair", "a b")


class Colour(Enum):
    """Whose values count."""

    RED = "red"


class Size(IntEnum):
    """A number as well."""

    LARGE = 3


class Text(str):
    """Text of a library's own kind."""


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (datetime(2026, 1, 2, 3, 4, tzinfo=UTC), "2026-01-02T03:04:00+00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (time(3, 4), "03:04:00"),
        (Decimal("12.50"), "12.50"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ((1, "a"), [1, "a"]),
        (Pair(1, 2), [1, 2]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", "a"}), ["a", "b"]),
        ({"a", 1}, ["a", 1]),
        (Colour.RED, "red"),
        (Size.LARGE, 3),
        (Text("x"), "x"),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (defaultdict(list, a=[1]), {"a": [1]}),
        (Counter("aab"), {"a": 2, "b": 1}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        ("ä\U0001f600\u2028", "ä\U0001f600\u2028"),
        (-(2**63), -(2**63)),
        (2**63 - 1, 2**63 - 1),
    ],
)
def test_what_has_a_plain_meaning_becomes_it(value: object, plain: object) -> None:
    assert json.loads(encoded({"a": value})) == {"a": plain}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": float("nan")}, "a: nan is not JSON; give None or a text"),
        ({"a": [1, float("-inf")]}, "a[1]: -inf is not JSON; give None or a text"),
        ({"a": {"b": [{"c": b"x"}]}}, "a.b[0].c: a bytes is not JSON; decode it, or encode it with base64"),
        ({"a": 2**63}, "a: the number has more than 64 bits; give it as text"),
        ({"a": timedelta(1)}, "a: a timedelta is not JSON; give its total_seconds()"),
        ({"a": object()}, "a: a object is not JSON; give a text"),
        ({"a": Fraction(1, 2)}, "a: a Fraction is not JSON; give a text"),
        ({"a": (n for n in [0])}, "a: a generator is not JSON; make it a list"),
        ({1: 2}, "the key 1 is a int; keys are text"),
        ({"a": {None: 2}}, "a: the key None is a NoneType; keys are text"),
        ({"a": "\ud800"}, "a text has half of a surrogate pair, which no encoding can carry"),
    ],
)
def test_what_would_lose_something_is_refused_with_its_place(value: dict[Any, Any], message: str) -> None:
    with pytest.raises(NotJson) as refused:
        encoded(value)

    assert str(refused.value) == message


def test_what_contains_itself_is_refused() -> None:
    item: dict[str, Any] = {"a": []}
    item["a"].append(item)

    with pytest.raises(NotJson, match=r"a\[0\]: it contains itself"):
        encoded(item)


def test_what_is_nested_too_deeply_is_refused() -> None:
    def nested(depth: int) -> dict[str, Any]:
        item: dict[str, Any] = {}
        for _ in range(depth - 1):
            item = {"a": item}
        return item

    assert encoded(nested(64))
    with pytest.raises(NotJson, match="nested deeper than 64"):
        encoded(nested(66))
    with pytest.raises(NotJson, match="nested deeper than 64"):
        encoded(nested(5_000))


def test_what_cannot_be_json_is_shown_in_a_log_line() -> None:
    assert plain_or_shown({"a": b"x"}) == "{'a': b'x'}"
    assert plain_or_shown((1, date(2026, 1, 2))) == [1, "2026-01-02"]


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), _json, max_size=5))
def test_json_stays_as_it_is(item: dict[str, Any]) -> None:
    assert json.loads(encoded(item)) == item
