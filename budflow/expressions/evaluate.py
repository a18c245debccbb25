"""What an expression is evaluated against, and how its failure is told."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from budflow.errors import BudflowError
from budflow.expressions.budget import Fault
from budflow.expressions.suggest import shorten

# Every `$name` there is, with what it holds; which of them a scope has depends on where the expression stands.
NAMES: Mapping[str, str] = MappingProxyType(
    {
        "json": "the item's data",
        "item": "the item's index, from 0",
        "node": "an earlier node's output by its key: $node.fetch.json of the item's origin, $node.fetch.items of all",
        "execution": "the execution: id, mode, started_at, resume_url",
        "workflow": "the workflow: id, name, version",
        "error": "why the item failed, for items that go on after an error: code, message, hint; null for all others",
        "run_index": "the round of the innermost loop around the node, from 0; 0 outside of loops",
        "secrets": "the node's own credentials by slot: $secrets.auth.token, only for parameters that take secrets",
        "now": "when the node's run started, a datetime; it stays the same when the run is repeated",
    }
)

# Names that the language knows and that nothing fills yet: the validator keeps workflows that read them from running.
RESERVED_NAMES = frozenset({"items", "binary", "vars", "loop"})

# What Python's operations and the functions of the table raise for data they cannot work with.
FAILURES = (
    Fault,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    NameError,
    RecursionError,
    TypeError,
    ValueError,
)


class ExpressionFailed(BudflowError):
    """The expression could not be evaluated."""

    code = "expression.failed"
    http_status = 422
    hint = "Check the expression against the item's data."


class ExpressionBudgetExceeded(ExpressionFailed):
    """The expression asks for more than one evaluation may use."""

    code = "expression.budget_exceeded"
    hint = "Do less in one expression, or use a code node."


@dataclass(slots=True)  # Not frozen: one is made for every item, and a frozen one takes three times as long.
class Scope:
    """What the `$names` stand for while one item is evaluated.

    `json` is the item's data and `index` its place in the run ($item). `names` holds the others without their `$`,
    shared by all items of a run: `{"now": datetime, "node": {"fetch": {"json": {…}, "items": [{…}]}}, …}`.
    Every value is JSON-like data, a datetime or duration, an Opaque, or a Mapping of them, which may load lazily;
    where a name differs from item to item (the origin in `$node`), give each item's scope its own mapping.
    """

    json: Mapping[str, object]
    index: int
    names: Mapping[str, object]


def failed(expression: str, error: BaseException) -> ExpressionFailed:
    """The error of an evaluation that ended in one of FAILURES."""
    shown = shorten(expression)
    if isinstance(error, MemoryError):
        return ExpressionBudgetExceeded(f"`{shown}`: out of memory.", expression=shown)
    if not isinstance(error, Fault):
        reason = str(error) or type(error).__name__
        return ExpressionFailed(f"`{shown}`: {shorten(reason, 200)}.", expression=shown)
    kind = ExpressionBudgetExceeded if error.over_budget else ExpressionFailed
    return kind(f"`{shown}`: {shorten(error.message, 200)}.", hint=error.hint or None, expression=shown)
