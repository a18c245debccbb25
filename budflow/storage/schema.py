"""The tables, one metadata for SQLite and PostgreSQL; budflow/storage/migrations makes them.

Times are microseconds since 1970 in UTC. JSON stands as text, because PostgreSQL's jsonb refuses `\\u0000`.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
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
    Index("executions_by_project", "project_id", "id"),
    Index("executions_by_workflow", "project_id", "workflow_id", "id"),
    Index("executions_by_status", "project_id", "status", "id"),
)

_queued = text("status = 'queued'")
Index(
    "executions_to_claim",
    executions.c.priority.desc(),
    executions.c.id,
    sqlite_where=_queued,
    postgresql_where=_queued,
)
Index(
    "executions_cancelling",
    executions.c.runner,
    sqlite_where=text("cancelling"),
    postgresql_where=text("cancelling"),
)

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
