"""What people see of the difference of two versions: a line for each node, value and edge that changed."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from rich.table import Table
from rich.text import Text

from budflow.cli.report import table

SHOWN_CHARS_MAX = 60
SIGNS = {"added": Text("+", style="green"), "removed": Text("-", style="red"), "changed": Text("~", style="yellow")}


def difference_table(view: Mapping[str, Any]) -> Table:
    """Everything that `diff_versions` tells, what belongs to one node below it."""
    return table("", "what", "before", "after", rows=_rows(view))


def _rows(view: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    for change in (*view["document"], *view["settings"]):
        yield SIGNS["changed"], change["path"], _shown(change["before"]), _shown(change["after"])
    for node in view["nodes"]:
        moved = f", moved from {node['moved_from']}" if node["moved_from"] else ""
        yield SIGNS[node["kind"]], f"{node['path']} ({node['type']}){moved}", "", ""
        for change in node["changes"]:
            yield "", f"  {change['path']}", _shown(change["before"]), _shown(change["after"])
    for edge in view["edges"]:
        where = f"  in {edge['path']}" if edge["path"] else ""
        yield SIGNS[edge["kind"]], f"{edge['source']} → {edge['target']}{where}", "", ""


def _shown(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= SHOWN_CHARS_MAX else f"{text[:SHOWN_CHARS_MAX]}…"
