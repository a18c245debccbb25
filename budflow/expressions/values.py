"""The values an expression may hold, how they read as text, and how they leave as plain data."""

import json
import operator
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from itertools import chain
from math import isfinite
from typing import TypeAlias, cast

from budflow.expressions.budget import (
    CHARS_A_STEP,
    INT_BITS_MAX,
    NESTING_DEPTH_MAX,
    RESULT_CHARS_MAX,
    Budget,
    Fault,
    out_of_steps,
    too_large,
)
from budflow.expressions.suggest import shorten
from budflow.model.secret import Opaque as Opaque

Sequence: TypeAlias = list[object] | tuple[object, ...]

NUMBERS: frozenset[type] = frozenset({int, float, bool})
SCALARS: frozenset[type] = frozenset({type(None), bool, int, float, str, datetime, date, timedelta})
SEQUENCES: frozenset[type] = frozenset({list, tuple})
SETS: frozenset[type] = frozenset({set, frozenset})
CONTAINERS: frozenset[type] = SEQUENCES | SETS | {dict}
VALUES: frozenset[type] = SCALARS | CONTAINERS
KEYS: frozenset[type] = frozenset({str, bool, float, type(None), datetime, date})

UNCHANGED: frozenset[type] = frozenset({str, bool, type(None)})  # Scalars that leave as they are, whatever they are.
Weights: TypeAlias = dict[int, tuple[int, object]]
Made: TypeAlias = dict[int, tuple[object, object]]

CHARS_A_STEP_OF_JSON = 16  # Beside what walking through it costs.
NEXT_LOOK = 0  # No id: where it stands how much is to be known at the next look at the clock.
WEIGHED_A_LOOK = 256  # Containers or elements, at the clock.
CHARS_AN_ELEMENT = 8  # What an element counts for beside its own text.
KEY_INT_MAX = 2**60  # Python hashes larger ints modulo 2**61 - 1, so that anyone can make them collide.
INT_UNCHECKED_MAX = 2**64
JSON_INT_MIN, JSON_INT_MAX = -(2**63), 2**64 - 1  # What the journal's codec holds.

#: What may be done with a secret: nothing else.
OPAQUE_HINT = "Make `{{ $secrets.SLOT.FIELD }}` the whole value of a parameter that takes secrets."

WORDS: Mapping[type, str] = {
    type(None): "None",
    bool: "a bool",
    int: "a number",
    float: "a number",
    str: "a text",
    list: "a list",
    tuple: "a tuple",
    set: "a set",
    frozenset: "a set",
    dict: "a dict",
    datetime: "a datetime",
    date: "a date",
    timedelta: "a duration",
}


def word_of(value: object) -> str:
    """What kind of value it is, in words for a message."""
    if isinstance(value, Opaque):
        return "a secret value"
    return WORDS.get(type(value), "a dict" if isinstance(value, Mapping) else "something that is not data")


def checked(value: object) -> object:
    """The value itself, when it is data; functions, classes, modules and other objects are not."""
    if type(value) in VALUES or isinstance(value, (Mapping, Opaque)):
        return value
    raise Fault(
        "this is not data", "Expressions read text, numbers, bools, None, lists, dicts, datetimes and durations."
    )


def within_bits(value: object) -> object:
    """The value, unless it is an int past the limit, or a complex number, which only a power can make."""
    kind = type(value)
    if kind is int and not -INT_UNCHECKED_MAX < value < INT_UNCHECKED_MAX:  # type: ignore[operator]  # an int, by the line
        if value.bit_length() > INT_BITS_MAX:  # type: ignore[attr-defined]  # an int here
            raise too_large("a huge number", f"{INT_BITS_MAX:,} bits")
    elif kind is complex:
        raise Fault("a root of a negative number is not a real number")
    return value


def key(value: object) -> object:
    """The value, when it may be looked up in a dict or a set."""
    kind = type(value)
    if kind in KEYS or (kind is int and -KEY_INT_MAX < value < KEY_INT_MAX):  # type: ignore[operator]  # an int here
        return value
    raise Fault(f"{word_of(value)} cannot be a key or an element of a set", "Use text or small numbers.")


def keys_clash(names: Iterable[object]) -> Fault:
    """The fault of a dict that would have fewer keys than there are `names`: it tells the first that repeats."""
    seen: set[object] = set()
    twice: object = ""
    for twice in names:
        if twice in seen:
            break
        seen.add(twice)
    return Fault(
        f'two keys of a dict would both be "{shorten(str(twice), 60)}"',
        'Give one of them another name; keys are text once they leave the expression, where 1 and "1" are the same.',
    )


def in_order(values: object) -> list[object]:
    """The elements of a set in an order that is the same in every process, which Python's own of texts is not."""
    elements = cast("frozenset[str]", values)
    try:
        return cast("list[object]", sorted(elements))
    except TypeError:
        return cast("list[object]", sorted(elements, key=lambda element: (type(element).__name__, str(element))))


def weigh(value: object, limit: int = RESULT_CHARS_MAX, budget: Budget | None = None) -> int:
    """How many characters the value would have written out, roughly; shared parts count each time they appear.

    Raises Fault past `limit`, past the nesting limit (so for cycles too), and for anything that is not data; and when
    the time of the `budget` is up.
    """
    if type(value) in SCALARS:
        return _scalar_weight(value)
    return _weigh(value, limit, {NEXT_LOOK: (WEIGHED_A_LOOK, None)}, 0, budget)


def _scalar_weight(value: object) -> int:
    return len(value) + CHARS_AN_ELEMENT if type(value) is str else CHARS_AN_ELEMENT


def _weigh(value: object, limit: int, known: Weights, depth: int, budget: Budget | None) -> int:
    """The weight of what is no scalar."""
    if depth >= NESTING_DEPTH_MAX:
        raise Fault(f"the data is nested deeper than {NESTING_DEPTH_MAX} levels")
    if id(value) in known:
        return known[id(value)][0]
    total = CHARS_AN_ELEMENT
    if isinstance(value, (list, tuple, set, frozenset)):
        parts: Iterable[object] = value
    elif isinstance(value, Mapping):
        parts = chain.from_iterable(value.items())
    else:
        checked(value)
        raise Fault("a secret value cannot be used inside of other data", OPAQUE_HINT)
    if budget is not None and (len(value) >= WEIGHED_A_LOOK or len(known) >= known[NEXT_LOOK][0]):
        budget.look()
        known[NEXT_LOOK] = (len(known) + WEIGHED_A_LOOK, None)
    for element in parts:
        kind = type(element)
        if kind is str:
            total += len(element) + CHARS_AN_ELEMENT  # type: ignore[arg-type]  # a str, by the line above
        elif kind in SCALARS:
            total += CHARS_AN_ELEMENT
        else:
            total += _weigh(element, limit, known, depth + 1, budget)
        if total > limit:
            raise _heavy(limit)
    known[id(value)] = (total, value)  # The reference keeps the id from being used again.
    return total


def _heavy(limit: int) -> Fault:
    return too_large("a very large value", f"{limit:,} characters") if limit >= RESULT_CHARS_MAX else out_of_steps()


def charge_deep(budget: Budget, value: object) -> int:
    """Charge walking through the whole value; returns its weight."""
    weight = weigh(value, min(RESULT_CHARS_MAX - 1, (budget.steps + 1) * CHARS_A_STEP), budget)
    budget.spend(1 + weight // CHARS_A_STEP)  # Looking at what is small takes its time too.
    return weight


def text_of(budget: Budget, value: object) -> str:
    """How a value reads inside of text: None is empty, bools are lower case, containers are JSON, times ISO 8601."""
    kind = type(value)
    if kind is str:
        return value  # type: ignore[return-value]  # a str, by the line above
    if value is None:
        return ""
    if kind is bool:
        return "true" if value else "false"
    if kind is int or kind is float:
        text = str(within_bits(value))
        budget.text(len(text))  # Writing out a large int takes long.
        return text
    if kind is timedelta:
        return str(value.total_seconds())  # type: ignore[attr-defined]  # a timedelta, by the line above
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Opaque):
        raise Fault("a secret value cannot become text", OPAQUE_HINT)
    return json_of(budget, value)


def json_of(budget: Budget, value: object, *, indent: int | None = None) -> str:
    """The value as compact JSON, charged before and checked after."""
    weight = charge_deep(budget, value)
    budget.spend(weight // CHARS_A_STEP_OF_JSON)
    separators = (",", ":") if indent is None else (",", ": ")
    value = _plain(value, {NEXT_LOOK: (WEIGHED_A_LOOK, None)}, budget)
    if weight >= WEIGHED_A_LOOK * CHARS_AN_ELEMENT:
        budget.look()
    text = json.dumps(value, ensure_ascii=False, separators=separators, indent=indent, default=text_of_time)
    budget.text(len(text))
    return text


def text_of_time(value: object) -> object:
    """A datetime or date as ISO 8601, for `json.dumps`."""
    if isinstance(value, date):
        return value.isoformat()
    raise Fault(f"{word_of(value)} cannot be written as JSON")


def plain(value: object, budget: Budget | None = None) -> object:
    """The value as it leaves the expression, as JSON holds it, so that what is read back is what went on.

    Sets and tuples leave as lists, mappings as dicts, datetimes and dates as ISO 8601 text, durations as seconds, and
    keys as text. A number that JSON cannot hold is a fault. An Opaque leaves only by itself. Containers are the very
    same objects when nothing in them needs a change. Raises Fault also when the time of the `budget` is up.
    """
    if type(value) in SCALARS:
        return _plain_scalar(value)
    if isinstance(checked(value), Opaque):
        return value
    weight = weigh(value, budget=budget)
    if budget is not None and weight >= WEIGHED_A_LOOK * CHARS_AN_ELEMENT:
        budget.look()
    return _plain(value, {NEXT_LOOK: (WEIGHED_A_LOOK, None)}, budget)


def _plain(value: object, made: Made, budget: Budget | None) -> object:
    """What was weighed, as JSON; `made` keeps each container, since parts of it may stand in it many times."""
    kind = type(value)
    if kind in SCALARS:
        return _plain_scalar(value)
    if id(value) in made:
        return made[id(value)][0]
    elements = cast("Sequence", in_order(value) if kind in SETS else value)
    if budget is not None and (len(elements) >= WEIGHED_A_LOOK or len(made) >= cast("int", made[NEXT_LOOK][0])):
        budget.look()
        made[NEXT_LOOK] = (len(made) + WEIGHED_A_LOOK, None)
    new: object
    if isinstance(value, Mapping):
        mapped = {
            name if type(name) is str else _plain_key(name): element
            if (kind := type(element)) in UNCHANGED or (kind is int and JSON_INT_MIN <= element <= JSON_INT_MAX)
            else _plain(element, made, budget)
            for name, element in value.items()
        }
        if len(mapped) < len(value):
            raise keys_clash(name if type(name) is str else _plain_key(name) for name in value)
        same = type(value) is dict and all(mapped.get(name, mapped) is element for name, element in value.items())
        new = value if same else mapped
    else:
        listed = [
            element
            if (kind := type(element)) in UNCHANGED or (kind is int and JSON_INT_MIN <= element <= JSON_INT_MAX)  # type: ignore[operator]  # an int here
            else _plain(element, made, budget)
            for element in elements
        ]
        same = type(value) is list and all(map(operator.is_, listed, elements))
        new = value if same else listed
    made[id(value)] = new, value  # The reference keeps the id from being used again.
    return new


def _plain_key(name: object) -> str:
    written = _plain_scalar(name)
    return written if isinstance(written, str) else json.dumps(written)


def _plain_scalar(value: object) -> object:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, date):  # A datetime is one too.
        return value.isoformat()
    if isinstance(value, int) and not JSON_INT_MIN <= value <= JSON_INT_MAX:
        raise Fault("The number is too large for JSON.", "Integers may have 64 bits; pass larger ones on as text.")
    if isinstance(value, float) and not isfinite(value):
        raise Fault("The result is no finite number.", "JSON knows neither infinity nor NaN; test for them before.")
    return value
