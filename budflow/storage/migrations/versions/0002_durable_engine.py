"""What waiting, signals, takeovers and limits need; existing rows get the defaults."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _widen_executions()
    _index_executions()
    op.create_table(
        "runners",
        sa.Column("id", ID, primary_key=True),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("lease_until", sa.BigInteger, nullable=False),
        sa.Column("lock_key", sa.BigInteger),
    )
    _make_signals_and_waits()
    op.create_table(
        "trigger_keys",
        sa.Column("project_id", ID, nullable=False),
        sa.Column("key", ID, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("execution_id", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("project_id", "key"),
    )
    op.create_index("trigger_keys_by_age", "trigger_keys", ["created_at"])
    op.create_table(
        "snapshots",
        sa.Column("execution_id", ID, primary_key=True),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "static_data",
        sa.Column("project_id", ID, nullable=False),
        sa.Column("workflow_id", ID, nullable=False),
        sa.Column("node", ID, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("project_id", "workflow_id", "node"),
    )
    op.create_table(
        "rates",
        sa.Column("project_id", ID, nullable=False),
        sa.Column("key", ID, nullable=False),
        sa.Column("free_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("project_id", "key"),
    )
    op.create_table(
        "server_keys",
        sa.Column("name", ID, primary_key=True),
        sa.Column("key", sa.LargeBinary, nullable=False),
    )


def _widen_executions() -> None:
    for column in (
        sa.Column("waiting", sa.Text),
        sa.Column("wake_at", sa.BigInteger),
        sa.Column("takeovers", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("progress_seq", sa.Integer, nullable=False, server_default=sa.text("-1")),
        sa.Column("not_before", sa.BigInteger),
        sa.Column("origin_execution_id", ID),
        sa.Column("origin_kind", sa.Text),
        sa.Column("origin_node", sa.Text),
        sa.Column("scope", sa.Text),
        sa.Column("limit_key", sa.Text),
        sa.Column("limit_max", sa.Integer),
        sa.Column("limit_policy", sa.Text),
        sa.Column("parent_awaited", sa.Boolean),
        sa.Column("traceparent", sa.Text),
    ):
        op.add_column("executions", column)


def _index_executions() -> None:
    op.drop_index("executions_to_claim", "executions")  # Made anew: claims go by stream now.
    due = "(status = 'queued' OR status = 'waiting' AND wake_at IS NOT NULL)"
    limited = "status = 'queued' AND limit_key IS NOT NULL AND NOT cancelling"
    gate = sa.text(f"(CASE WHEN {limited} THEN limit_key ELSE '' END)")
    since = sa.text("(CASE WHEN wake_at > 0 THEN wake_at ELSE created_at END)")
    stream: list[str | sa.TextClause] = ["project_id", "workflow_id", gate, "priority", since, "id"]
    _index_where(f"{due} AND takeovers < 2", "executions_to_claim", stream)
    _index_where(f"{due} AND takeovers >= 2", "executions_suspected", ["not_before"])
    _index_where("status = 'waiting'", "executions_to_wake", ["wake_at"])
    _index_where("status = 'running'", "executions_by_runner", ["runner"])
    taken = "limit_key IS NOT NULL AND status IN ('running', 'waiting')"
    _index_where(taken, "executions_taken_by_limit", ["limit_key"])
    _index_where("status = 'queued'", "executions_queued", ["limit_key"])


def _index_where(condition: str, name: str, columns: Sequence[str | sa.TextClause]) -> None:
    where = sa.text(condition)
    op.create_index(name, "executions", columns, sqlite_where=where, postgresql_where=where)


def _make_signals_and_waits() -> None:
    op.create_table(
        "signals",
        sa.Column("execution_id", ID, nullable=False),
        sa.Column("key", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("encoding", sa.SmallInteger, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("execution_id", "key"),
    )
    op.create_table(
        "waits",
        sa.Column("execution_id", ID, nullable=False),
        sa.Column("key", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger),
        sa.Column("ask", sa.Text, nullable=False),
        sa.Column("answered", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("execution_id", "key"),
    )
    op.create_index("waits_by_project", "waits", ["project_id", "opened_at"])
