"""Hints: what deliveries have said is new; and budgets by platform, of which one provider may have several."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table, and call a column by what it holds."""
    op.create_table(
        "hints",
        sa.Column("user_id", _ID, autoincrement=False, nullable=False),
        sa.Column("connection_id", sa.String(length=64), nullable=False),
        sa.Column("target", sa.String(length=255), nullable=False),
        sa.Column("wanted", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "connection_id", "target", name=op.f("pk_hints")),
        sqlite_with_rowid=False,
    )
    op.alter_column("budgets", "provider", new_column_name="platform")
