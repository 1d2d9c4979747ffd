"""What nodes have used of tidings' own limits. Not logged: a server that crashes may forget it."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create the table."""
    is_many = op.get_bind().dialect.name == "postgresql"
    op.create_table(
        "rates",
        sa.Column("key_hash", sa.LargeBinary(16), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key_hash", name=op.f("pk_rates")),
        prefixes=["UNLOGGED"] if is_many else [],
    )
