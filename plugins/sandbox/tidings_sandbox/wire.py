"""Requests to the emulated platforms and their answers: plain ASGI, because a simulated year has millions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Receive, Scope, Send

_JSON: Final = (b"content-type", b"application/json; charset=utf-8")
_HTML: Final = (b"content-type", b"text/html; charset=utf-8")
_MOST_BODY_BYTES: Final = 1 << 20

Headers = Iterable[tuple[bytes, bytes]]


class Call(msgspec.Struct):
    """One request to an emulated platform.

    Attributes:
        method: In capitals.
        path: Below the platform's own part of the address, percent-decoded: `/v1/me`, `/api/user`.
        query: What stands behind the question mark, as it came.
        headers: By lower-case name, the last of each.
        body: All of it.
        answer_lost: Set before the platform answers if the caller will never see the answer.
    """

    method: str
    path: str
    query: str = ""
    headers: dict[bytes, bytes] = {}
    body: bytes = b""
    answer_lost: bool = False

    def header(self, name: bytes) -> str:
        """The header of this lower-case name, "" for none."""
        return self.headers.get(name, b"").decode("latin-1")

    def parameters(self) -> dict[str, str]:
        """The query's parameters; of several with one name the last."""
        return dict(parse_qsl(self.query, keep_blank_values=True)) if self.query else {}

    def form(self) -> dict[str, str]:
        """The body's fields, sent as a form or as a JSON object; {} where it is neither."""
        if self.header(b"content-type").startswith("application/json"):
            fields = self.json()
            return {str(name): str(value) for name, value in fields.items()}
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def json(self) -> dict[str, Any]:
        """The body as a JSON object, {} where it is none."""
        try:
            value = msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return {}
        return value if isinstance(value, dict) else {}


class Answer(msgspec.Struct):
    """What a platform answers; `content-length` is added on the way out."""

    status: int
    body: bytes = b""
    headers: list[tuple[bytes, bytes]] = []


def json_answer(value: Any, status: int = 200, headers: Headers = ()) -> Answer:
    """A JSON answer; `value` may be a `msgspec.Raw`."""
    return Answer(status, encode(value), [_JSON, *headers])


def html_answer(page: str, status: int = 200, headers: Headers = ()) -> Answer:
    """A web page."""
    return Answer(status, page.encode(), [_HTML, *headers])


def redirect(address: str, status: int = 302) -> Answer:
    """Go there."""
    return Answer(status, b"", [(b"location", address.encode("ascii", "replace"))])


async def read_call(scope: Scope, receive: Receive, path: str) -> Call | None:
    """The request, read to its end; None where the caller went away or sent more than 1 MiB.

    Args:
        scope: ASGI scope of an HTTP request.
        receive: ASGI.
        path: What the platform shall see as the path.
    """
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > _MOST_BODY_BYTES:
            return None
    return Call(scope["method"], path, scope["query_string"].decode("latin-1"), dict(scope["headers"]), body)


async def write_answer(send: Send, answer: Answer) -> None:
    """Send the answer."""
    headers = answer.headers
    if answer.status not in {204, 304}:
        headers = [*headers, (b"content-length", str(len(answer.body)).encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


encode: Final = msgspec.json.Encoder().encode
