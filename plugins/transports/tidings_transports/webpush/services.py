"""Push services: where news may be sent. An endpoint is an address that a client chose, so it is not believed."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from tidings.errors import Rejected
from tidings.internet import Resolve, is_public_address, locate, look_up, read_address

#: The push services of the browsers: Chrome, Brave, Opera, Samsung; Firefox; Safari; Edge (2026-11).
BROWSERS: Final = (
    "fcm.googleapis.com",
    "android.googleapis.com",
    "updates.push.services.mozilla.com",
    "*.push.apple.com",
    "*.notify.windows.com",
)
_HTTPS_PORT: Final = 443
_USUAL_PORTS: Final = {"https": _HTTPS_PORT, "http": 80}
_LONGEST: Final = 2000
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
# Visible ASCII: urlsplit would drop tabs and line breaks, and the request's target would then be another.
_URL = re.compile(r"[!-~]+", re.ASCII)
_SERVICE = re.compile(
    r"(\*\.)?([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", re.ASCII
)


@dataclasses.dataclass(frozen=True, slots=True)
class Service:
    """A push service, or some of one domain, as an operator writes it: `push.example.org`, `*.example.org:8443`.

    Attributes:
        host: In lower case; without the star.
        any_below: Whether the hosts below it are meant, and not itself.
        port: The only one allowed.
    """

    host: str
    any_below: bool = False
    port: int = _HTTPS_PORT

    @classmethod
    def parse(cls, text: str) -> Service:
        """Read what an operator wrote.

        Raises:
            ValueError: It is no host.
        """
        match = _SERVICE.fullmatch(text.strip().lower())
        port = int(match[3]) if match and match[3] else _HTTPS_PORT
        if match is None or not 0 < port < 65536 or (match[1] and "." not in match[2]):
            raise ValueError(
                f"{text[:80]!r} is not a push service. Write push.example.org, *.example.org or push.example.org:8443."
            )
        return cls(match[2].strip("[]"), bool(match[1]), port)

    def serves(self, host: str, port: int) -> bool:
        """Whether an endpoint of this host and port is one of it."""
        if port != self.port:
            return False
        return host.endswith(f".{self.host}") if self.any_below else host == self.host


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint that is on the list.

    Attributes:
        target: What is asked of the service: path and query; secret.
    """

    scheme: str
    host: str
    port: int
    target: str = dataclasses.field(repr=False)

    @property
    def host_header(self) -> str:
        """Host and port as HTTP names them: without the scheme's usual port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _USUAL_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """As VAPID names it."""
        return f"{self.scheme}://{self.host_header}"


class NotListed(Rejected):
    """The endpoint's host, or its port, is on no list."""


class Services:
    """The push services that endpoints may belong to.

    Args:
        listed: Hosts.
        allow_private: Whether an address that is not public will do, and plain `http` to it: for tests.
        resolve: Finds a host's addresses.
    """

    def __init__(self, listed: Sequence[Service], *, allow_private: bool, resolve: Resolve = look_up) -> None:
        self._listed = listed
        self._allow_private = allow_private
        self._resolve = resolve

    def read(self, url: str) -> Endpoint:
        """Read an endpoint; nothing is looked up.

        Raises:
            NotListed: Its host, or its port, is on no list.
            Rejected: It is no address that a push service gives (400).
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise Rejected("endpoint is not a URL.", status=400) from None
        schemes = {"https", "http"} if self._allow_private else {"https"}
        host = (parts.hostname or "").removesuffix(".")
        if len(url) > _LONGEST or _URL.fullmatch(url) is None or "\\" in url:
            raise Rejected("endpoint is not a URL as push services give them.", status=400)
        if parts.scheme not in schemes:
            raise Rejected("endpoint must begin with https://.", status=400)
        if "@" in parts.netloc or parts.fragment:
            raise Rejected("endpoint must have no user name, no password and no fragment.", status=400)
        if _HOST.fullmatch(host) is None and read_address(host) is None:
            raise Rejected("endpoint has no host.", status=400)
        if port is None:
            port = _USUAL_PORTS[parts.scheme]
        if not any(one.serves(host, port) for one in self._listed):
            raise NotListed(
                f"{host[:100]} at port {port} is not a push service that this server sends to. Its operator can add "
                "it: plugins.transports.webpush.services.",
                status=400,
            )
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Endpoint(parts.scheme, host, port, target)

    async def locate(self, endpoint: Endpoint) -> Sequence[str]:
        """The addresses of the endpoint's host: to connect to no other, whatever the host's name says by then.

        Raises:
            Rejected: One of its addresses is not public (400).
            NotSent: It has none, or that can't be told now.
        """
        found = await locate(endpoint.host, endpoint.port, resolve=self._resolve)
        private = [address for address in found if not is_public_address(address)]
        if private and not self._allow_private:
            raise Rejected(
                f"{endpoint.host[:100]} has an address of a private network, where no push service is.",
                status=400,
            )
        if endpoint.scheme != "https" and len(private) != len(found):
            raise Rejected("endpoint must begin with https://.", status=400)
        return [str(address) for address in found]
