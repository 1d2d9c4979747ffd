"""A whole server for a test: the real parts, on a free loopback port, in the test's own loop."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import structlog
from structlog.typing import FilteringBoundLogger

from tidings.accounts import User, add_user
from tidings.api_tokens import add_token
from tidings.config import load
from tidings.contracts import Clock, Receives, WebhookRequest
from tidings.engines import is_missing
from tidings.logs import SAFE
from tidings.plugins import load_plugins
from tidings.registrations import add_registration
from tidings.runtime import LOOK_SECONDS, running
from tidings.server import HttpServer, bind
from tidings.services import Services
from tidings.testing.blank import write_blank
from tidings.testing.clock import FakeClock
from tidings.testing.listening import listeners, overheard
from tidings.testing.rest import Rest

#: A server with everything that is shipped.
CONFIG = """\
database: sqlite+aiosqlite:///tidings.db
plugins:
  connectors: {github: {}}
  transports: {sse: {}, websocket: {}, webpush: {}}
  bus: {local: {}}
  extras: {dashboard: {}}
"""

# Four fifths of a simulated day's work were looks for what nobody had written.
_LOOK_SECONDS_OF_FAKE_CLOCKS = 30.0


@dataclasses.dataclass(frozen=True, slots=True)
class Hook:
    """A registration: the path it receives at, and the secret to sign with."""

    id: str
    path: str
    secret: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class LiveServer:
    """A server at work.

    Attributes:
        services: Its parts; what a test can't see from outside, it sees here.
        url: Where it listens, without a slash at the end.
        client: A client for it, without credentials.
        logged: Every line it has logged so far, as fields.
    """

    services: Services
    url: str
    client: httpx.AsyncClient
    logged: Sequence[Mapping[str, Any]]
    _http: HttpServer
    _serving: asyncio.Task[None]

    def stop(self) -> None:
        """Tell it to stop, as SIGTERM does."""
        self._http.should_exit = True

    @property
    def stopped(self) -> bool:
        """Whether it has."""
        return self._serving.done()

    async def add_user(self, name: str, *, is_admin: bool = False) -> User:
        """A new user.

        Raises:
            Conflict: There is one of that name.
        """
        now = self.services.clock.now()
        return await self.services.writer.run_unit(partial(add_user, name=name, is_admin=is_admin, now=now))

    async def add_token(self, user: User, *scopes: str, expires_at: datetime | None = None) -> str:
        """An API token with these scopes, `read` if none is named."""
        now = self.services.clock.now()
        _, text = await self.services.writer.run_unit(
            partial(add_token, user=user, scopes=scopes or ("read",), now=now, expires_at=expires_at)
        )
        return text

    async def add_hook(self, user: User, platform: str) -> Hook:
        """A registration of this user's at a platform."""
        now = self.services.clock.now()
        vault = self.services.vault
        hook_id, secret = await self.services.writer.run_unit(
            partial(add_registration, vault=vault, user_id=user.id, platform=platform, now=now)
        )
        return Hook(hook_id, f"/api/webhooks/{platform}/{hook_id}", secret)

    def receiver(self, platform: str) -> Receives:
        """The connector that takes this platform's webhooks.

        Raises:
            LookupError: None does.
        """
        for connector in self.services.connectors:
            if connector.platform == platform and isinstance(connector, Receives):
                return connector
        raise LookupError(f"No connector takes webhooks for {platform!r}.")

    async def deliver(self, path: str, request: WebhookRequest) -> httpx.Response:
        """Send a webhook, such as a connector's `sample`."""
        return await self.client.post(path, content=request.body, headers=dict(request.headers))


@asynccontextmanager
async def live_server(
    folder: Path,
    config: str = CONFIG,
    *,
    clock: Clock | None = None,
    synchronous: str = "OFF",
    environ: Mapping[str, str] = os.environ,
) -> AsyncIterator[LiveServer]:
    """Start a server, and stop it at the end as SIGTERM would.

    The same folder again is the same installation after a restart, at another port.

    Args:
        folder: Where `config.yaml`, the database and its keys lie.
        config: The text of `config.yaml`; its `server.port` does not count.
        clock: All time; the machine's if None. A `FakeClock` moves on only when the server has done what was due, and
            what other processes wrote into the database is looked for each 30 of its seconds rather than each one.
        synchronous: SQLite's durability. Tests don't pull the plug, so they need not wait for the disk.
        environ: The variables that the configuration may name.

    Raises:
        ConfigError: The configuration can't be used.
    """
    path = folder / "config.yaml"
    path.write_text(config, encoding="utf-8")
    settings = load(path, environ).listening_on(host="127.0.0.1", port=_free_port())
    logged: list[Mapping[str, Any]] = []
    log = _log(logged)
    if is_missing(settings):
        write_blank(settings.database_path)
    plugins = load_plugins(settings)
    look_seconds = _LOOK_SECONDS_OF_FAKE_CLOCKS if isinstance(clock, FakeClock) else LOOK_SECONDS
    async with running(
        settings, plugins, log, clock=clock, synchronous=synchronous, look_seconds=look_seconds
    ) as services:
        started = asyncio.Event()
        server = HttpServer(services, started=started.set, protocol=overheard())
        serving = asyncio.create_task(server.serve([bind(settings)]))
        url = f"http://127.0.0.1:{settings.server.port}"
        rest = Rest(services)
        if isinstance(clock, FakeClock):
            clock.join(rest)
        try:
            await started.wait()
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
            async with httpx.AsyncClient(
                base_url=url,
                limits=limits,
                timeout=30,
                trust_env=False,
                verify=False,  # noqa: S501 - there is no TLS, and reading all certificates takes as long as a short test
            ) as client:
                yield LiveServer(services, url, client, logged, server, serving)
        finally:
            if isinstance(clock, FakeClock):
                clock.leave(rest)
            server.should_exit = True
            await serving
            for listener in listeners:
                listener.stopped(services)


def _free_port() -> int:
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _log(logged: list[Mapping[str, Any]]) -> FilteringBoundLogger:
    log: FilteringBoundLogger = structlog.wrap_logger(
        None,
        processors=[*SAFE, partial(_keep, logged)],
        wrapper_class=structlog.make_filtering_bound_logger(0),
        cache_logger_on_first_use=True,
    )
    return log


def _keep(
    logged: list[Mapping[str, Any]], _logger: object, method: str, event: Mapping[str, Any]
) -> Mapping[str, Any]:
    line = {"level": method, **event}
    logged.append(line)
    for listener in listeners:
        listener.logged(line)
    raise structlog.DropEvent
