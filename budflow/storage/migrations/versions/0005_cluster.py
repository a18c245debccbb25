"""What several machines need: what kind a runner is, who leads, schedules and the slots that they fired."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("runners", sa.Column("kind", sa.Text, nullable=False, server_default="main"))
    op.add_column("runners", sa.Column("details", sa.Text, nullable=False, server_default="{}"))
    op.create_table(
        "leaders",
        sa.Column("name", ID, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "schedules",
        sa.Column("workflow_id", ID, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("settled_until", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("refused", sa.Text),
        sa.PrimaryKeyConstraint("workflow_id", "node"),
    )
    op.create_index("schedules_by_due", "schedules", ["due_at"])
    op.create_table(
        "schedule_slots",
        sa.Column("workflow_id", ID, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("slot", sa.BigInteger, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("execution_id", ID, nullable=False),
        sa.PrimaryKeyConstraint("workflow_id", "node", "slot"),
    )
    op.create_index("schedule_slots_by_age", "schedule_slots", ["slot"])
