"""The job `leave`: disconnects an account, at its platform and here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy import Connection as Sql
from sqlalchemy import delete, select
from structlog.typing import FilteringBoundLogger

from tidings import feed
from tidings.connecting import Http
from tidings.connections import (
    DISCONNECTING,
    Connection,
    find_connection,
    list_connections,
    remove_connection,
    set_state,
)
from tidings.contracts import Clock, Item, JobRequest
from tidings.database import Insert
from tidings.discretion import use_secrets
from tidings.errors import AuthExpired, NotFound, Rejected, Unavailable
from tidings.grants import Grant, find_grant, is_shared, open_tokens
from tidings.hooking import Hooking
from tidings.jobs import Ended, Job, drop_jobs, request_job
from tidings.parking import WATCHING_JOBS
from tidings.platforms import Platforms
from tidings.rows import id_hash
from tidings.schema import events, seen, to_stored
from tidings.vault import Vault, VaultError
from tidings.writer import Writer, announce

LEAVE: Final = "leave"

# A platform that is away for longer keeps a webhook that calls nobody; our side of it is gone then.
_PATIENCE = timedelta(days=1)
_CHUNK_ROWS = 500


def begin_leaving(sql: Sql, connection: Connection, *, delete_events: bool, now: datetime) -> None:
    """Stop watching a connection, and have it disconnected in the background."""
    set_state(sql, connection.id, DISCONNECTING, "Its user disconnects it.", user_id=connection.user_id)
    drop_jobs(sql, connection.user_id, connection.id, WATCHING_JOBS)
    payload = {"delete_events": delete_events, "until": (now + _PATIENCE).isoformat()}
    request = JobRequest(LEAVE, connection.id, payload, platform=connection.platform, account=connection.id)
    request_job(sql, connection.user_id, request, to_stored(now))


class Leaving:
    """Runs the jobs `leave`."""

    def __init__(
        self,
        platforms: Platforms,
        hooking: Hooking,
        writer: Writer,
        vault: Vault,
        http: Http,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._platforms = platforms
        self._hooking = hooking
        self._writer = writer
        self._vault = vault
        self._http = http
        self._clock = clock
        self._log = log

    async def handle(self, job: Job) -> Ended:
        """Take leave of the platform, as far as it lets us, then forget the account.

        Raises:
            Unavailable: The platform is away; tried again for a day.
        """
        try:
            connection = await self._writer.database.read(
                partial(find_connection, connection_id=job.key, user_id=job.user_id)
            )
        except NotFound:
            return Ended()
        try:
            await self._hooking.unregister_all(connection)
            await self._revoke(connection)
        except Unavailable:
            if self._clock.now() < datetime.fromisoformat(job.payload["until"]):
                raise
        except (AuthExpired, NotFound, Rejected, VaultError) as error:
            self._log.info("left_behind", connection=connection.id, reason=str(error))
        if job.payload.get("delete_events"):
            while await self._writer.run_unit(
                partial(_delete_events, connection=connection, now=self._clock.now())
            ):
                pass
        await self._writer.run_unit(partial(self._forget, connection=connection))
        return Ended()

    async def _revoke(self, connection: Connection) -> None:
        """Give the grant back, if no other connection uses it, of this user or of another one."""

        def only_ours(sql: Sql) -> Grant | None:
            same = list_connections(sql, user_id=connection.user_id, grant_id=connection.grant_id)
            grant = find_grant(sql, connection.grant_id, user_id=connection.user_id)
            shared = any(one.id != connection.id for one in same) or is_shared(sql, grant)
            return None if shared else grant

        grant = await self._writer.database.read(only_ours)
        if grant is None:
            return
        connects = self._platforms.connecting(connection.platform)
        client = next((one for one in connects.clients if one.id == grant.client_id), None)
        if client is not None:
            use_secrets(client.secret)
            await connects.revoke(self._http, client, open_tokens(self._vault, grant))

    def _forget(self, sql: Sql, *, connection: Connection) -> None:
        names: Mapping[str, str] = {one.platform: one.display_name for one in self._platforms}
        name = names.get(connection.platform, connection.platform)
        remove_connection(sql, connection.user_id, connection.id)
        event = feed.disconnected(connection, name, now=self._clock.now())
        item = Item(user_id=connection.user_id, events=[event], via="api", connection_id=connection.id)
        announce(sql, item)


def _delete_events(sql: Sql, *, connection: Connection, now: datetime) -> int:
    """Delete some of a connection's events; their ids stay known, so that none comes back."""
    rows = sql.execute(
        select(events.c.seq, events.c.id)
        .where(events.c.user_id == connection.user_id, events.c.connection_id == connection.id)
        .limit(_CHUNK_ROWS)
    ).all()
    if rows:
        statement = Insert(seen).values(
            [
                {"user_id": connection.user_id, "id_hash": id_hash(row.id), "at": to_stored(now)}
                for row in rows
            ]
        )
        sql.execute(statement.on_conflict_do_nothing())
        sql.execute(
            delete(events).where(
                events.c.user_id == connection.user_id, events.c.seq.in_([row.seq for row in rows])
            )
        )
    return len(rows)
