"""An installation of tidings in virtual time, which can be restarted and killed, and its ways to the platforms."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
import structlog
import yaml
from sqlalchemy import Connection

from tidings.app import build
from tidings.asgi import step
from tidings.config import Settings, load
from tidings.connecting import Answer
from tidings.errors import Unavailable
from tidings.outbound import TIMEOUT_SECONDS
from tidings.plugins import load_plugins
from tidings.runtime import running
from tidings.services import Services
from tidings_sandbox.world import EMULATORS, World
from virtual import InlineDatabase, VirtualClock

PUBLIC_URL = "http://127.0.0.1:8080"
# Nobody else uses the database, and its log is small enough.
_LOOK_SECONDS = 600.0
_PEOPLE_PER_CLIENT = 5  # of Spotify's
Asgi = Callable[[Any, Any, Any], Awaitable[None]]


def write_config(
    folder: Path,
    connectors: Mapping[str, Mapping[str, Any]],
    strategies: Mapping[str, Mapping[str, Any]] | None = None,
) -> Settings:
    """Settings for an installation with these connectors, by platform, and strategies, with their options."""
    path = folder / "config.yaml"
    settings = {
        "server": {"public_url": PUBLIC_URL},
        "database": "sqlite+aiosqlite:///tidings.db",
        "limits": {"api": "unlimited", "sessions": "unlimited", "webhooks": "unlimited"},
        "retention": {"days": 36500},
        "plugins": {"connectors": connectors, **({"strategies": strategies} if strategies else {})},
    }
    path.write_text(yaml.safe_dump(msgspec.to_builtins(settings)))
    return load(path, {})


def options_at(platforms: Iterable[str], seed: int, users: int) -> dict[str, dict[str, Any]]:
    """The options that lead these platforms' connectors to a world of this seed, with clients enough for all users."""
    made = {
        kind.name: dict(kind.options(f"{PUBLIC_URL}/sandbox/{kind.name}", seed, lively=False))
        for kind in EMULATORS
        if kind.name in set(platforms)
    }
    if "spotify" in made:
        clients = -(-users // _PEOPLE_PER_CLIENT)
        made["spotify"]["clients"] = [*made["spotify"]["clients"][:clients]]
    return made


async def ask(
    app: Asgi, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
) -> tuple[int, Mapping[str, str], bytes]:
    """Ask an ASGI application; waits only where the application does."""
    answered: dict[str, Any] = {}
    parts: list[bytes] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answered.update(message)
        else:
            parts.append(message.get("body", b""))

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
    }
    _, rest = step(app(scope, receive, send))
    if rest is not None:
        await rest
    sent = {name.decode().lower(): value.decode() for name, value in answered["headers"]}
    return answered["status"], sent, b"".join(parts)


class DirectHttp:
    """Fulfils `tidings.connecting.Http`: calls the emulated platforms without a network.

    Attributes:
        calls: How many requests went to each platform, by what they were about: see `Emulator.sort`.
        is_cut: Whether nothing goes out any more: the process was killed.
        killed: Called when a platform has answered a request that its caller does not survive.

    Args:
        world: The platforms.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._fatal: set[str] = set()  # paths
        self.is_cut = False
        self.calls: Counter[tuple[str, str]] = Counter()
        self.killed: Callable[[], None] = lambda: None

    def kill_after(self, path: str) -> None:
        """The process dies when the next request to this path has been answered, before it learns the answer."""
        self._fatal.add(path)

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """See `tidings.connecting.Http`."""
        if self.is_cut:
            raise Unavailable("The process was killed.")
        parts = urlsplit(url)
        platform = parts.path.split("/")[2]
        path = unquote(parts.path)
        emulator = self._world.emulators[platform]
        self.calls[platform, emulator.sort(path.removeprefix(f"/sandbox/{platform}"))] += 1
        asking = ask(
            self._world.app,
            method,
            path,
            parts.query,
            {"user-agent": "tidings", **(headers or {})},
            body,
        )
        answer, rest = step(asking)
        if rest is not None:
            try:
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    answer = await rest
            except TimeoutError:
                raise Unavailable("The platform did not answer in time.") from None
        assert answer is not None
        if parts.path in self._fatal:
            self._fatal.remove(parts.path)
            self.killed()
            raise Unavailable("The process was killed.")
        return Answer(*answer)


class Installation:
    """tidings, at work or not.

    Attributes:
        services: Its parts; None while it is down.
        started: Called with the parts after each start.
        died: Called when it was killed, with the hashes of the refresh tokens on its disk, as platforms name them.
        jobs: Runs of jobs, by kind and outcome, of all starts so far.
        errors: What was logged as an error.

    Args:
        settings: Its configuration.
        http: Its way to the platforms.
        clock: Its clock.
        random: For jitter.
    """

    def __init__(self, settings: Settings, http: DirectHttp, clock: VirtualClock, random: Random) -> None:
        self._settings = settings
        self._http = http
        self._clock = clock
        self._random = random
        self._up = asyncio.Event()
        self._stop = asyncio.Event()
        self._database: InlineDatabase | None = None
        self._down_seconds = 0.0
        self._is_over = False
        self._app: tuple[Services, Asgi] | None = None
        self.services: Services | None = None
        self.started: Callable[[Services], None] = lambda _services: None
        self.died: Callable[[Sequence[str]], None] = lambda _hashes: None
        self.jobs: Counter[tuple[str, str]] = Counter()
        self.errors: list[str] = []
        http.killed = partial(self.kill, down_seconds=20.0)

    async def run(self) -> None:
        """Run it, again and again, until it is closed."""
        loaded = load_plugins(self._settings)
        log = structlog.wrap_logger(
            None,
            processors=[self._log],
            wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
            cache_logger_on_first_use=True,
        )
        while not self._is_over:
            self._stop.clear()
            async with running(
                self._settings,
                loaded,
                log,
                clock=self._clock,
                synchronous="OFF",
                http=self._http,
                random=self._random,
                open_database=self._open,
                look_seconds=_LOOK_SECONDS,
            ) as services:
                self.services = services
                self.started(services)
                self._up.set()
                try:
                    await self._stop.wait()
                finally:
                    self.services = None
                    self._up.clear()
            self._count(services)
            await self._clock.sleep(self._down_seconds)

    async def parts(self) -> Services:
        """Its parts, as soon as it is up."""
        while self.services is None:
            await self._up.wait()
        return self.services

    def restart(self, *, down_seconds: float) -> None:
        """Stop it in good order, and start it again later."""
        self._down_seconds = down_seconds
        self._stop.set()

    def close(self) -> None:
        """Stop it for good; `run` ends."""
        self._is_over = True
        self.restart(down_seconds=0.0)

    def kill(self, *, down_seconds: float) -> None:
        """End it in the middle of whatever it does: nothing more reaches its disk. Start it again later."""
        if self._database is not None and not self._database.is_closed:
            self._http.is_cut = True
            self.died(self._database.die(_refresh_hashes))
        self.services = None
        self._up.clear()
        self.restart(down_seconds=down_seconds)

    async def deliver(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """Take a webhook.

        Raises:
            OSError: It is down.
        """
        services = self.services
        if services is None:
            raise ConnectionRefusedError
        platform, _, ref = urlsplit(url).path.removeprefix("/api/webhooks/").partition("/")
        take = partial(services.webhooks.take, platform, ref)
        status, _, _ = await ask(take, "POST", urlsplit(url).path, "", headers, body)
        if self.services is not services:
            raise ConnectionResetError
        return status

    async def answer(self, url: str) -> tuple[int, bytes]:
        """Answer a platform that asks an address whether it wants webhooks.

        Raises:
            OSError: It is down.
        """
        services = self.services
        if services is None:
            raise ConnectionRefusedError
        if self._app is None or self._app[0] is not services:
            self._app = services, build(services)
        parts = urlsplit(url)
        headers = {"host": parts.netloc}
        status, _, body = await ask(self._app[1], "GET", parts.path, parts.query, headers, b"")
        if self.services is not services:
            raise ConnectionResetError
        return status, body

    def _open(self, settings: Settings, *, synchronous: str, keeps_time: bool) -> InlineDatabase:
        del keeps_time
        self._database = InlineDatabase(settings.database, synchronous=synchronous)
        self._http.is_cut = False
        return self._database

    def _count(self, services: Services) -> None:
        for metric in services.metrics.jobs.collect():
            for sample in metric.samples:
                if sample.name.endswith("_total"):
                    self.jobs[sample.labels["kind"], sample.labels["outcome"]] += int(sample.value)

    def _log(self, _logger: object, _method: str, event: Mapping[str, Any]) -> Mapping[str, Any]:
        is_dead = self._database is not None and self._database.is_dead
        if not is_dead:
            self.errors.append(f"{self._clock.now():%Y-%m-%d %H:%M:%S} {dict(event)}")
        raise structlog.DropEvent


def _refresh_hashes(connection: Connection) -> Sequence[str]:
    found = connection.exec_driver_sql(
        "SELECT hex(refresh_hash) FROM grants WHERE refresh_hash IS NOT NULL"
    ).scalars()
    return [one.lower()[:16] for one in found]
