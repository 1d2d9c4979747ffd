"""What a request says about who sends it, read from the raw ASGI scope."""

from __future__ import annotations

import dataclasses
from urllib.parse import parse_qsl, unquote_plus

from starlette.types import Scope

from tidings.errors import Denied

# What a ticket is not bound to: itself, and the position, which differs with each reconnect.
_UNBOUND = ("ticket", "after")


@dataclasses.dataclass(slots=True)
class Credentials:
    """The few headers that matter here; None where the request has no such header."""

    bearer: bytes | None = dataclasses.field(default=None, repr=False)
    session: bytes | None = dataclasses.field(default=None, repr=False)
    origin: bytes | None = None
    fetch_site: bytes | None = None
    csrf: bytes = dataclasses.field(default=b"", repr=False)


def read_credentials(scope: Scope, cookie: bytes) -> Credentials:
    """Read the credentials in one pass over the headers.

    An `Authorization` of another scheme than Bearer is not for us: a proxy with a password of its own sends
    `Basic` with everything.

    Args:
        scope: Of an HTTP request or a WebSocket.
        cookie: The name of the session cookie.

    Raises:
        Denied: There are two Bearer credentials, or an empty one.
    """
    found = Credentials()
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, token = value.strip().partition(b" ")
            if scheme.lower() != b"bearer":
                continue
            token = token.strip()
            if found.bearer is not None or not token:
                raise Denied("Send one Authorization header: Bearer and a token.")
            found.bearer = token
        elif name == b"cookie" and found.session is None:
            found.session = _cookie(value, cookie)
        elif name == b"origin":
            found.origin = value
        elif name == b"sec-fetch-site":
            found.fetch_site = value
        elif name == b"x-csrf-token":
            found.csrf = value
    return found


def query_values(scope: Scope, name: bytes) -> list[str]:
    """The values of one query parameter."""
    query: bytes = scope.get("query_string", b"")
    if name not in query:
        return []
    pairs = (part.partition(b"=") for part in query.split(b"&"))
    return [unquote_plus(value.decode("latin-1")) for key, _, value in pairs if key == name]


def stream_of(scope: Scope) -> str:
    """What a stream's address asks for: its path and its query, sorted, without what differs per connect."""
    query = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    return repr((scope["path"], sorted(pair for pair in query if pair[0] not in _UNBOUND)))


def _cookie(header: bytes, name: bytes) -> bytes | None:
    for pair in header.split(b";"):
        key, _, value = pair.strip().partition(b"=")
        if key == name:
            return bytes(value.strip(b'"'))
    return None
