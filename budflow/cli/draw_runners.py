"""What `budflow worker --ray` shows while it runs: its actors when one of them changes, and what cannot be had."""

import time
from collections.abc import Mapping
from typing import Any, TextIO

import orjson
from rich.text import Text

from budflow.cli.draw import moment, status_text
from budflow.cli.report import err, table
from ray_jobs.pool_status import PoolStatus

#: What of an actor is news at once, and how often at most it is shown that another number of executions runs.
NEWS = ("actor", "state", "pid", "runner")
LOADS_SECONDS = 10.0


class RunnersShown:
    """Is told the status every second, and shows it when it says something new; how busy they are only at times."""

    def __init__(self, json_lines: TextIO | None) -> None:
        """Each status that is shown is one line of JSON on `json_lines`, or without it a table on stderr."""
        self._json_lines, self._news, self._shown_at = json_lines, b"", float("-inf")
        self._loads: list[int | None] = []

    def __call__(self, status: PoolStatus) -> None:
        """Take the newest status."""
        shape, now = status.to_json(), time.monotonic()
        news = orjson.dumps([[[one.get(name) for name in NEWS] for one in shape["runners"]], shape["problems"]])
        loads = [one.get("running") for one in shape["runners"]]
        if news == self._news and (loads == self._loads or now - self._shown_at < LOADS_SECONDS):
            return
        self._news, self._loads, self._shown_at = news, loads, now
        if self._json_lines is None:
            _draw(shape)
            return
        self._json_lines.write(orjson.dumps(shape).decode() + "\n")
        self._json_lines.flush()


def _draw(shape: Mapping[str, Any]) -> None:
    console = err()
    rows = [
        (
            one["actor"],
            status_text(one["state"]),
            _load(one),
            one["host"],
            one.get("pid"),
            moment(one.get("since")),
        )
        for one in shape["runners"]
    ]
    title = f"{len(rows)} runner actors on Ray at {shape['ray']}; Ctrl-C drains them"
    console.print(table("actor", "state", "running", "host", "pid", "since", rows=rows, title=title))
    for problem in shape["problems"]:
        console.print(Text(f"{problem['message']} [{problem['code']}]"))
        console.print(Text.assemble(("Hint: ", "bold"), problem["hint"]))


def _load(one: Mapping[str, Any]) -> str:
    return f"{one['running']} of {one['running_max']}" if one.get("runner") else ""
