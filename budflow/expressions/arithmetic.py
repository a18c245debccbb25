"""The binary operators of expressions: Python's, for data only, and never past the limits of a value."""

import operator
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from types import MappingProxyType

from budflow.expressions.budget import INT_BITS_MAX, Budget, Fault, too_large
from budflow.expressions.compare import merged
from budflow.expressions.values import NUMBERS, OPAQUE_HINT, SEQUENCES, SETS, Opaque, within_bits, word_of

Operation = Callable[[Budget, object, object], object]


def add(budget: Budget, left: object, right: object) -> object:
    """Sum of numbers, times and durations; texts, lists and tuples one after the other."""
    kind = type(left)
    if kind in NUMBERS and type(right) in NUMBERS:
        return within_bits(left + right)  # type: ignore[operator]  # numbers, by the line above
    if kind is type(right):
        if isinstance(left, str) and isinstance(right, str):
            budget.text(len(left) + len(right))
            return left + right
        if kind in SEQUENCES:
            budget.elements(len(left) + len(right))  # type: ignore[arg-type]  # both are lists or both tuples
            return left + right  # type: ignore[operator]  # as above
    if isinstance(left, (date, timedelta)) and isinstance(right, (date, timedelta)):
        return left + right  # type: ignore[operator]  # TypeError of two dates is caught with the rest
    if str in (kind, type(right)):
        secret = isinstance(left, Opaque) or isinstance(right, Opaque)
        advice = OPAQUE_HINT if secret else 'Write str(x), or f"{x}", to make it text.'
        raise Fault(f"{word_of(left)} and {word_of(right)} cannot be joined by `+`", advice)
    raise _unsupported(left, "+", right)


def subtract(budget: Budget, left: object, right: object) -> object:
    """Difference of numbers, times, durations and sets."""
    if type(left) in NUMBERS and type(right) in NUMBERS:
        return within_bits(left - right)  # type: ignore[operator]  # numbers, by the line above
    if isinstance(left, (date, timedelta)) and isinstance(right, (date, timedelta)):
        return left - right  # type: ignore[operator]  # TypeError is caught with the rest
    return _sets(budget, left, "-", right)


def multiply(budget: Budget, left: object, right: object) -> object:
    """Product of numbers; a text, list, tuple or duration so many times."""
    if type(left) in NUMBERS and type(right) in NUMBERS:
        return within_bits(left * right)  # type: ignore[operator]  # numbers, by the line above
    if type(right) in NUMBERS:
        left, right = right, left
    if type(left) in NUMBERS and isinstance(right, timedelta):
        return left * right  # type: ignore[operator]  # a number and a duration
    if type(left) is int and isinstance(right, (str, list, tuple)):
        size = len(right) * max(left, 0)
        if isinstance(right, str):
            budget.text(size)
        else:
            budget.elements(size)
        return left * right
    raise _unsupported(left, "*", right)


def divide(budget: Budget, left: object, right: object) -> object:
    """Quotient of numbers and durations."""
    return _quotient(operator.truediv, left, "/", right)


def floor_divide(budget: Budget, left: object, right: object) -> object:
    """Whole quotient of numbers and durations."""
    return _quotient(operator.floordiv, left, "//", right)


def modulo(budget: Budget, left: object, right: object) -> object:
    """Rest of a division; not the formatting of text, whose widths have no limit."""
    if isinstance(left, str):
        raise Fault("`%` does not format text here", 'Write an f-string, such as f"{$json.total:.2f}".')
    return _quotient(operator.mod, left, "%", right)


def power(budget: Budget, left: object, right: object) -> object:
    """A number to the power of another."""
    if type(left) not in NUMBERS or type(right) not in NUMBERS:
        raise _unsupported(left, "**", right)
    if isinstance(left, int) and isinstance(right, int):
        if abs(left) > 1 and left.bit_length() * abs(right) > 2 * INT_BITS_MAX:
            raise too_large("a huge number", f"{INT_BITS_MAX:,} bits")
        if abs(right) >= 2**63:
            right %= 2  # The base is -1, 0 or 1: only the parity counts.
    return within_bits(left**right)  # type: ignore[operator]  # numbers


def shift_left(budget: Budget, left: object, right: object) -> object:
    """An int shifted by so many bits."""
    if not isinstance(left, int) or not isinstance(right, int):
        raise _unsupported(left, "<<", right)
    if right > INT_BITS_MAX:
        raise too_large("a huge number", f"{INT_BITS_MAX:,} bits")
    return within_bits(left << right)


def shift_right(budget: Budget, left: object, right: object) -> object:
    """An int shifted back by so many bits."""
    if not isinstance(left, int) or not isinstance(right, int):
        raise _unsupported(left, ">>", right)
    return left >> right


def either(budget: Budget, left: object, right: object) -> object:
    """Bits in either int; the union of sets; two dicts merged."""
    if isinstance(left, Mapping):
        return merged(budget, left, right)
    return _bits(operator.or_, budget, left, "|", right)


def both(budget: Budget, left: object, right: object) -> object:
    """Bits in both ints; what is in both sets."""
    return _bits(operator.and_, budget, left, "&", right)


def one_of(budget: Budget, left: object, right: object) -> object:
    """Bits in one of two ints; what is in only one of two sets."""
    return _bits(operator.xor, budget, left, "^", right)


def _quotient(apply: Callable[[object, object], object], left: object, sign: str, right: object) -> object:
    if type(left) in NUMBERS and type(right) in NUMBERS:
        return within_bits(apply(left, right))
    if isinstance(left, timedelta) and (type(right) in NUMBERS or isinstance(right, timedelta)):
        return apply(left, right)
    raise _unsupported(left, sign, right)


def _bits(apply: Callable[[object, object], object], budget: Budget, left: object, sign: str, right: object) -> object:
    if isinstance(left, int) and isinstance(right, int):
        return within_bits(apply(left, right))
    return _sets(budget, left, sign, right)


def _sets(budget: Budget, left: object, sign: str, right: object) -> object:
    if type(left) not in SETS or type(right) not in SETS:
        raise _unsupported(left, sign, right)
    budget.elements(len(left) + len(right))  # type: ignore[arg-type]  # both are sets
    return SET_OPERATIONS[sign](left, right)


def _unsupported(left: object, sign: str, right: object) -> Fault:
    kinds = {type(left), type(right)}
    hint = "A value that may be None needs a default: (x or 0)." if left is None or right is None else ""
    if datetime in kinds and kinds & (NUMBERS | {str}):
        hint = "Write parse_datetime(x) for text." if str in kinds else "Write .plus(days=1), or add duration(days=1)."
    return Fault(f"{word_of(left)} and {word_of(right)} cannot be combined by `{sign}`", hint)


SET_OPERATIONS: Mapping[str, Callable[[object, object], object]] = MappingProxyType(
    {"-": operator.sub, "|": operator.or_, "&": operator.and_, "^": operator.xor}
)
