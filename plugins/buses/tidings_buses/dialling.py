"""Making a connection to a NATS server: encryption and credentials."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import nats.errors
from nats.aio.client import Client

from tidings.errors import ConfigError, Unavailable
from tidings_buses.connection import FAILURES, Connection, described
from tidings_buses.credentials import Credentials
from tidings_buses.settings import NatsOptions, Tls
from tidings_buses.wire import Received, Subjects

_CONNECT_SECONDS: Final = 3
_LONGEST_SECONDS: Final = 10.0
_RETRY_SECONDS: Final = 0.1  # the library dials a server twice
_PING_SECONDS: Final = 5
_MOST_UNANSWERED_PINGS: Final = 2


class Dialler:
    """Connects as the options say.

    Args:
        options: Those of the bus.
        name: What the server's operator sees: `tidings`.

    Raises:
        ConfigError: Certificates or credentials can't be used.
    """

    def __init__(self, options: NatsOptions, name: str) -> None:
        self.servers = options.servers
        self.subjects = Subjects(options.subject)
        self._options = options
        self._name = name
        given = options.credentials
        self._credentials = None if given is None else Credentials.parse(given.get_secret_value())
        _context(options.tls)  # says now what is wrong with it

    async def dial(self, server: str, take: Callable[[Received], None]) -> Connection:
        """Connect to one server.

        Args:
            server: Its address.
            take: Called with what arrives.

        Raises:
            Unavailable: It can't be reached, or doesn't let this node in.
        """
        client = Client()
        connection = Connection(client, self.subjects, take)
        problems: list[Exception] = []

        async def failed(error: Exception) -> None:
            problems.append(error)

        async def closed() -> None:
            connection.ended.set()

        try:
            async with asyncio.timeout(_LONGEST_SECONDS):
                await self._connect(client, server, error_cb=failed, closed_cb=closed)
        except FAILURES as error:
            await connection.close()
            reason = described(problems[0] if problems else error)
            raise Unavailable(f"{server}: {reason}") from error
        except BaseException:
            await connection.close()
            raise
        problems.clear()
        return connection

    async def _connect(self, client: Client, server: str, **callbacks: Any) -> None:
        context = _context(self._options.tls)

        def checked() -> None:
            # The library encrypts if the server says that it wants to; somebody in between could say otherwise.
            if server.startswith("tls://") and not context.used:
                raise nats.errors.SecureConnWantedError

        await client.connect(
            server,
            name=self._name,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=_RETRY_SECONDS,  # type: ignore[arg-type]  # it takes any number of seconds
            connect_timeout=_CONNECT_SECONDS,
            ping_interval=_PING_SECONDS,
            max_outstanding_pings=_MOST_UNANSWERED_PINGS,
            flush_timeout=_CONNECT_SECONDS,
            no_echo=True,  # what comes from this node needs no way around
            inbox_prefix=self.subjects.replies,
            tls=context,
            **self._ways_in(checked),
            **callbacks,
        )
        checked()

    def _ways_in(self, checked: Callable[[], None]) -> dict[str, Any]:
        """Who we are; each is asked for when it is about to be sent, and `checked` says whether it may be."""

        def secret(text: str) -> Callable[[], str]:
            def told() -> str:
                checked()
                return text

            return told

        options, credentials = self._options, self._credentials
        if options.token is not None:
            return {"token": secret(options.token.get_secret_value())}
        if options.password is not None:
            return {"user": options.user, "password": secret(options.password.get_secret_value())}
        if credentials is not None:

            def jwt() -> bytearray:
                checked()
                return bytearray(credentials.jwt.encode())

            return {"user_jwt_cb": jwt, "signature_cb": credentials.sign}
        return {}


class _Context(ssl.SSLContext):
    """Knows whether anything was encrypted by it."""

    used = False

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """See `ssl.SSLContext.wrap_bio`, by which an event loop begins."""
        self.used = True
        return super().wrap_bio(*arguments, **options)


def _context(tls: Tls) -> _Context:
    """A fresh context.

    Raises:
        ConfigError: The certificates or the key are none.
    """
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if tls.ca is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(cadata=tls.ca.get_secret_value())
        if tls.certificate is not None and tls.key is not None:
            # It is read from files only.
            with tempfile.TemporaryDirectory() as folder:
                pair = Path(folder) / "pair.pem"
                pair.touch(0o600)
                pair.write_text(f"{tls.key.get_secret_value()}\n{tls.certificate.get_secret_value()}\n")
                context.load_cert_chain(pair)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(
            f"plugins.bus.nats.tls: these certificates can't be used ({error}). Name files in PEM, such as "
            "ca: {file: ca.pem}."
        ) from None
    return context
