"""What people see of workflows and executions: tables, and an execution as a tree of its nodes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from budflow.cli.report import facts, table

COLOURS = {
    "succeeded": "green",
    "failed": "red",
    "cancelled": "yellow",
    "running": "cyan",
    "waiting": "cyan",
    "queued": "blue",
    "skipped": "dim",
    "pending": "dim",
}


def status_text(status: str) -> Text:
    """A status in its colour."""
    return Text(status, style=COLOURS.get(status, ""))


def moment(at: str | datetime | None) -> str:
    """A time for people: to the second, in the reader's own time zone."""
    if at is None:
        return ""
    value = datetime.fromisoformat(at) if isinstance(at, str) else at
    return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def spent(duration_ms: float | None) -> str:
    """A duration for people."""
    if duration_ms is None:
        return ""
    return f"{duration_ms:.1f} ms" if duration_ms < 1000 else f"{duration_ms / 1000:.2f} s"


def place_text(place: Mapping[str, Any] | None) -> str:
    """Where something ran: the process, and on Ray the actor and the node."""
    if place is None:
        return ""
    parts = [f"{place['executor']} pid {place['pid']}"]
    if place.get("actor"):
        parts.append(str(place["actor"]))
    if place.get("ray_node"):
        parts.append(f"node {str(place['ray_node'])[:8]}")
    return ", ".join(parts)


def execution_tree(detail: Mapping[str, Any], children: Mapping[str, Mapping[str, Any]] | None = None) -> Tree:
    """An execution with its segments and where each ran, and their nodes with times and items by port.

    `detail` is an ExecutionDetailView as JSON; `children` those of called executions by id, drawn below their callers.
    """
    execution = detail["execution"]
    head = Text.assemble(
        (execution["id"], "bold"), "  ", status_text(execution["status"]), f"  {spent(execution['duration_ms'])}"
    )
    tree = Tree(head)
    segments: dict[int, Tree] = {}
    for node in detail["nodes"]:
        number = node["segment"]
        if number not in segments:
            where = place_text(node["place"]) or "did not run"
            segments[number] = tree.add(Text(f"segment {number} · {where}", style="dim"))
        branch = segments[number].add(_node_text(node))
        for child in node["children"]:
            known = (children or {}).get(child)
            branch.add(execution_tree(known, children) if known is not None else Text(f"called {child}"))
    if execution.get("failure"):
        tree.add(failure_text(execution["failure"]))
    return tree


def failure_text(failure: Mapping[str, Any]) -> Text:
    """A failure in one or two lines."""
    text = Text.assemble((failure["code"], "red"), f": {failure['message']}")
    if failure.get("hint"):
        text.append(f"\nHint: {failure['hint']}", style="dim")
    return text


def execution_page(detail: Mapping[str, Any]) -> RenderableType:
    """One execution, whole."""
    execution = detail["execution"]
    return Group(
        facts(
            {
                "workflow": f"{execution['workflow_id']} version {execution['version']}",
                "started by": execution["mode"],
                "created": moment(execution["created_at"]),
                "parent": execution["parent_execution_id"],
                "cancelling": "yes" if execution["cancelling"] and execution["status"] == "running" else None,
            }
        ),
        execution_tree(detail),
    )


def executions_table(executions: Sequence[Mapping[str, Any]]) -> Table:
    """Executions in lines."""
    return table(
        *("id", "status", "by", "created", "took", "workflow", "failure"),
        rows=[
            (
                one["id"],
                status_text(one["status"]),
                one["mode"],
                moment(one["created_at"]),
                spent(one["duration_ms"]),
                f"{one['workflow_id']} v{one['version']}",
                one["failure"]["code"] if one["failure"] else "",
            )
            for one in executions
        ],
    )


def workflows_table(workflows: Sequence[Mapping[str, Any]]) -> Table:
    """Workflows in lines."""
    return table(
        *("id", "name", "latest", "published", "changed"),
        rows=[
            (one["id"], one["name"], one["latest_version"], one["published_version"], moment(one["updated_at"]))
            for one in workflows
        ],
    )


def event_line(kind: str, at: str | datetime, data: Any) -> Text:
    """One event of a journal in a line."""
    value = datetime.fromisoformat(at) if isinstance(at, str) else at
    text = Text.assemble((value.astimezone().strftime("%H:%M:%S.%f")[:-3], "dim"), f"  {kind:<27}")
    if isinstance(data, Mapping):
        text.append(str(data.get("node") or data.get("trigger") or data.get("status") or ""))
        failure = data.get("failure")
        if isinstance(failure, Mapping):
            text.append(f"  {failure.get('code')}: {failure.get('message')}", style="red")
    return text


def _node_text(node: Mapping[str, Any]) -> Text:
    text = Text.assemble((node["key"], "bold"), f" {node['type']}  ", status_text(node["status"]))
    ports = [f"{port} {count}" for port, count in node["counts"].items() if count]
    if ports:
        text.append(f"  [{', '.join(ports)}]")
    if node["duration_ms"] is not None:
        text.append(f"  {spent(node['duration_ms'])}")
    if node["tries"] > 1:
        text.append(f"  {node['tries']} tries", style="yellow")
    return text
