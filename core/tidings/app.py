"""The routes of a server, as one ASGI application."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import isroutine

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from tidings.api import (
    account,
    activity,
    connections,
    consent,
    events,
    greeting,
    messages,
    provisioning,
    push,
    reading,
    status,
)
from tidings.api.operation import Operation, problem, problem_of
from tidings.discretion import begin_discretion
from tidings.errors import TidingsError
from tidings.messages import Messages
from tidings.origins import Origins
from tidings.security import Security
from tidings.services import Services
from tidings.webhooks import Webhooks

_PREFIX = "/api/webhooks/"


def operations(services: Services) -> list[Operation]:
    """Every operation of the JSON API."""
    return [
        *account.operations(services),
        *connections.operations(services),
        *events.operations(services),
        *reading.operations(services),
        *activity.operations(services),
        *messages.operations(
            services, Messages(services.journal, services.writer, services.scheduler, services.clock)
        ),
        *([] if services.pushing is None else push.operations(services, services.pushing)),
    ]


def build(services: Services) -> ASGIApp:
    """The application that uvicorn serves."""
    described = operations(services)

    async def failed(_request: Request, error: Exception) -> Response:
        services.log.error("request_failed", exc_info=error)
        return problem(500, "internal", "Something went wrong here; the log has it.")

    async def refused(_request: Request, error: Exception) -> Response:
        assert isinstance(error, TidingsError)
        return problem_of(error)

    async def no_route(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "rejected")
        message = f"{request.method} {request.url.path}: {error.detail}. /openapi.json lists what there is."
        return problem(error.status_code, code, message, error.headers)

    app = Starlette(
        routes=[
            Route(_PREFIX + "{platform}/{ref}", services.webhooks, methods=["POST"], name="webhooks"),
            Route(_PREFIX + "{platform}", services.webhooks, methods=["POST"], name="common_webhooks"),
            greeting.route(services),
            *[route for transport in services.transports for route in transport.routes()],
            *[operation.route(services) for operation in described],
            *status.routes(services, described),
            account.login_route(services),
            *consent.routes(services),
            *provisioning.routes(services),
            *[route for extra in services.extras for route in extra.routes()],
        ],
        exception_handlers={TidingsError: refused, HTTPException: no_route, Exception: failed},
    )
    # Platforms follow no redirect: a webhook with a slash too many is refused, where somebody sees it.
    app.router.redirect_slashes = False
    origins = Origins(services.settings.server.public_url, services.settings.server.allowed_origins)
    plain = {
        (method, route.path): route.app
        for transport in services.transports
        for route in transport.routes()
        if isinstance(route, Route | WebSocketRoute)
        if not isroutine(route.endpoint) and not route.param_convertors
        for method in (route.methods or () if isinstance(route, Route) else ("",))  # a WebSocket has none
    }
    return _Front(services.webhooks, Security(_Streams(plain, app, services.log), origins))


class _Front:
    """Takes webhooks by the shortest way: the framework's layers cost as much as all the rest of one."""

    def __init__(self, webhooks: Webhooks, app: ASGIApp) -> None:
        self._webhooks = webhooks
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"].startswith(_PREFIX):
            platform, slash, ref = scope["path"][len(_PREFIX) :].partition("/")
            if platform and bool(slash) == bool(ref) and "/" not in ref:
                await self._webhooks.take(platform, ref, scope, receive, send)
                return
        await self._app(scope, receive, send)


class _Streams:
    """Takes a transport's plain ASGI routes by a short way: each frame would pass through every layer."""

    def __init__(
        self, plain: Mapping[tuple[str, str], ASGIApp], app: ASGIApp, log: FilteringBoundLogger
    ) -> None:
        self._plain = plain
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stream = self._plain.get((scope.get("method", ""), scope["path"]))
        if stream is None:
            begin_discretion()
            await self._app(scope, receive, send)
            return
        try:
            await stream(scope, receive, send)
        except TidingsError as error:  # nothing was sent yet: a stream is refused before it starts
            await problem_of(error)(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - a transport's defect ends this stream alone
            self._log.error("stream_failed", path=scope["path"], exc_info=error)
