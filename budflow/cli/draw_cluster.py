"""What people see of an installation: its leader, queue and throughput in words, its runners and Ray nodes in lines."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from budflow.cli.draw import moment
from budflow.cli.report import table

GIGABYTE = 1_000_000_000
#: What Ray counts in bytes.
IN_BYTES = ("memory", "object_store_memory")


def leader_text(leader: Mapping[str, Any] | None) -> str | None:
    """Who leads, and for how long that is certain."""
    if leader is None:
        return None
    where = " (this server)" if leader["here"] else ""
    until = f"until {moment(leader['until'])}" if leader["until"] else "as long as it lives"
    return f"{leader['holder']}{where}, {until}, token {leader['token']}"


def queue_text(queue: Mapping[str, Any]) -> str:
    """How many are queued, since when and with which priorities."""
    if not queue["queued"]:
        return "empty"
    said = f"{queue['queued']}, the oldest for {queue['oldest_queued_seconds']:.1f} s"
    priorities = queue["queued_by_priority"]
    if list(priorities) == ["0"]:
        return said
    return f"{said}; " + ", ".join(f"{count} of priority {priority}" for priority, count in priorities.items())


def waiting_text(queue: Mapping[str, Any]) -> str | None:
    """What the waiting wait for."""
    return ", ".join(f"{count} for {reason}" for reason, count in queue["waiting_by_reason"].items()) or None


def throughput_text(throughput: Mapping[str, Any]) -> str:
    """What passed through lately."""
    return (
        f"{throughput['admitted_per_second']:.1f} in, {throughput['ended_per_second']:.1f} ended, "
        f"{throughput['failed_per_second']:.1f} failed a second (last {throughput['seconds']:g} s)"
    )


def latency_text(latency: Mapping[str, Any] | None) -> str:
    """How long an answer takes."""
    return "" if latency is None else f"{latency['last_ms']:.1f} ms, median {latency['median_ms']:.1f} ms"


def wakes_text(wakes: Mapping[str, Any]) -> str:
    """How servers tell each other."""
    if wakes["by"] == "here":
        return "alone"
    return f"by {wakes['by']}" + ("" if wakes["hears"] else ", which is away: others are heard by looking, within 2 s")


def runners_table(runners: Sequence[Mapping[str, Any]]) -> Table:
    """Runners in lines."""
    return table(
        *("id", "kind", "where", "since", "lease", "running", "taken over"),
        rows=[
            (
                one["id"],
                one["kind"],
                f"{one['host']} pid {one['pid']}" + (f" node {one['ray_node'][:8]}" if one["ray_node"] else ""),
                moment(one["started_at"]),
                _lease(one),
                f"{one['running']}" + (f" of {one['running_max']}" if one["running_max"] else ""),
                one["taken_over"],
            )
            for one in runners
        ],
    )


def ray_nodes_table(nodes: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Ray nodes in lines: of each resource what is free and what there is."""
    return table(
        *("id", "host", "state", "free of its resources", "labels"),
        rows=[
            (
                node["id"][:12],
                node["host"],
                Text("alive", style="green") if node["alive"] else Text("dead", style="red"),
                ", ".join(
                    _share(name, node["available"].get(name, 0.0), total) for name, total in node["resources"].items()
                ),
                ", ".join(f"{name}={value}" for name, value in node["labels"].items()),
            )
            for node in nodes
        ],
    )


def _lease(runner: Mapping[str, Any]) -> str:
    if runner["lease_until"] is None:
        return "as long as it lives"
    return f"until {moment(runner['lease_until'])} ({runner['lease_seconds_left']:.1f} s)"


def _share(name: str, free: float, total: float) -> str:
    if name in IN_BYTES:
        return f"{name} {free / GIGABYTE:.1f}/{total / GIGABYTE:.1f} GB"
    return f"{name} {free:g}/{total:g}"
