"""The shapes of execution of which golden journals are kept: a folder each, with workflow, items and journal."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from budflow.execution.ports import Work
from budflow.execution.run import Run
from budflow.execution.tools import Tools
from budflow.graph.plan import Plan, compile_plan
from budflow.graph.validate import check
from budflow.model import event as e
from budflow.model.event import StoredEvent
from budflow.model.identity import utc_now
from budflow.model.item import ItemList, Json
from budflow.model.journal import decode, encode
from tests.execution.fakes import PLACE, REGISTRY, FakeHttp, FakeLink, execution_of

HERE = Path(__file__).parent
#: What differs from run to run.
VARYING = {"at", "started_at", "until", "runner", "place", "duration_ms"}


def plan_of(document: Mapping[str, Any]) -> Plan:
    """A stored workflow, compiled."""
    return compile_plan(check(document, REGISTRY).require("run"), REGISTRY, workflow_id="wf_1", version=1)


async def play(document: Mapping[str, Any], events: Sequence[e.Event]) -> FakeLink:
    """Run an execution from its events so far to its end."""
    link = FakeLink()
    link.events = [*events]
    link.vault.put("auth", "a secret that is in no journal")
    work = Work(execution_of("exe_1"), document, plan_of(document), tuple(events))
    run = Run(work, link, Tools(PLACE, FakeHttp()), "run_1")
    run.start()
    async with asyncio.timeout(10):
        await run.wait()
    return link


def admitted(items: Sequence[Json]) -> e.Admitted:
    """The first event."""
    return e.Admitted(utc_now(), "start", "api", "test", ItemList.of(items))


def write_rows(path: Path, events: Sequence[e.Event]) -> None:
    """A journal as rows, one a line."""
    rows = [encode(seq, event) for seq, event in enumerate(events)]
    lines = [
        orjson.dumps([row.seq, row.type, row.version, row.at, orjson.Fragment(row.payload)]).decode() for row in rows
    ]
    path.write_text("\n".join(lines) + "\n")


def read_rows(path: Path) -> list[StoredEvent]:
    """The rows of a kept journal."""
    rows = []
    for line in path.read_text().splitlines():
        seq, kind, version, at, payload = orjson.loads(line)
        rows.append(StoredEvent(seq, kind, version, datetime.fromisoformat(at), orjson.dumps(payload)))
    return rows


def stream(events: Sequence[e.Event]) -> list[Json]:
    """A journal without what varies."""
    return [{"type": event.TYPE, **_steady(orjson.loads(encode(0, event).payload))} for event in events]


def _steady(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _steady(inner) for key, inner in value.items() if key not in VARYING}
    if isinstance(value, list):
        return [_steady(inner) for inner in value]
    return re.sub(r"(exe|wf)_[0-9a-f]{32}", r"\1", value) if isinstance(value, str) else value


def events_of(path: Path) -> list[e.Event]:
    """A kept journal, read by this release."""
    return [decode(row) for row in read_rows(path)]
