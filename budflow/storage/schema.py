"""The tables, one metadata for SQLite and PostgreSQL; budflow/storage/migrations makes them.

Times are microseconds since 1970 in UTC. JSON stands as text, because PostgreSQL's jsonb refuses `\\u0000`.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    TextClause,
    text,
)

metadata = MetaData()

#: Ids sort by their bytes everywhere: cursors and claims depend on it, and a locale's order costs time.
Id = Text().with_variant(Text(collation="C"), "postgresql")

projects = Table("projects", metadata, Column("id", Id, primary_key=True))

workflows = Table(
    "workflows",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    Column("name", Text, nullable=False),
    # The name in folded case: SQLite's lower() knows only ASCII, PostgreSQL's depends on the locale.
    Column("name_folded", Text, nullable=False),
    Column("latest_version", Integer, nullable=False),
    Column("published_version", Integer),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Index("workflows_by_project", "project_id", "id"),
)

# No foreign key to the workflow: versions outlive it, since its executions are read, and go on, by them.
workflow_versions = Table(
    "workflow_versions",
    metadata,
    Column("workflow_id", Id, nullable=False),
    Column("version", Integer, nullable=False),
    Column("project_id", Id, nullable=False),
    Column("document", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    PrimaryKeyConstraint("workflow_id", "version"),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("method", Id, nullable=False),
    Column("shape", Id, nullable=False),
    Column("project_id", Id, nullable=False),
    Column("workflow_id", Id, nullable=False),
    Column("version", Integer, nullable=False),
    Column("node", Text, nullable=False),
    Column("path", Text, nullable=False),
    PrimaryKeyConstraint("method", "shape"),
    ForeignKeyConstraint(["workflow_id", "version"], ["workflow_versions.workflow_id", "workflow_versions.version"]),
    Index("webhooks_by_workflow", "workflow_id"),
)

# No foreign keys on the two hot tables: each costs a lookup (PostgreSQL: a row lock) for every row, and what they
# would guard is written in one transaction anyway. Executions outlive their workflow by design.
executions = Table(
    "executions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project_id", Id, nullable=False),
    Column("workflow_id", Id, nullable=False),
    Column("version", Integer, nullable=False),
    Column("mode", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("cancelling", Boolean, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("parent_execution_id", Id),
    Column("parent_node", Text),
    Column("parent_call", Integer),
    Column("depth", Integer),
    Column("runner", Text),
    Column("token", BigInteger, nullable=False),
    Column("failure", Text),
    Column("waiting", Text),
    # From when on it may be claimed though it waits; 0 is "now". Null: only a signal wakes it.
    Column("wake_at", BigInteger),
    Column("takeovers", Integer, nullable=False, server_default=text("0")),
    # The last seq that was no `execution.started` at the last takeover: whether it made progress since.
    Column("progress_seq", Integer, nullable=False, server_default=text("-1")),
    # The end of a suspect's back-off.
    Column("not_before", BigInteger),
    Column("origin_execution_id", Id),
    Column("origin_kind", Text),
    Column("origin_node", Text),
    Column("scope", Text),
    Column("limit_key", Text),
    Column("limit_max", Integer),
    Column("limit_policy", Text),
    # Null is true: rows that are older than the column have only parents that wait for them.
    Column("parent_awaited", Boolean),
    Column("traceparent", Text),
    Index("executions_by_project", "project_id", "id"),
    Index("executions_by_workflow", "project_id", "workflow_id", "id"),
    Index("executions_by_status", "project_id", "status", "id"),
)


# What claims look at, written once for the index and for the statements that must repeat it word for word to use it;
# `{0}` is the table's prefix. The gate is the limit to pass, "" where there is none or the execution counts already;
# `wake_at` 0 ("now") says nothing about how long it has waited.
CLAIMABLE = "({0}status = 'queued' OR {0}status = 'waiting' AND {0}wake_at IS NOT NULL) AND {0}takeovers < 2"
SUSPECTED = "({0}status = 'queued' OR {0}status = 'waiting' AND {0}wake_at IS NOT NULL) AND {0}takeovers >= 2"
GATE = (
    "(CASE WHEN {0}status = 'queued' AND {0}limit_key IS NOT NULL AND NOT {0}cancelling THEN {0}limit_key ELSE '' END)"
)
SINCE = "(CASE WHEN {0}wake_at > 0 THEN {0}wake_at ELSE {0}created_at END)"


def _partial_index(name: str, where: str, *columns: ColumnElement[Any] | TextClause) -> None:
    Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


_c = executions.c
_partial_index(
    "executions_to_claim",
    CLAIMABLE.format(""),
    _c.project_id,
    _c.workflow_id,
    text(GATE.format("")),
    _c.priority,
    text(SINCE.format("")),
    _c.id,
)
_partial_index("executions_suspected", SUSPECTED.format(""), _c.not_before)
_partial_index("executions_cancelling", "cancelling", _c.runner)
_partial_index("executions_to_wake", "status = 'waiting'", _c.wake_at)
_partial_index("executions_by_runner", "status = 'running'", _c.runner)
_partial_index("executions_taken_by_limit", "limit_key IS NOT NULL AND status IN ('running', 'waiting')", _c.limit_key)
_partial_index("executions_ended", "finished_at IS NOT NULL", _c.project_id, _c.workflow_id, _c.status, _c.finished_at)
_partial_index("executions_by_parent", "parent_execution_id IS NOT NULL", _c.parent_execution_id)
_partial_index("executions_by_origin", "origin_execution_id IS NOT NULL", _c.origin_execution_id)
_partial_index("executions_queued", "status = 'queued'", _c.limit_key)  # Also counts the queue.

events = Table(
    "events",
    metadata,
    Column("execution_id", Id, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("project_id", Id, nullable=False),
    Column("type", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    # How `payload` is written: see budflow.storage.payload.
    Column("encoding", SmallInteger, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    PrimaryKeyConstraint("execution_id", "seq"),
)

# Who advances executions. PostgreSQL also knows a dead one by its `lock_key`: an advisory lock that nobody holds.
runners = Table(
    "runners",
    metadata,
    Column("id", Id, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("lease_until", BigInteger, nullable=False),
    Column("lock_key", BigInteger),
    Column("kind", Text, nullable=False, server_default="main"),
    # JSON, for people: how much it may run, its release, where it is.
    Column("details", Text, nullable=False, server_default="{}"),
)

# Who leads, by what is led. The token only grows: who was paused and woke finds out by it that it leads no more.
leaders = Table(
    "leaders",
    metadata,
    Column("name", Id, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
)

# The armed schedules. All slots up to `settled_until` have fired or been passed over; `due_at` is when to look again.
schedules = Table(
    "schedules",
    metadata,
    Column("workflow_id", Id, nullable=False),
    Column("node", Text, nullable=False),
    Column("project_id", Id, nullable=False),
    Column("version", Integer, nullable=False),
    # The whole schedule as JSON, so that who looks what is due need not read the workflow.
    Column("rule", Text, nullable=False),
    Column("settled_until", BigInteger, nullable=False),
    Column("due_at", BigInteger),
    # JSON: why no execution was started for the last slot.
    Column("refused", Text),
    PrimaryKeyConstraint("workflow_id", "node"),
    Index("schedules_by_due", "due_at"),
)

# A row is inserted together with the execution that the slot starts: this key is why it starts only one.
schedule_slots = Table(
    "schedule_slots",
    metadata,
    Column("workflow_id", Id, nullable=False),
    Column("node", Text, nullable=False),
    Column("slot", BigInteger, nullable=False),
    Column("project_id", Id, nullable=False),
    Column("execution_id", Id, nullable=False),
    PrimaryKeyConstraint("workflow_id", "node", "slot"),
    Index("schedule_slots_by_age", "slot"),
)

# What came from outside for an execution and is not in its journal yet.
signals = Table(
    "signals",
    metadata,
    Column("execution_id", Id, nullable=False),
    Column("key", Id, nullable=False),
    Column("project_id", Id, nullable=False),
    Column("type", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("encoding", SmallInteger, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    PrimaryKeyConstraint("execution_id", "key"),
)

waits = Table(
    "waits",
    metadata,
    Column("execution_id", Id, nullable=False),
    Column("key", Id, nullable=False),
    Column("project_id", Id, nullable=False),
    Column("node", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("until", BigInteger),
    Column("ask", Text, nullable=False),
    Column("answered", Boolean, nullable=False),
    PrimaryKeyConstraint("execution_id", "key"),
    Index("waits_by_project", "project_id", "opened_at"),
)

trigger_keys = Table(
    "trigger_keys",
    metadata,
    Column("project_id", Id, nullable=False),
    Column("key", Id, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("execution_id", Id, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("project_id", "key"),
    Index("trigger_keys_by_age", "created_at"),
)

# Only a shortcut past the journal's beginning: it may be lost at any time.
snapshots = Table(
    "snapshots",
    metadata,
    Column("execution_id", Id, primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("payload", LargeBinary, nullable=False),
)

static_data = Table(
    "static_data",
    metadata,
    Column("project_id", Id, nullable=False),
    Column("workflow_id", Id, nullable=False),
    Column("node", Id, nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("project_id", "workflow_id", "node"),
)

# Rates that executions share: when each is free again.
rates = Table(
    "rates",
    metadata,
    Column("project_id", Id, nullable=False),
    Column("key", Id, nullable=False),
    Column("free_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("project_id", "key"),
)

# `box` holds the values, encrypted, and `wrapped_key` their key, encrypted by that key of the server which `key_id`
# names. `hosts`, `grants` and `probe` are JSON.
credentials = Table(
    "credentials",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project_id", Id, nullable=False),
    Column("name", Id, nullable=False),
    Column("kind", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("hosts", Text, nullable=False),
    Column("grants", Text, nullable=False),
    Column("probe", Text),
    Column("key_id", Id, nullable=False),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("box", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Index("credentials_by_name", "project_id", "name", unique=True),
    Index("credentials_by_key", "key_id"),
)

# The audit: rows are only ever added, and removed when they are old. No foreign keys: uses outlive all they name.
credential_uses = Table(
    "credential_uses",
    metadata,
    # SQLite's own row number, which costs nothing there.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("project_id", Id, nullable=False),
    Column("credential_id", Id, nullable=False),
    Column("used_at", BigInteger, nullable=False),
    Column("workflow_id", Id, nullable=False),
    Column("version", Integer, nullable=False),
    Column("execution_id", Id, nullable=False),
    Column("node", Text, nullable=False),
    Column("slot", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("principal", Text, nullable=False),
    # The only one, since it is written at every use: what is old is found by it too, credential by credential.
    Index("credential_uses_by_credential", "project_id", "credential_id", "used_at"),
)

# What persons were asked for; the token of the link is nowhere, `token_hash` is its SHA-256.
credential_requests = Table(
    "credential_requests",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project_id", Id, nullable=False),
    Column("token_hash", Id, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Id, nullable=False),
    Column("hosts", Text, nullable=False),
    Column("grants", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("credential_id", Id),
    Index("credential_requests_by_token", "token_hash", unique=True),
)

# Random keys that every main of this database signs with; each is made by whoever needs it first.
server_keys = Table(
    "server_keys",
    metadata,
    Column("name", Id, primary_key=True),
    Column("key", LargeBinary, nullable=False),
)

# The blobs of a project; `unused_since` is when the last execution that referred to it went.
blobs = Table(
    "blobs",
    metadata,
    Column("project_id", Id, nullable=False),
    Column("sha256", Id, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("written_at", BigInteger, nullable=False),
    Column("unused_since", BigInteger),
    PrimaryKeyConstraint("project_id", "sha256"),
)
_partial_index("blobs_unused", "unused_since IS NOT NULL", blobs.c.unused_since)

blob_refs = Table(
    "blob_refs",
    metadata,
    Column("execution_id", Id, nullable=False),
    Column("sha256", Id, nullable=False),
    Column("project_id", Id, nullable=False),
    PrimaryKeyConstraint("execution_id", "sha256"),
    Index("blob_refs_by_blob", "project_id", "sha256"),
)
