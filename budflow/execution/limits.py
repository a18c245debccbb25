"""The group that an execution counts in, from its workflow's settings and what its trigger brings in."""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from budflow.errors import BudflowError
from budflow.expressions.compile import compile_template
from budflow.expressions.evaluate import Scope
from budflow.graph.plan import Plan
from budflow.model.execution import Execution, Limit
from budflow.model.item import ItemList

#: Longer keys, and those that no database could keep, are told apart by their hash.
KEY_CHARS_MAX = 200


class ConcurrencyKeyFailed(BudflowError):
    """The key by which the workflow's executions are counted cannot be made from what came in."""

    code = "execution.concurrency_key_failed"
    http_status = 422
    hint = "Look at `settings.concurrency_key` and at the first item; `$json?.field` is null where a field is missing."


def limit_of(
    plan: Plan, execution: Execution, items: ItemList, surroundings: Mapping[str, Mapping[str, Any]]
) -> Limit | None:
    """The limit of an execution that is to be admitted with `items`; None where the workflow sets none.

    `surroundings` is what expressions may read of the server: see Work. Raises ConcurrencyKeyFailed.
    """
    settings = plan.settings
    if settings.concurrency_key is None:
        if settings.max_concurrency is None:
            return None
        return Limit(f"workflow:{execution.workflow_id}", settings.max_concurrency, settings.concurrency_policy)
    value = _value(settings.concurrency_key, plan, execution, items, surroundings)
    key = f"{execution.workflow_id}:{_text(value)}"
    return Limit(key, settings.max_concurrency or 1, settings.concurrency_policy)


def _value(
    text: str, plan: Plan, execution: Execution, items: ItemList, surroundings: Mapping[str, Mapping[str, Any]]
) -> object:
    names = {
        **surroundings,
        "execution": {
            "id": execution.id,
            "mode": execution.mode,
            "started_at": execution.created_at,
            "workflow_version": execution.version,
        },
        "workflow": {"id": execution.workflow_id, "name": plan.name, "version": execution.version},
    }
    first = items.items[0].json if len(items) else {}
    try:
        return compile_template(text).evaluate(Scope(first, 0, names))
    except BudflowError as error:
        raise ConcurrencyKeyFailed(f"The concurrency key cannot be made: {error.message}") from error


def _text(value: object) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    if len(text) <= KEY_CHARS_MAX and text.isprintable():
        return text
    return f"sha256:{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()}"
