"""docs/reference/expressions.md: the language inside `{{ }}`."""

import ast
from collections.abc import Iterator
from datetime import date, datetime, timedelta

from budflow.expressions import budget, evaluate, formats, policy, tokenize
from budflow.expressions.compile import AST_DEPTH_MAX
from budflow.expressions.declare import Function
from budflow.expressions.table import table as call_table
from generator.markdown import Page, code, codes, page, table

KINDS = {
    str: "text",
    int: "numbers",
    float: "numbers",
    bool: "true and false",
    list: "lists",
    tuple: "lists",
    set: "sets",
    frozenset: "sets",
    dict: "dicts",
    datetime: "datetimes",
    date: "dates",
    timedelta: "durations",
}
LIMITS = (
    (tokenize.SOURCE_CHARS_MAX, "characters of one expression"),
    (tokenize.TEMPLATE_CHARS_MAX, "characters of a text with expressions"),
    (tokenize.SOURCES_MAX, "expressions in one text"),
    (tokenize.BRACKET_DEPTH_MAX, "levels of brackets"),
    (AST_DEPTH_MAX, "levels of nesting of an expression"),
    (budget.STEPS_MAX, "steps of one evaluation: rounds of loops, calls, and large data by its size"),
    (budget.TEXT_CHARS_MAX, "characters of a text that is built"),
    (budget.ELEMENTS_MAX, "elements of a list, set or dict that is built"),
    (budget.RESULT_CHARS_MAX, "characters of a result, as if written out"),
    (budget.NESTING_DEPTH_MAX, "levels of nesting of data that is compared, written out or returned"),
    (budget.INT_BITS_MAX, "bits of a whole number"),
    (formats.WIDTH_MAX, "characters of width in a format"),
)


def pages() -> Iterator[Page]:
    """The one page."""
    families = call_table().families
    globals_ = [declared for family in families.values() for declared in family if not declared.receivers]
    yield page(
        "reference/expressions.md",
        "# Expressions",
        INTRODUCTION,
        "## Names",
        table(["name", "what it holds"], ([code(f"${name}"), about] for name, about in evaluate.NAMES.items())),
        f"Reserved are {codes(f'${name}' for name in sorted(evaluate.RESERVED_NAMES))}: nothing fills them in this "
        "release, and a workflow that reads one of them does not run.",
        "## Operators",
        _operators(),
        SYNTAX,
        "## Functions",
        _functions(globals_),
        *(
            f"### On {kind}\n\n{_functions(found)}"
            for kind, found in _by_kind([one for family in families.values() for one in family])
        ),
        "## Limits",
        "What would go past one of them fails with `expression.budget_exceeded`, or is refused when it is saved.",
        table(["at most", "of what"], ([f"{limit:,}", what] for limit, what in LIMITS)),
    )


def _by_kind(functions: list[Function]) -> list[tuple[str, list[Function]]]:
    found: dict[str, list[Function]] = {}
    for declared in functions:
        for kind in dict.fromkeys(KINDS[receiver] for receiver in declared.receivers):
            found.setdefault(kind, []).append(declared)
    return list(found.items())


def _functions(functions: list[Function]) -> str:
    return table(["call", "what it gives"], ([code(declared.usage), declared.doc] for declared in functions))


def _operators() -> str:
    names = ast.Name("a"), ast.Name("b")
    binary = [ast.unparse(ast.BinOp(names[0], kind(), names[1]))[2:-2] for kind in policy.BINARY]
    words = ["and", "or", "not", "… if … else …"]
    return table(
        ["kind", "operators"],
        [
            ["arithmetic and sets", codes(binary)],
            ["comparison", codes(policy.COMPARE.values())],
            ["logic", codes(words)],
        ],
    )


INTRODUCTION = """
Any string parameter may hold expressions in `{{ }}`, unless the page of the node type calls it *fixed*. A string that
is exactly one expression keeps the type of its value: `"{{ $json.total * 1.2 }}"` is a number, `"{{ $json.lines }}"` a
list. In a longer string each value is written out as text.

The syntax is Python's, with `$names` for the data. `x.name` is always data, the value under the key `name`, and
`x.name(…)` a call of one of the functions below: no method, class or module of Python is ever reached. A missing key
is an error; `x?.name` gives None instead, and so does `x?.["a key"]`. A key that is no name is read as `x["a-b"]`.
"""

SYNTAX = """
There are also literals, lists, dicts, tuples and sets, slices, chained comparisons, comprehensions and f-strings.
There are no assignments, lambdas, `await`, `yield` or `*` in calls, and a name or an attribute may not begin with an
underscore: read such a key as `x["_id"]`. The text `{{` itself is written `{{ "{{" }}`.
"""
