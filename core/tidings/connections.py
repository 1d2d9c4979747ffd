"""Connections: one user's account at one platform each. Its tokens stand in its grant."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, and_, bindparam, delete, func, insert, select, update
from sqlalchemy import Connection as Sql

from tidings.accounts import random_letters
from tidings.connecting import Account
from tidings.errors import NotFound
from tidings.event import UserId
from tidings.facts import REGISTRATIONS_CHANGED, increase
from tidings.rowsets import insert_rows
from tidings.schema import (
    attempts,
    checkpoints,
    connection_addresses,
    connections,
    from_stored,
    grants,
    hints,
    jobs,
    platform_webhooks,
    to_stored,
)
from tidings.statements import Statement

_ID_LETTERS = 16

CONNECTED = "connected"
NEEDS_REAUTH = "needs_reauth"
PARKED = "parked"
DISCONNECTING = "disconnecting"

_COLUMNS = (*(column.name for column in connections.columns), "grant_version")
_IS_IT = and_(
    connections.c.user_id == bindparam("of_user_id"), connections.c.id == bindparam("connection_id")
)
_VERSION = (
    select(grants.c.version)
    .where(grants.c.user_id == connections.c.user_id, grants.c.id == connections.c.grant_id)
    .scalar_subquery()
)
_WHOLE = select(connections, func.coalesce(_VERSION, 0))
_OWN = Statement(_WHOLE.where(_IS_IT))
_MEMORY = Statement(select(connections.c.monitor).where(_IS_IT))
_REMEMBER = Statement(update(connections).where(_IS_IT).values(monitor=bindparam("memory")))
_HAD_NEWS = Statement(update(connections).where(_IS_IT).values(last_event_at=bindparam("at")))
_CHECKED = Statement(
    update(connections)
    .where(_IS_IT)
    .values(
        last_checked_at=bindparam("at"),
        last_event_at=func.coalesce(bindparam("event_at"), connections.c.last_event_at),
    )
)
_POSITION_COLUMNS = ("user_id", "connection_id", "value", "updated_at")
_MOVED_ON = "(user_id, connection_id) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at"
_POSITION = Statement(
    select(checkpoints.c.value).where(
        checkpoints.c.user_id == bindparam("user_id"),
        checkpoints.c.connection_id == bindparam("connection_id"),
    )
)


@dataclasses.dataclass(frozen=True, slots=True)
class Connection:
    """A connection as it is stored.

    Attributes:
        account_key: The platform's own, stable id of the account.
        state: `connected`, `needs_reauth` (its user must consent again), `parked` (its plugin fails) or
            `disconnecting`.
        reason: Why it is in that state, for people; "" while it is connected.
        settings: What its user chose, such as the repositories to watch.
        strategy: How it is being watched; "" before the first decision.
        monitor: What the monitor and the reconciling polls remember of it.
        last_checked_at: When the platform was last asked, successfully.
        grant_version: Which token set its grant had when this was read. A call must not use an older one, which may
            lack scopes that were given since.
    """

    id: str
    user_id: UserId
    platform: str
    grant_id: str
    account_key: str
    account_name: str
    avatar_url: str
    url: str
    state: str
    reason: str
    settings: Mapping[str, Any]
    strategy: str
    strategy_since: datetime
    strategy_reason: str
    monitor: Mapping[str, Any]
    created_at: datetime
    last_checked_at: datetime | None
    last_event_at: datetime | None
    grant_version: int

    @property
    def is_working(self) -> bool:
        """Whether it is to be watched."""
        return self.state == CONNECTED


def save_connection(
    sql: Sql, *, user_id: UserId, platform: str, grant_id: str, account: Account, now: datetime
) -> tuple[str, bool]:
    """Store a connection; one of the same account keeps its id, settings, checkpoint and history.

    Returns:
        Its id, and whether it is new.
    """
    found = sql.execute(
        select(connections.c.id).where(
            connections.c.user_id == user_id,
            connections.c.platform == platform,
            connections.c.account_key == account.key,
        )
    ).scalar()
    described = {
        "grant_id": grant_id,
        "account_name": account.name,
        "avatar_url": account.avatar_url,
        "url": account.url,
        "state": CONNECTED,
        "reason": "",
    }
    if found is not None:
        sql.execute(update(connections).where(_is_it(user_id, found)).values(**described))
    else:
        sql.execute(
            insert(connections).values(
                user_id=user_id,
                id=(new_id := f"con{random_letters(_ID_LETTERS)}"),
                platform=platform,
                account_key=account.key,
                settings="{}",
                strategy="",
                strategy_since=to_stored(now),
                strategy_reason="",
                monitor="{}",
                created_at=to_stored(now),
                **described,
            )
        )
    connection_id = found or new_id
    _save_addresses(sql, user_id, platform, connection_id, account.addresses)
    return connection_id, found is None


def _save_addresses(
    sql: Sql, user_id: UserId, platform: str, connection_id: str, addresses: Collection[str]
) -> None:
    sql.execute(delete(connection_addresses).where(connection_addresses.c.connection_id == connection_id))
    if addresses:
        sql.execute(
            insert(connection_addresses),
            [
                {
                    "user_id": user_id,
                    "platform": platform,
                    "address": address,
                    "connection_id": connection_id,
                }
                for address in sorted(set(addresses))
            ],
        )


def find_connection(sql: Sql, connection_id: str, *, user_id: UserId) -> Connection:
    """A user's connection by its id.

    Raises:
        NotFound: There is none, or it is another user's.
    """
    row = _OWN.row(sql, of_user_id=user_id, connection_id=connection_id)
    if row is None:
        raise NotFound(f"There is no connection {connection_id[:80]!r}. List them: GET /api/connections.")
    return _connection(row)


def read_again(sql: Sql, connection: Connection) -> Connection:
    """A connection as it is by now.

    Raises:
        NotFound: It is gone.
    """
    return find_connection(sql, connection.id, user_id=connection.user_id)


def list_connections(
    sql: Sql, *, user_id: UserId | None = None, platform: str = "", grant_id: str = ""
) -> Sequence[Connection]:
    """Connections, oldest first: of one user, of one platform, of one grant, or all."""
    statement = _WHOLE
    if user_id is not None:
        statement = statement.where(connections.c.user_id == user_id)
    if platform:
        statement = statement.where(connections.c.platform == platform)
    if grant_id:
        statement = statement.where(connections.c.grant_id == grant_id)
    rows = sql.execute(statement.order_by(connections.c.created_at, connections.c.id))
    return [_connection(row) for row in rows]


def set_state(sql: Sql, connection_id: str, state: str, reason: str = "", *, user_id: UserId) -> bool:
    """Change a connection's state; says whether it was another one."""
    is_another = (_is_it(user_id, connection_id), connections.c.state != state)
    return bool(
        sql.execute(update(connections).where(*is_another).values(state=state, reason=reason)).rowcount
    )


def set_settings(sql: Sql, user_id: UserId, connection_id: str, settings: Mapping[str, Any]) -> None:
    """Replace what its user chose."""
    _set(sql, user_id, connection_id, settings=msgspec.json.encode(settings).decode())


def set_strategy(
    sql: Sql, user_id: UserId, connection_id: str, strategy: str, reason: str, now: datetime
) -> None:
    """Write how it is being watched from now on, and why."""
    since = to_stored(now)
    _set(sql, user_id, connection_id, strategy=strategy, strategy_since=since, strategy_reason=reason)


def change_monitor(sql: Sql, user_id: UserId, connection_id: str, **changes: Any) -> None:
    """Change some of what is remembered of how it is being watched.

    `is_push` (bool): news is pushed, and polls only make sure. `sync_seconds`: the cadence of those polls as the
    monitor wants it. `pace`: what its own rhythm makes of that. `missed`: how many events polls and recovery
    found that a webhook should have brought, since the strategy changed. `is_urgent`: its user asked for a poll that
    has not ended yet. `found_at`, `happened_at` (stored instants): when a poll last brought news, and when the latest
    of that had happened. Further keys are the monitor's own.
    """
    row = _MEMORY.row(sql, of_user_id=user_id, connection_id=connection_id)
    if row is not None:
        memory = msgspec.json.encode({**msgspec.json.decode(row[0]), **changes}).decode()
        _REMEMBER.run(sql, of_user_id=user_id, connection_id=connection_id, memory=memory)


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """The platform was asked, with success.

    Attributes:
        event_at: When there was news last, if there was some now.
        pace: The new pace of its polls; None for the old one.
        happened_at: When the last of that news happened, as far as the platform says.
    """

    at: datetime
    event_at: datetime | None = None
    pace: float | None = None
    happened_at: datetime | None = None


def note_checks(sql: Sql, checks: Mapping[tuple[UserId, str], Check]) -> None:
    """Write checks down, by user and connection's id."""
    for (user_id, connection_id), check in checks.items():
        event_at = None if check.event_at is None else to_stored(check.event_at)
        _CHECKED.run(
            sql, of_user_id=user_id, connection_id=connection_id, at=to_stored(check.at), event_at=event_at
        )
        changes: dict[str, Any] = {} if check.pace is None else {"pace": check.pace}
        if check.event_at is not None and check.happened_at is not None:
            changes |= {"found_at": event_at, "happened_at": to_stored(check.happened_at)}
        if changes:
            change_monitor(sql, user_id, connection_id, **changes)


def note_events(sql: Sql, events_at: Mapping[tuple[UserId, str], datetime]) -> None:
    """Write down when each of these connections, by user and id, had news last."""
    for (user_id, connection_id), at in events_at.items():
        _HAD_NEWS.run(sql, of_user_id=user_id, connection_id=connection_id, at=to_stored(at))


def remove_connection(sql: Sql, user_id: UserId, connection_id: str) -> None:
    """Remove a user's connection with its registrations, checkpoint, jobs and attempts; its events stay.

    Its grant goes with the last connection that uses it.
    """
    is_it = _is_it(user_id, connection_id)
    grant_id = sql.execute(select(connections.c.grant_id).where(is_it)).scalar_one_or_none()
    if grant_id is None:
        return
    _remove_traces(sql, user_id, connection_id)
    increase(sql, REGISTRATIONS_CHANGED)
    sql.execute(delete(connections).where(is_it))
    of_grant = (connections.c.user_id == user_id, connections.c.grant_id == grant_id)
    if sql.execute(select(connections.c.id).where(*of_grant).limit(1)).first() is None:
        sql.execute(delete(jobs).where(jobs.c.user_id == user_id, jobs.c.key == grant_id))
        sql.execute(
            delete(attempts).where(attempts.c.user_id == user_id, attempts.c.connection_id == grant_id)
        )
        sql.execute(delete(grants).where(grants.c.user_id == user_id, grants.c.id == grant_id))


def _remove_traces(sql: Sql, user_id: int, connection_id: str) -> None:
    for table in (checkpoints, attempts, hints):
        sql.execute(delete(table).where(table.c.user_id == user_id, table.c.connection_id == connection_id))
    for table in (platform_webhooks, connection_addresses):
        sql.execute(delete(table).where(table.c.connection_id == connection_id))
    sql.execute(delete(jobs).where(jobs.c.user_id == user_id, jobs.c.key == connection_id))


def read_checkpoint(sql: Sql, connection: Connection) -> Mapping[str, Any]:
    """The connection's position at its platform; empty before the first poll."""
    row = _POSITION.row(sql, user_id=connection.user_id, connection_id=connection.id)
    position: Mapping[str, Any] = {} if row is None else msgspec.json.decode(row[0])
    return position


def write_checkpoints(sql: Sql, moved: Mapping[str, tuple[int, Mapping[str, Any]]], at: int) -> None:
    """Write how far connections have come at their platforms: user and position, by connection's id."""
    rows = [
        (user_id, connection_id, msgspec.json.encode(position).decode(), at)
        for connection_id, (user_id, position) in moved.items()
    ]
    insert_rows(sql, checkpoints, _POSITION_COLUMNS, rows, on_conflict=_MOVED_ON)


def _set(sql: Sql, user_id: UserId, connection_id: str, **values: Any) -> None:
    sql.execute(update(connections).where(_is_it(user_id, connection_id)).values(**values))


def _is_it(user_id: UserId, connection_id: str) -> ColumnElement[bool]:
    return and_(connections.c.user_id == user_id, connections.c.id == connection_id)


def _connection(row: Sequence[Any]) -> Connection:
    """The connection in a row with all columns of the table, in their order, and the version of its grant."""
    values = dict(zip(_COLUMNS, row, strict=True))
    for name in ("settings", "monitor"):
        values[name] = msgspec.json.decode(values[name])
    for name in ("strategy_since", "created_at", "last_checked_at", "last_event_at"):
        values[name] = None if values[name] is None else from_stored(values[name])
    return Connection(**values)
