"""How a refresh token is redeemed once, whoever wants it, however they fail.

Before a redemption its intent is committed: a lease, when it began, how many there were. The lease only keeps
others from trying at once; it decides nothing. What decides is whether the row still holds the token that was
redeemed: then the answer to it counts, whoever holds the lease by then, and else it has been overtaken.

A redemption can end in three ways besides success. *Refused*: the platform calls the token dead. That counts only
after a while in which no newer token turned up, for another holder may have been faster. *Failed*: it surely was
not redeemed, so that trying again is harmless. *Lost*: no answer, by a crash or a broken connection. The platform
may have replaced the token, and then the answer is gone for good, unless the platform takes the old token for some
seconds more. So the same token is redeemed once more at once: later it can only be worse. If that is lost too,
further tries rest ever longer: nothing is gained by hurry any more.

Functions are units of work (see `tidings.writer`); instants are stored ones, in microseconds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection as Sql
from sqlalchemy import and_, bindparam, select, update

from tidings.event import UserId
from tidings.grants import (
    NEEDS_REAUTH,
    OK,
    REFRESH,
    SETTLED,
    Grant,
    GrantListener,
    Stored,
    find_row,
    read_grant,
)
from tidings.jobs import drop_jobs
from tidings.outbound import TIMEOUT_SECONDS
from tidings.schema import grants, to_stored
from tidings.statements import Statement

#: Longer than two requests take at most: a holder that is at work still has its lease.
LEASE_SECONDS: Final = 2 * TIMEOUT_SECONDS + 1
#: From a refusal to parking: until then every holder that is not stalled has saved what it was answered.
PATIENCE_SECONDS: Final = LEASE_SECONDS + TIMEOUT_SECONDS

_SECOND = 1_000_000
_LEASE = round(LEASE_SECONDS * _SECOND)
_PATIENCE = round(PATIENCE_SECONDS * _SECOND)
_FIRST_REST_SECONDS = 5.0
# As rarely as others call a platform that is down (see `breaker`, and how `budgets` spreads those who wait for it).
_LONGEST_REST_SECONDS = 1200.0
# A 401 to a token that can't be refreshed counts if it comes again within this time.
_REFUSAL_COUNTS = 3600 * _SECOND

_IS_IT = and_(grants.c.user_id == bindparam("of_user_id"), grants.c.id == bindparam("grant_id"))
_HOLDER = Statement(select(grants.c.lease).where(_IS_IT))
_TAKE = Statement(
    update(grants)
    .where(_IS_IT)
    .values(
        lease=bindparam("new_lease"),
        lease_until=bindparam("until"),
        refresh_started_at=bindparam("started"),
        refresh_attempts=grants.c.refresh_attempts + 1,
    )
)
_COMMIT = Statement(
    update(grants)
    .where(
        _IS_IT,
        grants.c.refresh_hash == bindparam("redeemed"),
        grants.c.version == bindparam("seen"),
        grants.c.state == OK,
    )
    .values(
        {
            "version": bindparam("seen") + 1,
            "reason": "",
            **SETTLED,
            **{
                name: bindparam(f"new_{name}")
                for name in (
                    *("tokens", "refresh_hash", "expires_at", "refresh_at"),
                    *("scopes", "reauthorize_by", "announced_days"),
                )
            },
        }
    )
)


@dataclasses.dataclass(frozen=True, slots=True)
class Redemption:
    """A redemption that may begin: its intent is on disk.

    Attributes:
        grant: As it was when the redemption began.
        redeemed: The hash of the refresh token.
        is_again: Whether the outcome of an earlier redemption of this token is unknown.
        attempts: How many redemptions of it have begun, with this one.
    """

    grant: Grant
    redeemed: bytes
    lease: str
    is_again: bool
    attempts: int

    @property
    def rest_seconds(self) -> float:
        """How long to wait after this one, should it fail."""
        return min(_LONGEST_REST_SECONDS, _FIRST_REST_SECONDS * 2.0 ** min(self.attempts - 1, 20))


@dataclasses.dataclass(frozen=True, slots=True)
class Current:
    """Nothing to do: the grant has newer tokens than the caller, or its refresh is not due."""

    grant: Grant


@dataclasses.dataclass(frozen=True, slots=True)
class Wait:
    """Not now.

    Attributes:
        lease: Of the redemption that is under way; "" where none is, and the grant rests after a failure.
        is_refused: Whether the platform has refused it, and patience decides.
    """

    grant: Grant
    until: int
    lease: str = ""
    is_refused: bool = False

    @property
    def is_held(self) -> bool:
        """Whether another redemption is under way."""
        return self.lease != ""


@dataclasses.dataclass(frozen=True, slots=True)
class Parked:
    """Only a new consent helps; `grant.reason` says why.

    Attributes:
        is_news: Whether this call parked it.
        is_crash_lost: Whether it may be we who lost it: the outcome of a redemption is unknown.
    """

    grant: Grant
    is_news: bool = False
    is_crash_lost: bool = False


def begin(
    sql: Sql,
    listener: GrantListener,
    grant_id: str,
    *,
    than: int | None,
    lease: str,
    at: int,
    user_id: UserId,
) -> Redemption | Current | Wait | Parked:
    """Write the intent to redeem a grant's refresh token, unless something speaks against it.

    Args:
        sql: To the database.
        listener: Told if the grant is parked.
        grant_id: Which.
        than: The version of the tokens that are no longer good enough; None for a refresh that is due.
        lease: A fresh random name for this attempt.
        at: Now.
        user_id: Whose it is.

    Raises:
        NotFound: There is no such grant.
    """
    row = find_row(sql, grant_id, user_id=user_id, lock=True)
    grant = read_grant(row)
    if row.state == NEEDS_REAUTH:
        return Parked(grant)
    if row.refresh_hash is None:
        return (
            Current(grant) if than is None or row.version > than else _unrefreshable(sql, listener, row, at)
        )
    if row.refused_at is not None:
        until = row.refused_at + _PATIENCE
        return Wait(grant, until, is_refused=True) if at < until else _park(sql, listener, row)
    is_due = row.refresh_at is not None and row.refresh_at <= at
    if row.version > than if than is not None else not is_due:
        return Current(grant)
    until = _free_at(row, at)
    if at < until:
        is_held = row.lease_until is not None and at < row.lease_until
        return Wait(grant, until, lease=(row.lease or "") if is_held else "")
    is_again = row.refresh_started_at is not None
    started = row.refresh_started_at if is_again else at
    _TAKE.run(
        sql, of_user_id=row.user_id, grant_id=grant_id, new_lease=lease, until=at + _LEASE, started=started
    )
    return Redemption(grant, row.refresh_hash, lease, is_again, row.refresh_attempts + 1)


def holder(sql: Sql, user_id: int, grant_id: str) -> str:
    """The lease under which a grant's token is being redeemed; "" for none."""
    row = _HOLDER.row(sql, of_user_id=user_id, grant_id=grant_id)
    return "" if row is None else row[0] or ""


def commit(
    sql: Sql, listener: GrantListener, redemption: Redemption, columns: Mapping[str, Any]
) -> int | None:
    """Store the answer to a redemption, if the row still holds the token that was redeemed.

    Args:
        sql: To the database.
        listener: Told if the grant had been parked.
        redemption: Whose answer it is.
        columns: What the new tokens fill: `tokens`, `refresh_hash`, `expires_at`, `refresh_at`, `scopes`,
            `reauthorize_by` and `announced_days`.

    Returns:
        The new version; None where the answer was overtaken: by another's, by a new consent, or by a disconnect.
    """
    grant = redemption.grant
    new = {f"new_{name}": value for name, value in columns.items()}
    if _COMMIT.run(
        sql,
        of_user_id=grant.user_id,
        grant_id=grant.id,
        redeemed=redemption.redeemed,
        seen=grant.version,
        **new,
    ):
        return grant.version + 1
    return _commit_late(sql, listener, redemption, columns)


def _commit_late(
    sql: Sql, listener: GrantListener, redemption: Redemption, columns: Mapping[str, Any]
) -> int | None:
    """The same where the row has changed meanwhile: parked, or refreshed by another where tokens don't rotate."""
    still = and_(
        grants.c.user_id == redemption.grant.user_id,
        grants.c.id == redemption.grant.id,
        grants.c.refresh_hash == redemption.redeemed,
    )
    found = sql.execute(select(grants).where(still).with_for_update()).one_or_none()
    if found is None:
        return None
    row, expires_at = Stored._make(found), columns["expires_at"]
    is_longest = expires_at is None or (row.expires_at is not None and expires_at > row.expires_at)
    if row.version != redemption.grant.version and not is_longest:
        return None  # the other's access token lives longer
    version = int(row.version) + 1
    values = {**columns, **SETTLED, "state": OK, "reason": "", "version": version}
    _change(sql, row, **values)
    if row.state == NEEDS_REAUTH:
        listener.healed(sql, read_grant(find_row(sql, row.id, user_id=row.user_id)))
    return version


def refuse(sql: Sql, redemption: Redemption, reason: str, at: int) -> bool:
    """Note that the platform calls the token dead; False where the row holds newer ones already."""
    row = _unchanged(sql, redemption)
    if row is None:
        return False
    values: dict[str, Any] = {"refused_at": at, "reason": reason}
    if row.lease == redemption.lease:
        values |= {"lease": None, "lease_until": None}
        if not redemption.is_again:  # then nothing was lost: the platform has ended it
            values["refresh_started_at"] = None
    _change(sql, row, **values)
    return True


def fail(sql: Sql, redemption: Redemption, reason: str, *, is_lost: bool, rest_until: int | None) -> None:
    """Note that a redemption failed, and give its lease back.

    Args:
        sql: To the database.
        redemption: Which.
        reason: Why, for people.
        is_lost: Whether the platform may have redeemed the token.
        rest_until: Nobody redeems it before; None for at once.
    """
    row = _unchanged(sql, redemption)
    if row is None or row.lease != redemption.lease:
        return  # whoever has the lease now knows better
    values: dict[str, Any] = {"lease": None, "lease_until": rest_until, "reason": reason}
    if not is_lost and not redemption.is_again:
        values["refresh_started_at"] = None
    _change(sql, row, **values)


def _free_at(row: Stored, at: int) -> int:
    """From when on the token may be redeemed."""
    if row.lease_until is None:
        return at
    until = int(row.lease_until)
    if row.lease is None:
        return until  # the rest after a failure
    if until > at + 2 * _LEASE:
        return at  # the clock was set back since: no lease is that long
    # The holder is at work, or has vanished with what it knew. After the first loss the next try comes at once.
    is_first_loss = row.refresh_started_at == until - _LEASE
    rest = (
        0.0 if is_first_loss else min(_LONGEST_REST_SECONDS, _FIRST_REST_SECONDS * 2.0**row.refresh_attempts)
    )
    return until if at < until else until + round(rest * _SECOND)


def _unrefreshable(sql: Sql, listener: GrantListener, row: Stored, at: int) -> Wait | Parked:
    """The platform refuses an access token that came without a refresh token, or it has ended."""
    refused_at = row.refused_at
    if refused_at is None or at - refused_at > _REFUSAL_COUNTS:
        reason = "The platform no longer takes the access token, and it gave none to refresh it with."
        _change(sql, row, refused_at=at, reason=reason)
        return Wait(read_grant(row), at + _PATIENCE, is_refused=True)
    if at - refused_at < _PATIENCE:
        return Wait(read_grant(row), refused_at + _PATIENCE, is_refused=True)
    return _park(sql, listener, row)


def _park(sql: Sql, listener: GrantListener, row: Stored) -> Parked:
    """Give a grant up. Its tokens stay as they are, sealed: a late answer, or a key put back, can still heal it."""
    is_crash_lost = row.refresh_started_at is not None
    reason = row.reason
    if is_crash_lost:
        reason = (
            "The answer to a refresh never reached us (a crash or a broken connection), and the platform does not "
            f"take the same token once more. {reason}"
        )
    _change(sql, row, state=NEEDS_REAUTH, reason=reason, lease=None)
    drop_jobs(sql, row.user_id, row.id, [REFRESH])
    grant = dataclasses.replace(read_grant(row), state=NEEDS_REAUTH, reason=reason)
    listener.parked(sql, grant, reason)
    return Parked(grant, is_news=True, is_crash_lost=is_crash_lost)


def give_up(
    sql: Sql,
    listener: GrantListener,
    user_id: UserId,
    grant_id: str,
    reason: str,
    at: datetime | None = None,
) -> None:
    """Park a grant because the platform says so by itself: the account took its consent back.

    Args:
        sql: To the database.
        listener: Told if the grant is parked.
        user_id: Whose.
        grant_id: Which.
        reason: Why, for people.
        at: When that was, to the second; None for just now. A consent given later is not concerned, however late we
            hear of it.

    Raises:
        NotFound: There is no such grant.
    """
    row = find_row(sql, grant_id, user_id=user_id, lock=True)
    if row.state == OK and (at is None or row.authorized_at // _SECOND * _SECOND <= to_stored(at)):
        _change(sql, row, state=NEEDS_REAUTH, reason=reason, lease=None)
        drop_jobs(sql, row.user_id, grant_id, [REFRESH])
        listener.parked(sql, dataclasses.replace(read_grant(row), state=NEEDS_REAUTH, reason=reason), reason)


def _change(sql: Sql, row: Stored, **values: Any) -> None:
    is_it = and_(grants.c.user_id == row.user_id, grants.c.id == row.id)
    sql.execute(update(grants).where(is_it).values(**values))


def _unchanged(sql: Sql, redemption: Redemption) -> Stored | None:
    """The grant's row, if nothing has become of the tokens since the redemption began."""
    same = and_(
        grants.c.user_id == redemption.grant.user_id,
        grants.c.id == redemption.grant.id,
        grants.c.refresh_hash == redemption.redeemed,
        grants.c.version == redemption.grant.version,
        grants.c.state == OK,
    )
    row = sql.execute(select(grants).where(same).with_for_update()).one_or_none()
    return None if row is None else Stored._make(row)
