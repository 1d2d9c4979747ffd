"""What becomes of connections when their grant dies, heals or nears its end: fulfils `grants.GrantListener`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from sqlalchemy import Connection as Sql

from tidings import feed
from tidings.connections import (
    CONNECTED,
    NEEDS_REAUTH,
    PARKED,
    Connection,
    find_connection,
    list_connections,
    set_state,
)
from tidings.contracts import Clock, Item, Notice
from tidings.event import Event, UserId
from tidings.grants import Grant
from tidings.jobs import drop_jobs
from tidings.watching import encourage
from tidings.writer import Writer, announce

#: The kinds of job that watch a connection; they need a token that works.
WATCHING_JOBS = ("monitor", "sync", "hooks", "recover", "reach")


class Parking:
    """Stops and starts connections.

    Args:
        writer: Reads beside.
        clock: All time.
        names: Platforms' names for people, by id.
        tell: Passes a notice to who watches.
    """

    def __init__(
        self,
        writer: Writer,
        clock: Clock,
        names: Mapping[str, str],
        *,
        tell: Callable[[Notice], Awaitable[None]],
    ) -> None:
        self._writer = writer
        self._clock = clock
        self._names = names
        self._tell = tell
        self._telling: set[asyncio.Task[None]] = set()

    def parked(self, sql: Sql, grant: Grant, reason: str) -> None:
        """See `GrantListener.parked`."""
        for connection in list_connections(sql, user_id=grant.user_id, grant_id=grant.id):
            if not set_state(sql, connection.id, NEEDS_REAUTH, reason, user_id=grant.user_id):
                continue
            drop_jobs(sql, connection.user_id, connection.id, WATCHING_JOBS)
            event = feed.needs_reauth(
                connection,
                self._name(connection),
                version=grant.version,
                reason=reason,
                now=self._clock.now(),
            )
            _announce(sql, connection, event)
        drop_jobs(sql, grant.user_id, grant.id, ("refresh",))

    def healed(self, sql: Sql, grant: Grant) -> None:
        """See `GrantListener.healed`."""
        for connection in list_connections(sql, user_id=grant.user_id, grant_id=grant.id):
            heal(sql, connection, self._name(connection), version=grant.version, now=self._clock.now())

    def horizon(self, sql: Sql, grant: Grant, days: int) -> None:
        """See `GrantListener.horizon`."""
        if grant.reauthorize_by is None:
            return
        for connection in list_connections(sql, user_id=grant.user_id, grant_id=grant.id):
            event = feed.reauthorize_soon(
                connection,
                self._name(connection),
                by=grant.reauthorize_by,
                days=days,
                now=self._clock.now(),
            )
            _announce(sql, connection, event)

    def refreshed(self, grant: Grant) -> None:
        """See `GrantListener.refreshed`: routine, so only for who watches just now."""
        task = asyncio.get_running_loop().create_task(self._tell_refreshed(grant))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell_refreshed(self, grant: Grant) -> None:
        found = await self._writer.database.read(
            lambda sql: list_connections(sql, user_id=grant.user_id, grant_id=grant.id)
        )
        for connection in found:
            more = {} if grant.expires_at is None else {"expires_at": grant.expires_at.isoformat()}
            notice = feed.notice(
                "token_refresh", "token.refreshed", connection, now=self._clock.now(), more=more
            )
            await self._tell(notice)

    def park(self, sql: Sql, connection_id: str, reason: str, *, user_id: UserId) -> None:
        """Stop one connection whose plugin breaks its contract; a click on Sync, or a restart, tries it again."""
        if set_state(sql, connection_id, PARKED, reason, user_id=user_id):
            connection = find_connection(sql, connection_id, user_id=user_id)
            drop_jobs(sql, connection.user_id, connection.id, WATCHING_JOBS)
            event = feed.parked(connection, self._name(connection), reason=reason, now=self._clock.now())
            _announce(sql, connection, event)

    def _name(self, connection: Connection) -> str:
        return self._names.get(connection.platform, connection.platform)


def heal(sql: Sql, connection: Connection, display_name: str, *, version: int, now: datetime) -> None:
    """Start a connection again whose consent had died, if it is such a one.

    Args:
        sql: The transaction.
        connection: Which.
        display_name: Its platform's, for people.
        version: Of the grant that serves it now.
        now: The present instant.
    """
    if connection.state == NEEDS_REAUTH and set_state(
        sql, connection.id, CONNECTED, user_id=connection.user_id
    ):
        encourage(sql, connection, now)
        _announce(sql, connection, feed.healed(connection, display_name, version=version, now=now))


def unpark_all(sql: Sql) -> None:
    """Try the connections again whose plugins failed; for a start, when plugins may have been mended."""
    for connection in list_connections(sql):
        if connection.state == PARKED:
            set_state(sql, connection.id, CONNECTED, user_id=connection.user_id)


def _announce(sql: Sql, connection: Connection, event: Event) -> None:
    announce(
        sql,
        Item(user_id=connection.user_id, events=[event], via="api", connection_id=connection.id),
    )
