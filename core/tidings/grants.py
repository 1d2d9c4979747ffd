"""Grants: what one consent gave. Connections point to them; refreshing and parking act on them.

How a refresh is kept to one redemption a token stands in `tidings.redemptions`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

import msgspec
from sqlalchemy import Connection as Sql
from sqlalchemy import and_, bindparam, exists, func, insert, literal, null, or_, select, update

from tidings.accounts import random_letters
from tidings.connecting import OAuth, TokenSet
from tidings.discretion import use_secrets, use_secrets_in
from tidings.errors import NotFound
from tidings.event import UserId
from tidings.items import JobRequest
from tidings.jobs import request_job
from tidings.schema import from_stored, grants, jobs, to_stored
from tidings.statements import Statement
from tidings.vault import Vault, VaultError

OK: Final = "ok"
NEEDS_REAUTH: Final = "needs_reauth"
#: The kind of the job that refreshes a grant; its key is the grant's id.
REFRESH: Final = "refresh"
#: So many days before a consent ends, its user is told.
HORIZON_DAYS: Final = (30, 14, 3)

_ID_LETTERS = 16
_DAY_SECONDS = 86_400
_MOST_AT_ONCE = 500
# Of a token's life: short ones are refreshed when so much of it is left.
_LAST_PART = 0.2
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(TokenSet)

_own = select(grants).where(grants.c.user_id == bindparam("of_user_id"), grants.c.id == bindparam("grant_id"))
_OWN = Statement(_own)
_OWN_LOCKED = Statement(_own.with_for_update())  # SQLite locks the database instead
_SECRET = {"tokens": literal(""), "refresh_hash": null(), "lease": null()}
_SHOWN = Statement(
    select(*[_SECRET.get(column.name, column).label(f"shown_{column.name}") for column in grants.c]).where(
        grants.c.user_id == bindparam("of_user_id"), grants.c.id == bindparam("grant_id")
    )
)
_ACCOUNTS = Statement(
    select(func.count()).where(
        grants.c.provider == bindparam("provider"),
        grants.c.client_id == bindparam("client_id"),
        grants.c.state == OK,
    )
)
_REFRESHES = and_(jobs.c.user_id == grants.c.user_id, jobs.c.kind == REFRESH, jobs.c.key == grants.c.id)
_COMES = or_(
    jobs.c.lease_until.is_not(None),
    jobs.c.attempts > 0,  # one that failed comes again by itself; to hurry it would end its rest
    jobs.c.due_at <= grants.c.expires_at,
    jobs.c.due_at <= bindparam("now"),
)
_OVERDUE = Statement(
    select(grants)
    .where(grants.c.state == OK, grants.c.refresh_at.is_not(None), ~exists().where(_REFRESHES, _COMES))
    .order_by(grants.c.refresh_at)
    .limit(_MOST_AT_ONCE)
)
_NEAR_HORIZON = Statement(
    select(grants).where(
        grants.c.state == OK,
        grants.c.reauthorize_by <= bindparam("latest"),
        or_(grants.c.announced_days.is_(None), grants.c.announced_days > min(HORIZON_DAYS)),
    )
)


class Stored(NamedTuple):
    """A row of the table, with its columns in their order."""

    user_id: int
    id: str
    provider: str
    account_key: str
    client_id: str
    scopes: str
    tokens: str
    refresh_hash: bytes | None
    version: int
    state: str
    reason: str
    expires_at: int | None
    refresh_at: int | None
    authorized_at: int
    reauthorize_by: int | None
    announced_days: int | None
    lease: str | None
    lease_until: int | None
    refresh_started_at: int | None
    refresh_attempts: int
    refused_at: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class Grant:
    """A grant as it is stored; its tokens are sealed (see `open_tokens`).

    Attributes:
        provider: Who gave it; connectors of one provider share it.
        account_key: The account at the provider.
        client_id: Of the OAuth client that it was given to.
        version: Counts the token sets.
        state: `ok` or `needs_reauth`.
        reason: Why the last refresh failed, or why its user must consent again; "" for nothing.
        expires_at: When the access token ends; None where it does not.
        refresh_at: When it is to be refreshed; None where that can't or needn't be.
        reauthorize_by: When the consent ends, where the platform sets a term.
        announced_days: Which of `HORIZON_DAYS` its user was told of last.
    """

    id: str
    user_id: UserId
    provider: str
    account_key: str
    client_id: str
    scopes: tuple[str, ...]
    version: int
    state: str
    reason: str
    expires_at: datetime | None
    refresh_at: datetime | None
    authorized_at: datetime
    reauthorize_by: datetime | None
    announced_days: int | None
    sealed: str = dataclasses.field(repr=False)


class GrantListener(Protocol):
    """Who must know what becomes of grants.

    What is called with `sql` runs in the transaction itself, in its thread: what it writes is committed with the
    rest, or not at all. It may run again after a rollback, so it must do nothing else.
    """

    def parked(self, sql: Sql, grant: Grant, reason: str) -> None:
        """Only a new consent helps: stop what its connections do, and tell its user."""

    def healed(self, sql: Sql, grant: Grant) -> None:
        """A parked grant works after all: a late answer brought new tokens. Start its connections again."""

    def horizon(self, sql: Sql, grant: Grant, days: int) -> None:
        """Its consent ends at `grant.reauthorize_by`, within so many days."""

    def refreshed(self, grant: Grant) -> None:
        """It has new tokens, which are on disk. Called in the event loop."""


def save_grant(
    sql: Sql,
    vault: Vault,
    *,
    user_id: UserId,
    account_key: str,
    client_id: str,
    tokens: TokenSet,
    oauth: OAuth,
    now: datetime,
) -> Grant:
    """Store what a consent gave. One of the same account at the same provider keeps its id, and is healed."""
    row = sql.execute(
        select(grants).where(
            grants.c.user_id == user_id,
            grants.c.provider == oauth.provider,
            grants.c.account_key == account_key,
        )
    ).one_or_none()
    grant_id = f"grt{random_letters(_ID_LETTERS)}" if row is None else str(row.id)
    if row is not None and row.client_id == client_id and tokens.expires_in_seconds is not None:
        # Some platforms give a refresh token with the first consent alone; then the old one still holds.
        with suppress(VaultError):  # a consent also heals a grant whose key is lost
            tokens = merged(open_tokens(vault, read_grant(Stored._make(row))), tokens)
    values = {
        **token_columns(vault, grant_id, tokens, oauth, now),
        "client_id": client_id,
        "scopes": " ".join(oauth.scopes if tokens.scopes is None else tokens.scopes),
        "state": OK,
        "reason": "",
        "authorized_at": to_stored(now),
        "reauthorize_by": _stored(horizon_of(oauth, tokens, authorized_at=now, now=now)),
        "announced_days": None,
        **SETTLED,
    }
    if row is None:
        identity = {
            "user_id": user_id,
            "id": grant_id,
            "provider": oauth.provider,
            "account_key": account_key,
        }
        sql.execute(insert(grants).values(**identity, version=1, **values))
    else:
        sql.execute(
            update(grants)
            .where(grants.c.user_id == user_id, grants.c.id == grant_id)
            .values(version=grants.c.version + 1, **values)
        )
    grant = find_grant(sql, grant_id, user_id=user_id)
    if grant.refresh_at is not None:
        due_in = (grant.refresh_at - now).total_seconds()
        request_job(sql, user_id, JobRequest(REFRESH, grant_id, in_seconds=due_in), to_stored(now))
    return grant


def find_grant(sql: Sql, grant_id: str, *, user_id: int) -> Grant:
    """A user's grant by its id.

    Raises:
        NotFound: There is none, or it is another user's.
    """
    return read_grant(find_row(sql, grant_id, user_id=user_id))


def show_grant(sql: Sql, grant_id: str, *, user_id: int) -> Grant:
    """What `find_grant` finds, but without its tokens: for those who may not read them.

    Raises:
        NotFound: There is none.
    """
    row = _SHOWN.row(sql, of_user_id=user_id, grant_id=grant_id)
    if row is None:
        raise _missing(grant_id)
    return read_grant(Stored._make(row))


def find_row(sql: Sql, grant_id: str, *, user_id: int, lock: bool = False) -> Stored:
    """A user's grant, as its row; with `lock`, nobody else changes it before the transaction ends.

    Raises:
        NotFound: There is none, or it is another user's.
    """
    row = (_OWN_LOCKED if lock else _OWN).row(sql, of_user_id=user_id, grant_id=grant_id)
    if row is None:
        raise _missing(grant_id)
    return Stored._make(row)


def _missing(grant_id: str) -> NotFound:
    return NotFound(f"There is no grant {grant_id[:80]!r}: its account was disconnected.")


def count_accounts(sql: Sql, *, provider: str, client_id: str) -> int:
    """How many accounts share the limits of an OAuth client."""
    counted = _ACCOUNTS.row(sql, provider=provider, client_id=client_id)
    return 0 if counted is None else int(counted[0])


def is_shared(sql: Sql, grant: Grant) -> bool:
    """Whether another user holds a grant of the same account and client: to revoke one could end both."""
    others = select(grants.c.id).where(
        grants.c.provider == grant.provider,
        grants.c.account_key == grant.account_key,
        grants.c.client_id == grant.client_id,
        grants.c.id != grant.id,
    )
    return sql.execute(others.limit(1)).first() is not None


def open_tokens(vault: Vault, grant: Grant) -> TokenSet:
    """A grant's tokens.

    Raises:
        VaultError: They can't be opened.
    """
    tokens = _decoder.decode(vault.open(grant.sealed, table=grants.name, column="tokens", row=grant.id))
    use_secrets(tokens.access_token, tokens.refresh_token)
    use_secrets_in(tokens.extra)
    return tokens


def overdue_refreshes(sql: Sql, now: datetime) -> Sequence[Grant]:
    """Grants whose refresh no job will do in time: there is none, or it comes when the token has ended."""
    return [read_grant(Stored._make(row)) for row in _OVERDUE.rows(sql, now=to_stored(now))]


def near_horizons(sql: Sql, now: datetime) -> Sequence[tuple[Grant, int]]:
    """Grants whose user must be told that the consent ends, and within how many days."""
    latest = to_stored(now + timedelta(days=max(HORIZON_DAYS)))
    near = [read_grant(Stored._make(row)) for row in _NEAR_HORIZON.rows(sql, latest=latest)]
    found = [(grant, _days_left(grant, now)) for grant in near]
    return [(grant, days) for grant, days in found if days is not None][:_MOST_AT_ONCE]


def announce_horizons(sql: Sql, now: datetime, listener: GrantListener) -> int:
    """Tell of every horizon that is near and was not told of yet; how many those were."""
    near = near_horizons(sql, now)
    for grant, days in near:
        sql.execute(
            update(grants)
            .where(grants.c.user_id == grant.user_id, grants.c.id == grant.id)
            .values(announced_days=days)
        )
        listener.horizon(sql, grant, days)
    return len(near)


def _days_left(grant: Grant, now: datetime) -> int | None:
    """Which of `HORIZON_DAYS` is to be told of now; None for none."""
    if grant.reauthorize_by is None:
        return None
    left = (grant.reauthorize_by - now).total_seconds()
    # A consent that lasts a week must not be said to end within 30 days right when it is given.
    whole = (grant.reauthorize_by - grant.authorized_at).total_seconds()
    reached = [days for days in HORIZON_DAYS if left <= days * _DAY_SECONDS < whole]
    if not reached or (grant.announced_days is not None and grant.announced_days <= min(reached)):
        return None
    return min(reached)


# --- what a token set becomes in the table ------------------------------------------------------------------------

#: No redemption is under way, and none failed.
SETTLED: Final = {
    "lease": None,
    "lease_until": None,
    "refresh_started_at": None,
    "refresh_attempts": 0,
    "refused_at": None,
}


def merged(old: TokenSet, new: TokenSet) -> TokenSet:
    """`new`, with what it does not say taken from `old`: most refreshes bring no refresh token."""
    return msgspec.structs.replace(
        new,
        refresh_token=new.refresh_token or old.refresh_token,
        scopes=old.scopes if new.scopes is None else new.scopes,
        extra={**old.extra, **new.extra},
    )


def refresh_hash(tokens: TokenSet) -> bytes | None:
    """What names a refresh token in the table; None where there is none."""
    return hashlib.sha256(tokens.refresh_token.encode()).digest() if tokens.refresh_token else None


def token_columns(
    vault: Vault, grant_id: str, tokens: TokenSet, oauth: OAuth, now: datetime
) -> dict[str, Any]:
    """The columns that a new token set fills."""
    life = tokens.expires_in_seconds
    hashed = refresh_hash(tokens)
    ahead = min(oauth.refresh_ahead_seconds, (life or 0) * _LAST_PART)
    at = to_stored(now)
    return {
        "tokens": vault.seal(_encoder.encode(tokens), table=grants.name, column="tokens", row=grant_id),
        "refresh_hash": hashed,
        "expires_at": None if life is None else at + round(life * 1e6),
        "refresh_at": None if life is None or hashed is None else at + round((life - ahead) * 1e6),
    }


def horizon_of(oauth: OAuth, tokens: TokenSet, *, authorized_at: datetime, now: datetime) -> datetime | None:
    """When the consent ends, as far as the platform says; None where it does not."""
    ends: list[datetime] = []
    if oauth.consent_seconds is not None:
        ends.append(authorized_at + timedelta(seconds=oauth.consent_seconds))
    if tokens.refresh_expires_in_seconds is not None:
        ends.append(now + timedelta(seconds=tokens.refresh_expires_in_seconds))
    return min(ends, default=None)


def read_grant(row: Stored) -> Grant:
    """The grant in a row of the table."""
    return Grant(
        id=row.id,
        user_id=UserId(row.user_id),
        provider=row.provider,
        account_key=row.account_key,
        client_id=row.client_id,
        scopes=tuple(row.scopes.split()),
        version=row.version,
        state=row.state,
        reason=row.reason,
        expires_at=_instant(row.expires_at),
        refresh_at=_instant(row.refresh_at),
        authorized_at=from_stored(row.authorized_at),
        reauthorize_by=_instant(row.reauthorize_by),
        announced_days=row.announced_days,
        sealed=row.tokens,
    )


def _instant(stored: int | None) -> datetime | None:
    return None if stored is None else from_stored(stored)


def _stored(instant: datetime | None) -> int | None:
    return None if instant is None else to_stored(instant)
