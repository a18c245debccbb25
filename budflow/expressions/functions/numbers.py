"""Functions on numbers."""

import math

from budflow.expressions.budget import Budget, Fault, too_large
from budflow.expressions.declare import function, method
from budflow.expressions.formats import format_number
from budflow.expressions.values import within_bits, word_of

DIGITS_MAX = 300  # Of rounding; `round(5, -10**9)` would compute ten to that power.
DIGIT_CHARS_MAX = 1_300  # A number of 4,096 bits has 1,234 digits.


@method(int, float, name="round")
def round_method(budget: Budget, number: float, digits: int | None = None) -> float:
    """The number rounded to so many digits after the point; a whole number without `digits`."""
    return _round(number, digits)


@method(int, float, name="floor")
def floor(budget: Budget, number: float) -> int:
    """The next whole number below."""
    return math.floor(number)


@method(int, float, name="ceil")
def ceil(budget: Budget, number: float) -> int:
    """The next whole number above."""
    return math.ceil(number)


@method(int, float, name="abs")
def abs_method(budget: Budget, number: float) -> float:
    """The number without its sign."""
    return abs(number)


@method(int, float, name="clamp")
def clamp(budget: Budget, number: float, low: float, high: float) -> float:
    """The number, or the nearer end when it lies outside of `low` to `high`."""
    return max(low, min(number, high))


@method(int, float, name="format")
def format_method(budget: Budget, number: float, pattern: str) -> str:
    """The number as text by Python's format language, such as `,.2f` or `05d`."""
    return format_number(budget, number, pattern)


@method(float, name="is_whole")
def is_whole(budget: Budget, number: float) -> bool:
    """Whether the number has no fraction."""
    return number.is_integer()


@function("int")
def to_int(budget: Budget, value: object = 0, base: int = 10) -> object:
    """The value as a whole number; text may be in another base."""
    if isinstance(value, str):
        if len(value) > DIGIT_CHARS_MAX:
            raise too_large("a huge number", f"{DIGIT_CHARS_MAX:,} digits")
        try:
            return within_bits(int(value, base))
        except ValueError:
            raise Fault(f"{value[:40]!r} is not a whole number", "float() reads numbers with a fraction.") from None
    if isinstance(value, (int, float)):
        return within_bits(int(value))
    raise Fault(f"{word_of(value)} is not a number")


@function("float")
def to_float(budget: Budget, value: object = 0.0) -> float:
    """The value as a number that may have a fraction."""
    if isinstance(value, str):
        if len(value) > DIGIT_CHARS_MAX:
            raise too_large("a huge number", f"{DIGIT_CHARS_MAX:,} digits")
        try:
            return float(value)
        except ValueError:
            raise Fault(f"{value[:40]!r} is not a number") from None
    if isinstance(value, (int, float)):
        return float(value)
    raise Fault(f"{word_of(value)} is not a number")


@function("bool")
def to_bool(budget: Budget, value: object = False) -> bool:
    """Whether the value counts as true: not None, zero, empty, nor false."""
    return bool(value)


@function("abs")
def absolute(budget: Budget, number: float) -> float:
    """The number without its sign."""
    return abs(number)


@function("round")
def round_function(budget: Budget, number: float, digits: int | None = None) -> float:
    """The number rounded to so many digits after the point; a whole number without `digits`."""
    return _round(number, digits)


@function("range")
def range_function(budget: Budget, start: int, stop: int | None = None, step: int = 1) -> list[int]:
    """The whole numbers from `start` (or 0) up to, not including, `stop`."""
    numbers = range(start) if stop is None else range(start, stop, step)
    # Not len(), which overflows for a huge range.
    budget.elements((numbers[-1] - numbers[0]) // numbers.step + 1 if numbers else 0)
    return list(numbers)


def _round(number: float, digits: int | None) -> float:
    if digits is None:
        return round(number)
    if type(digits) is not int or not -DIGITS_MAX <= digits <= DIGITS_MAX:
        raise Fault(f"digits must be a whole number from -{DIGITS_MAX} to {DIGITS_MAX}")
    return round(number, digits)
