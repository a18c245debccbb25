"""Which blobs there are and which executions refer to them; an index for what retention looks for."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "blobs",
        sa.Column("project_id", ID, nullable=False),
        sa.Column("sha256", ID, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("written_at", sa.BigInteger, nullable=False),
        sa.Column("unused_since", sa.BigInteger),
        sa.PrimaryKeyConstraint("project_id", "sha256"),
    )
    unused = sa.text("unused_since IS NOT NULL")
    op.create_index("blobs_unused", "blobs", ["unused_since"], sqlite_where=unused, postgresql_where=unused)
    op.create_table(
        "blob_refs",
        sa.Column("execution_id", ID, nullable=False),
        sa.Column("sha256", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.PrimaryKeyConstraint("execution_id", "sha256"),
    )
    op.create_index("blob_refs_by_blob", "blob_refs", ["project_id", "sha256"])
    for name, where, columns in (
        ("executions_ended", "finished_at IS NOT NULL", ["project_id", "workflow_id", "status", "finished_at"]),
        ("executions_by_parent", "parent_execution_id IS NOT NULL", ["parent_execution_id"]),
        ("executions_by_origin", "origin_execution_id IS NOT NULL", ["origin_execution_id"]),
    ):
        condition = sa.text(where)
        op.create_index(name, "executions", columns, sqlite_where=condition, postgresql_where=condition)
