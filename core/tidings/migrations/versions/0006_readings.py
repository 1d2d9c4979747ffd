"""Up to where each user has read. What is there already counts as read."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table, and begin with what stands in the journals."""
    op.create_table(
        "readings",
        sa.Column("user_id", _ID, autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_readings")),
    )
    op.execute("INSERT INTO readings (user_id, seq) SELECT user_id, head FROM journals")
