"""Whatever a function is given, it answers or refuses in time, and gives nothing but data."""

import gc
import inspect
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from math import inf, nan
from time import thread_time

import pytest

from budflow.expressions.budget import SEED, STEPS_MAX, TEXT_CHARS_MAX, Budget
from budflow.expressions.declare import EXAMPLE_NOW, EXAMPLE_SEED, Function
from budflow.expressions.evaluate import FAILURES, Scope
from budflow.expressions.operations import call_function, call_method
from budflow.expressions.table import table
from budflow.expressions.values import VALUES

SECONDS_MAX = 0.1
TRIES = 5
GROWTH_MAX = 3  # Of letters whose case changes, which is charged by what they were.
ARGUMENTS_MAX = 4


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = {"a": [value]}
    return value


TEXT = "a" * 1_000_000
HOSTILE: tuple[object, ...] = (
    None,
    TEXT,
    "<&%{[(\\\"'#@:/?=.,- " * 50_000,
    "a@" * 500_000,
    "\ud800\x00é" * 100,
    "(a*)*b",
    # Short enough not to be refused at once for their length:
    "\u0301\u0323" * 40_000,
    "http://a" + "\u0301\u0323" * 30_000,
    "a\u2028" * 40_000,
    " " * 90_000,
    "1" * 2_000 + "x",
    "[" * 5_000,
    "",
    list(range(100_000)),
    [{"a": index, "b": "x" * 10} for index in range(20_000)],
    ["ab" * 5] * 100_000,
    [nested(45), nested(45)],
    {str(index): index for index in range(100_000)},
    nested(45),
    {"a": 1, "tzinfo": 1},
    0,
    -1,
    10**9,
    -(2**70),
    2**4000,
    1e308,
    nan,
    inf,
    True,
    {1, 2, 3},
    EXAMPLE_NOW,
    datetime.max.replace(tzinfo=UTC),
    date.min,
    timedelta.max,
)


def every() -> Iterator[Function]:
    for family in table().families.values():
        yield from family


def calls(function: Function) -> Iterator[tuple[object, ...]]:
    """The arguments, the receiver first: each hostile value for all of them at once, and each receiver alone."""
    parameters = list(inspect.signature(function.call).parameters.values())[2 if function.receivers else 1 :]
    required = [p for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    counts = {len(required), min(len(parameters), ARGUMENTS_MAX), 2 if variadic else len(required)}
    if not function.receivers:
        yield from ((value,) * count for count in counts for value in HOSTILE)
        return
    for at, receiver in enumerate(value for value in HOSTILE if type(value) in function.receivers):
        yield (receiver,)
        # Each pair of a receiver and an argument would take minutes: every receiver meets some of them.
        yield from ((receiver, *((value,) * count)) for count in counts if count for value in HOSTILE[at % 6 :: 6])


@pytest.fixture
def own_time() -> Iterator[None]:
    """Without the garbage collector, which would look through all that other tests have left in this process."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("own_time")
@pytest.mark.parametrize("function", [pytest.param(one, id=one.usage) for one in every()])
def test_every_function_answers_or_refuses_in_time(function: Function) -> None:
    for given in calls(function):
        took, value = _called(function, given)
        for _ in range(TRIES - 1):  # What others do slows a core down, never up: the least is what it takes.
            if took < SECONDS_MAX:
                break
            again, value = _called(function, given)
            took = min(took, again)
        assert took < SECONDS_MAX, f"{function.usage} took {took:.3f} s with {_shown(given)}"
        assert not isinstance(value, str) or len(value) <= GROWTH_MAX * TEXT_CHARS_MAX, f"{function.usage} grows"
        strange = _strange(value)
        assert strange is None, f"{function.usage} gave {strange!r} with {_shown(given)}"


def _called(function: Function, given: tuple[object, ...]) -> tuple[float, object]:
    """How many seconds of the processor the call took, and what it gave: None when it refused."""
    budget = Budget(around=Scope({}, 0, {"now": EXAMPLE_NOW, SEED: EXAMPLE_SEED}))
    started = thread_time()
    try:
        if function.receivers:
            value = call_method(budget, given[0], function.name, *given[1:])
        else:
            value = call_function(budget, function.name, *given)
    except FAILURES:
        value = None
    took = thread_time() - started
    assert budget.steps <= STEPS_MAX, f"{function.usage} gives steps back with {_shown(given)}"
    return took, value


def _strange(value: object) -> type | None:
    """The type that no data has, of the value and of what is first in it."""
    for _ in range(100):
        if type(value) not in VALUES:
            return type(value)
        if not isinstance(value, (list, tuple, set, frozenset, dict)) or not value:
            return None
        value = next(iter(value.values() if isinstance(value, dict) else value))
    return None


def _shown(given: tuple[object, ...]) -> list[str]:
    return [repr(one)[:30] for one in given]
