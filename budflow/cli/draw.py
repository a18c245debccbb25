"""What people see of workflows and executions: tables, and an execution as a tree of its nodes."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
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
    "unrecorded": "dim",
    "pending": "dim",
}


LEVEL_COLOURS = {"debug": "dim", "info": "", "warning": "yellow", "error": "red"}


def status_text(status: str) -> Text:
    """A status in its colour, and what may follow it after a colon."""
    return Text(status, style=COLOURS.get(status.partition(":")[0], ""))


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
    if place.get("isolation"):
        parts.append(f"code by {place.get('label') or place['isolation']}")
    return ", ".join(parts)


def execution_tree(detail: Mapping[str, Any], children: Mapping[str, Mapping[str, Any]] | None = None) -> Tree:
    """An execution with its segments and where each ran, and their nodes with times and items by port.

    `detail` is an ExecutionDetailView as JSON; `children` those of called executions by id, drawn below their callers.
    What ran in the body of a container is drawn below the container.
    """
    execution = detail["execution"]
    head = Text.assemble(
        (execution["id"], "bold"), "  ", status_text(execution["status"]), f"  {spent(execution['duration_ms'])}"
    )
    tree = Tree(head)
    inside: dict[str | None, list[Mapping[str, Any]]] = {}
    for node in detail["nodes"]:
        inside.setdefault(node.get("container"), []).append(node)
    if None not in inside:  # Only nodes inside of a container were asked for.
        inside = {None: detail["nodes"]}
    _add_nodes(tree, inside.get(None, []), inside, children or {})
    for failure in (execution.get("failure"), detail.get("problem")):
        if failure:
            tree.add(failure_text(failure))
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
                "waits for": execution.get("waiting"),
                "goes on": moment(execution.get("wake_at")) or None,
                "called by": _who(execution.get("parent")),
                "repeats": _who(execution.get("origin")),
                "taken over": f"{execution['takeovers']} times, in a row" if execution.get("takeovers") else None,
                "cancelled by": detail.get("cancelled_by"),
                "cancelling": "yes" if execution["cancelling"] and execution["status"] == "running" else None,
            }
        ),
        execution_tree(detail),
        *([waits_table(detail["waits"])] if detail.get("waits") else []),
    )


def waits_table(waits: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Open waits in lines, and below them the addresses by which somebody without an account may answer."""
    rows = [
        (
            one["execution_id"],
            one["node"],
            one["reason"] + (" (answered)" if one["answered"] else ""),
            moment(one["until"]),
            one["ask"].get("text", ""),
        )
        for one in waits
    ]
    # A line of its own, so that an address can be copied whole.
    addresses = [Text(f"{one['node']}: {one['resume_url']}") for one in waits if one["resume_url"]]
    return Group(table(*("execution", "node", "reason", "until", "asks"), rows=rows), *addresses)


def executions_table(executions: Sequence[Mapping[str, Any]]) -> Table:
    """Executions in lines."""
    return table(
        *("id", "status", "by", "created", "took", "workflow", "failure"),
        rows=[
            (
                one["id"],
                status_text(one["status"] + (f": {one['waiting']}" if one.get("waiting") else "")),
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


def nodes_table(document: Mapping[str, Any]) -> Table:
    """The nodes of a document in lines, those in bodies indented below their containers."""
    return table("node", "type", "notes", rows=list(_node_rows(document, "")))


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


def log_line(line: Mapping[str, Any]) -> Text:
    """One line of a log: time, level, node, message, fields."""
    value = datetime.fromisoformat(line["at"])
    when = (value.astimezone().strftime("%H:%M:%S.%f")[:-3], "dim")
    text = Text.assemble(when, (f"  {line['level']:<7}", LEVEL_COLOURS[line["level"]]))
    item = "" if line["item"] is None else f" #{line['item']}"
    text.append(f"  {line['node'] or '-'}{item}  ", style="bold" if line["source"] == "node" else "dim")
    text.append(_harmless(line["message"]))
    for name, field in line["fields"].items():
        shown = field if isinstance(field, str) else orjson.dumps(field).decode()
        text.append(f"  {_harmless(name)}={_harmless(shown)}", style="dim")
    return text


def _harmless(text: str) -> str:
    """Without what would be a command for the terminal, or another line."""
    return "".join(character if character.isprintable() else " " for character in text)


def _add_nodes(
    tree: Tree,
    nodes: Sequence[Mapping[str, Any]],
    inside: Mapping[str | None, Sequence[Mapping[str, Any]]],
    children: Mapping[str, Mapping[str, Any]],
) -> None:
    """Draw the nodes of one graph by segment; `inside` are those in bodies, by the key of their container."""
    segments: dict[int, Tree] = {}
    for node in nodes:
        number = node["segment"]
        if number not in segments:
            where = _where([one for one in nodes if one["segment"] == number])
            segments[number] = tree.add(Text(f"segment {number} · {where}", style="dim"))
        branch = segments[number].add(_node_text(node))
        for child in node["children"]:
            known = children.get(child)
            branch.add(execution_tree(known, children) if known is not None else Text(f"called {child}"))
        bodies: dict[str, list[Mapping[str, Any]]] = {}
        for inner in inside.get(node["key"], ()):
            bodies.setdefault(inner["body"], []).append(inner)
        for name, members in bodies.items():
            _add_nodes(branch.add(Text(name, style="italic")), members, inside, children)


def _where(segment: Sequence[Mapping[str, Any]]) -> str:
    """Where the nodes of a segment ran, as far as any of them tells."""
    places = filter(None, (place_text(node["place"]) for node in segment))
    silent = "not recorded" if any(node["status"] == "unrecorded" for node in segment) else "did not run"
    return next(places, silent)


def _node_rows(graph: Mapping[str, Any], indent: str) -> Iterator[tuple[str, str, str]]:
    for key, node in graph["nodes"].items():
        yield f"{indent}{key}", node["type"], node.get("notes", "")
        for name, body in node.get("bodies", {}).items():
            yield f"{indent}  {name}:", "", ""
            yield from _node_rows(body, f"{indent}    ")


def _who(other: Mapping[str, Any] | None) -> str | None:
    if other is None:
        return None
    kind = f"{other['kind']} of " if "kind" in other else ""
    return f"{kind}{other['execution_id']}" + (f", node {other['node']}" if other["node"] else "")


def _node_text(node: Mapping[str, Any]) -> Text:
    text = Text.assemble((node["key"], "bold"), f" {node['type']}  ", status_text(node["status"]))
    if node["runs"] > 1:
        text.append(f"  {node['runs']} runs")
    if node.get("progress"):
        text.append(f"  {node['progress']['done']} of {node['progress']['total']}", style="cyan")
    ports = [f"{port} {count}" for port, count in node["counts"].items() if count]
    if ports:
        text.append(f"  [{', '.join(ports)}]")
    if node["duration_ms"] is not None:
        text.append(f"  {spent(node['duration_ms'])}")
    if node["tries"] > 1:
        text.append(f"  {node['tries']} tries", style="yellow")
    if node.get("failed_at"):
        text.append(f"  failed at {', '.join(node['failed_at'][:5])}", style="red")
    return text
