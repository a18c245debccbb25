"""Lists and sets: what is in both, in one, in either."""

from budflow.expressions.arguments import elements, identity, listed
from budflow.expressions.budget import Budget
from budflow.expressions.declare import function, method
from budflow.expressions.values import Sequence, key

LISTS = (list, tuple, set, frozenset)


@method(*LISTS, name="union", examples=[("[1, 2].union([2, 3])", [1, 2, 3])])
def union(budget: Budget, values: Sequence, *others: object) -> list[object]:
    """The elements of this list and of the others, each only once."""
    made: dict[object, object] = {}
    for one in (values, *others):
        for value in listed(budget, one):
            made.setdefault(identity(budget, value), value)
        budget.elements(len(made))
    return list(made.values())


@method(*LISTS, name="intersection", examples=[("[1, 2, 3].intersection([3, 2])", [2, 3])])
def intersection(budget: Budget, values: Sequence, other: object) -> list[object]:
    """The elements that are in the other list too, each only once."""
    theirs = _known(budget, other)
    ours = {identity(budget, value): value for value in listed(budget, values)}
    return [value for told, value in ours.items() if told in theirs]


@method(
    *LISTS,
    name="difference",
    examples=[("[1, 2, 3].difference([3])", [1, 2]), ("[{'a': 1}].difference([{'a': 1}])", [])],
)
def difference(budget: Budget, values: Sequence, other: object) -> list[object]:
    """The elements that are not in the other list."""
    theirs = _known(budget, other)
    return [value for value in listed(budget, values) if identity(budget, value) not in theirs]


@method(*LISTS, name="symmetric_difference", examples=[("[1, 2].symmetric_difference([2, 3])", [1, 3])])
def symmetric_difference(budget: Budget, values: Sequence, other: object) -> list[object]:
    """The elements that are in only one of both lists."""
    ours = {identity(budget, value): value for value in listed(budget, values)}
    theirs = {identity(budget, value): value for value in listed(budget, other)}
    budget.elements(len(ours) + len(theirs))
    return [
        *(value for told, value in ours.items() if told not in theirs),
        *(value for told, value in theirs.items() if told not in ours),
    ]


@method(*LISTS, name="is_subset_of", examples=[("[1, 2].is_subset_of([3, 2, 1])", True)])
def is_subset_of(budget: Budget, values: Sequence, other: object) -> bool:
    """Whether all elements are in the other list too."""
    theirs = _known(budget, other)
    return all(identity(budget, value) in theirs for value in listed(budget, values))


@method(*LISTS, name="overlaps", examples=[("['a', 'b'].overlaps(['b', 'c'])", True)])
def overlaps(budget: Budget, values: Sequence, other: object) -> bool:
    """Whether at least one element is in the other list too."""
    theirs = _known(budget, other)
    return any(identity(budget, value) in theirs for value in listed(budget, values))


@method(*LISTS, name="contains_all", examples=[("[1, 2, 3].contains_all([1, 3])", True)])
def contains_all(budget: Budget, values: Sequence, wanted: object) -> bool:
    """Whether all of the wanted values are among the elements."""
    ours = _known(budget, values)
    return all(identity(budget, value) in ours for value in listed(budget, wanted))


@function("set", examples=[("set([1, 2, 1]).length(), 2 in set([1, 2])", [2, True])])
def set_function(budget: Budget, values: object = ()) -> set[object]:
    """A set of the elements: text, numbers, bools, datetimes."""
    return {key(value) for value in elements(budget, values)}


def _known(budget: Budget, values: object) -> set[object]:
    return {identity(budget, value) for value in listed(budget, values)}
