"""Sends a push message: to an address that was checked, in one request, following no redirect."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Final

from tidings.contracts import Answer
from tidings.errors import NotSent
from tidings.exchange import exchange
from tidings_transports.webpush.services import Endpoint

if TYPE_CHECKING:  # at run time it is imported when the first message goes out: most servers need none of it
    import ssl

    import httpx

_TIMEOUT_SECONDS: Final = 10.0  # for one address
_CONNECT_SECONDS: Final = 4.0
_MOST_ADDRESSES: Final = 3
_MOST_ANSWER_BYTES: Final = 4096  # of an answer; there is nothing worth reading beyond


class Sender:
    """Sends requests to push services.

    It asks for the numeric address, with the host's name in `Host` and for TLS, which checks the certificate by it; so
    a name that has come to mean another machine since it was checked leads nowhere. For the same reason no proxy is
    used: it would look the name up itself.

    Args:
        tls: What certificates to trust; the usual ones if None.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._client: httpx.AsyncClient | None = None

    async def post(
        self, endpoint: Endpoint, addresses: Sequence[str], *, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        """Send a message; any status is an answer.

        Args:
            endpoint: Where to.
            addresses: The numeric addresses of its host; the next is tried where no connection comes about.
            headers: All but `Host`.
            body: The encrypted message.

        Raises:
            NotSent: No connection came about.
            Unavailable: No answer came, in time or at all; it may have been taken.
        """
        *others, last = addresses[:_MOST_ADDRESSES]
        for address in others:
            with suppress(NotSent):
                return await self._try(endpoint, address, headers, body)
        return await self._try(endpoint, last, headers, body)

    async def _try(self, endpoint: Endpoint, address: str, headers: Mapping[str, str], body: bytes) -> Answer:
        async with exchange(endpoint.host[:100], _TIMEOUT_SECONDS):
            return await self._post(endpoint, address, headers, body)

    async def _post(
        self, endpoint: Endpoint, address: str, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        if self._client is None:
            self._client = self._open()
        numeric = f"[{address}]" if ":" in address else address
        request = self._client.stream(
            "POST",
            f"{endpoint.scheme}://{numeric}:{endpoint.port}{endpoint.target}",
            headers={**headers, "Host": endpoint.host_header},
            content=body,
            extensions={"sni_hostname": endpoint.host},
        )
        async with request as response:
            said = b""
            async for part in response.aiter_raw():
                said += part
                if len(said) >= _MOST_ANSWER_BYTES:
                    break
            answered = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status_code, answered, said[:_MOST_ANSWER_BYTES])

    def _open(self) -> httpx.AsyncClient:
        import httpx  # noqa: PLC0415 - see above

        # They log every URL, and those of push services are secret.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.ERROR)
        return httpx.AsyncClient(
            verify=self._tls if self._tls is not None else True,
            timeout=httpx.Timeout(_TIMEOUT_SECONDS, connect=_CONNECT_SECONDS, pool=_CONNECT_SECONDS),
            # Two services can share an address: a connection kept for one must not serve the other, whose
            # certificate was never seen.
            limits=httpx.Limits(max_keepalive_connections=0),
            follow_redirects=False,
            trust_env=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )
