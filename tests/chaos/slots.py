"""A schedule that fires every second while leaders die: each of its slots starts one execution, never none or two."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.crash.server import Server
from tests.processes import eventually
from tests.rows import fetch

SECOND_MICROS = 1_000_000
TICKING: dict[str, Any] = {
    "format": 1,
    "name": "Chaos: tick",
    "nodes": {
        "tick": {"type": "trigger.schedule", "params": {"every": "1s"}},
        "note": {"type": "data.set", "params": {"values": {"at": "{{ $json.slot }}"}}},
    },
    "edges": [{"from": "tick", "to": "note"}],
}


@dataclass(frozen=True, slots=True)
class Slots:
    """What became of the schedule. `fired_at` are the Unix times at which its executions were made."""

    fired_at: Sequence[float]
    missing: int
    doubled: int
    unfinished: int

    def next_after(self, at: float) -> float | None:
        """Seconds until it fired again."""
        return next((fired - at for fired in self.fired_at if fired > at), None)


def publish(main: Server) -> str:
    """Let it fire; the id of its workflow, once it has fired first."""
    workflow_id = main.serving.create(TICKING)
    main.client.post(f"/workflows/{workflow_id}/publish", json={}).raise_for_status()
    return workflow_id


def stop(main: Server, workflow_id: str, database_url: str) -> Slots:
    """Let it fire no more; what became of it when its executions have ended."""
    main.client.post(f"/workflows/{workflow_id}/unpublish", json={}).raise_for_status()
    unfinished = "SELECT count(*) FROM executions WHERE workflow_id = $1 AND status <> 'succeeded'"

    def ended() -> bool:
        return not fetch(database_url, unfinished, workflow_id)[0][0]

    try:
        eventually(ended, "the executions of the schedule succeed")
        left = 0
    except AssertionError:
        left = fetch(database_url, unfinished, workflow_id)[0][0]
    made = fetch(database_url, "SELECT id, created_at FROM executions WHERE workflow_id = $1", workflow_id)
    rows = fetch(
        database_url, "SELECT slot, execution_id FROM schedule_slots WHERE workflow_id = $1 ORDER BY slot", workflow_id
    )
    gaps = [(later - slot) // SECOND_MICROS - 1 for (slot, _), (later, _) in pairwise(rows)]
    extra = {row[0] for row in made} - {row[1] for row in rows}
    return Slots(sorted(row[1] / 1e6 for row in made), sum(gaps), len(extra), left)
