"""What people see of a plan: a line for each segment, with the reason why it runs where it does."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from budflow.cli.report import table

WHERE = {
    "runner": "the runner",
    "by_cost": "the runner, or apart by cost",
    "apart": "apart",
    "execution": "its own execution",
}


def plan_table(view: Mapping[str, Any]) -> Table:
    """The segments that `plan_workflow` tells of, bodies set in below their containers."""
    return table("segment", "nodes", "runs in", "why", rows=_rows(view))


def _rows(view: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for segment in view["segments"]:
        asked = [f"{name}={amount:g}" for name, amount in segment["resources"].items()]
        asked += [f"{name}={condition}" for name, condition in segment["labels"].items()]
        where = WHERE[segment["where"]] + (f" ({', '.join(asked)})" if asked else "")
        why = " ".join(part for part in (segment["why"], segment["ends"]) if part)
        nodes = " > ".join(segment["nodes"])
        yield str(segment["number"]), "  " * len(segment["path"]) + nodes, where, why
