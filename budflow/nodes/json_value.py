"""JSON values compared with one another: one order over all types, and equality as the key of a dict."""

from collections.abc import Hashable
from typing import Any

Ordered = tuple[int, Any]


def order_key(value: Any) -> Ordered:
    """A sort key for any JSON value: null, then booleans, numbers, texts, lists and objects.

    Inside a type: false before true, numbers by size, texts by code point, lists element by element, objects by their
    sorted keys and values. A number never equals a text: "10" stands with the texts.
    """
    match value:
        case None:
            return (0, 0)
        case bool():
            return (1, value)
        case int() | float():
            return (2, value)
        case str():
            return (3, value)
        case list() | tuple():
            return (4, [order_key(element) for element in value])
        case dict():
            return (5, sorted((name, order_key(element)) for name, element in value.items()))
        case _:  # An expression may have made something that JSON does not know, such as a date.
            return (6, str(value))


def equality_key(value: Any) -> Hashable:
    """A hashable stand-in: two JSON values are equal when their keys are; 1 equals 1.0, but neither true nor "1"."""
    match value:
        case bool():
            return (bool, value)
        case list() | tuple():
            return (list, tuple(equality_key(element) for element in value))
        case dict():
            return (dict, frozenset((name, equality_key(element)) for name, element in value.items()))
        case None | str() | int() | float():
            return value
        case _:
            return (str, str(value))


def is_number(value: Any) -> bool:
    """Whether it is a number to JSON; a boolean is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def kind_of(value: Any) -> str:
    """What JSON calls it, for messages."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list() | tuple():
            return "a list"
        case _:
            return "an object"
