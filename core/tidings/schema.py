"""The tables, for SQLite and PostgreSQL alike.

Instants (`…_at`) are stored as whole microseconds since 1970 in UTC: exact, sortable and the same on every
database. Tables with a person's data start with `user_id`, so that they shard by user; `user_id` 0 is the
installation itself. `migrations/` creates what stands here; a test compares the two.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

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
    text,
)
from sqlalchemy.ext.compiler import compiles

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


@compiles(String, "postgresql")
def _without_limit(_type: String, _compiler: Any, **_options: Any) -> str:
    """SQLite does not hold a text to its length, so PostgreSQL must not: what one stores, the other does."""
    return "TEXT"


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

# A registration: a webhook address with a secret of its own. Those that tidings makes at a platform belong to a
# connection and have a target; `state` is `wanted`, `active`, `failed` or `removing`.
platform_webhooks = Table(
    "platform_webhooks",
    metadata,
    Column("user_id", _Id, nullable=False, index=True),
    Column("id", String(64), primary_key=True),
    Column("platform", String(64), nullable=False),
    Column("connection_id", String(64), nullable=False, index=True),
    Column("secret", Text, nullable=False),  # sealed by the vault
    Column("created_at", BigInteger, nullable=False),
    Column("target", String(255), nullable=False, server_default=""),  # `repo:1296269`
    Column("state", String(16), nullable=False, server_default="active"),
    Column("problem", Text, nullable=False, server_default=""),
    Column("upstream", Text),  # JSON: as the platform described it last
    Column("renewed_at", BigInteger),  # when its lease at the platform began
    Column("expires_at", BigInteger),
    Column("verified_at", BigInteger),
    Column("checked_at", BigInteger),
    Column("last_delivery_at", BigInteger),
    Column("remade", Integer, nullable=False, server_default="0"),  # in doubt, since it delivered last
    Column("remade_at", BigInteger),
)

# What one consent gave. A refresh is committed only while `refresh_hash` is still that of the token redeemed.
grants = Table(
    "grants",
    metadata,
    Column("user_id", _Id, nullable=False, index=True),
    Column("id", String(64), primary_key=True),
    Column("provider", String(64), nullable=False),
    Column("account_key", String(200), nullable=False),
    Column("client_id", String(255), nullable=False),
    Column("scopes", Text, nullable=False),  # space separated
    Column("tokens", Text, nullable=False),  # JSON, sealed by the vault
    Column("refresh_hash", LargeBinary(32)),  # of the refresh token; none without one
    Column("version", BigInteger, nullable=False),  # counts the token sets
    Column("state", String(16), nullable=False),  # ok, needs_reauth
    Column("reason", Text, nullable=False),
    Column("expires_at", BigInteger),  # of the access token
    Column("refresh_at", BigInteger),  # when it is to be refreshed; none where it never is
    Column("authorized_at", BigInteger, nullable=False),
    Column("reauthorize_by", BigInteger),
    Column("announced_days", Integer),  # which warning of `reauthorize_by` was given last
    Column("lease", String(64)),
    Column(
        "lease_until", BigInteger
    ),  # until then nobody (else) redeems; without a lease: a rest after a failure
    Column("refresh_started_at", BigInteger),  # the intent: set while the outcome of a redemption is unknown
    Column("refresh_attempts", Integer, nullable=False),
    Column("refused_at", BigInteger),  # when the platform called the token dead
    UniqueConstraint("user_id", "provider", "account_key"),
)

connections = Table(
    "connections",
    metadata,
    Column("user_id", _Id, nullable=False, index=True),
    Column("id", String(64), primary_key=True),
    Column("platform", String(64), nullable=False),
    Column("grant_id", String(64), nullable=False, index=True),
    Column("account_key", String(200), nullable=False),
    Column("account_name", String(255), nullable=False),
    Column("avatar_url", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("state", String(16), nullable=False),  # connected, needs_reauth, parked, disconnecting
    Column("reason", Text, nullable=False),
    Column("settings", Text, nullable=False),  # JSON: what its user chose
    Column("strategy", String(64), nullable=False),
    Column("strategy_since", BigInteger, nullable=False),
    Column("strategy_reason", Text, nullable=False),
    Column("monitor", Text, nullable=False),  # JSON: what the monitor remembers
    Column("created_at", BigInteger, nullable=False),
    Column("last_checked_at", BigInteger),
    Column("last_event_at", BigInteger),
    UniqueConstraint("user_id", "platform", "account_key"),
)

# What deliveries to a platform's common address name: `installation:5`.
connection_addresses = Table(
    "connection_addresses",
    metadata,
    Column("user_id", _Id, nullable=False),
    Column("platform", String(64), primary_key=True),
    Column("address", String(255), primary_key=True),
    Column("connection_id", String(64), primary_key=True, index=True),
)

# A consent under way.
oauth_states = Table(
    "oauth_states",
    metadata,
    Column("user_id", _Id, nullable=False, index=True),
    Column("state_hash", LargeBinary(32), primary_key=True),
    Column("session_key", String(255), nullable=False),
    Column("platform", String(64), nullable=False),
    Column("client_id", String(255), nullable=False),
    Column("connection_id", String(64), nullable=False),  # the one to heal, or ""
    Column("verifier", Text, nullable=False),  # PKCE's, sealed by the vault; "" where there is none
    Column("expires_at", BigInteger, nullable=False),
)

# An application that a platform made for this installation (GitHub's app manifests).
provisions = Table(
    "provisions",
    metadata,
    Column("platform", String(64), primary_key=True),
    Column("credentials", Text, nullable=False),  # JSON, sealed by the vault
    Column("created_at", BigInteger, nullable=False),
)

# The last runs for each connection: refreshes and jobs.
attempts = Table(
    "attempts",
    metadata,
    Column("user_id", _Id, primary_key=True, autoincrement=False),
    Column("connection_id", String(64), primary_key=True),
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(64), primary_key=True),
    Column("outcome", String(16), nullable=False),
    Column("detail", Text, nullable=False),
    Column("ms", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# What an OAuth client, or one account of it, has used of the platform's limits.
budgets = Table(
    "budgets",
    metadata,
    Column("platform", String(64), primary_key=True),
    Column("client_id", String(255), primary_key=True),
    Column("account_key", String(200), primary_key=True),  # "" for the client as a whole
    Column("used", Text, nullable=False),  # JSON: calls by slot of time
    Column("paused_until", BigInteger),
    Column("reason", Text, nullable=False),
)

# What nodes have used of tidings' own limits. Not logged: a server that crashes may forget it.
rates = Table(
    "rates",
    metadata,
    Column("key_hash", LargeBinary(16), primary_key=True),
    Column("ends_at", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
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

# What deliveries have said is new, until a poll has looked at it. `wanted` counts them: a poll takes out only what
# was not said once more while it looked.
hints = Table(
    "hints",
    metadata,
    Column("user_id", _Id, primary_key=True, autoincrement=False),
    Column("connection_id", String(64), primary_key=True),
    Column("target", String(255), primary_key=True),  # "" for everything
    Column("wanted", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# wanted counts the requests; a run rests only if none came since it was claimed. See jobs.py.
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
    # Whose limits a run uses up; so many run at once of each. "" for none.
    Column("platform", String(64), nullable=False, server_default=""),
    Column("account", String(64), nullable=False, server_default=""),
    Index(None, "due_at"),
    # Of those that run, and of those alone.
    Index(
        None,
        "lease_until",
        sqlite_where=text("lease_until IS NOT NULL"),
        postgresql_where=text("lease_until IS NOT NULL"),
    ),
)

# A browser that news is pushed to: with a cursor of its own, and how it fares.
push_subscriptions = Table(
    "push_subscriptions",
    metadata,
    Column("user_id", _Id, nullable=False, index=True),
    Column("id", String(64), primary_key=True),
    Column("identity_hash", LargeBinary(32), nullable=False, unique=True),
    Column("address", Text, nullable=False),  # JSON, sealed by the vault
    Column("key_id", String(16), nullable=False),  # of the installation's key that it was made with
    Column("made_by", String(255), nullable=False, index=True),  # the right; ends with it
    Column("label", String(100), nullable=False),
    Column("service", String(255), nullable=False),
    Column("epoch", String(32), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("tried_at", BigInteger),
    Column("pushed_at", BigInteger),  # when the push service took something last
    Column("status", Integer, nullable=False),  # its last answer; 0 for none
    Column("failures", Integer, nullable=False),  # since it took something
    Column("failing_since", BigInteger),
    Column("problem", Text, nullable=False),  # "" while there is none
    Column("paused_until", BigInteger),
)

# What each user wants to be told of by push.
push_rules = Table(
    "push_rules",
    metadata,
    Column("user_id", _Id, primary_key=True, autoincrement=False),
    Column("rules", Text, nullable=False),  # JSON
)

# Up to where each user has read, on whatever device.
readings = Table(
    "readings",
    metadata,
    Column("user_id", _Id, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
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
