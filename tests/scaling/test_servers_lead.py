"""Two real servers on one PostgreSQL: one leads, and hands over when it is told to stop, though it still has work."""

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.processes import Serving, asking, eventually, serving, silence
from tests.rows import fetch

pytestmark = [pytest.mark.process, pytest.mark.postgres]

SECONDS = 60
LEADER = f"""
SELECT runners.pid, leaders.token, leaders.until / 1e6 - {SECONDS} AS since
FROM leaders JOIN runners ON runners.id = leaders.holder
WHERE leaders.until > extract(epoch FROM clock_timestamp()) * 1000000
"""


def leader(url: str) -> Any:
    """The row of the server that leads: its pid and token, and since when, where it has not renewed the lease yet."""
    rows = fetch(url, LEADER)
    return rows[0] if rows else None


def test_a_server_that_is_told_to_stop_hands_over_before_its_work_has_ended(tmp_path: Path, postgres_url: str) -> None:
    settings = {
        "BUDFLOW_DATABASE_URL": postgres_url,
        "BUDFLOW_BLOB_URL": f"file://{tmp_path}/blobs",
        "BUDFLOW_LEADER_SECONDS": str(SECONDS),
    }
    with (
        silence() as service,
        serving(tmp_path / "one", **settings) as one,
        serving(tmp_path / "two", **settings) as two,
    ):
        first = eventually(lambda: leader(postgres_url), "one of them leads")
        assert first["pid"] == one.process.pid  # It began first.
        execution_id = one.start(one.create(asking(service.url)))
        service.asked()

        one.tell(signal.SIGTERM)
        told_at = time.time()
        second = eventually(lambda: _led_by(postgres_url, two), "the other leads")

        assert float(second["since"]) - told_at < 1
        assert second["token"] > first["token"]
        assert one.process.poll() is None
        service.answer()
        one.wait()
        assert two.status_of(execution_id) == "succeeded"


def _led_by(url: str, server: Serving) -> Any:
    row = leader(url)
    return row if row is not None and row["pid"] == server.process.pid else None
