"""The HTTP clients by which tidings calls others, on httpx: platforms, and addresses that somebody typed."""

from __future__ import annotations

import functools
import importlib.util
import logging
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from tidings import __version__
from tidings.connecting import Answer
from tidings.discretion import use_authorization
from tidings.errors import NotSent, Rejected, Unavailable
from tidings.exchange import exchange
from tidings.internet import Address, Resolve, is_public_address, locate, look_up

if (
    TYPE_CHECKING
):  # at run time httpx is imported when the first request goes out: an idle server needs none of it
    import ssl
    from ipaddress import IPv4Network, IPv6Network

    import httpx

TIMEOUT_SECONDS: Final = 12.0  # for the whole request, from looking for a connection to the last byte
MOST_BYTES: Final = 25 * 1024 * 1024

# Of the whole: were finding a connection to take all of it, a request that never left would look like a lost one.
_CONNECT_SECONDS: Final = 5.0
_USUAL_PORTS: Final = {"https": 443, "http": 80}
_MOST_ADDRESSES: Final = 3  # of one host, tried one after the other
# No proxy stands between this machine and itself.
_OWN_MACHINE: Final = ("all://127.0.0.1", "all://localhost", "all://[::1]")


class _Client:
    """What calls others: without cookies, following no redirect, opened by the first request.

    Args:
        public_url: Of this installation; who is called wants to know who calls.
    """

    def __init__(self, public_url: str) -> None:
        self._user_agent = f"tidings/{__version__}" + (f" (+{public_url})" if public_url else "")
        self._client: httpx.AsyncClient | None = None

    def _options(self) -> dict[str, Any]:
        """Of httpx's client, what only this one has."""
        return {}

    def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            import httpx  # noqa: PLC0415 - see above

            # They log every URL, and a query can hold what must not be read.
            for name in ("httpx", "httpcore"):
                logging.getLogger(name).setLevel(logging.ERROR)
            _look_for_sniffio_once()
            options: dict[str, Any] = {
                "verify": _trusted(),
                "timeout": httpx.Timeout(TIMEOUT_SECONDS, connect=_CONNECT_SECONDS, pool=_CONNECT_SECONDS),
                "headers": {"User-Agent": self._user_agent},
                "follow_redirects": False,
                # A cookie set for one account would go with the calls of all others.
                "cookies": CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            }
            self._client = httpx.AsyncClient(**options | self._options())
        return self._client

    async def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


class Outbound(_Client):
    """Sends requests: with a time-out, without cookies, following no redirect.

    Args:
        public_url: Of this installation; platforms want to know who calls.
        transport: Stands in for the network in tests.
    """

    def __init__(self, public_url: str = "", *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        super().__init__(public_url)
        self._transport = transport

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
        async with self._opened().stream(method, url, headers=headers, content=body) as response:
            return await _read(response, _host(url))

    def _options(self) -> dict[str, Any]:
        mounts = None if self._transport is not None else dict.fromkeys(_OWN_MACHINE)
        return {"transport": self._transport, "mounts": mounts}


class Internet(_Client):
    """Sends requests to addresses that somebody else chose: to what is on the internet, and to nothing else.

    It asks one of the numeric addresses that the host's name had when it was judged, with the name in `Host` and for
    TLS, which checks the certificate by it; so a name that has come to mean another machine since leads nowhere. For
    the same reason no proxy is used: it would look the name up itself.

    Args:
        public_url: Of this installation; who is asked wants to know who asks.
        resolve: Finds a host's addresses.
        besides: Networks that may be asked too.
        tls: What certificates to trust; the usual ones if None.
    """

    def __init__(
        self,
        public_url: str = "",
        *,
        resolve: Resolve = look_up,
        besides: Sequence[IPv4Network | IPv6Network] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(public_url)
        self._resolve = resolve
        self._besides = besides
        self._tls = tls

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Send a request; any status is an answer, and a redirect is the caller's to follow, by another request.

        Raises:
            Rejected: It is no address of the web, or one of this machine or its network (400).
            NotSent: No connection came about.
            Unavailable: No answer came, in time or at all.
        """
        use_authorization(headers or {})
        target = _web_address(url)
        async with exchange(target.host[:100], TIMEOUT_SECONDS):
            port = target.port or _USUAL_PORTS[target.scheme]
            found = await locate(target.raw_host.decode("ascii"), port, resolve=self._resolve)
            if not all(self._may_ask(address) for address in found):
                raise Rejected(
                    f"{target.host[:100]} is of this machine or its network, and not on the internet.",
                    status=400,
                )
            *others, last = found[:_MOST_ADDRESSES]
            for address in others:
                with suppress(NotSent):
                    async with exchange(target.host[:100], TIMEOUT_SECONDS):
                        return await self._ask(method, target, address, headers, body)
            return await self._ask(method, target, last, headers, body)

    def _may_ask(self, address: Address) -> bool:
        return is_public_address(address) or any(address in one for one in self._besides)

    async def _ask(
        self, method: str, target: httpx.URL, address: Address, headers: Mapping[str, str] | None, body: bytes
    ) -> Answer:
        request = self._opened().stream(
            method,
            target.copy_with(host=str(address)),
            headers={**(headers or {}), "Host": target.netloc.decode("ascii")},
            content=body,
            extensions={"sni_hostname": target.raw_host.decode("ascii")},
        )
        async with request as response:
            return await _read(response, target.host[:100])

    def _options(self) -> dict[str, Any]:
        import httpx  # noqa: PLC0415 - see above

        # Two hosts can share an address: a connection kept for one must not serve the other, whose certificate was
        # never seen.
        options: dict[str, Any] = {
            "limits": httpx.Limits(max_keepalive_connections=0),
            "trust_env": False,
        }
        return options if self._tls is None else {**options, "verify": self._tls}


def _web_address(url: str) -> httpx.URL:
    """Read what somebody typed.

    Raises:
        Rejected: It is no address of the web, or has a user name or a password in it (400).
    """
    import httpx  # noqa: PLC0415 - see above

    try:
        target = httpx.URL(url.strip())
    except httpx.InvalidURL:
        target = httpx.URL()
    if target.scheme not in _USUAL_PORTS or not target.host:
        raise Rejected("That is no address of the web. Write one that begins with https://.", status=400)
    if target.userinfo:
        raise Rejected("This address has a user name or a password in it. Remove them.", status=400)
    return target


async def _read(response: httpx.Response, host: str) -> Answer:
    """A whole answer.

    Raises:
        Unavailable: It is too large.
    """
    parts, size = [], 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > MOST_BYTES:
            raise Unavailable(f"{host} answered more than {MOST_BYTES // 1024**2} MiB.")
        parts.append(part)
    return Answer(response.status_code, dict(response.headers.items()), b"".join(parts))


def _look_for_sniffio_once() -> None:
    """Have what is not installed not looked for again.

    httpcore imports it at each step of a request, and Python remembers only of modules that are there where they are.
    """
    if importlib.util.find_spec("sniffio") is None:
        sys.modules["sniffio"] = None  # type: ignore[assignment]  # so an import is told that there is none


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
