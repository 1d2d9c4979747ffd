"""`tidings serve`: the server in the foreground."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from functools import partial

import click
import uvloop
from structlog.typing import FilteringBoundLogger

import tidings
from tidings import logs
from tidings.accounts import list_users
from tidings.advice import advice
from tidings.bootstrap import FIRST_USER, first_start
from tidings.cli.installation import Installation
from tidings.cli.output import say, verbatim
from tidings.config import Settings
from tidings.loopguard import guarding
from tidings.plugins import Loaded, load_plugins
from tidings.runtime import running
from tidings.server import HttpServer, allow_many_connections, bind, settle_process
from tidings.serverlock import ServerLock
from tidings.services import Services
from tidings.tracing import TOPICS, Trace
from tidings.watchdog import Watchdog


@click.command(
    "serve",
    epilog=verbatim(
        "Examples:",
        "  tidings serve",
        "  tidings serve --port 9000",
        "  tidings --config /etc/tidings/config.yaml serve --host 0.0.0.0",
    ),
)
@click.option("--host", help="The address to listen on, instead of server.host.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="The port, instead of server.port; 0 takes any free one."
)
@click.option(
    "--trace",
    metavar="TOPICS",
    default="",
    help="Log every call of a plugin, every step of an event, or both: plugins,events.",
)
@click.pass_obj
def command(installation: Installation, host: str | None, port: int | None, trace: str) -> None:
    """Start the server. It runs until Ctrl-C or SIGTERM.

    The first start creates the database, its keys and a user `me`, and prints a login link. What is printed
    goes to standard output, the log to standard error; no link and no secret is ever in the log.
    """
    settings = installation.settings.listening_on(host=host, port=port)
    # Asked before the port is: a second server would else hear that the port is taken, half the truth.
    if settings.is_sqlite:
        lock = ServerLock(settings.database_path)
        lock.acquire()
        lock.release()
    topics = [topic.strip() for topic in trace.split(",") if topic.strip()]
    unknown = sorted(set(topics) - set(TOPICS))
    if unknown:
        raise click.BadParameter(f"there is no {', '.join(unknown)}. Known: {', '.join(TOPICS)}.")
    loaded = load_plugins(settings)
    log = logs.configure(format=settings.log.format, level=settings.log.level)
    tracing = Trace(topics, log)
    tracing.hooks(loaded)
    for warning in advice(settings, loaded):
        log.warning("configuration", advice=warning)
    allow_many_connections()
    with contextlib.closing(bind(settings)) as listening:
        settings = settings.listening_on(port=listening.getsockname()[1])
        uvloop.run(_serve(settings, loaded, log, tracing, listening, installation.invocation))


async def _serve(
    settings: Settings,
    loaded: Loaded,
    log: FilteringBoundLogger,
    tracing: Trace,
    listening: socket.socket,
    invocation: str,
) -> None:
    async with running(settings, loaded, log, contained=partial(_contained, log)) as services:
        tracing.server(services)
        token = await first_start(services)
        text = await _welcome(services, token, invocation)

        def started() -> None:
            settle_process()
            log.info("listening", url=settings.server.local_url, public_url=settings.server.public_url)
            with contextlib.suppress(OSError):  # nobody reads it: no reason not to serve
                say(text)

        await HttpServer(services, started=started).serve([listening])
    log.info("stopped")


@contextlib.asynccontextmanager
async def _contained(log: FilteringBoundLogger, services: Services) -> AsyncIterator[None]:
    """What plugins do that would have everybody wait is refused, or else noticed and broken off, meanwhile."""
    plugins, upkeep = services.loaded.plugins, services.upkeep
    watchdog = Watchdog(plugins, services.health, log, halt=upkeep.halt, rest=upkeep.rest)
    async with watchdog.watching():
        with guarding(plugins):
            yield


async def _welcome(services: Services, token: str | None, invocation: str) -> str:
    """What people should know once the server listens."""
    server = services.settings.server
    where = f"tidings {tidings.__version__} runs at {server.public_url}"
    if server.public_url != server.local_url:
        where += f"\nIt listens on {server.host} port {server.port}."
    if token is not None:
        link = f"{server.public_url}/login/{token}"
        return (
            f"{where}\n\n"
            f"Log in as `{FIRST_USER}`; this link works once, within 24 hours:\n\n  {link}\n\n"
            f"Make something happen, from another terminal:\n\n  {invocation} send-sample\n"
        )
    users = await services.database.read(list_users)
    admin = next((user for user in users if user.is_admin), users[0])
    return f"{where}\nFor a login link: {invocation} user link {admin.name}\n"
