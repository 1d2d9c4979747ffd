"""A platform with one webhook for all accounts, its log, and the accounts here that it sends to one address."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import structlog
from sqlalchemy import Connection as Sql
from sqlalchemy import select

from scripted import DAY, Pushing, Remote
from stores import Store, opened
from tidings.addressing import items_for, reached, request_comparison
from tidings.arrivals import Arrivals
from tidings.commonrecovery import CommonRecovery
from tidings.connections import Connection, find_connection, save_connection
from tidings.contracts import (
    Account,
    AddressedDelivery,
    Api,
    OAuthClient,
    Parsed,
    RecoversCommon,
    WebhookRequest,
)
from tidings.errors import Rejected
from tidings.event import OLDEST, Entry, UserId
from tidings.health import Health
from tidings.jobs import Ended
from tidings.journal import SqlJournal
from tidings.metrics import Metrics
from tidings.platforms import Platforms
from tidings.reach import Reach
from tidings.scheduler import Scheduler
from tidings.schema import from_stored, jobs

MINUTE = 60.0


class Common(Pushing, RecoversCommon):
    """A connector whose platform has one webhook for all accounts, and a log of it."""

    clients = (OAuthClient("app", "secret"),)
    common_log_seconds = 3 * DAY

    def __init__(self, remote: Remote) -> None:
        super().__init__(remote)
        self.lines: list[tuple[AddressedDelivery, bytes]] = []
        self.addresses: dict[str, tuple[str, ...]] = {}  # by account
        self.has_log = True
        self.refusal: Rejected | None = None

    async def identify(self, api: Api) -> Account:
        self.remote.call("identify")
        return Account(api.account_key, "octo", addresses=self.addresses[api.account_key])

    def application_token(self, now: datetime) -> str | None:
        return "token" if self.has_log else None

    async def common_deliveries(self, api: Api, since: datetime) -> AsyncIterator[AddressedDelivery]:
        self.remote.call("log")
        if self.refusal is not None:
            raise self.refusal
        for line, _ in reversed(self.lines):
            if line.delivered_at >= since:
                yield line

    async def fetch_common_delivery(self, api: Api, logged: AddressedDelivery) -> WebhookRequest:
        self.remote.call(f"fetch {logged.delivery_id}")
        if logged.delivery_id in self.remote.log_forgets:
            raise Rejected("It is gone.", status=404)
        body = next(body for line, body in self.lines if line.number == logged.number)
        return WebhookRequest("POST", "/", "", {}, body)


@dataclasses.dataclass
class Scene:
    """A platform, its log, and accounts here that it sends to one address."""

    store: Store
    connector: Common
    recovery: CommonRecovery
    arrivals: Arrivals
    scheduler: Scheduler
    health: Health
    journal: SqlJournal
    owners: dict[str, UserId] = dataclasses.field(default_factory=dict)  # of connections

    @property
    def remote(self) -> Remote:
        return self.connector.remote

    async def connect(self, name: str, account: str, *addresses: str) -> str:
        """What a consent does; returns the connection's id."""
        user = await self.store.add_user(name)
        self.connector.addresses[account] = addresses

        def work(sql: Sql) -> str:
            connection_id, _ = save_connection(
                sql,
                user_id=user.id,
                platform="scripted",
                grant_id="grt",
                account=Account(account, name, addresses=addresses),
                now=self.store.clock.now(),
            )
            return connection_id

        connection_id = await self.store.write(work)
        self.owners[connection_id] = user.id
        return connection_id

    def find(self, sql: Sql, connection_id: str) -> Connection:
        return find_connection(sql, connection_id, user_id=self.owners[connection_id])

    async def send(self, *addresses: str, loses: bool = True, named: bool = True, **content: Any) -> str:
        """The platform sends something to the common address, and notes it in its log."""
        remote, now = self.remote, self.store.clock.now()
        delivery_id = f"d{remote.number()}"
        said = {
            "delivery": delivery_id,
            "addresses": addresses,
            "number": remote.numbers,
            "at": now.isoformat(),
        }
        body = json.dumps(said | content).encode()
        line = AddressedDelivery(
            delivery_id, f"n{delivery_id}", "thing", now, not loses, addresses if named else ()
        )
        self.connector.lines.append((line, body))
        if not loses:
            await self.arrive(self.connector.parse(WebhookRequest("POST", "/", "", {}, body)))
        return f"scripted:thing:{remote.numbers}"

    async def arrive(self, parsed: Parsed) -> None:
        """What the endpoint does, without its HTTP."""
        known = await self.store.read(lambda sql: reached(sql, "scripted"))
        found = {one.connection_id: one.user_id for each in parsed.addresses for one in known.get(each, ())}
        await self.arrivals.signal(parsed.signal, found, "")
        await self.journal.append(*items_for("scripted", parsed, found, "webhook"))

    async def compare_now(self) -> None:
        """Run the job once, two minutes from now."""
        await self.pass_seconds(2 * MINUTE)
        now = self.store.clock.now()
        await self.store.write(lambda sql: request_comparison(sql, "scripted", now))
        await self.pass_seconds(1)

    async def pass_seconds(self, seconds: float) -> None:
        """Let time pass, and every job run at its instant."""
        clock = self.store.clock
        end = clock.now() + timedelta(seconds=seconds)
        while True:
            await self.arrivals.flush()
            await self.scheduler.idle()
            due = self.scheduler.next_due()
            if due is None or due > end:
                break
            await clock.advance((due - clock.now()).total_seconds())
        await clock.advance((end - clock.now()).total_seconds())

    async def entries(self, connection_id: str, type_: str = ".thing") -> list[Entry]:
        page = await self.journal.read(self.owners[connection_id], OLDEST, limit=500)
        return [one for one in page.entries if one.type.endswith(type_)]

    async def told(self, connection_id: str) -> list[tuple[str, str]]:
        return [(one.id, one.via) for one in await self.entries(connection_id)]

    @property
    async def due(self) -> dict[str, float]:
        """In how many seconds the jobs are due, by kind."""
        rows = await self.store.read(lambda sql: sql.execute(select(jobs.c.kind, jobs.c.due_at)).all())
        now = self.store.clock.now()
        return {row.kind: (from_stored(row.due_at) - now).total_seconds() for row in rows}

    @property
    def fetched(self) -> Sequence[str]:
        return [call for call in self.remote.calls if call.startswith("fetch")]


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    async with opened(folder) as store:
        log = structlog.wrap_logger(None, processors=[_drop])
        connector, nothing = Common(Remote(store.clock)), cast("Any", None)
        journal, clock, writer = (
            SqlJournal(store.database, store.writer, store.clock),
            store.clock,
            store.writer,
        )
        platforms = Platforms([connector], tokens=nothing, budgets=nothing, http=nothing, clock=clock)
        health, arrivals = Health(clock, log), Arrivals(writer, clock, park=lambda *_: None)
        recovery = CommonRecovery(platforms, journal, writer, clock, log, health, arrivals.signal)
        scheduler = Scheduler(journal, writer, clock, log, Metrics(), longest_rest_seconds=365 * DAY)
        scheduler.handle("common_log", recovery.handle)
        scheduler.handle("reach", Reach(platforms, writer, clock, log).handle)
        scheduler.handle("monitor", _rest)
        task = asyncio.create_task(scheduler.run())
        try:
            yield Scene(store, connector, recovery, arrivals, scheduler, health, journal)
        finally:
            await scheduler.stop()
            await task


async def _rest(_job: Any) -> Any:
    return Ended()


def _drop(_logger: object, _method: str, _event: object) -> Any:
    raise structlog.DropEvent
