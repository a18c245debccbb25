"""What expressions are evaluated against in these tests."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

import pytest

from budflow.expressions.compile import compile_template
from budflow.expressions.evaluate import Scope
from budflow.expressions.values import Opaque

Evaluate = Callable[..., object]


class LazyNode(Mapping[str, object]):
    """Another node's output, as the engine hands it over: loaded when a key is read."""

    def __init__(self, items: list[dict[str, object]]) -> None:
        self.items_loaded = 0
        self._items = items

    def __getitem__(self, key: str) -> object:
        if key not in ("json", "items"):
            raise KeyError(key)
        self.items_loaded += 1
        return self._items[0] if key == "json" else self._items

    def __iter__(self) -> Iterator[str]:
        return iter(("json", "items"))

    def __len__(self) -> int:
        return 2


class Secret(Opaque):
    """A secret's placeholder."""

    __slots__ = ()


DATA: dict[str, object] = {
    "name": "Ada",
    "price": 10,
    "ratio": 0.5,
    "none": None,
    "yes": True,
    "from": "keyword",
    "first-name": "Ada",
    "_private": "seen",
    "user": {"email": "ada@example.org", "tags": ["a", "b"]},
    "rows": [{"n": 3, "kind": "x"}, {"n": 1, "kind": "y"}, {"n": 2, "kind": "x"}],
    "numbers": [3, 1, 2],
    "deep": {"a": {"b": [{"c": 1}, {"c": [10, 20]}]}},
}


@pytest.fixture
def scope() -> Scope:
    fetch = LazyNode([{"id": 7, "title": "seven"}, {"id": 8, "title": "eight"}])
    names: dict[str, object] = {
        "now": datetime(2026, 1, 31, 13, 5, 9, tzinfo=UTC),
        "node": {"fetch": fetch},
        "execution": {"id": "x1"},
        "secrets": {"token": Secret()},
        "vars": {"broken": len},
    }
    return Scope(DATA, 4, names)


@pytest.fixture
def evaluate(scope: Scope) -> Evaluate:
    def evaluate(expression: str) -> object:
        """The value of one expression, written without its braces."""
        return compile_template("{{ " + expression + " }}").evaluate(scope)

    return evaluate
