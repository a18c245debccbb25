"""Credentials at rest, requests for them and the audit of their uses."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "credentials",
        sa.Column("id", ID, primary_key=True),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("name", ID, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("hosts", sa.Text, nullable=False),
        sa.Column("grants", sa.Text, nullable=False),
        sa.Column("probe", sa.Text),
        sa.Column("key_id", ID, nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
        sa.Column("box", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
    )
    op.create_index("credentials_by_name", "credentials", ["project_id", "name"], unique=True)
    op.create_index("credentials_by_key", "credentials", ["key_id"])
    op.create_table(
        "credential_uses",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("credential_id", ID, nullable=False),
        sa.Column("used_at", sa.BigInteger, nullable=False),
        sa.Column("workflow_id", ID, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("execution_id", ID, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("slot", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
    )
    op.create_index("credential_uses_by_credential", "credential_uses", ["project_id", "credential_id", "used_at"])
    op.create_table(
        "credential_requests",
        sa.Column("id", ID, primary_key=True),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("token_hash", ID, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", ID, nullable=False),
        sa.Column("hosts", sa.Text, nullable=False),
        sa.Column("grants", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("asked_by", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("credential_id", ID),
    )
    op.create_index("credential_requests_by_token", "credential_requests", ["token_hash"], unique=True)
