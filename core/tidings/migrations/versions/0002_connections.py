"""Connections: grants, accounts, what watches them, and what they have used of the platforms' limits."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables, and give registrations and jobs their new columns."""
    _grants()
    _connections()
    _consents()
    _history()
    for column in (
        sa.Column("target", sa.String(length=255), server_default="", nullable=False),
        sa.Column("state", sa.String(length=16), server_default="active", nullable=False),
        sa.Column("problem", sa.Text(), server_default="", nullable=False),
        sa.Column("upstream", sa.Text(), nullable=True),
        sa.Column("renewed_at", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("verified_at", sa.BigInteger(), nullable=True),
        sa.Column("checked_at", sa.BigInteger(), nullable=True),
        sa.Column("last_delivery_at", sa.BigInteger(), nullable=True),
    ):
        op.add_column("platform_webhooks", column)
    op.create_index(op.f("ix_platform_webhooks_connection_id"), "platform_webhooks", ["connection_id"])
    op.add_column("jobs", sa.Column("platform", sa.String(length=64), server_default="", nullable=False))
    op.add_column("jobs", sa.Column("account", sa.String(length=64), server_default="", nullable=False))
    running = sa.text("lease_until IS NOT NULL")
    op.create_index(
        op.f("ix_jobs_lease_until"), "jobs", ["lease_until"], sqlite_where=running, postgresql_where=running
    )


def _grants() -> None:
    op.create_table(
        "grants",
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("account_key", sa.String(length=200), nullable=False),
        sa.Column("client_id", sa.String(length=255), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("tokens", sa.Text(), nullable=False),
        sa.Column("refresh_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("refresh_at", sa.BigInteger(), nullable=True),
        sa.Column("authorized_at", sa.BigInteger(), nullable=False),
        sa.Column("reauthorize_by", sa.BigInteger(), nullable=True),
        sa.Column("announced_days", sa.Integer(), nullable=True),
        sa.Column("lease", sa.String(length=64), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("refresh_started_at", sa.BigInteger(), nullable=True),
        sa.Column("refresh_attempts", sa.Integer(), nullable=False),
        sa.Column("refused_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grants")),
        sa.UniqueConstraint(
            "user_id", "provider", "account_key", name=op.f("uq_grants_user_id_provider_account_key")
        ),
    )
    op.create_index(op.f("ix_grants_user_id"), "grants", ["user_id"])


def _connections() -> None:
    op.create_table(
        "connections",
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("platform", sa.String(length=64), nullable=False),
        sa.Column("grant_id", sa.String(length=64), nullable=False),
        sa.Column("account_key", sa.String(length=200), nullable=False),
        sa.Column("account_name", sa.String(length=255), nullable=False),
        sa.Column("avatar_url", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("strategy_since", sa.BigInteger(), nullable=False),
        sa.Column("strategy_reason", sa.Text(), nullable=False),
        sa.Column("monitor", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_checked_at", sa.BigInteger(), nullable=True),
        sa.Column("last_event_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connections")),
        sa.UniqueConstraint(
            "user_id", "platform", "account_key", name=op.f("uq_connections_user_id_platform_account_key")
        ),
    )
    op.create_index(op.f("ix_connections_user_id"), "connections", ["user_id"])
    op.create_index(op.f("ix_connections_grant_id"), "connections", ["grant_id"])
    op.create_table(
        "connection_addresses",
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("platform", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=255), nullable=False),
        sa.Column("connection_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("platform", "address", "connection_id", name=op.f("pk_connection_addresses")),
    )
    op.create_index(op.f("ix_connection_addresses_connection_id"), "connection_addresses", ["connection_id"])


def _consents() -> None:
    op.create_table(
        "oauth_states",
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("state_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("session_key", sa.String(length=255), nullable=False),
        sa.Column("platform", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=255), nullable=False),
        sa.Column("connection_id", sa.String(length=64), nullable=False),
        sa.Column("verifier", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("state_hash", name=op.f("pk_oauth_states")),
    )
    op.create_index(op.f("ix_oauth_states_user_id"), "oauth_states", ["user_id"])
    op.create_table(
        "provisions",
        sa.Column("platform", sa.String(length=64), nullable=False),
        sa.Column("credentials", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("platform", name=op.f("pk_provisions")),
    )


def _history() -> None:
    op.create_table(
        "attempts",
        sa.Column("user_id", _ID, autoincrement=False, nullable=False),
        sa.Column("connection_id", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("ms", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "connection_id", "at", "kind", name=op.f("pk_attempts")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "budgets",
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=255), nullable=False),
        sa.Column("account_key", sa.String(length=200), nullable=False),
        sa.Column("used", sa.Text(), nullable=False),
        sa.Column("paused_until", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("provider", "client_id", "account_key", name=op.f("pk_budgets")),
    )
