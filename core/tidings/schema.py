"""The tables, for SQLite and PostgreSQL alike.

Instants (`…_at`) are stored as whole microseconds since 1970 in UTC: exact, sortable and the same on every
database. Tables with a person's data start with `user_id`, so that they shard by user; `user_id` 0 is the
installation itself. `migrations/` creates what stands here; a test compares the two.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_Id = BigInteger().with_variant(Integer, "sqlite")

users = Table(
    "users",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=False),
    Column("name", String(64), nullable=False, unique=True),
    Column("is_admin", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("user_id", _Id, nullable=False, index=True),
    Column("session_hash", LargeBinary(32), primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

login_links = Table(
    "login_links",
    metadata,
    Column("user_id", _Id, nullable=False, index=True),
    Column("link_hash", LargeBinary(32), primary_key=True),
    Column("expires_at", BigInteger, nullable=False),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("user_id", _Id, nullable=False, index=True),
    Column("id", _Id, primary_key=True, autoincrement=False),
    Column("label", String(100), nullable=False),
    Column("token_hash", LargeBinary(32), nullable=False, unique=True),
    Column("scopes", String(100), nullable=False),  # space separated
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
)

tickets = Table(
    "tickets",
    metadata,
    Column("user_id", _Id, nullable=False, index=True),
    Column("ticket_hash", LargeBinary(32), primary_key=True),
    Column("principal", Text, nullable=False),  # JSON: the right that the ticket was made by
    Column("stream", Text),  # what it was first used for; serves nothing else after
    Column("valid_until", BigInteger, nullable=False),
)

# A registration: a webhook address with a secret of its own.
platform_webhooks = Table(
    "platform_webhooks",
    metadata,
    Column("user_id", _Id, nullable=False, index=True),
    Column("id", String(64), primary_key=True),
    Column("platform", String(64), nullable=False),
    Column("connection_id", String(64), nullable=False),
    Column("secret", Text, nullable=False),  # sealed by the vault
    Column("created_at", BigInteger, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("user_id", _Id, primary_key=True, autoincrement=False),
    Column("registration_id", String(80), primary_key=True),
    Column("delivery_id", String(128), primary_key=True),
    Column("received_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# head: the newest seq. floor: everything up to it has been cut by retention.
journals = Table(
    "journals",
    metadata,
    Column("user_id", _Id, primary_key=True, autoincrement=False),
    Column("epoch", String(32), nullable=False),
    Column("head", BigInteger, nullable=False),
    Column("floor", BigInteger, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("user_id", _Id, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("id", String(512), nullable=False),
    Column("connection_id", String(64), nullable=False),
    Column("type", String(255), nullable=False),
    Column("source", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("time", BigInteger),
    Column("recorded_at", BigInteger, nullable=False),
    Column("platform", String(64), nullable=False),
    Column("via", String(32), nullable=False),
    Column("data", Text, nullable=False),  # JSON
    UniqueConstraint("user_id", "id"),
)

# Ids of events that retention has cut, so that a re-sync can't bring them back.
seen = Table(
    "seen",
    metadata,
    Column("user_id", _Id, primary_key=True, autoincrement=False),
    Column("id_hash", LargeBinary(16), primary_key=True),
    Column("at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("user_id", _Id, primary_key=True, autoincrement=False),
    Column("connection_id", String(64), primary_key=True),
    Column("value", Text, nullable=False),  # JSON
    Column("updated_at", BigInteger, nullable=False),
)

# wanted counts the requests; a run rests only if none came since it was claimed.
jobs = Table(
    "jobs",
    metadata,
    Column("user_id", _Id, primary_key=True, autoincrement=False),
    Column("kind", String(64), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("payload", Text, nullable=False),  # JSON
    Column("due_at", BigInteger, nullable=False),
    Column("wanted", BigInteger, nullable=False),
    Column("claimed", BigInteger, nullable=False),
    Column("lease", String(64)),
    Column("lease_until", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("last_error", Text),
    Index(None, "due_at"),
)

# A message to everyone, until it has reached the last user.
broadcasts = Table(
    "broadcasts",
    metadata,
    Column("user_id", _Id, nullable=False),  # who sent it
    Column("id", String(160), primary_key=True),
    Column("message", Text, nullable=False),  # JSON
    Column("created_at", BigInteger, nullable=False),
    Column("reached_user_id", _Id, nullable=False),
    Column("finished_at", BigInteger),
)

# Facts about the installation. Keys `changed:…` count changes, so that caches know when to let go.
settings = Table(
    "settings",
    metadata,
    Column("key", String(100), primary_key=True),
    Column("value", Text, nullable=False),
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_stored(instant: datetime) -> int:
    """An aware instant as it is stored: microseconds since 1970."""
    return (instant - _EPOCH) // _MICROSECOND


def from_stored(microseconds: int) -> datetime:
    """The reverse of `to_stored`."""
    return _EPOCH + timedelta(microseconds=microseconds)
