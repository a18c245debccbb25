"""Formatting of values by a pattern, where a pattern must not be able to ask for a gigabyte."""

import re
from datetime import date, datetime

from budflow.expressions.budget import Budget, Fault
from budflow.expressions.values import text_of, word_of

WIDTH_MAX = 1_000
PRECISION_MAX = 300
PATTERN_CHARS_MAX = 200
TIME_DIRECTIVES = frozenset("YmdHIMSfpzZjaAbByuVGUW%")

# Python's format specification mini-language, with every number captured.
SPEC = re.compile(
    r"(?:.?[<>=^])?[-+ ]?z?#?0?(?P<width>\d{0,9})[,_]?(?:\.(?P<precision>\d{1,9}))?[bcdeEfFgGnosxX%]?", re.S
)


def format_value(budget: Budget, value: object, spec: str) -> str:
    """The value by a format specification, as after the colon in an f-string; text when the specification is empty."""
    if not spec:
        return text_of(budget, value)
    if isinstance(value, date):
        return format_time(value, spec)
    if isinstance(value, (int, float, str)):
        return format_number(budget, value, spec)
    raise Fault(f"{word_of(value)} has no formats", "Format text, numbers and datetimes.")


def format_number(budget: Budget, value: float | str, spec: str) -> str:
    """A number or text by Python's format language; width and precision are limited."""
    found = SPEC.fullmatch(spec) if type(spec) is str and len(spec) <= PATTERN_CHARS_MAX else None
    if found is None:
        raise Fault(f"{str(spec)[:40]!r} is not a format", "Formats look like `,.2f`, `05d` or `>10`.")
    if int(found["width"] or 0) > WIDTH_MAX or int(found["precision"] or 0) > PRECISION_MAX:
        raise Fault(
            f"a format may be {WIDTH_MAX:,} characters wide, with {PRECISION_MAX} digits at most", over_budget=True
        )
    if isinstance(value, str):
        budget.text(max(len(value), WIDTH_MAX))
    text = format(value, spec)
    budget.text(len(text))
    return text


def checked_time_pattern(pattern: str) -> str:
    """A strftime pattern of known directives without widths: the C library would honour `%999999999d`."""
    if type(pattern) is not str or len(pattern) > PATTERN_CHARS_MAX:
        raise Fault(f"a time pattern is a text of at most {PATTERN_CHARS_MAX} characters")
    if "\0" in pattern or any(0xD800 <= ord(char) <= 0xDFFF for char in pattern):
        raise Fault("a time pattern cannot hold such a character")
    at = pattern.find("%")
    while at >= 0:
        if pattern[at + 1 : at + 2] not in TIME_DIRECTIVES:
            raise Fault(
                f"`{pattern[at : at + 2]}` is not a time directive",
                "Directives are one letter, such as %Y-%m-%d %H:%M:%S.",
            )
        at = pattern.find("%", at + 2)
    return pattern


def format_time(value: date, pattern: str) -> str:
    """A datetime or date by strftime directives, such as `%Y-%m-%d %H:%M`."""
    return value.strftime(checked_time_pattern(pattern))


def parse_time(text: str, pattern: str) -> datetime:
    """A datetime read by strptime directives."""
    directives = re.findall(r"%(.)", checked_time_pattern(pattern).replace("%%", ""))
    if len(set(directives)) < len(directives):
        raise Fault("a directive can stand only once in a pattern that is read")
    try:
        return datetime.strptime(text, pattern)  # noqa: DTZ007  # The pattern decides whether there is a zone.
    except ValueError as error:
        raise Fault(str(error)) from None
