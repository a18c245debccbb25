"""Two real servers on one PostgreSQL: while whoever leads is killed or frozen, each slot starts one execution."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.processes import Serving, eventually, serving
from tests.rows import fetch

pytestmark = [pytest.mark.process, pytest.mark.postgres]

#: How often the leader dies. The long campaign has 200: BUDFLOW_FAIL_OVERS=200 pytest tests/test_schedules.py
FAIL_OVERS = int(os.environ.get("BUDFLOW_FAIL_OVERS", "2"))
SETTINGS = {"BUDFLOW_LEADER_SECONDS": "0.6", "BUDFLOW_LEASE_SECONDS": "1", "BUDFLOW_RETENTION_EXECUTIONS_MAX": "100000"}
SECOND = timedelta(seconds=1)


def ticking(every: str = "1s") -> dict[str, Any]:
    return {
        "format": 1,
        "name": "Tick",
        "nodes": {
            "tick": {"type": "trigger.schedule", "params": {"every": every}},
            "note": {"type": "data.set", "params": {"values": {"at": "{{ $json.slot }}"}}},
        },
        "edges": [{"from": "tick", "to": "note"}],
    }


class Mains:
    """Servers on one database, some of which are killed and replaced."""

    def __init__(self, stack: ExitStack, directory: Path, url: str) -> None:
        self._stack, self._directory, self._url = stack, directory, url
        self._started = 0
        self.living: list[Serving] = []

    def add(self) -> Serving:
        self._started += 1
        shared = {"BUDFLOW_DATABASE_URL": self._url, "BUDFLOW_BLOB_URL": f"file://{self._directory}/blobs"}
        new = serving(self._directory / str(self._started), **shared, **SETTINGS)
        self.living.append(self._stack.enter_context(new))
        return self.living[-1]

    def leader(self) -> Serving | None:
        """The one that says that it leads."""
        for main in self.living:
            try:
                leader = main.client.get("/cluster", timeout=5).json()["leader"]
            except httpx2.TransportError:
                continue
            if leader is not None and leader["here"]:
                return main
        return None

    def find_leader(self) -> Serving:
        found: Serving = eventually(self.leader, "somebody leads")
        return found

    def kill(self, main: Serving) -> None:
        main.tell(signal.SIGKILL)
        main.process.wait()
        self.living.remove(main)


@contextmanager
def open_mains(directory: Path, url: str, count: int = 2) -> Iterator[Mains]:
    with ExitStack() as stack:
        mains = Mains(stack, directory, url)
        for _ in range(count):
            mains.add()
        yield mains


def fired(url: str, workflow_id: str) -> dict[datetime, str]:
    """The slots that started an execution, in their order."""
    rows = fetch(url, "SELECT slot, execution_id FROM schedule_slots WHERE workflow_id = $1 ORDER BY slot", workflow_id)
    return {datetime.fromtimestamp(slot / 1e6, UTC): execution_id for slot, execution_id in rows}


def publish(main: Serving, document: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    workflow_id = main.create(document)
    answer = main.client.post(f"/workflows/{workflow_id}/publish", json={})
    answer.raise_for_status()
    return workflow_id, answer.json()


def test_each_slot_starts_one_execution_while_leaders_are_killed_and_frozen(tmp_path: Path, postgres_url: str) -> None:
    with open_mains(tmp_path, postgres_url) as mains:
        leader = mains.find_leader()
        [other] = [main for main in mains.living if main is not leader]
        workflow_id, answer = publish(other, ticking())
        first = datetime.fromisoformat(answer["schedules"]["tick"][0])
        eventually(lambda: first in fired(postgres_url, workflow_id), "its first slot is fired", seconds=5)

        for number in range(FAIL_OVERS):
            fail_over(mains, frozen=number % 2 == 0)
            newest = max(fired(postgres_url, workflow_id))
            eventually(lambda: max(fired(postgres_url, workflow_id)) > newest, "slots are fired again")  # noqa: B023 - it is called at once

        mains.living[0].client.post(f"/workflows/{workflow_id}/unpublish", json={}).raise_for_status()
        stopped_at = datetime.now(UTC)
        # Another one shows that time has passed for schedules too.
        again, _ = publish(mains.living[0], ticking())
        eventually(lambda: len(fired(postgres_url, again)) > 1, "two more slots have passed")

        slots = fired(postgres_url, workflow_id)
        assert max(slots) <= stopped_at
        assert [later - slot for slot, later in pairwise(slots)] == [SECOND] * (len(slots) - 1)
        started = fetch(postgres_url, "SELECT id FROM executions WHERE workflow_id = $1", workflow_id)
        assert sorted(row["id"] for row in started) == sorted(slots.values())
        unfinished = "SELECT id FROM executions WHERE workflow_id = $1 AND status <> 'succeeded'"
        eventually(lambda: not fetch(postgres_url, unfinished, workflow_id), "every execution succeeds")
        print(f"{FAIL_OVERS} fail-overs, {len(slots)} slots, {len(started)} executions")  # noqa: T201 - of the campaign


def fail_over(mains: Mains, *, frozen: bool) -> None:
    """Kill the leader; or freeze it until another leads, and let it go on then. There is always another."""
    if len(mains.living) == 1:
        mains.add()
    leader = mains.find_leader()
    if not frozen:
        mains.kill(leader)
        mains.find_leader()
        return
    leader.tell(signal.SIGSTOP)
    mains.living.remove(leader)
    mains.find_leader()
    leader.tell(signal.SIGCONT)
    mains.living.append(leader)
