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
        "binary": "the item's files by name, each with name, size_bytes, media_type and sha256",
        "item": "the item: $item.json, $item.index (from 0), $item.binary, $item.error",
        "item_index": "the item's index, from 0",
        "items": "the data of all items that came in, a list",
        "input": "what came in: $input.first, $input.last and $input.item, each an item as $item is, or null where "
        "there is none; $input.all, a list of such items; $input.items, a list of their data",
        "node": "an earlier node by its key: $node.fetch.json, the data of the item this one was made from; .item, "
        "that item; .items, the data of all; .first, .last and .all, items; .params, its parameters as they are "
        "written; .error, why that item failed, or null; .runs, of which one can be seen: {index, items}",
        "trigger": "the node that started the execution, to be read as $node.KEY is: $trigger.json.body",
        "execution": "the execution: id, mode, started_at (a datetime), resume_url, workflow_version",
        "workflow": "the workflow: id, name, version",
        "error": "why the item failed, for items that go on after an error: code, message, hint, node (its path); null "
        "for all others",
        "batch": "the round of the innermost body around the node: index (from 0), size, and items, the data of what "
        "went into it; outside of bodies what came in",
        "run_index": "the round of the innermost loop around the node, from 0; 0 outside of loops",
        "vars": "the server's setting expression_vars: values by name",
        "env": "variables of the server's environment, those that its setting expression_env names",
        "secrets": "the node's own credentials by slot: $secrets.auth.token, only for parameters that take secrets",
        "now": "when the node's run started, a datetime in the workflow's time zone; it stays the same when the run is "
        "repeated",
        "today": "the midnight with which the day of $now began",
    }
)

# Names that the language knows and that nothing fills yet: the validator keeps workflows that read them from running.
RESERVED_NAMES = frozenset({"loop"})

# Names that stand for the same at every item of a node's run: what reads no others is evaluated once for all of them.
OF_THE_RUN = frozenset({"items", "execution", "workflow", "run_index", "batch", "vars", "env", "now", "today"})

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

    `json` is the item's data and `index` its place in the run ($item_index). `names` holds others without their `$`,
    shared by all items of a run: `{"now": datetime, "node": {"fetch": {"json": {…}, "items": [{…}]}}, …}`.
    Every value is JSON-like data, a datetime or duration, an Opaque, or a Mapping of them, which may load lazily, as
    `names` itself may; where a name differs from item to item (the origin in `$node`), give each item's scope its own.
    `made` holds what was evaluated once for all items of the run, see `OF_THE_RUN`; None: everything is evaluated anew.
    """

    json: Mapping[str, object]
    index: int
    names: Mapping[str, object]
    made: dict[object, object] | None = None
    draws: int = 0  # Random values its expressions have drawn; see `functions/randoms.py`.


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
