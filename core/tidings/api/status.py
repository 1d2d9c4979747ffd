"""How the server is: health, metrics and the API's own description."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import tidings
from tidings.api.openapi import describe
from tidings.api.operation import Operation
from tidings.asgi import header
from tidings.contracts import Receives
from tidings.database import size_bytes
from tidings.errors import TidingsError, Unavailable
from tidings.services import Services


def routes(services: Services, operations: Sequence[Operation]) -> list[Route]:
    """The routes; they have rules of their own about who may read what."""

    async def health(request: Request) -> Response:
        details: dict[str, Any] = {}
        if await _may_read(services, request):
            details = {
                "version": tidings.__version__,
                "components": services.health.report(),
                "plugins": {plugin.key: plugin.distribution for plugin in services.loaded.plugins},
                "failed_plugins": {failure.key: failure.reason for failure in services.loaded.failures},
                "streams": len(services.fanout.subscriptions()),
                "database_bytes": await _size(services),
            }
        status = services.health.status
        return JSONResponse({"status": status, **details}, 503 if status == "unavailable" else 200)

    async def webhooks_health(request: Request) -> Response:
        details: dict[str, Any] = {}
        if await _may_read(services, request):
            details = {
                "platforms": {
                    connector.platform: {
                        "receives": isinstance(connector, Receives),
                        "shared_secret": isinstance(connector, Receives) and bool(connector.shared_keys.secrets),
                    }
                    for connector in services.connectors
                }
            }
        status = services.health.status
        return JSONResponse({"status": status, **details}, 503 if status == "unavailable" else 200)

    async def metrics(request: Request) -> Response:
        await _scrape_or_read(services, request)
        for name, state in services.health.report().items():
            services.metrics.up.labels(name).set(state["status"] == "up")
        return Response(services.metrics.expose(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def openapi(request: Request) -> Response:
        await _scrape_or_read(services, request)
        return JSONResponse(describe(operations, services.transports, services.settings.server.public_url))

    return [
        Route("/api/health", health, methods=["GET"]),
        Route("/api/webhooks/health", webhooks_health, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
        Route("/openapi.json", openapi, methods=["GET"]),
    ]


async def _may_read(services: Services, request: Request) -> bool:
    try:
        await services.gate.require(request.scope, "read")
    except TidingsError:
        return False  # the bare status is for anyone, and it must be had when the database is down
    return True


async def _scrape_or_read(services: Services, request: Request) -> None:
    token = services.settings.auth.scrape_token
    given = header(request.scope, b"authorization") or ""
    if token is not None:
        wanted = f"Bearer {token.get_secret_value()}".encode()
        if hmac.compare_digest(given.encode("latin-1"), wanted):
            return
    await services.gate.require(request.scope, "read")


async def _size(services: Services) -> int | None:
    def size(connection: Connection) -> int:
        return size_bytes(connection)

    try:
        return await services.database.read(size)
    except Unavailable:
        return None
