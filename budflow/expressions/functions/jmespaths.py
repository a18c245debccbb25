"""Any data: questions in JMESPath, whose work is bounded before it begins.

The language is that of https://jmespath.org.
"""

from functools import cache, lru_cache
from math import prod
from typing import Any

from budflow.expressions.arguments import text as as_text
from budflow.expressions.budget import Budget, Fault
from budflow.expressions.declare import function
from budflow.expressions.suggest import shorten
from budflow.expressions.values import CHARS_AN_ELEMENT, charge_deep, checked, plain

QUESTION_CHARS_MAX = 1_000
CACHED_QUESTIONS_MAX = 128
DEPTH_MAX = 40
WORK_A_STEP = 8
WORK_MAX = 800_000  # Characters of the data, times how often a question walks through it at worst.
PROJECTIONS = frozenset({"projection", "value_projection", "filter_projection"})
CHAINS = frozenset({"subexpression", "pipe", "index_expression"})


@function(
    "jmespath",
    examples=[
        (
            "jmespath($json, 'people[?age > `30`].name')",
            ["Ada"],
            {"people": [{"name": "Ada", "age": 36}, {"name": "Tim", "age": 7}]},
        ),
        ("jmespath($json, 'sort_by(rows, &n)[-1].id')", "b", {"rows": [{"id": "b", "n": 2}, {"id": "a", "n": 1}]}),
        ("jmespath({'a': {'b': [1, 2]}}, 'a.b[0]')", 1),
    ],
)
def jmespath_function(budget: Budget, data: object, question: str) -> object:
    """What the JMESPath expression finds in the data; None when it finds nothing."""
    if len(as_text(question)) > QUESTION_CHARS_MAX:
        raise Fault(f"a JMESPath expression has at most {QUESTION_CHARS_MAX:,} characters", over_budget=True)
    engine = _engine()
    try:
        asked = _compiled(question)
    except (engine.exceptions.JMESPathError, RecursionError) as error:
        raise Fault(f"{shorten(question, 40)!r} is not JMESPath: {shorten(_first_line(error), 100)}") from None
    weight = charge_deep(budget, data)
    growth, walks = _cost(asked.parsed, weight, 0)
    work = weight * (walks + growth - 1)
    if work > WORK_MAX:
        raise Fault(
            "this JMESPath expression is too much for data of this size",
            "Each filter, projection and function walks through the data: ask for less, or use a code node.",
            over_budget=True,
        )
    budget.spend(work // WORK_A_STEP)
    try:
        found = asked.search(plain(data))
    except (engine.exceptions.JMESPathError, TypeError, AttributeError) as error:
        raise Fault(f"{shorten(question, 40)!r} does not fit the data: {shorten(_first_line(error), 120)}") from None
    charge_deep(budget, found)
    return checked(found)


@cache
def _engine() -> Any:
    import jmespath  # noqa: PLC0415  # 22 ms, which a server without JMESPath need not pay.

    return jmespath


@lru_cache(maxsize=CACHED_QUESTIONS_MAX)
def _compiled(question: str) -> Any:
    return _engine().compile(question)


def _cost(node: Any, weight: int, depth: int) -> tuple[int, int]:
    """At worst, how many times its data a part of a question gives, and how many times it walks through that data.

    What is chained multiplies, for `[@, @][]` doubles a list each time; what stands side by side adds up.
    """
    if depth > DEPTH_MAX:
        raise Fault(f"a JMESPath expression is nested at most {DEPTH_MAX} deep")
    kind, children = node["type"], node.get("children", ())
    costs = [_cost(child, weight, depth + 1) for child in children if isinstance(child, dict)]
    if kind == "literal":
        return 1 + len(str(node["value"])) // CHARS_AN_ELEMENT, 0
    if not costs:
        return 1, 0
    if kind in CHAINS:
        growth, walks = costs[0]
        for further, again in costs[1:]:
            growth, walks = growth * further, walks + growth * again
        return growth, walks
    if kind in PROJECTIONS:
        growth, walks = costs[0]
        inside = sum(1 + again for _, again in costs[1:])
        return growth * costs[1][0], walks + growth * (1 + inside + _nodes(node))
    growth, walks = sum(one for one, _ in costs), sum(again for _, again in costs)
    if kind == "function_expression":
        if node["value"] == "join" or any(child["type"] == "expref" for child in children):
            growth = prod(one for one, _ in costs)  # A text or a question for each element.
            walks *= growth
        if node["value"] == "join" and children[0]["type"] != "literal":
            growth *= weight  # The text between them may be as long as all the data.
        return growth, walks + growth * (1 + _nodes(node))
    return growth, walks + (growth if kind == "flatten" else 0)


def _nodes(node: Any) -> int:
    return 1 + sum(_nodes(child) for child in node.get("children", ()) if isinstance(child, dict))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
