"""One call of GitHub's API as its handlers see it, what they answer, and the table that finds the handler.

One walk through nested dicts and no framework: a simulated year makes millions of calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import msgspec

from tidings_sandbox.github.accounts import NOBODY, Account
from tidings_sandbox.wire import Answer, Call, encode

DOCUMENTATION: Final = "https://docs.github.com/rest"
JSON: Final = (b"content-type", b"application/json; charset=utf-8")

Header = tuple[bytes, bytes]


class Problem(Exception):
    """The call is answered with an error, in GitHub's words.

    Args:
        status: HTTP status.
        message: What GitHub says.
        errors: The details of a 422.
        headers: More headers to answer with.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Sequence[Header] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors
        self.headers = headers

    def answer(self) -> Answer:
        """The answer to send."""
        body: dict[str, Any] = {"message": self.message}
        if self.errors:
            body["errors"] = self.errors
        body["documentation_url"] = DOCUMENTATION
        body["status"] = str(self.status)
        return Answer(self.status, encode(body), [JSON, *self.headers])


class Moved(Problem):
    """The caller is sent elsewhere; who writes is told to repeat the method there.

    Args:
        location: Where to.
        method: The caller's.
    """

    def __init__(self, location: str, method: str) -> None:
        super().__init__(301 if method == "GET" else 307, "Moved Permanently")
        self._location = location

    def answer(self) -> Answer:
        """The answer to send."""
        body = {"message": self.message, "url": self._location, "documentation_url": DOCUMENTATION}
        return Answer(self.status, encode(body), [JSON, (b"location", self._location.encode())])


class Request:
    """A call of the API.

    Attributes:
        path: Below the API's root, with a slash at the front.
        at: GitHub's present instant.
        access: What the caller's token says; `NOBODY` without one.
        bearer: The token itself, for handlers to which it is a GitHub App's JWT.
        basic: Client id and secret, where they were sent by HTTP Basic; else None.
    """

    __slots__ = ("_call", "_query", "access", "at", "basic", "bearer", "path")

    def __init__(self, call: Call, path: str, at: datetime) -> None:
        self._call = call
        self._query: dict[str, str] | None = None
        self.path = path
        self.at = at
        self.access = NOBODY
        self.bearer = ""
        self.basic: tuple[str, str] | None = None

    @property
    def method(self) -> str:
        """In capitals."""
        return self._call.method

    @property
    def query_string(self) -> str:
        """What stands behind the question mark, as it came."""
        return self._call.query

    @property
    def query(self) -> dict[str, str]:
        """The query's fields; of those sent twice the last."""
        if self._query is None:
            self._query = dict(parse_qsl(self._call.query)) if self._call.query else {}
        return self._query

    def number(self, name: str, default: int, most: int) -> int:
        """A positive whole number in the query, at most `most`; `default` where it is absent or odd."""
        text = self.query.get(name, "")
        return min(max(int(text), 1), most) if text.isdecimal() and len(text) < 10 else default

    def header(self, name: bytes) -> str:
        """The header of this lower-case name, "" for none."""
        return self._call.header(name)

    @property
    def account(self) -> Account:
        """Whose token it is.

        Raises:
            Problem: 401. Nobody's.
        """
        if self.access.account is None:
            raise Problem(401, "Requires authentication")
        return self.access.account

    def json(self) -> dict[str, Any]:
        """The body's object; an absent body is an empty one.

        Raises:
            Problem: 400. The body is no JSON object.
        """
        if not self._call.body:
            return {}
        try:
            value = msgspec.json.decode(self._call.body)
        except msgspec.DecodeError:
            raise Problem(400, "Problems parsing JSON") from None
        if not isinstance(value, dict):
            raise Problem(400, "Body should be a JSON object")
        return value


def listing(items: Sequence[bytes], headers: Sequence[Header] = ()) -> Answer:
    """A JSON array of what is encoded already."""
    return Answer(200, b"[" + b",".join(items) + b"]", [JSON, *headers])


def link_header(request: Request, api: str, rels: Mapping[str, Mapping[str, str]]) -> Header:
    """The `Link` header: to each relation the same address with other parameters."""
    links = [
        f'<{api}{request.path}?{urlencode({**request.query, **parameters})}>; rel="{rel}"'
        for rel, parameters in rels.items()
    ]
    return b"link", ", ".join(links).encode()


def paged(
    request: Request, api: str, items: Sequence[Any], *, most: int = 100
) -> tuple[Sequence[Any], list[Header]]:
    """The page of `items` that the query asks for, and the `Link` header if there are others."""
    size = request.number("per_page", 30, most)
    page = request.number("page", 1, 10**6)
    last = math.ceil(len(items) / size)
    shown = items[(page - 1) * size : page * size]
    rels: dict[str, dict[str, str]] = {}
    if page > 1:
        rels |= {"prev": {"page": str(page - 1)}, "first": {"page": "1"}}
    if page < last:
        rels |= {"next": {"page": str(page + 1)}, "last": {"page": str(last)}}
    return shown, [link_header(request, api, rels)] if rels else []


Handler = Callable[..., Answer]
_ANY: Final = "*"
_TAIL: Final = "**"


class Router:
    """Finds the handler of a method and path.

    In a pattern `*` stands for one segment, `**` at its end for all that follow; the handler gets the request and
    what they stood for.
    """

    def __init__(self) -> None:
        self._root: dict[str, Any] = {}

    def add(self, method: str, pattern: str, handler: Handler) -> None:
        """Have `handler` answer `method` at `pattern`."""
        node = self._root
        for segment in pattern.strip("/").split("/"):
            node = node.setdefault(segment, {})
        node.setdefault("", {})[method] = handler

    def answer(self, request: Request, segments: Sequence[str]) -> Answer:
        """Let the handler of the request answer it.

        Raises:
            Problem: 404 where there is none, or what the handler says.
        """
        node: dict[str, Any] = self._root
        given: list[str] = []
        for position, segment in enumerate(segments):
            below = node.get(segment) if segment else None
            if below is None:
                below = node.get(_ANY) if segment else None
                if below is None:
                    below = node.get(_TAIL)
                    if below is None:
                        raise Problem(404, "Not Found")
                    given.append("/".join(segments[position:]))
                    node = below
                    break
                given.append(segment)
            node = below
        handler = node.get("", {}).get(request.method)
        if handler is None:
            raise Problem(404, "Not Found")
        answer: Answer = handler(request, *given)
        return answer
