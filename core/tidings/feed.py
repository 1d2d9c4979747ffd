"""tidings' own news of a connection: what its user must know, as events on the feed, each told once.

Routine news, such as a refreshed token, is not journaled: it goes to who watches just now, as a notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from tidings.connections import Connection
from tidings.connectors import Connector
from tidings.contracts import Notice
from tidings.event import OWN_PLATFORM, Event, encode_json, rfc3339

_PREFIX: Final = "org.tidings."


def connection_event(
    kind: str,
    connection: Connection,
    *,
    once: str,
    title: str,
    text: str = "",
    now: datetime,
    more: Mapping[str, Any] | None = None,
) -> Event:
    """An event about a connection.

    Args:
        kind: The end of its type: `strategy_changed` becomes `org.tidings.connection.strategy_changed`.
        connection: Which.
        once: With connection and kind the identity of the happening; the same is told once.
        title: One line, for people.
        text: More, for people: why, and what to do now.
        now: When it happened.
        more: Further fields of the event's data.
    """
    return Event(
        id=f"tidings:{connection.id}:{kind}:{once}",
        type=f"{_PREFIX}connection.{kind}",
        source=f"/api/connections/{connection.id}",
        subject=connection.platform,
        time=now,
        platform=OWN_PLATFORM,
        data={
            "title": title,
            "text": text,
            "url": f"/#connections/{connection.id}",
            "platform": connection.platform,
            "account": connection.account_name,
            **(more or {}),
        },
    )


def connected(
    connection: Connection, connector: Connector, *, is_new: bool, version: int, now: datetime
) -> Event:
    """An account was connected, or connected again."""
    name = f"{connector.display_name}: {connection.account_name}"
    return connection_event(
        "connected" if is_new else "reconnected",
        connection,
        once=str(version),
        title=f"{name} is connected" if is_new else f"{name} is connected again",
        now=now,
    )


def needs_reauth(
    connection: Connection, display_name: str, *, version: int, reason: str, now: datetime
) -> Event:
    """The platform no longer takes the consent; only a new one helps."""
    return connection_event(
        "needs_reauth",
        connection,
        once=str(version),
        title=f"{display_name}: {connection.account_name} must be connected again",
        text=f"{reason} Nothing is lost on our side: connect again, and everything goes on from where it was.",
        now=now,
        more={"reauthorize": f"/api/oauth/{connection.platform}/start?connection={connection.id}"},
    )


def healed(connection: Connection, display_name: str, *, version: int, now: datetime) -> Event:
    """A consent that was given up for dead works after all."""
    return connection_event(
        "healed",
        connection,
        once=str(version),
        title=f"{display_name}: {connection.account_name} works again",
        text="No click is needed any more.",
        now=now,
    )


def parked(connection: Connection, display_name: str, *, reason: str, now: datetime) -> Event:
    """Its plugin breaks its contract, and would do so again."""
    return connection_event(
        "parked",
        connection,
        once=rfc3339(now),
        title=f"{display_name}: {connection.account_name} is no longer watched",
        text=f"{reason} Use Sync to try again; a restart tries again too.",
        now=now,
    )


def reauthorize_soon(
    connection: Connection, display_name: str, *, by: datetime, days: int, now: datetime
) -> Event:
    """The platform will end the consent at a known instant."""
    return connection_event(
        "reauthorize_soon",
        connection,
        once=f"{rfc3339(by)}:{days}",
        title=f"{display_name}: connect {connection.account_name} again within {days} days",
        text=f"{display_name} ends every consent after a time; this one ends on {by:%d %B %Y}.",
        now=now,
        more={
            "by": rfc3339(by),
            "reauthorize": f"/api/oauth/{connection.platform}/start?connection={connection.id}",
        },
    )


def gap(connection: Connection, display_name: str, *, reason: str, once: str, now: datetime) -> Event:
    """Something happened that the platform no longer shows."""
    return connection_event(
        "gap",
        connection,
        once=once,
        title=f"{display_name}: something may be missing for {connection.account_name}",
        text=reason,
        now=now,
    )


def disconnected(connection: Connection, display_name: str, *, now: datetime) -> Event:
    """An account was disconnected by its user."""
    return connection_event(
        "disconnected",
        connection,
        once=rfc3339(now),
        title=f"{display_name}: {connection.account_name} is disconnected",
        now=now,
    )


def notice(
    name: str, kind: str, connection: Connection, *, now: datetime, more: Mapping[str, Any] | None = None
) -> Notice:
    """Routine news of a connection, for who watches just now.

    Args:
        name: The SSE event: `token_refresh` or `platform_sync`.
        kind: The end of its type: `token.refreshed` becomes `org.tidings.token.refreshed`.
        connection: Which.
        now: When it happened.
        more: Further fields.
    """
    type_ = _PREFIX + kind
    data = {
        "type": type_,
        "platform": connection.platform,
        "connection": connection.id,
        "time": rfc3339(now),
        **(more or {}),
    }
    return Notice(connection.user_id, name, type_, connection.platform, encode_json(data))
