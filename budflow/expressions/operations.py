"""What compiled expressions call instead of Python's own lookups, loops, calls and formatting.

Every way to reach a value ends in one of these functions, so none of them may ever return a method, class or module.
"""

from collections.abc import Iterator, Mapping
from typing import cast

from budflow.expressions.budget import ELEMENTS_A_STEP, TIMED_FROM, Budget, Fault
from budflow.expressions.compare import has_key
from budflow.expressions.foreign import METHODS
from budflow.expressions.formats import format_value
from budflow.expressions.suggest import did_you_mean, shorten
from budflow.expressions.table import Table, table
from budflow.expressions.values import (
    OPAQUE_HINT,
    SEQUENCES,
    SETS,
    VALUES,
    Opaque,
    checked,
    in_order,
    json_of,
    key,
    word_of,
)
from budflow.expressions.views import CALLED_KEYS, Listed, View

TABLE: Table = table()


def read_name(names: Mapping[str, object], name: str) -> object:
    """The value of `$name`, other than the item's own."""
    try:
        value = names[name]
    except KeyError:
        known = (one for one in names if not one.startswith("_"))
        raise Fault(f"${name} is not available here", did_you_mean(name, known, label="Available")) from None
    return checked(value)


def read_attribute(value: object, name: str) -> object:
    """`value.name`: always what a dict has under the key, never an attribute."""
    if type(value) is dict or isinstance(value, Mapping):
        try:
            found = value[name]
        except KeyError:
            raise _missing(value, name) from None
        return found if type(found) in VALUES else checked(found)
    if value is None:
        raise Fault(f"None has no `{name}`", f"Where it may be None, write `?.{name}`.")
    if name in TABLE.methods.get(type(value), ()):
        raise Fault(f"`{name}` of {word_of(value)} must be called", f"Write `.{name}()`.")
    raise Fault(f"{word_of(value)} has no `{name}`", METHODS.get(name) or _instead_of(value, name))


def read_optional(value: object, name: str) -> object:
    """`value?.name`: None when the value is None or has no such key."""
    if value is None or (isinstance(value, Mapping) and name not in value):
        return None
    return read_attribute(value, name)


def read_item(value: object, index: object) -> object:
    """`value[index]` of a list, tuple or text; `value[key]` of a dict."""
    if isinstance(value, Mapping):
        if not has_key(value, index):
            raise _missing(value, index)
        return checked(value[index])
    if type(value) is str or type(value) in SEQUENCES:
        if type(index) is not int:
            hint = _instead_of(value, index) if type(index) is str else ""
            raise Fault(f"{word_of(value)} is indexed by a whole number, not by {word_of(index)}", hint)
        try:
            return checked(value[index])  # type: ignore[index]  # a str, list or tuple
        except IndexError:
            shown = f"[{shorten(str(index), 20)}]"
            message = f"{word_of(value)} of {len(value)} has no {shown}"  # type: ignore[arg-type]  # as above
            raise Fault(message, f"Where it may be missing, write `?.{shown}`.") from None
    if value is None:
        raise Fault("None has nothing inside", "Where it may be None, write `?.[…]`.")
    raise Fault(f"{word_of(value)} has nothing inside", "Only lists, text and dicts have.")


def read_optional_item(value: object, index: object) -> object:
    """`value?.[index]`: None when the value is None or has no such key or element."""
    if value is None or (isinstance(value, Mapping) and not has_key(value, index)):
        return None
    if type(index) is int and isinstance(value, (str, list, tuple)) and not -len(value) <= index < len(value):
        return None
    return read_item(value, index)


def read_slice(budget: Budget, value: object, start: object, stop: object, step: object) -> object:
    """`value[start:stop:step]` of a list, tuple or text."""
    if not isinstance(value, (str, list, tuple)):
        raise Fault(f"{word_of(value)} cannot be sliced", "Only lists and text can.")
    if any(bound is not None and type(bound) is not int for bound in (start, stop, step)):
        raise Fault("the bounds of a slice are whole numbers")
    bounds = cast("slice[int | None, int | None, int | None]", slice(start, stop, step))
    size = len(range(*bounds.indices(len(value))))
    if isinstance(value, str):
        budget.text(size)
    else:
        budget.spend(size // ELEMENTS_A_STEP)
    return value[bounds]


def iterate(budget: Budget, value: object, weight: int) -> Iterator[object]:
    """Loop over a list, tuple, set, the characters of a text or the keys of a dict, charging `weight` steps a round."""
    if type(value) not in SEQUENCES and type(value) not in SETS and not isinstance(value, (str, Mapping)):
        hint = "A value that may be None needs a default: (x or [])." if value is None else ""
        raise Fault(f"{word_of(value)} cannot be looped over", hint)
    if type(value) in SETS:
        budget.spend(len(value))  # type: ignore[arg-type]  # a set
        value = in_order(value)
    look = TIMED_FROM
    for element in value:  # type: ignore[attr-defined]  # one of the kinds above
        budget.steps -= weight
        if budget.steps < look:
            budget.spend(0)
            look = budget.next_look
        yield element if type(element) in VALUES else checked(element)


def spread(budget: Budget, value: object) -> Mapping[object, object]:
    """`{**value}`."""
    if not isinstance(value, Mapping):
        raise Fault(f"{word_of(value)} cannot be spread by `**`", "Only dicts can.")
    budget.elements(len(value))
    return value


def join_parts(budget: Budget, *parts: str) -> str:
    """The parts of an f-string as one text."""
    budget.text(sum(map(len, parts)))
    return "".join(parts)


def format_part(budget: Budget, value: object, quoted: bool, spec: str) -> str:
    """One field of an f-string; `quoted` (`!r`) writes it as JSON."""
    return format_value(budget, json_of(budget, value) if quoted else value, spec)


def call_function(budget: Budget, name: str, /, *arguments: object, **named: object) -> object:
    """`name(…)`: a global function of the call table; the compiler has checked that it is there."""
    budget.spend(1)
    _check_arguments(arguments, named)
    found = TABLE.functions[name]
    try:
        return found.call(budget, *arguments, **named)
    except TypeError as error:
        raise Fault(f"{name}() does not take these arguments: {_reason(error)}", f"Usage: {found.usage}") from None


def call_method(budget: Budget, value: object, name: str, /, *arguments: object, **named: object) -> object:
    """`value.name(…)`: the function the call table has for the value's type and the name."""
    budget.spend(1)
    methods = TABLE.methods.get(type(value))
    if methods is None and isinstance(value, Mapping):
        if name in CALLED_KEYS and isinstance(value, View) and name in value and not arguments and not named:
            return checked(value[name])
        methods = TABLE.methods[dict]
    found = methods.get(name) if methods else None
    if found is None:
        raise _no_method(value, name, methods or {})
    _check_arguments(arguments, named)
    try:
        return found.call(budget, value, *arguments, **named)
    except TypeError as error:
        raise Fault(f".{name}() does not take these arguments: {_reason(error)}", f"Usage: {found.usage}") from None


def call_optional(budget: Budget, value: object, name: str, /, *arguments: object, **named: object) -> object:
    """`value?.name(…)`: None when the value is None."""
    return None if value is None else call_method(budget, value, name, *arguments, **named)


def _check_arguments(arguments: tuple[object, ...], named: dict[str, object]) -> None:
    for argument in (*arguments, *named.values()) if named else arguments:
        if type(argument) not in VALUES and isinstance(checked(argument), Opaque):
            raise Fault("a secret value cannot be given to a function", OPAQUE_HINT)


def _missing(value: Mapping[object, object], name: object) -> Fault:
    key(name)
    shown = name if isinstance(name, str) else str(name)
    return Fault(f'there is no "{shorten(shown, 60)}"', _existing(value, name))


def _existing(value: Mapping[object, object], name: object) -> str:
    if type(name) is int and str(name) in value:
        return f'Keys of data are texts. Write ["{name}"].'
    known = did_you_mean(name, value, label="Keys")
    if isinstance(value, Listed):
        return f"{known} {value.hint}".lstrip()
    return known or "The dict is empty."


def _instead_of(value: object, name: str) -> str:
    """What may have been meant by reading a key of what is no dict."""
    if type(value) in SEQUENCES:
        return f'Read one of the elements, such as [0], or that key of each: .pluck("{shorten(name, 40)}").'
    near = did_you_mean(name, TABLE.methods.get(type(value), ()))
    return near if near.startswith("Did") else "Only dicts have keys."


def _no_method(value: object, name: str, methods: Mapping[str, object]) -> Fault:
    if value is None:
        return Fault(f"None has no .{name}()", f"Where it may be None, write `?.{name}(…)`.")
    hint = METHODS.get(name) or did_you_mean(name, methods, label="It has")
    return Fault(f"{word_of(value)} has no .{name}()", hint)


def _reason(error: TypeError) -> str:
    # Python's message names our function with its module's name for it; the rest of the sentence says what is wrong.
    return str(error).split("() ", 1)[-1]
