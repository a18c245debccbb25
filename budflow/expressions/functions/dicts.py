"""Dicts; every mapping counts as one."""

from collections.abc import Mapping

from budflow.expressions.arguments import listed, mapping, text as as_text
from budflow.expressions.budget import Budget, Fault
from budflow.expressions.compare import equal, has_key, merged
from budflow.expressions.declare import function, method
from budflow.expressions.paths import NOTHING, parse_path, read_path, with_path
from budflow.expressions.values import charge_deep, key, word_of

Data = Mapping[object, object]


@method(dict, name="get", examples=[("{'a': 1}.get('a'), {'a': 1}.get('b', 0)", [1, 0])])
def get(budget: Budget, data: Data, name: object, default: object = None) -> object:
    """What stands under the key, or `default`."""
    return data[name] if has_key(data, name) else default


@method(
    dict,
    name="get_path",
    examples=[
        ("$json.get_path('user.emails[0]')", "a@x.org", {"user": {"emails": ["a@x.org"]}}),
        ("$json.get_path('user.phone', 'none')", "none", {"user": {}}),
    ],
)
def get_path(budget: Budget, data: Data, path: str, default: object = None) -> object:
    """What stands at the path; `default` where there is nothing."""
    return read_path(budget, data, path, default)


@method(
    dict,
    name="set_path",
    examples=[("{'a': {'b': 1}}.set_path('a.c[0]', 2)", {"a": {"b": 1, "c": [2]}})],
)
def set_path(budget: Budget, data: Data, path: str, value: object) -> object:
    """A dict with the value at the path; what is missing on the way there is made."""
    return with_path(budget, data, parse_path(path), value)


@method(dict, name="without_path", examples=[("{'a': {'b': 1, 'c': 2}}.without_path('a.b')", {"a": {"c": 2}})])
def without_path(budget: Budget, data: Data, path: str) -> object:
    """A dict without what stands at the path."""
    return with_path(budget, data, parse_path(path), NOTHING)


@method(dict, name="set", examples=[("{'a': 1}.set('b', 2)", {"a": 1, "b": 2})])
def set_method(budget: Budget, data: Data, name: object, value: object) -> dict[object, object]:
    """A dict with the value under the key."""
    budget.elements(len(data) + 1)
    return {**data, key(name): value}


@method(dict, name="has", examples=[("{'a': None}.has('a'), {}.has('a')", [True, False])])
def has(budget: Budget, data: Data, name: object) -> bool:
    """Whether there is something under the key, and be it None."""
    return has_key(data, name)


@method(dict, name="has_path", examples=[("{'a': {'b': None}}.has_path('a.b')", True)])
def has_path(budget: Budget, data: Data, path: str) -> bool:
    """Whether there is something at the path, and be it None."""
    missing = {"nothing": True}
    return read_path(budget, data, path, missing) is not missing


@method(dict, name="keys", examples=[("{'a': 1, 'b': 2}.keys()", ["a", "b"])])
def keys(budget: Budget, data: Data) -> list[object]:
    """The keys, in their order."""
    budget.elements(len(data))
    return list(data)


@method(dict, name="values", examples=[("{'a': 1, 'b': 2}.values()", [1, 2])])
def values(budget: Budget, data: Data) -> list[object]:
    """The values, in their order."""
    budget.elements(len(data))
    return list(data.values())


@method(dict, name="items", examples=[("{'a': 1}.items()", [["a", 1]])])
def items(budget: Budget, data: Data) -> list[object]:
    """Pairs of key and value, in their order."""
    budget.elements(len(data))
    budget.spend(len(data))
    return list(data.items())


@method(dict, name="length", examples=[("{'a': 1}.length()", 1)])
def length(budget: Budget, data: Data) -> int:
    """How many keys there are."""
    return len(data)


@method(dict, name="merge", examples=[("{'a': 1, 'b': 1}.merge({'b': 2})", {"a": 1, "b": 2})])
def merge(budget: Budget, data: Data, other: object) -> dict[object, object]:
    """A dict of both; where both have a key, the other's value stands."""
    return merged(budget, data, other)


@method(
    dict,
    name="merge_deep",
    examples=[("{'a': {'x': 1, 'y': 1}}.merge_deep({'a': {'y': 2}})", {"a": {"x": 1, "y": 2}})],
)
def merge_deep(budget: Budget, data: Data, other: object) -> dict[object, object]:
    """A dict of both; where both have a dict under a key, these are merged too."""
    charge_deep(budget, data)
    charge_deep(budget, mapping(other))
    return _merged_deep(data, mapping(other))


@method(
    dict,
    name="defaults",
    examples=[("{'a': 1, 'b': None}.defaults({'a': 0, 'b': 2, 'c': 3})", {"a": 1, "b": 2, "c": 3})],
)
def defaults(budget: Budget, data: Data, other: object) -> dict[object, object]:
    """A dict with the other's values where this one has no key, or None."""
    budget.elements(len(data) + len(mapping(other)))
    return {
        **mapping(other),
        **{name: value for name, value in data.items() if value is not None or name not in mapping(other)},
    }


@method(dict, name="equals", examples=[("{'a': 1, 'b': 2}.equals({'b': 2, 'a': 1})", True)])
def equals(budget: Budget, data: Data, other: object) -> bool:
    """Whether both have the same keys with equal values."""
    return equal(budget, data, other)


@method(
    dict,
    name="changes",
    examples=[("{'a': 1, 'b': 2}.changes({'a': 1, 'b': 3, 'c': 4})", {"b": [2, 3], "c": [None, 4]})],
)
def changes(budget: Budget, data: Data, new: object) -> dict[object, object]:
    """What differs in the new dict: each such key with the value here and the one there, None where it is missing."""
    charge_deep(budget, data)
    charge_deep(budget, mapping(new))
    there = mapping(new)
    names = dict.fromkeys((*data, *there))
    budget.elements(len(names))
    return {
        name: [data.get(name), there.get(name)]
        for name in names
        if (name in data) != (name in there) or data.get(name) != there.get(name)
    }


@method(dict, name="find_key", examples=[("{'a': 1, 'b': 2}.find_key(2)", "b")])
def find_key(budget: Budget, data: Data, value: object, default: object = None) -> object:
    """The first key that has this value; `default` when none has."""
    budget.elements(len(data))
    return next((name for name, one in data.items() if equal(budget, one, value)), default)


@method(
    dict,
    name="without_value_part",
    examples=[("{'a': 'Mr Ada', 'b': 'x', 'c': 1}.without_value_part('Ada')", {"b": "x", "c": 1})],
)
def without_value_part(budget: Budget, data: Data, part: str) -> dict[object, object]:
    """A dict without the keys whose value is a text with this part."""
    return {name: value for name, value in data.items() if not _holds(budget, value, part)}


@method(
    dict,
    name="with_value_part",
    examples=[("{'a': 'Mr Ada', 'b': 'x', 'c': 1}.with_value_part('Ada')", {"a": "Mr Ada"})],
)
def with_value_part(budget: Budget, data: Data, part: str) -> dict[object, object]:
    """A dict of only the keys whose value is a text with this part."""
    return {name: value for name, value in data.items() if _holds(budget, value, part)}


@function("dict", examples=[("dict([['a', 1]], b=2)", {"a": 1, "b": 2})])
def dict_function(budget: Budget, pairs: object = (), **named: object) -> dict[object, object]:
    """A dict of the pairs or of another dict, and of the named values."""
    if isinstance(pairs, Mapping):
        return merged(budget, pairs, named)
    if not isinstance(pairs, (list, tuple)):
        raise Fault(f"{word_of(pairs)} is not a list of pairs")
    made: dict[object, object] = {}
    for pair in listed(budget, pairs):
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise Fault("every element must be a pair of key and value")
        made[key(pair[0])] = pair[1]
    return made | named


def _holds(budget: Budget, value: object, part: str) -> bool:
    budget.spend(1)
    if type(value) is not str:
        return False
    budget.search(value, as_text(part))
    return part in value


def _merged_deep(data: Data, other: Data) -> dict[object, object]:
    made = dict(data)
    for name, value in other.items():
        known = made.get(name)
        both = isinstance(known, Mapping) and isinstance(value, Mapping)
        made[name] = _merged_deep(known, value) if both else value  # type: ignore[arg-type]  # both are mappings here
    return made
