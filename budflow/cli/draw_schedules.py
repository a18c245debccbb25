"""What people see of schedules: what is armed, the slots of a rule, and what a backfill started."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from budflow.cli.draw import moment
from budflow.cli.report import table


def schedules_table(schedules: Sequence[Mapping[str, Any]]) -> RenderableType:
    """A row each, and below them why those were refused that were."""
    rows = [
        (
            one["workflow_id"],
            one["node"],
            one["rule"],
            one["timezone"],
            clock(one["next"][0]) if one["next"] else "never again",
            moment(one["last_slot"]),
            "refused" if one["last_error"] else "",
        )
        for one in schedules
    ]
    refused = [
        Text.assemble(
            f"{one['workflow_id']} {one['node']} at {moment(error['slot'])}: ",
            (error["code"], "red"),
            f": {error['message']} {error['hint']}",
        )
        for one in schedules
        if (error := one["last_error"])
    ]
    return Group(table(*("workflow", "node", "rule", "zone", "next", "last", ""), rows=rows), *refused)


def slots_table(view: Mapping[str, Any]) -> Table:
    """The slots of a rule, on the clocks of its time zone and in UTC."""
    return table(view["timezone"], "UTC", rows=[(clock(one["scheduled_at"]), one["slot"]) for one in view["slots"]])


def backfill_table(view: Mapping[str, Any]) -> Table:
    """Slots with their executions."""
    rows = [
        (
            clock(one["scheduled_at"]),
            one["execution_id"] or "",
            "started before" if one["repeated"] else "started" if one["execution_id"] else "would start",
        )
        for one in view["slots"]
    ]
    return table("slot", "execution", "", rows=rows)


def clock(scheduled_at: str) -> str:
    """A time with its offset, as the clocks of its zone show it."""
    return scheduled_at.replace("T", " ")
