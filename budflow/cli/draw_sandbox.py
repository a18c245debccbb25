"""The sandbox on a terminal: one line of the status, and all that it tells of itself."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from budflow.cli.report import facts, table

DIGEST_CHARS = len("sha256:") + 12


def sandbox_text(sandbox: Mapping[str, Any]) -> Text:
    """How code is isolated and how much of it there is, or why none runs."""
    match sandbox["state"]:
        case "off":
            return Text("off: no code runs", style="dim")
        case "idle":
            return Text(f"{sandbox['wanted']}: it is started with the first code", style="dim")
        case "failed":
            return Text(f"{sandbox['problem']} {sandbox['hint']}", style="red")
    words = [isolation_text(sandbox["isolation"])]
    if sandbox["image"]:
        words.append(f"image {sandbox['image'][:DIGEST_CHARS]}")
    words.append(f"{workers_text(sandbox['workers'])} of at most {sandbox['workers_max']} workers")
    words.append(f"{sandbox['queued']} tasks wait")
    text = Text(", ".join(words), style="yellow" if sandbox["label"] else "")
    return text.append(f" {sandbox['problem']}", style="red") if sandbox["problem"] else text


def described_text(told: Mapping[str, Any]) -> RenderableType:
    """All that a sandboxd tells of itself."""
    runner = told["runner"]
    head = {
        "isolation": isolation_text(told["isolation"]),
        "budflow": told["version"],
        "tasks": f"{told['running']} here, {told['queued']} of them waiting, {told['tasks_done']} done",
        "failures": ", ".join(f"{count} {code}" for code, count in told["failures"].items()) or None,
        "starts": f"{told['starts']}, {told['starts_failed']} failed, median {told['start_seconds_median']} s",
        "external": told["external_port"] and f"by TLS on port {told['external_port']}",
        **{name.replace("_", " "): _plain(value) for name, value in runner.items() if name != "isolation"},
    }
    columns = ("count", "state", "project", "isolation", "memory_mb", "egress", "image")
    rows = [[one[column] for column in columns] for one in told["workers"]]
    return Group(facts(head), table(*columns, rows=rows, title=f"\nWorkers, of at most {told['workers_max']}"))


def isolation_text(isolation: str | None) -> str:
    """Containers or processes, and what that is worth."""
    return "process (reduced isolation)" if isolation == "process" else str(isolation)


def workers_text(workers: Mapping[str, int]) -> str:
    """How many there are, and what they are doing."""
    states = ", ".join(f"{count} {state}" for state, count in sorted(workers.items()))
    return f"{sum(workers.values())} ({states})" if states else "0"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {one}" for name, one in value.items())
    return ", ".join(map(str, value)) or None if isinstance(value, list) else value
