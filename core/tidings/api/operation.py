"""One operation of the API, described once: the route and its entry in /openapi.json are made from it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tidings.access import denial_headers
from tidings.contracts import Principal
from tidings.discretion import redact
from tidings.errors import Conflict, Denied, InvalidCursor, NotFound, Rejected, TidingsError, Unavailable
from tidings.services import Services

_MOST_BODY_BYTES = 256 * 1024
_PROBLEMS: Sequence[tuple[type[TidingsError], int, str]] = (
    (InvalidCursor, 400, "invalid_cursor"),
    (NotFound, 404, "not_found"),
    (Conflict, 409, "conflict"),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Parameter:
    """A query or path parameter."""

    name: str
    description: str
    schema: Mapping[str, Any] = dataclasses.field(default_factory=lambda: {"type": "string"})
    place: str = "query"


@dataclasses.dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Attributes:
        right: The scope it needs; "" for none.
        handler: Answers; given the request and who asks (None where `right` is "").
        answer: JSON Schema of the answer's body; None for no JSON.
        body: The type of the request's body; None for no body.
    """

    method: str
    path: str
    right: str
    summary: str
    handler: Callable[[Request, Any], Awaitable[Response]]
    answer: Mapping[str, Any] | None = None
    status: int = 200
    parameters: Sequence[Parameter] = ()
    body: type[msgspec.Struct] | None = None

    def route(self, services: Services) -> Route:
        """The operation as a route that checks rights, limits and counts."""

        async def endpoint(request: Request) -> Response:
            response = await _answer(self, services, request)
            services.metrics.requests.labels(self.path, str(response.status_code)).inc()
            return response

        return Route(self.path, endpoint, methods=[self.method], name=self.name)

    @property
    def name(self) -> str:
        """An id for programs: `get_api_events`."""
        return f"{self.method.lower()}_{re.sub(r'[^a-z]+', '_', self.path.lower()).strip('_')}"


async def _answer(operation: Operation, services: Services, request: Request) -> Response:
    headers: dict[str, str] = {}
    try:
        principal: Principal | None = None
        if operation.right:
            principal = await services.gate.require(request.scope, operation.right)
            decision = await services.limits.hit(principal, services.clock.monotonic())
            if decision is not None:
                headers = decision.headers()
                if not decision.allowed:
                    return problem(429, "rate_limited", decision.refusal, headers)
        response = await operation.handler(request, principal)
    except TidingsError as error:
        response = problem_of(error)
    response.headers.update(headers)
    return response


async def read_body(request: Request, model: type[msgspec.Struct]) -> Any:
    """The request's JSON body as a `model`.

    Raises:
        Rejected: It is too large (413), not JSON (415), not of that form, or broken off (400).
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Rejected("Send the body as application/json.", status=415)
    chunks = bytearray()
    try:
        async for chunk in request.stream():
            chunks += chunk
            if len(chunks) > _MOST_BODY_BYTES:
                raise Rejected(f"The body is larger than {_MOST_BODY_BYTES} bytes.", status=413)
    except ClientDisconnect:
        # Nobody reads the answer; but a page that was closed in the middle is no failure of the server's.
        raise Rejected("The connection ended before the body did.", status=400) from None
    try:
        return msgspec.json.decode(bytes(chunks), type=model)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Rejected(f"The body can't be used: {error}", status=400) from error


def whole_number(name: str, text: str | None, default: int, *, most: int) -> int:
    """A number from 1 on as a query says it; what is larger than `most` is cut to it.

    Raises:
        Rejected: It is no such number (400).
    """
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 40 and int(text) >= 1):
        raise Rejected(f"{name}: {text[:40]!r} is not a number from 1 to {most}.", status=400)
    return min(int(text), most)


def problem(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An error as the API tells it."""
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)


def problem_of(error: TidingsError) -> JSONResponse:
    """The answer to a request that failed with one of our errors."""
    text = redact(str(error))
    if isinstance(error, Denied):
        return problem(error.status, error.code, text, denial_headers(error))
    if isinstance(error, Rejected):
        return problem(error.status, "rejected", text)
    if isinstance(error, Unavailable):
        return problem(503, "unavailable", text, {"Retry-After": str(round(error.retry_after_seconds or 5))})
    for kind, status, code in _PROBLEMS:
        if isinstance(error, kind):
            return problem(status, code, text)
    return problem(500, "internal", "Something went wrong here; the log has it.")
