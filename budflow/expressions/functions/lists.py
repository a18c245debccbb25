"""Lists, and what can be read as one: tuples, sets, the characters of a text, the keys of a dict."""

from collections.abc import Mapping
from itertools import chain

from budflow.expressions.arguments import elements, listed, text as as_text, whole
from budflow.expressions.budget import Budget, Fault
from budflow.expressions.compare import contains as contains_value, equal
from budflow.expressions.declare import function, method
from budflow.expressions.functions.text_parts import join_values
from budflow.expressions.values import Sequence, charge_deep, key, within_bits, word_of

FLATTEN_DEPTH_MAX = 100


@method(list, tuple, name="first", examples=[("[3, 1, 2].first(), [].first('none')", [3, "none"])])
def first(budget: Budget, values: Sequence, default: object = None) -> object:
    """The first element, or `default` of an empty list."""
    return values[0] if values else default


@method(list, tuple, name="last", examples=[("[3, 1, 2].last()", 2)])
def last(budget: Budget, values: Sequence, default: object = None) -> object:
    """The last element, or `default` of an empty list."""
    return values[-1] if values else default


@method(list, tuple, name="at", examples=[("['a', 'b'].at(1), ['a', 'b'].at(7, '-')", ["b", "-"])])
def at_method(budget: Budget, values: Sequence, index: int, default: object = None) -> object:
    """The element at the index, counted from 0 or back from -1; `default` where there is none."""
    return values[index] if -len(values) <= whole(index, "index") < len(values) else default


@method(list, tuple, name="take", examples=[("[1, 2, 3].take(2), [1, 2, 3].take(-2)", [[1, 2], [2, 3]])])
def take(budget: Budget, values: Sequence, count: int) -> list[object]:
    """The first so many elements, or the last when negative."""
    budget.elements(min(abs(whole(count, "count")), len(values)))
    return list(values[:count] if count >= 0 else values[count:])


@method(list, tuple, name="skip", examples=[("[1, 2, 3].skip(1), [1, 2, 3].skip(-1)", [[2, 3], [1, 2]])])
def skip(budget: Budget, values: Sequence, count: int) -> list[object]:
    """All but the first so many elements, or but the last when negative."""
    budget.elements(len(values))
    return list(values[count:] if whole(count, "count") >= 0 else values[:count])


@method(list, tuple, set, frozenset, name="length", examples=[("[1, 2].length()", 2)])
def length(budget: Budget, values: Sequence) -> int:
    """How many elements there are."""
    return len(values)


@method(list, tuple, set, frozenset, name="join", examples=[("[1, 2].join(' + ')", "1 + 2")])
def join(budget: Budget, values: Sequence, separator: str = ",", last: str | None = None) -> str:
    """The elements as one text with the separator between them, and `last` (such as " and ") before the last one."""
    if last is None or len(values) < 2:
        return join_values(budget, separator, values)
    ordered = listed(budget, values)
    return join_values(budget, as_text(last, "last"), [join_values(budget, separator, ordered[:-1]), ordered[-1]])


@method(list, tuple, set, frozenset, name="contains", examples=[("['a', 'b'].contains('b')", True)])
def contains(budget: Budget, values: Sequence, value: object) -> bool:
    """Whether the value is among the elements."""
    return contains_value(budget, value, values)


@method(list, tuple, name="index", examples=[("['a', 'b'].index('b'), ['a'].index('z')", [1, -1])])
def index(budget: Budget, values: Sequence, value: object) -> int:
    """Where the value first is, or -1."""
    budget.elements(len(values))
    return next((at for at, element in enumerate(values) if equal(budget, element, value)), -1)


@method(list, tuple, name="count", examples=[("[1, 2, 1].count(1)", 2)])
def count(budget: Budget, values: Sequence, value: object) -> int:
    """How many elements equal the value."""
    budget.elements(len(values))
    return sum(equal(budget, element, value) for element in values)


@method(list, tuple, name="append", examples=[("[1].append(2, 3)", [1, 2, 3])])
def append(budget: Budget, values: Sequence, *more: object) -> list[object]:
    """A list of the elements and of the values given."""
    budget.elements(len(values) + len(more))
    return [*values, *more]


@method(list, tuple, name="concat", examples=[("[1].concat([2], [3, 4])", [1, 2, 3, 4])])
def concat(budget: Budget, values: Sequence, *others: object) -> list[object]:
    """A list of the elements and of those of the other lists."""
    made = list(elements(budget, values))
    for other in others:
        further = listed(budget, other)
        budget.elements(len(made) + len(further))
        made += further
    return made


@method(list, tuple, name="insert", examples=[("['a', 'c'].insert(1, 'b')", ["a", "b", "c"])])
def insert(budget: Budget, values: Sequence, index: int, value: object) -> list[object]:
    """A list with the value put in before the index."""
    budget.elements(len(values) + 1)
    made = list(values)
    made.insert(max(min(whole(index, "index"), len(made)), -len(made)), value)
    return made


@method(list, tuple, name="without_index", examples=[("['a', 'b', 'c'].without_index(1)", ["a", "c"])])
def without_index(budget: Budget, values: Sequence, index: int) -> list[object]:
    """A list without the element at the index."""
    budget.elements(len(values))
    if not -len(values) <= whole(index, "index") < len(values):
        raise Fault(f"a list of {len(values)} has no [{index}]")
    at = index % len(values)
    return [*values[:at], *values[at + 1 :]]


@method(list, tuple, name="without", examples=[("[1, 2, 1, 3].without(1)", [2, 3])])
def without(budget: Budget, values: Sequence, *unwanted: object) -> list[object]:
    """A list without the elements that equal one of the values."""
    budget.spend(len(values) * (1 + len(unwanted)))
    return [value for value in values if not any(equal(budget, value, other) for other in unwanted)]


@method(list, tuple, name="reverse", examples=[("[1, 2, 3].reverse()", [3, 2, 1])])
def reverse(budget: Budget, values: Sequence) -> list[object]:
    """A copy in the opposite order."""
    budget.elements(len(values))
    return list(values[::-1])


@method(list, tuple, name="rotate", examples=[("[1, 2, 3, 4].rotate(1)", [2, 3, 4, 1])])
def rotate(budget: Budget, values: Sequence, count: int = 1) -> list[object]:
    """A list whose first so many elements have moved to its end."""
    budget.elements(len(values))
    at = whole(count, "count") % len(values) if values else 0
    return [*values[at:], *values[:at]]


@method(list, tuple, name="compact", examples=[("[0, None, '', 'a', [], False].compact()", [0, "a", [], False])])
def compact(budget: Budget, values: Sequence) -> list[object]:
    """The elements without None and empty text."""
    budget.elements(len(values))
    return [value for value in values if value is not None and not (type(value) is str and not value)]


@method(
    list,
    tuple,
    name="flatten",
    examples=[("[1, [2, [3]]].flatten(), [1, [2, [3]]].flatten(2)", [[1, 2, [3]], [1, 2, 3]])],
)
def flatten(budget: Budget, values: Sequence, depth: int = 1) -> list[object]:
    """One list of the elements, and of the elements of those that are lists, down to this depth."""
    made: Sequence = values
    for _ in range(whole(depth, "depth", low=0, high=FLATTEN_DEPTH_MAX)):
        budget.elements(len(made))
        inner = [value if isinstance(value, (list, tuple)) else (value,) for value in made]
        size = sum(map(len, inner))
        budget.elements(size)
        budget.spend(size // 4)
        if not any(isinstance(value, (list, tuple)) for value in made):
            break
        made = list(chain.from_iterable(inner))
    return list(made)


@method(list, tuple, name="chunk", examples=[("[1, 2, 3, 4, 5].chunk(2)", [[1, 2], [3, 4], [5]])])
def chunk(budget: Budget, values: Sequence, size: int) -> list[object]:
    """Lists of at most `size` elements, in order."""
    if type(size) is not int or size < 1:
        raise Fault("size must be a whole number from 1")
    budget.elements(len(values))
    budget.spend(len(values) // size)
    return [list(values[at : at + size]) for at in range(0, len(values), size)]


@method(list, tuple, name="windows", examples=[("[1, 2, 3].windows(2)", [[1, 2], [2, 3]])])
def windows(budget: Budget, values: Sequence, size: int) -> list[object]:
    """All runs of `size` elements next to each other."""
    width = whole(size, "size", low=1, high=1_000)
    budget.spend(len(values) * (1 + width // 8))
    return [list(values[at : at + width]) for at in range(len(values) - width + 1)]


@method(list, tuple, name="every_nth", examples=[("[1, 2, 3, 4, 5].every_nth(2)", [1, 3, 5])])
def every_nth(budget: Budget, values: Sequence, step: int) -> list[object]:
    """The first element and every so many-th one after it."""
    budget.elements(len(values))
    return list(values[:: whole(step, "step", low=1)])


@method(list, tuple, name="pad", examples=[("[1].pad(3, 0)", [1, 0, 0])])
def pad(budget: Budget, values: Sequence, size: int, fill: object = None) -> list[object]:
    """A list filled up to this many elements."""
    budget.elements(max(whole(size, "size"), len(values)))
    return [*values, *([fill] * max(size - len(values), 0))]


@function("len", examples=[("len('abc'), len([1]), len({})", [3, 1, 0])])
def len_function(budget: Budget, value: object) -> int:
    """How many characters, elements or keys the value has."""
    if isinstance(value, (str, list, tuple, set, frozenset, Mapping)):
        return len(value)
    raise Fault(f"{word_of(value)} has no length")


@function("reversed", examples=[("reversed([1, 2])", [2, 1])])
def reversed_function(budget: Budget, values: object) -> list[object]:
    """A copy in the opposite order."""
    return list(elements(budget, values))[::-1]


@function("any", examples=[("any([0, '', 3])", True)])
def any_function(budget: Budget, values: object) -> bool:
    """Whether at least one element counts as true."""
    return any(elements(budget, values))


@function("all", examples=[("all([1, 'a']), all([])", [True, True])])
def all_function(budget: Budget, values: object) -> bool:
    """Whether every element counts as true."""
    return all(elements(budget, values))


@function("list", examples=[("list('ab'), list({'k': 1})", [["a", "b"], ["k"]])])
def list_function(budget: Budget, values: object = ()) -> list[object]:
    """A list of the elements, the characters of a text or the keys of a dict."""
    return list(elements(budget, values))


@function("as_list", examples=[("as_list('ab'), as_list(None), as_list([1])", [["ab"], [], [1]])])
def as_list(budget: Budget, value: object) -> list[object]:
    """The value as a list: a list stays, None is an empty one, anything else becomes its one element."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(listed(budget, value))
    return [] if value is None else [value]


@function("enumerate", examples=[("enumerate('ab', 1)", [[1, "a"], [2, "b"]])])
def enumerate_function(budget: Budget, values: object, start: int = 0) -> list[object]:
    """Pairs of a number counted from `start`, and an element."""
    pairs = elements(budget, values)
    budget.spend(len(pairs))
    return list(enumerate(pairs, within_bits(start)))  # type: ignore[arg-type]  # enumerate itself refuses non-ints


@function("zip", examples=[("zip([1, 2], 'ab')", [[1, "a"], [2, "b"]])])
def zip_function(budget: Budget, *values: object) -> list[object]:
    """Tuples of the first, second, … elements, as long as the shortest list."""
    columns = [elements(budget, value) for value in values]
    budget.spend(min(map(len, columns), default=0) * len(columns))
    return list(zip(*columns, strict=False))


@function("zip_dict", examples=[("zip_dict(['a', 'b'], [1, 2])", {"a": 1, "b": 2})])
def zip_dict(budget: Budget, keys: object, values: object) -> dict[object, object]:
    """A dict of as many keys as values."""
    names, column = elements(budget, keys), elements(budget, values)
    if len(names) != len(column):
        raise Fault(f"there are {len(names)} keys and {len(column)} values")
    return {key(name): value for name, value in zip(names, column, strict=True)}


@function("number_list", examples=[("number_list(3, 1)", [3, 2, 1])])
def number_list(budget: Budget, start: int, end: int) -> list[int]:
    """The whole numbers from `start` to `end`, both included, in either direction."""
    size = abs(whole(end, "end") - whole(start, "start")) + 1
    budget.elements(size)
    return list(range(start, end + 1) if start <= end else range(start, end - 1, -1))


@method(list, tuple, name="same_as", examples=[("[1, [2]].same_as([1, [2]])", True)])
def same_as(budget: Budget, values: Sequence, other: object) -> bool:
    """Whether both lists hold equal elements in the same order."""
    charge_deep(budget, values)
    charge_deep(budget, other)
    return list(values) == (list(other) if isinstance(other, (list, tuple)) else other)
