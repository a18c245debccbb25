"""Dicts: other keys, fewer keys, other shapes."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from budflow.expressions.arguments import listed, mapping, one_of, text as as_text
from budflow.expressions.budget import Budget, Fault
from budflow.expressions.compare import has_key
from budflow.expressions.declare import method
from budflow.expressions.functions.text_case import camel_case, constant_case, kebab_case, pascal_case, snake_case
from budflow.expressions.values import charge_deep, key, keys_clash, text_of

Data = Mapping[object, object]
CASES: Mapping[str, Callable[..., object]] = MappingProxyType(
    {
        "camel": camel_case.call,
        "pascal": pascal_case.call,
        "snake": snake_case.call,
        "kebab": kebab_case.call,
        "constant": constant_case.call,
        "lower": lambda budget, text: text.lower(),
        "upper": lambda budget, text: text.upper(),
    }
)


@method(dict, name="pick", examples=[("{'a': 1, 'b': 2}.pick('a', 'z')", {"a": 1})])
def pick(budget: Budget, data: Data, *names: object) -> dict[object, object]:
    """A dict of only these keys, given one by one or as a list, as far as they are there."""
    return {name: data[name] for name in _names(budget, names) if has_key(data, name)}


@method(dict, name="omit", examples=[("{'a': 1, 'b': 2}.omit('a')", {"b": 2})])
def omit(budget: Budget, data: Data, *names: object) -> dict[object, object]:
    """A dict without these keys, given one by one or as a list."""
    budget.elements(len(data))
    left_out = {key(name) for name in _names(budget, names)}
    return {name: value for name, value in data.items() if name not in left_out}


@method(dict, name="rename", examples=[("{'a': 1, 'b': 2}.rename('a', 'x')", {"x": 1, "b": 2})])
def rename(budget: Budget, data: Data, old: object, new: object) -> dict[object, object]:
    """A dict with one key renamed, in its place."""
    budget.elements(len(data))
    key(old)
    return _renamed(data, [key(new) if name == old else name for name in data])


@method(dict, name="rename_keys", examples=[("{'a': 1, 'b': 2}.rename_keys({'a': 'x', 'b': 'y'})", {"x": 1, "y": 2})])
def rename_keys(budget: Budget, data: Data, names: Data) -> dict[object, object]:
    """A dict with these keys renamed, old to new."""
    budget.elements(len(data))
    renamed = {old: key(new) for old, new in mapping(names).items()}
    return _renamed(data, [renamed.get(name, name) for name in data])


@method(
    dict,
    name="compact",
    examples=[("{'a': 1, 'b': None, 'c': '', 'd': [], 'e': 0}.compact()", {"a": 1, "d": [], "e": 0})],
)
def compact(budget: Budget, data: Data) -> dict[object, object]:
    """A dict without the keys under which there is None or an empty text."""
    budget.elements(len(data))
    return {name: value for name, value in data.items() if value is not None and value != ""}


@method(
    dict,
    name="compact_deep",
    examples=[("{'a': {'b': None, 'c': 1}, 'd': [None, 2]}.compact_deep()", {"a": {"c": 1}, "d": [2]})],
)
def compact_deep(budget: Budget, data: Data) -> object:
    """The data without None and empty text, in dicts and lists at any depth."""
    charge_deep(budget, data)
    return _compacted(data)


@method(dict, name="invert", examples=[("{'a': 1, 'b': 2}.invert()", {"1": "a", "2": "b"})])
def invert(budget: Budget, data: Data) -> dict[object, object]:
    """A dict of the values to their keys; of several equal values the last."""
    budget.elements(len(data))
    return {key(value): name for name, value in data.items()}


@method(dict, name="sort_keys", examples=[("{'b': 1, 'a': 2}.sort_keys().keys()", ["a", "b"])])
def sort_keys(budget: Budget, data: Data, descending: bool = False) -> dict[object, object]:
    """A dict in the order of its keys, as text."""
    budget.elements(len(data))
    budget.spend(len(data))
    return {name: data[name] for name in sorted(data, key=str, reverse=bool(descending))}


@method(dict, name="sort_values", examples=[("{'a': 2, 'b': 1}.sort_values().keys()", ["b", "a"])])
def sort_values(budget: Budget, data: Data, descending: bool = False) -> dict[object, object]:
    """A dict in the order of its values, which must be numbers, or all text."""
    budget.elements(len(data))
    budget.spend(len(data))
    if not all(type(value) in (int, float, bool) for value in data.values()) and not all(
        type(value) is str for value in data.values()
    ):
        raise Fault("the values must be numbers, or all text")
    charge_deep(budget, data)
    return dict(sorted(data.items(), key=lambda item: item[1], reverse=bool(descending)))  # type: ignore[arg-type,return-value]  # comparable, as tested


@method(
    dict,
    name="case_keys",
    examples=[
        ("{'firstName': {'lastName': 1}}.case_keys('snake')", {"first_name": {"lastName": 1}}),
        ("{'a b': {'c d': 1}}.case_keys('camel', deep=True)", {"aB": {"cD": 1}}),
    ],
)
def case_keys(budget: Budget, data: Data, case: str, deep: bool = False) -> object:
    """A dict with its keys in a case: camel, pascal, snake, kebab, constant, lower or upper; `deep` also inside."""
    change = CASES[one_of(case, CASES, "case")]
    charge_deep(budget, data)
    return _cased(budget, data, change, bool(deep))


@method(
    dict,
    name="flatten",
    examples=[("{'a': {'b': 1, 'c': [2, {'d': 3}]}}.flatten()", {"a.b": 1, "a.c.0": 2, "a.c.1.d": 3})],
)
def flatten(budget: Budget, data: Data, separator: str = ".") -> dict[object, object]:
    """A dict without dicts and lists inside: their keys and indices become one key with the separator between."""
    charge_deep(budget, data)
    if len(as_text(separator)) > 10:
        raise Fault("the separator has at most 10 characters")
    made: dict[object, object] = {}
    _flattened(budget, data, "", separator, made)
    return made


@method(dict, name="unflatten", examples=[("{'a.b': 1, 'a.c': 2}.unflatten()", {"a": {"b": 1, "c": 2}})])
def unflatten(budget: Budget, data: Data, separator: str = ".") -> dict[object, object]:
    """Dicts inside of each other, from keys with a separator in them."""
    budget.elements(len(data))
    if not as_text(separator):
        raise Fault("the separator must not be empty")
    made: dict[object, object] = {}
    for name, value in data.items():
        parts = text_of(budget, name).split(separator, 50)
        budget.spend(len(parts))
        inside = made
        for part in parts[:-1]:
            below = inside.setdefault(part, {})
            if not isinstance(below, dict):
                raise Fault(f"there is both a value and something below {part[:40]!r}")
            inside = below
        if isinstance(inside.get(parts[-1]), dict):
            raise Fault(f"there is both a value and something below {parts[-1][:40]!r}")
        if parts[-1] in inside:
            raise keys_clash((parts[-1], parts[-1]))
        inside[parts[-1]] = value
    return made


@method(dict, name="to_pairs", examples=[("{'a': 1}.to_pairs('name', 'value')", [{"name": "a", "value": 1}])])
def to_pairs(budget: Budget, data: Data, name: str = "key", value: str = "value") -> list[object]:
    """A list of dicts, each with a key of this one and its value, under these two names."""
    budget.elements(len(data))
    budget.spend(len(data))
    return [{as_text(name): one, as_text(value): inside} for one, inside in data.items()]


def _renamed(data: Data, names: list[object]) -> dict[object, object]:
    """The data under these names; a Fault where two of them are one, since only one value could stay."""
    made = dict(zip(names, data.values(), strict=True))
    if len(made) < len(names):
        raise keys_clash(names)
    return made


def _names(budget: Budget, names: tuple[object, ...]) -> list[object]:
    budget.spend(len(names))
    made: list[object] = []
    for name in names:
        made += listed(budget, name) if isinstance(name, (list, tuple, set, frozenset)) else [name]
    return made


def _compacted(value: object) -> object:
    if isinstance(value, Mapping):
        inside = {name: _compacted(one) for name, one in value.items()}
        return {name: one for name, one in inside.items() if one is not None and one != ""}
    if isinstance(value, (list, tuple)):
        return [made for made in map(_compacted, value) if made is not None and made != ""]
    return value


def _cased(budget: Budget, value: object, change: Callable[..., object], deep: bool) -> object:
    if isinstance(value, Mapping):
        inside = {name: _cased(budget, one, change, True) for name, one in value.items()} if deep else value
        return _renamed(inside, [change(budget, name) if type(name) is str else name for name in inside])
    if isinstance(value, (list, tuple)) and deep:
        return [_cased(budget, one, change, deep) for one in value]
    return value


def _flattened(budget: Budget, value: object, path: str, separator: str, made: dict[object, object]) -> None:
    inside = (
        value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    )
    if not inside or not value:
        budget.text(len(path) + 64)
        if path in made:
            raise keys_clash((path, path))
        made[path] = value
        budget.elements(len(made) if len(made) % 1_000 == 0 else 0)
        return
    for name, one in inside:
        named = text_of(budget, name)
        _flattened(budget, one, f"{path}{separator}{named}" if path else named, separator, made)
