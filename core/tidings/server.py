"""A server on a socket: uvicorn around the application."""

from __future__ import annotations

import gc
import resource
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import uvicorn
from starlette.routing import WebSocketRoute

from tidings.app import build
from tidings.config import Settings
from tidings.errors import ConfigError
from tidings.protocol import BoundedProtocol
from tidings.services import Services
from tidings.websocket import MOST_MESSAGE_BYTES

# What the kernel holds for a client that does not read; without it 4 MB, and a slow client is noticed late.
_SEND_BUFFER_BYTES = 64 * 1024
_BACKLOG = 2048
_SHUTDOWN_SECONDS = 2  # with what streams are given to end, and the last commits, less than 5
_SWITCH_SECONDS = 0.00002
_LOOK_SECONDS = 0.1  # for a second Ctrl-C


class HttpServer(uvicorn.Server):
    """Serves until SIGTERM or SIGINT, then tells streams to come back and finishes what is under way.

    Args:
        services: The parts at work.
        started: Called when requests are taken.
        protocol: Speaks HTTP on each connection; tests put one in its place that listens.
    """

    def __init__(
        self,
        services: Services,
        *,
        started: Callable[[], None] = lambda: None,
        protocol: type[BoundedProtocol] = BoundedProtocol,
    ) -> None:
        proxies = services.settings.server.trusted_proxies
        super().__init__(
            uvicorn.Config(
                build(services),
                loop="uvloop",
                http=protocol,
                ws=_websocket_protocol(services),
                ws_max_size=MOST_MESSAGE_BYTES,
                ws_per_message_deflate=False,  # twice the time and three times the memory
                ws_ping_interval=None,  # the transport's own, by its own clock
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=bool(proxies),
                forwarded_allow_ips=[str(network) for network in proxies],
                backlog=_BACKLOG,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
            )
        )
        self._services = services
        self._on_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take requests."""
        await super().startup(sockets=sockets)
        if self.started:
            self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say that it leaves, take no more connections, then end streams, then wait for the rest."""
        self._services.health.leave()
        left_seconds = self._services.settings.server.leave_after
        while left_seconds > 0 and not self.force_exit:
            await self._services.clock.sleep(min(left_seconds, _LOOK_SECONDS))
            left_seconds -= _LOOK_SECONDS
        for server in self.servers:
            server.close()
        for listening in sockets or []:
            listening.close()
        await self._services.fanout.drain()
        await super().shutdown(sockets=sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; a second Ctrl-C stops at once.

        uvicorn would raise the signal once more at the end. A stop that was asked for is a good end: exit code 0.
        """
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True


def _websocket_protocol(services: Services) -> Any:
    """What speaks WebSocket; its library costs memory, so it is loaded only where something uses it."""
    routes = [
        *(route for transport in services.transports for route in transport.routes()),
        *(route for extra in services.extras for route in extra.routes()),
    ]
    if not any(isinstance(route, WebSocketRoute) for route in routes):
        return "none"
    from tidings.websocketprotocol import BoundedWebSocket  # noqa: PLC0415 - see above

    return BoundedWebSocket


def settle_process() -> None:
    """Tune this process for serving, once everything is set up; for processes that do nothing else."""
    # What start-up made stays for good. Left among the young, it would be searched for garbage again and again:
    # 50 ms each time, 14 % of the time under load. Requests leave next to no cycles behind.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    # The writer's thread asks for Python's lock after every statement; by default it would wait 5 ms for it each
    # time while webhooks keep the main thread busy.
    sys.setswitchinterval(_SWITCH_SECONDS)


def allow_many_connections() -> int:
    """Raise this process's limit on open files as far as the system lets it; each stream takes one.

    Returns:
        The limit now in force. Debian's usual one of 1,024 would refuse the thousandth stream.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):  # some systems give "unlimited" as the hard limit and refuse it
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def bind(settings: Settings) -> socket.socket:
    """A listening socket for these settings.

    Raises:
        ConfigError: The address is taken, or not one of this machine's.
    """
    host, port = settings.server.host, settings.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"server: can't listen on {host} port {port}: {error.strerror}. Stop what uses it, or choose another "
            "port: server.port in config.yaml, or --port."
        ) from error
    listening.setblocking(False)
    return listening
