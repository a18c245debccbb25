"""Numbers: rounding, bounds, and reading them."""

import math

from budflow.expressions.arguments import number as as_number, text as as_text
from budflow.expressions.budget import Budget, Fault, too_large
from budflow.expressions.declare import function, method
from budflow.expressions.suggest import shorten
from budflow.expressions.values import within_bits, word_of

DIGITS_MAX = 300  # Of rounding; `round(5, -10**9)` would compute ten to that power.
DIGIT_CHARS_MAX = 1_300  # A number of 4,096 bits has 1,234 digits.
TRUE_WORDS = frozenset({"true", "yes", "on", "1", "y", "t"})
FALSE_WORDS = frozenset({"false", "no", "off", "0", "n", "f", ""})
SIGNS = "€$£¥₹%  '\u2019_"


@method(int, float, name="round", examples=[("(2.567).round(1)", 2.6), ("(2.567).round()", 3)])
def round_method(budget: Budget, number: float, digits: int | None = None) -> float:
    """The number rounded to so many digits after the point, halves to the even one; whole without `digits`."""
    return _round(number, digits)


@method(int, float, name="floor", examples=[("(-1.5).floor()", -2)])
def floor(budget: Budget, number: float) -> int:
    """The next whole number below."""
    return math.floor(number)


@method(int, float, name="ceil", examples=[("(1.2).ceil()", 2)])
def ceil(budget: Budget, number: float) -> int:
    """The next whole number above."""
    return math.ceil(number)


@method(int, float, name="truncate", examples=[("(-1.9).truncate()", -1)])
def truncate(budget: Budget, number: float) -> int:
    """The number without its fraction."""
    return math.trunc(number)


@method(int, float, name="abs", examples=[("(-3).abs()", 3)])
def abs_method(budget: Budget, number: float) -> float:
    """The number without its sign."""
    return abs(number)


@method(int, float, name="sign", examples=[("(-3).sign(), (0).sign()", [-1, 0])])
def sign(budget: Budget, number: float) -> int:
    """-1, 0 or 1."""
    return (number > 0) - (number < 0)


@method(int, float, name="clamp", examples=[("(15).clamp(0, 10)", 10)])
def clamp(budget: Budget, number: float, low: float, high: float) -> float:
    """The number, or the nearer end when it lies outside of `low` to `high`."""
    return max(as_number(low, "low"), min(number, as_number(high, "high")))


@method(int, float, name="round_to", examples=[("(17).round_to(5)", 15), ("(1.37).round_to(0.25)", 1.25)])
def round_to(budget: Budget, number: float, step: float) -> float:
    """The nearest multiple of the step."""
    if as_number(step, "step") <= 0:
        raise Fault("the step must be more than zero")
    multiple = round(number / step)
    return multiple * step if type(step) is int else round(multiple * step, 12)


@method(int, float, name="is_whole", examples=[("(4.0).is_whole(), (4.5).is_whole()", [True, False])])
def is_whole(budget: Budget, number: float) -> bool:
    """Whether the number has no fraction."""
    return float(number).is_integer() if type(number) is float else True


@method(int, float, name="is_even", examples=[("(4).is_even()", True)])
def is_even(budget: Budget, number: float) -> bool:
    """Whether the number is whole and two goes into it."""
    return number % 2 == 0


@method(int, float, name="is_odd", examples=[("(4).is_odd()", False)])
def is_odd(budget: Budget, number: float) -> bool:
    """Whether the number is whole and two does not go into it."""
    return number % 2 == 1


@method(int, float, name="is_between", examples=[("(5).is_between(1, 5)", True)])
def is_between(budget: Budget, number: float, low: float, high: float) -> bool:
    """Whether the number is from `low` to `high`."""
    return as_number(low, "low") <= number <= as_number(high, "high")


@function("int", examples=[("int('42'), int(3.9), int('ff', 16)", [42, 3, 255])])
def to_int_function(budget: Budget, value: object = 0, base: int = 10) -> object:
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


@function("float", examples=[("float('1.5'), float(2)", [1.5, 2.0])])
def to_float_function(budget: Budget, value: object = 0.0) -> float:
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


@function("bool", examples=[("bool('x'), bool(''), bool(0)", [True, False, False])])
def to_bool_function(budget: Budget, value: object = False) -> bool:
    """Whether the value counts as true: not None, zero, empty, nor false."""
    return bool(value)


@method(
    *(str, int, float, bool),
    name="to_number",
    examples=[("' 12 '.to_number(), '1.5e3'.to_number(), True.to_number()", [12, 1500.0, 1])],
)
def to_number(budget: Budget, value: object) -> object:
    """The number that the text is, whole when it is written without a point; true is 1."""
    if isinstance(value, str):
        written = value.strip() if len(value) <= DIGIT_CHARS_MAX else ""
        digits = written.removeprefix("-").removeprefix("+")
        if digits.isascii() and digits.isdigit():
            return within_bits(int(written))
        return _finite(written, value)
    return int(value) if type(value) is bool else value


@method(str, int, float, bool, name="to_int", examples=[("'12.9'.to_int(), (3.9).to_int()", [12, 3])])
def to_int(budget: Budget, value: object) -> object:
    """The whole number that the text or number is, without its fraction."""
    found = to_number.call(budget, value)
    return within_bits(int(found))  # type: ignore[call-overload]  # to_number gives a number


@method(str, int, float, bool, name="to_float", examples=[("'12'.to_float()", 12.0)])
def to_float(budget: Budget, value: object) -> float:
    """The number that the text or number is, with a fraction."""
    return float(to_number.call(budget, value))  # type: ignore[arg-type]  # to_number gives a number


@method(
    *(str, int, float, bool),
    name="to_bool",
    examples=[("'yes'.to_bool(), 'FALSE'.to_bool(), (0).to_bool()", [True, False, False])],
)
def to_bool(budget: Budget, value: object) -> bool:
    """True and false from words: true, yes, on, 1, y, t, and their opposites; of numbers, whether it is not zero."""
    if not isinstance(value, str):
        return bool(value)
    word = value.strip().lower() if len(value) <= DIGIT_CHARS_MAX else "no word"
    if word in TRUE_WORDS or word in FALSE_WORDS:
        return word in TRUE_WORDS
    raise Fault(f"{shorten(value, 20)!r} is neither true nor false", "Words are true, yes, on, 1, y, t, and opposites.")


@method(
    str,
    name="parse_number",
    examples=[
        ("'1,234.50'.parse_number(), '$ -99'.parse_number()", [1234.5, -99]),
        ("'1.234,50 €'.parse_number(decimal=',')", 1234.5),
    ],
)
def parse_number(budget: Budget, text: str, decimal: str = ".") -> object:
    """The number in a text as people write it: thousands apart, a currency or `%` around it."""
    if as_text(decimal) not in (".", ","):
        raise Fault("the decimal sign is . or ,")
    if len(text) > DIGIT_CHARS_MAX:
        raise too_large("a huge number", f"{DIGIT_CHARS_MAX:,} digits")
    kept = "".join(char for char in text if char not in SIGNS and not char.isspace())
    kept = kept.replace("." if decimal == "," else ",", "").replace(",", ".").replace("\u2212", "-")
    if kept.startswith("(") and kept.endswith(")"):
        kept = f"-{kept[1:-1]}"  # As accountants write what is below zero.
    return to_number.call(budget, kept) if kept else _finite("", text)


@function("abs", examples=[("abs(-3)", 3)])
def absolute(budget: Budget, number: float) -> float:
    """The number without its sign."""
    return abs(number)


@function("round", examples=[("round(2.567, 1)", 2.6)])
def round_function(budget: Budget, number: float, digits: int | None = None) -> float:
    """The number rounded to so many digits after the point, halves to the even one; whole without `digits`."""
    return _round(number, digits)


@function("range", examples=[("range(3), range(1, 10, 4)", [[0, 1, 2], [1, 5, 9]])])
def range_function(budget: Budget, start: int, stop: int | None = None, step: int = 1) -> list[int]:
    """The whole numbers from `start` (or 0) up to, not including, `stop`."""
    numbers = range(start) if stop is None else range(start, stop, step)
    # Not len(), which overflows for a huge range.
    budget.elements((numbers[-1] - numbers[0]) // numbers.step + 1 if numbers else 0)
    return list(numbers)


def _finite(written: str, value: str) -> float:
    try:
        found = float(written)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise Fault(f"{shorten(value, 40)!r} is not a number", "parse_number() reads 1,234.50 and $ 99.")
    return found


def _round(number: float, digits: int | None) -> float:
    if digits is None:
        return round(number)
    if type(digits) is not int or not -DIGITS_MAX <= digits <= DIGITS_MAX:
        raise Fault(f"digits must be a whole number from -{DIGITS_MAX} to {DIGITS_MAX}")
    return round(number, digits)
