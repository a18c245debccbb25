"""Random values that derive from the execution, the node and the item: repeated, a node's run draws the same ones."""

from datetime import datetime
from hashlib import sha256
from random import Random

from budflow.expressions.arguments import listed, number, one_of, text as as_text, whole
from budflow.expressions.budget import SEED, Budget, Fault
from budflow.expressions.declare import function, method
from budflow.expressions.values import Sequence

CHARS_MAX = 10_000
ALPHABETS = {
    "letters_digits": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
    "letters": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    "small": "abcdefghijklmnopqrstuvwxyz",
    "digits": "0123456789",
    "hex": "0123456789abcdef",
    "readable": "23456789abcdefghjkmnpqrstuvwxyz",
}
VERSIONS = (4, 7)


@function("uuid", examples=[("uuid()", "7df5d69a-5b9a-4e1a-9ec8-8ce6758af456"), ("uuid() == uuid()", False)])
def uuid(budget: Budget, version: int = 4) -> str:
    """A UUID: random (4), or beginning with the time of `$now` (7), so that later ones sort after earlier ones."""
    if version not in VERSIONS or type(version) is not int:
        raise Fault("UUIDs are made in version 4 or 7")
    drawn = int.from_bytes(_draw(budget)[:16], "big")
    if version == 7:
        at = None if budget.around is None else budget.around.names.get("now")
        if not isinstance(at, datetime):
            raise Fault("the time is not known here")
        drawn = ((int(at.timestamp() * 1000) & ((1 << 48) - 1)) << 80) | (drawn & ((1 << 80) - 1))
    drawn = drawn & ~(0xF << 76) & ~(0x3 << 62) | version << 76 | 0x2 << 62
    digits = f"{drawn:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


@function("random", examples=[("0 <= random() < 1", True)])
def random(budget: Budget) -> float:
    """A random number from 0 up to, not including, 1."""
    return int.from_bytes(_draw(budget)[:7], "big") / (1 << 56)


@function("random_int", examples=[("random_int(1, 6) in range(1, 7)", True)])
def random_int(budget: Budget, low: int, high: int) -> int:
    """A random whole number from `low` to `high`, both included."""
    size = whole(high, "high") - whole(low, "low") + 1
    if not 0 < size <= 1 << 128:
        raise Fault("the range is empty, or too large")
    return low + int.from_bytes(_draw(budget), "big") % size


@function("random_float", examples=[("10 <= random_float(10, 20) <= 20", True)])
def random_float(budget: Budget, low: float, high: float) -> float:
    """A random number between the two."""
    share = int.from_bytes(_draw(budget)[:7], "big") / (1 << 56)
    return number(low, "low") + (number(high, "high") - low) * share


@function("random_text", examples=[("len(random_text(12))", 12), ("random_text(6, 'digits').is_digit()", True)])
def random_text(budget: Budget, length: int, alphabet: str = "letters_digits") -> str:
    """Random characters of letters_digits, letters, small, digits, hex or readable; never use it for a password."""
    count = whole(length, "length", low=0, high=CHARS_MAX)
    known = ALPHABETS[one_of(as_text(alphabet), ALPHABETS, "alphabet")]
    budget.spend(count // 4)
    return "".join(_random(budget).choices(known, k=count))


@method(
    *(list, tuple),
    name="random_item",
    examples=[("[7].random_item()", 7), ("['a', 'b', 'c'].random_item() in 'abc'", True)],
)
def random_item(budget: Budget, values: Sequence, default: object = None) -> object:
    """One of the elements at random; `default` of an empty list."""
    return values[int.from_bytes(_draw(budget)[:8], "big") % len(values)] if values else default


@method(*(list, tuple), name="sample", examples=[("len(range(100).sample(5).unique())", 5)])
def sample(budget: Budget, values: Sequence, count: int) -> list[object]:
    """So many different elements at random, or all when there are no more."""
    budget.elements(len(values))
    wanted = min(whole(count, "count", low=0), len(values))
    budget.spend(wanted)
    return _random(budget).sample(list(values), wanted)


@method(*(list, tuple), name="shuffle", examples=[("range(10).shuffle().sort() == range(10)", True)])
def shuffle(budget: Budget, values: Sequence) -> list[object]:
    """The elements in a random order."""
    made = list(listed(budget, values))
    budget.spend(len(made))
    _random(budget).shuffle(made)
    return made


def _random(budget: Budget) -> Random:
    return Random(int.from_bytes(_draw(budget), "big"))  # noqa: S311  # Seeded on purpose: the same again when repeated.


def _draw(budget: Budget) -> bytes:
    around = budget.around
    seed = None if around is None else around.names.get(SEED)
    if around is None or type(seed) is not str:
        raise Fault("random values are not available here", "They derive from an execution and a node.")
    around.draws += 1
    return sha256(f"{seed}\0{around.index}\0{around.draws}".encode()).digest()
