"""Registrations remember how often they were made again in vain."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns; none was made again so far."""
    op.add_column("platform_webhooks", sa.Column("remade", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("platform_webhooks", sa.Column("remade_at", sa.BigInteger(), nullable=True))
