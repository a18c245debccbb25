"""Figures of the queue over every adapter, and that none of them looks at all executions that ended."""

import sqlite3
from datetime import timedelta
from pathlib import Path

import asyncpg

from budflow.model.identity import utc_now
from budflow.services.cluster_ports import Passed, QueueFigures
from budflow.services.ports import Store
from budflow.storage.queue_figures import ENDED_SQL, QUEUED_SQL, WAITING_SQL, first_id
from budflow.storage.sqlite.store import SqliteStore
from tests.storage.conftest import OpenStore
from tests.storage.journals import end, execution, queued, running, waiting

EMPTY = QueueFigures({"queued": 0, "running": 0, "waiting": 0})


async def test_an_empty_store_has_no_figures(store: Store) -> None:
    assert await store.cluster.queue_figures() == EMPTY
    assert await store.cluster.count_passed(utc_now() - timedelta(minutes=1)) == Passed(0, {})
    await store.cluster.ping()


async def test_what_has_not_ended_is_counted_by_status_priority_and_reason(store: Store) -> None:
    await store.append(end(await running(store)))
    await waiting(store)
    await waiting(store, wake_at=utc_now() + timedelta(hours=1))
    await running(store)
    oldest = await queued(store, created_at=utc_now() - timedelta(hours=1), priority=5)
    await queued(store, priority=-1)
    await queued(store, priority=5)

    figures = await store.cluster.queue_figures()

    assert figures == QueueFigures(
        {"queued": 3, "running": 1, "waiting": 2}, {-1: 1, 5: 2}, {"approval": 2}, oldest.created_at
    )
    assert figures.oldest_seconds(oldest.created_at + timedelta(seconds=90)) == 90


async def test_only_what_came_and_ended_since_is_counted(store: Store) -> None:
    await store.append(end(await running(store, workflow_id="wf_a")))
    await store.append(end(await running(store, workflow_id="wf_b")))
    await store.append(end(await running(store, workflow_id="wf_b"), status="failed"))
    await queued(store)
    began = utc_now()

    assert await store.cluster.count_passed(began - timedelta(minutes=1)) == Passed(4, {"failed": 1, "succeeded": 2})
    assert await store.cluster.count_passed(began + timedelta(minutes=1)) == Passed(0, {})


async def test_a_store_knows_the_revision_of_its_tables(store: Store) -> None:
    assert store.cluster.schema is None or store.cluster.schema.isdigit()


async def test_commits_are_counted(store: Store) -> None:
    await queued(store)

    figures = store.cluster.figures
    assert figures.commits.count == figures.group_sizes.count
    assert store.cluster.schema is None or figures.commits.count > 0


def test_the_ids_of_a_millisecond_begin_with_its_first_id() -> None:
    made = execution()
    now = utc_now()

    assert first_id(now - timedelta(seconds=1)) < made.id < first_id(now + timedelta(seconds=1))


async def test_no_figure_needs_a_look_at_all_executions(open_again: OpenStore, database: str | Path) -> None:
    store = await open_again()
    for number in range(3):
        await store.append(end(await running(store, workflow_id=f"wf_{number}")))
    ended = ENDED_SQL.replace(":since", "0")
    newest = "SELECT count(*) FROM executions WHERE id >= 'exe_0192f0c1a2b3'"

    for statement in (QUEUED_SQL, WAITING_SQL, ended, newest):
        plan = await explained(database, statement)
        assert [line for line in plan if is_scan(line)] == [], statement


async def explained(database: str | Path, statement: str) -> list[str]:
    """The plan in lines; of PostgreSQL the one that a large table would get."""
    if isinstance(database, Path):
        conn = sqlite3.connect(database)
        try:
            return [row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {statement}")]
        finally:
            conn.close()
    pg = await asyncpg.connect(database)
    try:
        await pg.execute("SET enable_seqscan = off")
        return [row[0].strip() for row in await pg.fetch(f"EXPLAIN {statement}")]
    finally:
        await pg.close()


def is_scan(line: str) -> bool:
    """Whether a line of a plan is a look at every row, or at every entry of an index that has them all."""
    partial = ("executions_queued", "executions_to_wake", "executions_to_claim", "executions_ended")
    if line.startswith("SCAN ") and "executions" in line:
        return not any(f"INDEX {name}" in line for name in partial)
    return "Seq Scan on executions" in line


async def test_ended_executions_cost_a_step_a_workflow_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "budflow.db"
    store = await SqliteStore.open(path)
    await store.append(end(await running(store)))
    conn = sqlite3.connect(path)
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    try:
        conn.execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) INSERT INTO executions "
            "(id, project_id, workflow_id, version, mode, status, created_at, finished_at, cancelling, priority, token)"
            " SELECT printf('exe_00%030d', i), 'default', 'wf_' || i % 5, 1, 'api', 'succeeded', 1, i, 0, 0, 1 FROM n"
        )
        conn.commit()
        conn.set_progress_handler(count, 1)
        conn.execute(ENDED_SQL, {"since": 10**15}).fetchall()
    finally:
        conn.close()

    assert steps < 5_000
    assert await store.cluster.count_passed(utc_now() - timedelta(minutes=1)) == Passed(1, {"succeeded": 1})
    await store.close()
