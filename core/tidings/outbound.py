"""The one HTTP client by which tidings calls platforms, on httpx."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tidings import __version__
from tidings.connecting import Answer
from tidings.discretion import use_authorization
from tidings.errors import Unavailable
from tidings.exchange import exchange

if (
    TYPE_CHECKING
):  # at run time it is imported when the first request goes out: an idle server needs none of it
    import ssl

    import httpx

TIMEOUT_SECONDS: Final = 12.0  # for the whole request, from looking for a connection to the last byte
MOST_BYTES: Final = 25 * 1024 * 1024

# Of the whole: were finding a connection to take all of it, a request that never left would look like a lost one.
_CONNECT_SECONDS: Final = 5.0
# No proxy stands between this machine and itself.
_OWN_MACHINE: Final = ("all://127.0.0.1", "all://localhost", "all://[::1]")


class Outbound:
    """Sends requests: with a time-out, without cookies, following no redirect.

    Args:
        public_url: Of this installation; platforms want to know who calls.
        transport: Stands in for the network in tests.
    """

    def __init__(self, public_url: str = "", *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._user_agent = f"tidings/{__version__}" + (f" (+{public_url})" if public_url else "")
        self._transport = transport
        self._client: httpx.AsyncClient | None = None

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Send a request; any status is an answer.

        Raises:
            NotSent: No connection came about: the platform can't have acted on it.
            Unavailable: No answer came, in time or at all. The platform may have acted on it.
        """
        use_authorization(headers or {})
        async with exchange(_host(url), TIMEOUT_SECONDS):
            return await self._send(method, url, headers, body)

    async def _send(self, method: str, url: str, headers: Mapping[str, str] | None, body: bytes) -> Answer:
        if self._client is None:
            self._client = self._open()
        async with self._client.stream(method, url, headers=headers, content=body) as response:
            parts, size = [], 0
            async for part in response.aiter_bytes():
                size += len(part)
                if size > MOST_BYTES:
                    raise Unavailable(f"{_host(url)} answered more than {MOST_BYTES // 1024**2} MiB.")
                parts.append(part)
            return Answer(response.status_code, dict(response.headers.items()), b"".join(parts))

    def _open(self) -> httpx.AsyncClient:
        import httpx  # noqa: PLC0415 - see above

        # They log every URL, and a query can hold what must not be read.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.ERROR)
        return httpx.AsyncClient(
            verify=_trusted(),
            transport=self._transport,
            mounts=None if self._transport is not None else dict.fromkeys(_OWN_MACHINE),
            timeout=httpx.Timeout(TIMEOUT_SECONDS, connect=_CONNECT_SECONDS, pool=_CONNECT_SECONDS),
            headers={"User-Agent": self._user_agent},
            follow_redirects=False,
            # A cookie set for one account would go with the calls of all others.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )

    async def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Whose certificates are believed. Reading them takes longer than many requests, and a client has several pools."""
    import httpx  # noqa: PLC0415 - see above

    return httpx.create_ssl_context()


def _host(url: str) -> str:
    """Whom a URL asks: what may be shown of it."""
    try:
        return urlsplit(url).hostname or "an address without a host"
    except ValueError:
        return "an address that is none"
