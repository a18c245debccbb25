"""docs/reference/expressions.md: the language inside `{{ }}`."""

import ast
import json
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta

from budflow.expressions import budget, evaluate, formats, policy, tokenize
from budflow.expressions.compile import AST_DEPTH_MAX, AST_NODES_MAX, TEXT_NODES_MAX
from budflow.expressions.declare import Example, Function
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
ANY_FROM = 5  # Kinds of values.
LIMITS = (
    (tokenize.SOURCE_CHARS_MAX, "characters of one expression"),
    (tokenize.TEMPLATE_CHARS_MAX, "characters of a text with expressions"),
    (tokenize.SOURCES_MAX, "expressions in one text"),
    (tokenize.BRACKET_DEPTH_MAX, "levels of brackets"),
    (AST_DEPTH_MAX, "levels of nesting of an expression"),
    (AST_NODES_MAX, "parts of an expression: each name, value and operator is one, or two"),
    (TEXT_NODES_MAX, "parts of all expressions in one text"),
    (budget.STEPS_MAX, "steps of one evaluation: rounds of loops, calls, and large data by its size"),
    (budget.MILLISECONDS_MAX, "milliseconds of a processor that one evaluation takes"),
    (budget.TEXT_CHARS_MAX, "characters of a text that is built"),
    (budget.ELEMENTS_MAX, "elements of a list, set or dict that is built"),
    (budget.RESULT_CHARS_MAX, "characters of a result, as if written out"),
    (budget.NESTING_DEPTH_MAX, "levels of nesting of data that is compared, written out or returned"),
    (budget.INT_BITS_MAX, "bits of a whole number"),
    (formats.WIDTH_MAX, "characters of width in a format"),
)


def pages() -> Iterator[Page]:
    """The one page."""
    library = call_table()
    families = sorted(library.families, key=lambda name: library.about[name])
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
        FUNCTIONS,
        *(f"### {library.about[name].rstrip('.')}\n\n{_functions(library.families[name])}" for name in families),
        "## Limits",
        "What would go past one of them fails with `expression.budget_exceeded`, or is refused when it is saved.",
        table(["at most", "of what"], ([f"{limit:,}", what] for limit, what in LIMITS)),
    )


def shown(value: object) -> str:
    """A value as the pages show it."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _functions(functions: Iterable[Function]) -> str:
    return table(
        ["call", "of", "what it gives", "examples"],
        (
            [code(declared.usage), _kinds(declared), declared.doc, "<br>".join(map(_example, declared.examples))]
            for declared in functions
        ),
    )


def _kinds(declared: Function) -> str:
    kinds = list(dict.fromkeys(KINDS[receiver] for receiver in declared.receivers))
    return "any value" if len(kinds) > ANY_FROM else ", ".join(kinds)


def _example(example: Example) -> str:
    text = f"{code(example.expression)} → {code(shown(example.value))}"
    return f"{text} for `$json` {code(shown(dict(example.given)))}" if example.given else text


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
list. In a longer string each value is written out as text. A value is JSON once it leaves the expression: times and the
keys of dicts are text (`{1: "a"}` is read as `["1"]` by later nodes), sets are lists, in the order of their elements.
Two keys of a dict that would become one, as in `{1: "a", "1": "b"}`, are an error, so that nothing is lost.

The syntax is Python's, with `$names` for the data. `x.name` is always data, the value under the key `name`, and
`x.name(…)` a call of one of the functions below: no method, class or module of Python is ever reached. A missing key
is an error; `x?.name` gives None instead, and so does `x?.["a key"]`. A key that is no name is read as `x["a-b"]`.
"""

FUNCTIONS = """
What stands after a dot is called on a value of the kind in the second column: `$json.name.upper()`. Arguments can be
given by their names: `.sort(by="age", descending=True)`. In the examples `$now` is 2026-01-31 13:05:09 UTC, and every
one of them is evaluated by a test. [Expressions for those who know n8n](expressions-from-n8n.md) goes by the names
that n8n has.

Random values derive from the execution, the node and the item, so that a node's run that is repeated draws the same
ones. Regular expressions are RE2's: they take linear time, and have no look-around and no backreferences.
"""

SYNTAX = """
There are also literals, lists, dicts, tuples and sets, slices, chained comparisons, comprehensions and f-strings.
There are no assignments (nor `:=`), lambdas, `await`, `yield` or `*` in calls. A key is written only once in a dict. A
name or an attribute may not begin with an underscore: read such a key as `x["_id"]`. The text `{{` itself is written
`{{ "{{" }}`.
"""
