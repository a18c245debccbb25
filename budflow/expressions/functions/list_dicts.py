"""Lists of dicts: columns, groups and the dicts they make together."""

from collections.abc import Mapping

from budflow.expressions.arguments import field, listed, mapping, number, text as as_text
from budflow.expressions.budget import Budget, Fault
from budflow.expressions.compare import equal
from budflow.expressions.declare import method
from budflow.expressions.paths import read_path
from budflow.expressions.values import Sequence, key, keys_clash, text_of, within_bits

ROWS = {
    "rows": [{"id": 1, "city": "Rome", "n": 2}, {"id": 2, "city": "Bern", "n": 3}, {"id": 3, "city": "Rome", "n": 4}]
}


@method(
    *(list, tuple),
    name="pluck",
    examples=[
        ("$json.rows.pluck('city')", ["Rome", "Bern", "Rome"], ROWS),
        ("$json.rows.pluck('id', 'n')[0]", {"id": 1, "n": 2}, ROWS),
    ],
)
def pluck(budget: Budget, values: Sequence, *names: str) -> list[object]:
    """What each element has under this key, None where it has none; for several keys a dict of them."""
    if not names:
        raise Fault("name at least one key")
    budget.elements(len(values))
    if len(names) == 1:
        return [field(value, names[0]) for value in values]
    budget.spend(len(values) * len(names) // 4)
    return [{name: field(value, name) for name in names} for value in values]


@method(
    *(list, tuple),
    name="pluck_path",
    examples=[("[{'a': {'b': 1}}, {'a': {}}].pluck_path('a.b')", [1, None])],
)
def pluck_path(budget: Budget, values: Sequence, path: str) -> list[object]:
    """What each element has at the path, such as `user.emails[0]`; None where there is nothing."""
    budget.elements(len(values))
    return [read_path(budget, value, path, None) for value in values]


@method(*(list, tuple), name="where", examples=[("$json.rows.where('city', 'Rome').pluck('id')", [1, 3], ROWS)])
def where(budget: Budget, values: Sequence, name: str, value: object) -> list[object]:
    """The elements that have this value under this key."""
    budget.elements(len(values))
    return [element for element in values if equal(budget, field(element, name), value)]


@method(*(list, tuple), name="where_not", examples=[("$json.rows.where_not('city', 'Rome').pluck('id')", [2], ROWS)])
def where_not(budget: Budget, values: Sequence, name: str, value: object) -> list[object]:
    """The elements that do not have this value under this key."""
    budget.elements(len(values))
    return [element for element in values if not equal(budget, field(element, name), value)]


@method(
    *(list, tuple),
    name="where_in",
    examples=[("$json.rows.where_in('id', [1, 2]).pluck('city')", ["Rome", "Bern"], ROWS)],
)
def where_in(budget: Budget, values: Sequence, name: str, wanted: object) -> list[object]:
    """The elements whose value under this key is among the wanted ones."""
    known = {key(value) for value in listed(budget, wanted)}
    budget.elements(len(values))
    return [element for element in values if key(field(element, name)) in known]


@method(
    *(list, tuple),
    name="find_by",
    examples=[("$json.rows.find_by('id', 2).city", "Bern", ROWS), ("[].find_by('id', 2)", None)],
)
def find_by(budget: Budget, values: Sequence, name: str, value: object, default: object = None) -> object:
    """The first element that has this value under this key; `default` when none has."""
    budget.elements(len(values))
    return next((element for element in values if equal(budget, field(element, name), value)), default)


@method(
    *(list, tuple),
    name="group_by",
    examples=[("{k: len(v) for k, v in $json.rows.group_by('city').items()}", {"Rome": 2, "Bern": 1}, ROWS)],
)
def group_by(budget: Budget, values: Sequence, name: str) -> dict[object, list[object]]:
    """The elements as lists under what each has under this key."""
    budget.elements(len(values))
    groups: dict[object, list[object]] = {}
    for value in values:
        groups.setdefault(key(field(value, name)), []).append(value)
    return groups


@method(*(list, tuple), name="index_by", examples=[("$json.rows.index_by('id')[2].city", "Bern", ROWS)])
def index_by(budget: Budget, values: Sequence, name: str) -> dict[object, object]:
    """The elements under what each has under this key; of several, the last."""
    budget.elements(len(values))
    return {key(field(value, name)): value for value in values}


@method(
    *(list, tuple),
    name="count_by",
    examples=[
        ("$json.rows.count_by('city')", {"Rome": 2, "Bern": 1}, ROWS),
        ("'banana'.characters().count_by()", {"b": 1, "a": 3, "n": 2}),
    ],
)
def count_by(budget: Budget, values: Sequence, name: str | None = None) -> dict[object, int]:
    """How many elements have each value (under the key `name`)."""
    budget.elements(len(values))
    counts: dict[object, int] = {}
    for value in values:
        found = key(value if name is None else field(value, name))
        counts[found] = counts.get(found, 0) + 1
    return counts


@method(*(list, tuple), name="sum_by", examples=[("$json.rows.sum_by('city', 'n')", {"Rome": 6, "Bern": 3}, ROWS)])
def sum_by(budget: Budget, values: Sequence, name: str, of: str) -> dict[object, object]:
    """For each value under the key `name` the sum of the numbers under the key `of`."""
    budget.elements(len(values))
    budget.spend(len(values) // 4)
    sums: dict[object, object] = {}
    for value in values:
        group = key(field(value, name))
        sums[group] = within_bits(sums.get(group, 0) + number(field(value, of), as_text(of)))  # type: ignore[operator]  # numbers
    return sums


@method(
    *(list, tuple),
    name="to_dict",
    examples=[
        ("[{'k': 'a', 'v': 1}, {'k': 'b', 'v': 2}].to_dict('k', 'v')", {"a": 1, "b": 2}),
        ("[['a', 1]].to_dict()", {"a": 1}),
    ],
)
def to_dict(
    budget: Budget, values: Sequence, name: str | None = None, value: str | None = None
) -> dict[object, object]:
    """A dict of what each element has under one key, to what it has under another; without keys, of pairs."""
    budget.elements(len(values))
    if name is not None and value is not None:
        return {key(field(element, name)): field(element, value) for element in values}
    made: dict[object, object] = {}
    for pair in values:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise Fault("every element must be a pair of key and value", 'Or name two keys: .to_dict("id", "name").')
        made[key(pair[0])] = pair[1]
    return made


@method(
    *(list, tuple),
    name="merge",
    examples=[
        ("[{'a': 1}, {'b': 2}].merge()", {"a": 1, "b": 2}),
        ("[{'a': 1}, {'a': 2}].merge([{'b': 3}])", {"a": 2, "b": 3}),
    ],
)
def merge(budget: Budget, values: Sequence, other: object = ()) -> dict[object, object]:
    """One dict of all the dicts (and of those of the other list); where several have a key, the last stands."""
    made: dict[object, object] = {}
    for value in (*values, *listed(budget, other)):
        inside = mapping(value, "each element")
        budget.elements(len(inside))
        budget.spend(1)
        made.update(inside)
    return made


@method(
    *(list, tuple),
    name="join_on",
    examples=[
        (
            "[{'id': 1, 'a': 'x'}].join_on([{'id': 1, 'b': 'y'}], 'id')",
            [{"id": 1, "a": "x", "b": "y"}],
        )
    ],
)
def join_on(budget: Budget, values: Sequence, other: object, name: str) -> list[object]:
    """Each element, with what the first of the other list's dicts adds that has the same value under this key."""
    known: dict[object, Mapping[object, object]] = {}
    for element in listed(budget, other):
        known.setdefault(key(field(element, name)), mapping(element))
    made: list[object] = []
    for element in listed(budget, values):
        added = known.get(key(field(element, name)), {})
        budget.elements(len(mapping(element)) + len(added))
        made.append({**mapping(element), **added})
    return made


@method(
    *(list, tuple),
    name="rename_keys",
    examples=[("[{'a': 1, 'b': 2}].rename_keys({'a': 'x'})", [{"x": 1, "b": 2}])],
)
def rename_keys(budget: Budget, values: Sequence, names: Mapping[object, object]) -> list[object]:
    """Each dict with these keys renamed, old to new."""
    renamed = {key(old): key(new) for old, new in mapping(names).items()}
    made: list[object] = []
    for value in listed(budget, values):
        inside = mapping(value, "each element")
        budget.elements(len(inside))
        budget.spend(len(inside) // 4)
        one = {renamed.get(name, name): element for name, element in inside.items()}
        if len(one) < len(inside):
            raise keys_clash(renamed.get(name, name) for name in inside)
        made.append(one)
    return made


@method(
    *(list, tuple),
    name="pivot",
    examples=[
        (
            "$json.rows.pivot('city', 'id', 'n')",
            {"Rome": {"1": 2, "3": 4}, "Bern": {"2": 3}},
            ROWS,
        )
    ],
)
def pivot(budget: Budget, values: Sequence, row: str, column: str, value: str) -> dict[object, object]:
    """A dict by the value under the key `row`, of dicts by the one under `column`, of what is under `value`."""
    budget.spend(len(values))
    made: dict[object, dict[object, object]] = {}
    for element in values:
        made.setdefault(key(field(element, row)), {})[key(field(element, column))] = field(element, value)
    return dict(made)


@method(
    *(list, tuple),
    name="to_csv",
    examples=[("[{'a': 1, 'b': 'x, y'}, {'a': None, 'b': 'say \"hi\"'}].to_csv()", 'a,b\n1,"x, y"\n,"say ""hi"""')],
)
def to_csv(budget: Budget, values: Sequence, separator: str = ",") -> str:
    """The dicts as lines of text with a line of their keys first; fields are quoted where they must be (RFC 4180)."""
    if len(as_text(separator)) != 1 or separator in '"\r\n':
        raise Fault("the separator is one character, such as , or ;")
    rows = [mapping(value, "each element") for value in listed(budget, values)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    budget.elements(len(names))
    budget.spend(len(rows) * len(names))
    lines: list[str] = []
    chars = 0
    for cells in (names, *([row.get(name) for name in names] for row in rows)):
        line = separator.join(_cell(text_of(budget, cell), separator) for cell in cells)
        chars += len(line) + 1
        budget.text(chars if chars > 65_536 else len(line))
        lines.append(line)
    return "\n".join(lines)


def _cell(text: str, separator: str) -> str:
    if any(sign in text for sign in (separator, '"', "\n", "\r")):
        return '"' + text.replace('"', '""') + '"'
    return text
