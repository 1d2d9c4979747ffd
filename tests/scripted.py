"""A platform that follows a script, its connector, and all that watches an account there, in virtual time."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import structlog
from sqlalchemy import Connection as Sql
from sqlalchemy import select

from stores import Store, at_rest, opened
from tidings.arrivals import Arrivals
from tidings.connections import Connection, find_connection, save_connection, set_state
from tidings.contracts import (
    Account,
    Api,
    Asked,
    Connector,
    Connects,
    DeliveryKey,
    Item,
    Keys,
    LoggedDelivery,
    OAuth,
    OAuthClient,
    Parsed,
    Polled,
    Polls,
    Receives,
    Recovers,
    Registers,
    Strategy,
    Target,
    Upstream,
    WebhookRequest,
)
from tidings.errors import NotFound, Rejected, Unavailable
from tidings.event import OLDEST, Entry, Event, UserId
from tidings.hooking import Hooking
from tidings.journal import SqlJournal
from tidings.keys import KeyRing
from tidings.metrics import Metrics
from tidings.monitor import Monitor
from tidings.platforms import Platforms
from tidings.recovery import Recovery
from tidings.registrations import open_secret
from tidings.scheduler import Scheduler
from tidings.schema import from_stored, jobs
from tidings.syncing import Syncing
from tidings.upstreams import PlatformRegistration, platform_registrations
from tidings.vault import Vault
from tidings.watching import MONITOR, Memory, encourage, recall, request
from tidings_strategies.polling import Polling
from tidings_strategies.webhook import Webhook

PUBLIC_URL = "https://tidings.example.org"
HOUR = 3600.0
DAY = 24 * HOUR
POLL_SECONDS = 6 * HOUR


@dataclasses.dataclass
class Hook:
    """A webhook as the platform knows it."""

    id: str
    target: str
    url: str
    secret: str
    expires_at: datetime | None
    is_enabled: bool = True


@dataclasses.dataclass
class Remote:
    """The platform, and what is the matter with it.

    Attributes:
        refuses: Targets at which nobody may make webhooks.
        disables: Whether every webhook is disabled as soon as it is made.
        loses: Whether deliveries get lost on their way.
        is_down: Whether its API is.
        lease_seconds: How long a webhook lasts; None for ever.
        log_fails: Whether lines of its log can't be had.
    """

    clock: Any
    targets: list[str] = dataclasses.field(default_factory=lambda: ["a"])
    hooks: dict[str, Hook] = dataclasses.field(default_factory=dict)
    refuses: set[str] = dataclasses.field(default_factory=set)
    disables: bool = False
    loses: bool = False
    is_down: bool = False
    lease_seconds: float | None = None
    happened: list[tuple[datetime, str]] = dataclasses.field(default_factory=list)
    log: list[tuple[LoggedDelivery, str, bytes]] = dataclasses.field(default_factory=list)  # line, hook, body
    log_forgets: set[str] = dataclasses.field(default_factory=set)
    calls: list[str] = dataclasses.field(default_factory=list)
    numbers: int = 0

    def call(self, what: str) -> None:
        self.calls.append(what)
        if self.is_down:
            raise Unavailable("The platform answers 503.")

    def number(self) -> int:
        self.numbers += 1
        return self.numbers


def event(number: int, at: datetime) -> Event:
    return Event(
        id=f"scripted:thing:{number}",
        type="com.scripted.thing",
        source="//scripted.example",
        time=at,
        platform="scripted",
        data={"title": f"Thing {number}"},
    )


class Pollable(Connector, Connects, Polls):
    """A connector that can only ask."""

    platform = "scripted"
    display_name = "Scripted"
    api_url = "https://api.scripted.example"
    oauth = OAuth(provider="scripted", authorize_url="", token_url="", scopes=())
    clients: Sequence[OAuthClient] = ()
    poll_every_seconds = POLL_SECONDS

    def __init__(self, remote: Remote) -> None:
        self.remote = remote

    async def identify(self, api: Api) -> Account:
        raise AssertionError("the account is known")

    async def poll(self, api: Api, asked: Asked) -> AsyncIterator[Polled]:
        self.remote.call("poll")
        seen = int(asked.checkpoint.get("seen", 0))
        for target in self.remote.targets:
            news = [
                event(number, at)
                for number, (at, where) in enumerate(self.remote.happened)
                if number >= seen and where == target
            ]
            checkpoint = {"seen": seen if target != self.remote.targets[-1] else len(self.remote.happened)}
            yield Polled(events=news, target=target, checkpoint=checkpoint)


class Pushing(Pollable, Receives, Registers):
    """A connector that has webhooks made, too."""

    shared_keys = Keys()

    def verify(self, request: WebhookRequest, keys: Keys, now: datetime) -> None:
        if request.headers.get("x-secret", "").encode() not in keys.secrets:
            raise Rejected("It is not signed.")

    def parse(self, request: WebhookRequest) -> Parsed:
        said = json.loads(request.body)
        news = [event(said["number"], datetime.fromisoformat(said["at"]))] if "number" in said else []
        return Parsed(
            news,
            said.get("delivery", ""),
            "thing",
            tuple(said.get("addresses", ())),
            said.get("signal", ""),
        )

    def sample(self, keys: Keys, now: datetime, serial: str) -> WebhookRequest:
        raise AssertionError("nobody asks for a sample")

    async def targets(self, api: Api, settings: Mapping[str, Any]) -> Sequence[Target]:
        self.remote.call("targets")
        return [
            Target(key, f"Thing {key}") for key in self.remote.targets if key in settings.get("only", key)
        ]

    async def register(self, api: Api, target: Target, callback_url: str, secret: str) -> Upstream:
        remote = self.remote
        remote.call(f"register {target.key}")
        if target.key in remote.refuses:
            raise Rejected("You are no admin there.", status=403)
        ends = None
        if remote.lease_seconds is not None:
            ends = remote.clock.now() + timedelta(seconds=remote.lease_seconds)
        same = [hook for hook in remote.hooks.values() if hook.url == callback_url]
        hook = same[0] if same else Hook(str(remote.number()), target.key, callback_url, secret, ends)
        hook.secret, hook.is_enabled, hook.expires_at = secret, not remote.disables, ends
        remote.hooks[hook.id] = hook
        return self._described(hook, target)

    async def check(self, api: Api, upstream: Upstream) -> Upstream:
        self.remote.call(f"check {upstream.target.key}")
        hook = self.remote.hooks.get(upstream.id)
        if hook is None:
            raise Rejected("There is no such webhook.", status=404)
        return self._described(hook, upstream.target)

    async def unregister(self, api: Api, upstream: Upstream) -> None:
        self.remote.call(f"unregister {upstream.target.key}")
        self.remote.hooks.pop(upstream.id, None)

    @staticmethod
    def _described(hook: Hook, target: Target) -> Upstream:
        return Upstream(
            id=hook.id,
            target=target,
            kinds=frozenset({"thing"}),
            expires_at=hook.expires_at,
            problem="" if hook.is_enabled else "The platform has disabled it.",
        )


class Logging(Pushing, Recovers):
    """A connector whose platform keeps a log of deliveries."""

    log_seconds = 3 * DAY

    async def deliveries(
        self, api: Api, upstream: Upstream, since: datetime
    ) -> AsyncIterator[LoggedDelivery]:
        self.remote.call("log")
        if upstream.id not in self.remote.hooks:
            raise Rejected("There is no such webhook.", status=404)
        for line, hook_id, _ in reversed(self.remote.log):
            if hook_id == upstream.id and line.delivered_at >= since:
                yield line

    async def fetch_delivery(self, api: Api, upstream: Upstream, logged: LoggedDelivery) -> WebhookRequest:
        self.remote.call(f"fetch {logged.delivery_id}")
        if logged.delivery_id in self.remote.log_forgets:
            raise Rejected("It is gone.", status=404)
        body = next(body for line, _, body in self.remote.log if line.number == logged.number)
        return WebhookRequest("POST", "/", "", {}, body)


class Watch:
    """All that watches one account."""

    def __init__(
        self,
        store: Store,
        connector: Connector,
        strategies: Sequence[Strategy],
        *,
        public_url: str = PUBLIC_URL,
    ) -> None:
        self.store = store
        self.clock = store.clock
        self.connector = connector
        self.remote: Remote = cast("Any", connector).remote
        self.log = structlog.wrap_logger(None, processors=[_drop])
        self.journal = SqlJournal(store.database, store.writer, store.clock)
        self.vault = Vault(KeyRing({"a": b"a" * 32}))
        nothing = cast("Any", None)  # this connector's API is the script itself
        platforms = Platforms([connector], tokens=nothing, budgets=nothing, http=nothing, clock=store.clock)
        writer, clock, log = store.writer, store.clock, self.log
        self.parked: list[tuple[str, str]] = []
        self.arrivals = Arrivals(
            writer, clock, park=lambda _sql, _user, grant, why, _at: self.parked.append((grant, why))
        )
        self.hooking = Hooking(platforms, writer, self.vault, clock, log, public_url=public_url)
        self.recovery = Recovery(platforms, self.journal, writer, clock, log)
        self.monitor = Monitor(platforms, strategies, writer, clock, log, public_url=public_url)
        self.syncing = Syncing(
            platforms,
            self.journal,
            writer,
            clock,
            is_watched=_nobody_watches,
            tell=_tell_nobody,
            budgets=nothing,
        )
        self.scheduler = Scheduler(
            self.journal, writer, clock, log, Metrics(), longest_rest_seconds=365 * DAY
        )
        self.scheduler.handle("monitor", self.monitor.handle)
        self.scheduler.handle("hooks", self.hooking.handle)
        self.scheduler.handle("recover", self.recovery.handle)
        self.scheduler.handle("sync", self.syncing.handle)
        self.connection_id = ""
        self.user_id = UserId(0)

    async def connect(self, user_id: UserId) -> None:
        """What a consent does."""
        now = self.clock.now()

        def work(sql: Sql) -> str:
            account = Account("1", "octo")
            connection_id, _ = save_connection(
                sql, user_id=user_id, platform="scripted", grant_id="grt", account=account, now=now
            )
            request(sql, find_connection(sql, connection_id, user_id=user_id), MONITOR, now)
            return connection_id

        self.connection_id, self.user_id = await self.store.write(work), user_id

    @property
    async def connection(self) -> Connection:
        return await self.store.read(self._find)

    def _find(self, sql: Sql) -> Connection:
        return find_connection(sql, self.connection_id, user_id=self.user_id)

    @property
    async def memory(self) -> Memory:
        return recall(await self.connection)

    @property
    async def rows(self) -> Sequence[PlatformRegistration]:
        return await self.store.read(lambda sql: platform_registrations(sql, self.connection_id))

    @property
    async def due(self) -> dict[str, float]:
        """In how many seconds its jobs are due, by kind."""
        rows = await self.store.read(lambda sql: sql.execute(select(jobs.c.kind, jobs.c.due_at)).all())
        now = self.clock.now()
        return {row.kind: (from_stored(row.due_at) - now).total_seconds() for row in rows}

    async def entries(self, type_: str = "") -> list[Entry]:
        page = await self.journal.read(self.user_id, OLDEST, limit=500)
        return [one for one in page.entries if one.type.endswith(type_)]

    async def changes(self) -> list[tuple[str, str]]:
        """The strategies told of, from which to which."""
        told = [json.loads(bytes(one.data)) for one in await self.entries("strategy_changed")]
        return [(one["before"], one["strategy"]) for one in told]

    async def pass_seconds(self, seconds: float) -> None:
        """Let time pass, and every job run at its instant."""
        end = self.clock.now() + timedelta(seconds=seconds)
        while True:
            await self.arrivals.flush()
            await self.syncing.flush()
            await at_rest(self.store.database)
            await self.scheduler.idle()
            due = self.scheduler.next_due()
            if due is None or due > end:
                break
            await self.clock.advance((due - self.clock.now()).total_seconds())
        await self.clock.advance((end - self.clock.now()).total_seconds())

    async def happen(self, target: str = "a", *, signal: str = "") -> None:
        """Something happens at the platform, which tells of it as well as it can."""
        remote = self.remote
        number, now = len(remote.happened), self.clock.now()
        remote.happened.append((now, target))
        for hook in list(remote.hooks.values()):
            if hook.target == target and hook.is_enabled and (hook.expires_at or now) >= now:
                await self.deliver(hook, number=number, at=now.isoformat(), signal=signal)

    async def deliver(self, hook: Hook, **content: Any) -> None:
        """The platform sends something to a webhook, and notes it in its log."""
        remote, now = self.remote, self.clock.now()
        delivery_id = f"d{remote.number()}"
        body = json.dumps({"delivery": delivery_id, **content}).encode()
        arrives = not remote.loses and await self._arrive(hook, body)
        line = LoggedDelivery(delivery_id, f"n{delivery_id}", "thing", now, arrives)
        remote.log.append((line, hook.id, body))

    async def _arrive(self, hook: Hook, body: bytes) -> bool:
        """What the endpoint does, without its HTTP."""
        registration_id = hook.url.rpartition("/")[2]
        try:
            secret = await self.store.read(lambda sql: open_secret(sql, self.vault, registration_id))
        except NotFound:
            return False
        assert secret == hook.secret, "the platform signs with the secret that the row holds"
        parsed = cast("Pushing", self.connector).parse(WebhookRequest("POST", "/", "", {}, body))
        now = self.clock.now()
        await self.arrivals.signal(parsed.signal, {self.connection_id: self.user_id}, registration_id)
        await self.journal.append(
            Item(
                user_id=self.user_id,
                events=parsed.events,
                via="webhook",
                connection_id=self.connection_id,
                delivery=DeliveryKey(registration_id, parsed.delivery_id),
            )
        )
        self.arrivals.delivered(
            self.user_id, self.connection_id, registration_id, now, has_news=bool(parsed.events)
        )
        return True

    async def park(self) -> None:
        end = partial(set_state, state="needs_reauth", reason="It ended.", user_id=self.user_id)
        await self.store.write(lambda sql: end(sql, self.connection_id))

    async def heal(self) -> None:
        def work(sql: Sql) -> None:
            set_state(sql, self.connection_id, "connected", user_id=self.user_id)
            encourage(sql, self._find(sql), self.clock.now())

        await self.store.write(work)


@asynccontextmanager
async def watching(
    folder: Path,
    kind: type[Pollable] = Logging,
    strategies: Sequence[Strategy] | None = None,
    *,
    public_url: str = PUBLIC_URL,
    **remote: Any,
) -> AsyncIterator[Watch]:
    """An account that was connected a moment ago; its first jobs have run."""
    async with opened(folder) as store:
        connector = kind(Remote(store.clock, **remote))
        chosen = [Webhook(), Polling()] if strategies is None else strategies
        watch = Watch(store, connector, chosen, public_url=public_url)
        await watch.connect((await store.add_user("anna")).id)
        async with running(watch):
            await watch.pass_seconds(1)
            yield watch


@asynccontextmanager
async def running(watch: Watch) -> AsyncIterator[None]:
    """Jobs are being run."""
    task = asyncio.create_task(watch.scheduler.run())
    try:
        yield
    finally:
        await watch.scheduler.stop()
        await task


async def _nobody_watches(_user: Any) -> bool:
    return False


async def _tell_nobody(_notice: Any) -> None:
    return


def _drop(_logger: object, _method: str, _event: object) -> Any:
    raise structlog.DropEvent
