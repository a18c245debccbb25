"""The first tables, and the default project.

Written out rather than taken from the schema: a script must make the same tables for ever.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    projects = op.create_table("projects", sa.Column("id", ID, primary_key=True))
    op.bulk_insert(projects, [{"id": "default"}])
    _make_workflows()
    _make_executions()
    op.create_table(
        "events",
        sa.Column("execution_id", ID, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("encoding", sa.SmallInteger, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("execution_id", "seq"),
    )


def _make_workflows() -> None:
    op.create_table(
        "workflows",
        sa.Column("id", ID, primary_key=True),
        sa.Column("project_id", ID, sa.ForeignKey("projects.id"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_folded", sa.Text, nullable=False),
        sa.Column("latest_version", sa.Integer, nullable=False),
        sa.Column("published_version", sa.Integer),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )
    op.create_index("workflows_by_project", "workflows", ["project_id", "id"])
    op.create_table(
        "workflow_versions",
        sa.Column("workflow_id", ID, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("workflow_id", "version"),
    )
    op.create_table(
        "webhooks",
        sa.Column("method", ID, nullable=False),
        sa.Column("shape", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("workflow_id", ID, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("method", "shape"),
        sa.ForeignKeyConstraint(
            ["workflow_id", "version"], ["workflow_versions.workflow_id", "workflow_versions.version"]
        ),
    )
    op.create_index("webhooks_by_workflow", "webhooks", ["workflow_id"])


def _make_executions() -> None:
    op.create_table(
        "executions",
        sa.Column("id", ID, primary_key=True),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("workflow_id", ID, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("finished_at", sa.BigInteger),
        sa.Column("cancelling", sa.Boolean, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("parent_execution_id", ID),
        sa.Column("parent_node", sa.Text),
        sa.Column("parent_call", sa.Integer),
        sa.Column("depth", sa.Integer),
        sa.Column("runner", sa.Text),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("failure", sa.Text),
    )
    op.create_index("executions_by_project", "executions", ["project_id", "id"])
    op.create_index("executions_by_workflow", "executions", ["project_id", "workflow_id", "id"])
    op.create_index("executions_by_status", "executions", ["project_id", "status", "id"])
    queued, cancelling = sa.text("status = 'queued'"), sa.text("cancelling")
    op.create_index(
        "executions_to_claim",
        "executions",
        [sa.text("priority DESC"), "id"],
        sqlite_where=queued,
        postgresql_where=queued,
    )
    op.create_index(
        "executions_cancelling",
        "executions",
        ["runner"],
        sqlite_where=cancelling,
        postgresql_where=cancelling,
    )
