"""Registrations that tidings makes at a platform for a connection: what is known of how they stand there."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, and_, bindparam, case, func, or_, select, update

from tidings.connectors import Upstream
from tidings.event import UserId
from tidings.schema import connections, from_stored, platform_webhooks, to_stored
from tidings.statements import Statement

_table = platform_webhooks

# States of a registration.
WANTED: Final = "wanted"  # the row is there, the webhook perhaps
ACTIVE: Final = "active"
FAILED: Final = "failed"  # there is no webhook; `problem` says why
REMOVING: Final = "removing"
_LEAVING: Final = "disconnecting"  # of a connection: see `connections`


@dataclasses.dataclass(frozen=True, slots=True)
class PlatformRegistration:
    """A registration that tidings makes at the platform for a connection.

    Attributes:
        target: The key of what it watches: `repo:1296269`.
        state: `wanted`, `active`, `failed` or `removing`.
        problem: What keeps it from delivering, for people; "" for nothing.
        upstream: As the platform described it last; None while there is none.
        renewed_at: When its lease at the platform began.
        verified_at: When the platform greeted it.
        checked_at: When the platform was last asked for it, or to make it.
        remade: How often it was made again because it was in doubt, since it delivered something last.
        remade_at: When that was last.
    """

    id: str
    user_id: UserId
    platform: str
    connection_id: str
    target: str
    state: str
    problem: str
    upstream: Upstream | None
    created_at: datetime
    renewed_at: datetime | None
    expires_at: datetime | None
    verified_at: datetime | None
    checked_at: datetime | None
    last_delivery_at: datetime | None
    remade: int
    remade_at: datetime | None

    def delivers(self, now: datetime) -> bool:
        """Whether a webhook stands at the platform that can deliver, as far as is known."""
        lapsed = self.expires_at is not None and self.expires_at <= now
        return self.state == ACTIVE and not self.problem and self.upstream is not None and not lapsed


_SHOWN = tuple(field.name for field in dataclasses.fields(PlatformRegistration))


_INSTANTS = tuple(name for name in _SHOWN if name.endswith("_at"))


_OF_CONNECTION = Statement(
    select(*(_table.c[name] for name in _SHOWN))
    .where(_table.c.connection_id == bindparam("connection_id"))
    .order_by(_table.c.created_at, _table.c.id)
)


_BY_ID = Statement(
    select(*(_table.c[name] for name in _SHOWN)).where(
        _table.c.id == bindparam("registration_id"), _table.c.connection_id != ""
    )
)


_STANDS = Statement(
    update(_table)
    .where(_table.c.id == bindparam("registration_id"))
    .values(
        state=ACTIVE,
        problem=bindparam("problem"),
        upstream=bindparam("upstream"),
        expires_at=bindparam("expires_at"),
        checked_at=bindparam("checked_at"),
        renewed_at=func.coalesce(bindparam("renewed_at"), _table.c.renewed_at),
    )
)


def platform_registrations(connection: Connection, connection_id: str) -> Sequence[PlatformRegistration]:
    """What tidings makes at the platform for a connection, oldest first."""
    rows = _OF_CONNECTION.rows(connection, connection_id=connection_id)
    return [_platform_registration(row) for row in rows]


def find_platform_registration(
    connection: Connection, platform: str, registration_id: str
) -> PlatformRegistration | None:
    """A registration that tidings makes at the platform, by its id; None for no such one."""
    row = _BY_ID.row(connection, registration_id=registration_id)
    found = None if row is None else _platform_registration(row)
    return found if found is not None and found.platform == platform else None


def shares_upstream(connection: Connection, row: PlatformRegistration, account_key: str) -> bool:
    """Whether another connection of the same account has a registration of the same target."""
    others = select(_table.c.id).where(
        _table.c.platform == row.platform,
        _table.c.target == row.target,
        _table.c.id != row.id,
        _table.c.state.in_((ACTIVE, WANTED)),
        _table.c.connection_id.in_(
            select(connections.c.id).where(
                connections.c.platform == row.platform,
                connections.c.account_key == account_key,
                connections.c.state != _LEAVING,
            )
        ),
    )
    return connection.execute(others.limit(1)).first() is not None


def registered_connections(connection: Connection) -> frozenset[str]:
    """The connections for which tidings makes webhooks at the platform."""
    statement = select(_table.c.connection_id).where(_table.c.connection_id != "").distinct()
    return frozenset(connection.execute(statement).scalars())


def note_upstream(
    connection: Connection, registration_id: str, upstream: Upstream, *, renewed: bool, now: datetime
) -> None:
    """Write down how a registration stands at the platform.

    Args:
        connection: To the database.
        registration_id: Which one.
        upstream: As the platform describes it.
        renewed: Whether its lease begins now.
        now: The present instant, or that before it was asked for.
    """
    if upstream.is_pending:
        if renewed:
            _note_asked(connection, registration_id, upstream, now)
        return  # else nothing new is known: what its platform has not confirmed stays as it was
    _STANDS.run(
        connection,
        registration_id=registration_id,
        problem=upstream.problem,
        upstream=msgspec.json.encode(upstream).decode(),
        expires_at=None if upstream.expires_at is None else to_stored(upstream.expires_at),
        checked_at=to_stored(now),
        renewed_at=to_stored(now) if renewed else None,
    )


def _note_asked(connection: Connection, registration_id: str, upstream: Upstream, asked_at: datetime) -> None:
    """It was asked for, and works once the platform has asked the address: which it may have done, or denied, yet."""
    at = to_stored(asked_at)
    confirmed = or_(_table.c.state == ACTIVE, _table.c.verified_at >= at)
    denied = and_(_table.c.state == FAILED, _table.c.checked_at >= at)
    _set(
        connection,
        registration_id,
        state=case((denied, FAILED), (confirmed, ACTIVE), else_=WANTED),
        problem=case((denied, _table.c.problem), else_=""),
        upstream=msgspec.json.encode(upstream).decode(),
        checked_at=at,
    )


def note_greeted(
    connection: Connection, registration_id: str, expires_at: datetime | None, now: datetime
) -> None:
    """Write down that the platform asked the address and was told that it wants deliveries: its lease begins now."""
    stored = None if expires_at is None else to_stored(expires_at)
    at = to_stored(now)
    _set(
        connection,
        registration_id,
        state=ACTIVE,
        problem="",
        expires_at=stored,
        verified_at=at,
        renewed_at=at,
    )


def note_failure(connection: Connection, registration_id: str, problem: str, now: datetime) -> None:
    """Write down that there is no webhook at the platform for this registration, and why."""
    _set(
        connection,
        registration_id,
        state=FAILED,
        problem=problem,
        upstream=None,
        expires_at=None,
        checked_at=to_stored(now),
    )


def note_remade(connection: Connection, registration_id: str, now: datetime) -> None:
    """Write down that it is about to be made again because it is in doubt."""
    _set(connection, registration_id, remade=_table.c.remade + 1, remade_at=to_stored(now))


def note_removing(connection: Connection, registration_id: str) -> None:
    """Write down that a registration is no longer wanted; the row goes when the platform has removed its part."""
    _set(connection, registration_id, state=REMOVING)


def note_verified(connection: Connection, registration_id: str, now: datetime) -> None:
    """Write down that the platform greeted the webhook, so deliveries arrive."""
    _set(connection, registration_id, verified_at=to_stored(now), last_delivery_at=to_stored(now))


def note_deliveries(connection: Connection, delivered_at: Mapping[str, datetime]) -> None:
    """Write down when each of these registrations brought something last, and so was not made again in vain."""
    for registration_id, at in delivered_at.items():
        _set(connection, registration_id, last_delivery_at=to_stored(at), remade=0)


def _set(connection: Connection, registration_id: str, **values: Any) -> None:
    connection.execute(update(_table).where(_table.c.id == registration_id).values(**values))


def _platform_registration(row: Sequence[Any]) -> PlatformRegistration:
    """The registration in a row of those columns that it shows, in their order."""
    values = dict(zip(_SHOWN, row, strict=True))
    for name in _INSTANTS:
        values[name] = None if values[name] is None else from_stored(values[name])
    upstream = values["upstream"]
    values["upstream"] = None if upstream is None else msgspec.json.decode(upstream, type=Upstream)
    return PlatformRegistration(**values)
