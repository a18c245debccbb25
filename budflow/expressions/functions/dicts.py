"""Functions on dicts; every mapping counts as one."""

from collections.abc import Mapping

from budflow.expressions.budget import Budget, Fault
from budflow.expressions.compare import has_key, merged
from budflow.expressions.declare import function, method
from budflow.expressions.values import key, word_of

Data = Mapping[object, object]


@method(dict, name="get")
def get(budget: Budget, data: Data, name: object, default: object = None) -> object:
    """What stands under the key, or `default`."""
    return data[name] if has_key(data, name) else default


@method(dict, name="has")
def has(budget: Budget, data: Data, name: object) -> bool:
    """Whether there is something under the key."""
    return has_key(data, name)


@method(dict, name="keys")
def keys(budget: Budget, data: Data) -> list[object]:
    """The keys, in their order."""
    budget.elements(len(data))
    return list(data)


@method(dict, name="values")
def values(budget: Budget, data: Data) -> list[object]:
    """The values, in their order."""
    budget.elements(len(data))
    return list(data.values())


@method(dict, name="items")
def items(budget: Budget, data: Data) -> list[object]:
    """Pairs of key and value, in their order."""
    budget.elements(len(data))
    budget.spend(len(data))
    return list(data.items())


@method(dict, name="length")
def length(budget: Budget, data: Data) -> int:
    """How many keys there are."""
    return len(data)


@method(dict, name="pick")
def pick(budget: Budget, data: Data, *names: object) -> dict[object, object]:
    """A dict of only these keys, as far as they are there."""
    return {name: data[name] for name in names if has_key(data, name)}


@method(dict, name="omit")
def omit(budget: Budget, data: Data, *names: object) -> dict[object, object]:
    """A dict without these keys."""
    budget.elements(len(data))
    left_out = {key(name) for name in names}
    return {name: value for name, value in data.items() if name not in left_out}


@method(dict, name="merge")
def merge(budget: Budget, data: Data, other: object) -> dict[object, object]:
    """A dict of both; where both have a key, the other's value stands."""
    return merged(budget, data, other)


@method(dict, name="rename")
def rename(budget: Budget, data: Data, old: object, new: object) -> dict[object, object]:
    """A dict with one key renamed, in its place."""
    budget.elements(len(data))
    key(old)
    return {key(new) if name == old else name: value for name, value in data.items()}


@function("dict")
def dict_function(budget: Budget, pairs: object = (), **named: object) -> dict[object, object]:
    """A dict of the pairs or of another dict, and of the named values."""
    if isinstance(pairs, Mapping):
        return merged(budget, pairs, named)
    if not isinstance(pairs, (list, tuple)):
        raise Fault(f"{word_of(pairs)} is not a list of pairs")
    budget.elements(len(pairs))
    made: dict[object, object] = {}
    for pair in pairs:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise Fault("every element must be a pair of key and value")
        made[key(pair[0])] = pair[1]
    return made | named
