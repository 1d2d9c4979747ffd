"""How the server is: health, metrics and the API's own description."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import tidings
from tidings.api import consent, greeting, provisioning
from tidings.api.openapi import describe
from tidings.api.operation import Operation
from tidings.asgi import header
from tidings.contracts import Receives
from tidings.engines import size_bytes
from tidings.errors import TidingsError, Unavailable
from tidings.pushing import Pushing
from tidings.services import Services

_HEALTH = {
    "description": "It runs. Details are for those who may `read`.",
    "content": {"application/json": {"schema": {"type": "object", "required": ["status"]}}},
}


def _get(name: str, summary: str, *, answer: Mapping[str, Any], **more: Any) -> Mapping[str, Any]:
    return {"get": {"operationId": name, "summary": summary, "responses": {"200": answer}, **more}}


def _in_path(name: str, text: str) -> Mapping[str, Any]:
    return {"name": name, "in": "path", "required": True, "description": text, "schema": {"type": "string"}}


_ADDRESS = [
    _in_path("platform", "The platform's id: `github`."),
    _in_path("ref", "A registration's id, or a user's id or name."),
]
_SCRAPE = "Needs the scope `read`, or `auth.scrape_token` of config.yaml as the bearer token."
_DETAILS = "Open to anyone; tells details to who has the scope `read`. 503 while the database can't be used."
_PATHS: Mapping[str, Mapping[str, Any]] = {
    "/api/health": _get(
        "get_api_health", "Whether the server works", answer=_HEALTH, description=_DETAILS, security=[]
    ),
    "/api/health/live": _get(
        "get_api_health_live",
        "Whether the process works",
        answer=_HEALTH,
        description="Open to anyone. Looks at nothing but itself: where it does not answer, start it again.",
        security=[],
    ),
    "/api/health/ready": _get(
        "get_api_health_ready",
        "Whether to send requests here",
        answer=_HEALTH,
        description="Open to anyone. 503 while the database can't be used (`reason` is `database`), and from when the "
        "server is told to stop (`leaving`), for as long as `server.leave_after` says and until it has stopped.",
        security=[],
    ),
    "/api/webhooks/health": _get(
        "get_api_webhooks_health",
        "Which platforms' webhooks are taken",
        answer=_HEALTH,
        description=_DETAILS,
        security=[],
    ),
    "/metrics": _get(
        "get_metrics",
        "Metrics for Prometheus",
        description=_SCRAPE,
        answer={"description": "Prometheus' text format.", "content": {"text/plain": {}}},
    ),
    "/openapi.json": _get(
        "get_openapi_json",
        "This description",
        description=_SCRAPE,
        answer={"description": "An OpenAPI document.", "content": {"application/json": {}}},
    ),
    **consent.PATHS,
    **provisioning.PATHS,
    "/api/webhooks/{platform}": {
        "post": {
            "operationId": "post_api_webhooks_platform",
            "summary": "Deliver a webhook of an app, for all whose accounts it names; platforms call this",
            "description": "Needs the platform's signature over the body, with the operator's own secret.",
            "security": [],
            "parameters": [_in_path("platform", "The platform's id: `github`.")],
            "responses": {
                "200": {"description": "On disk, for everybody whom it concerns here."},
                "401": {"description": "Not signed, or with another secret. Nothing was stored."},
                "503": {"description": "Not stored; send it again after `Retry-After` seconds."},
            },
        }
    },
    "/api/webhooks/{platform}/{ref}": {
        "get": {**greeting.OPERATION, "parameters": _ADDRESS},
        "post": {
            "operationId": "post_api_webhooks",
            "summary": "Deliver a webhook; platforms call this",
            "description": "Needs the platform's signature over the body, and nothing else.",
            "security": [],
            "parameters": _ADDRESS,
            "responses": {
                "200": {"description": "On disk."},
                "401": {"description": "Not signed, or with another secret. Nothing was stored."},
                "503": {"description": "Not stored; send it again after `Retry-After` seconds."},
            },
        },
    },
}


def routes(services: Services, operations: Sequence[Operation]) -> list[Route]:
    """The routes; they have rules of their own about who may read what."""

    async def health(request: Request) -> Response:
        details: dict[str, Any] = {}
        if await _may_read(services, request):
            details = {
                "version": tidings.__version__,
                "components": services.health.report(),
                "plugins": {plugin.key: plugin.distribution for plugin in services.loaded.plugins},
                "notices": [extra.notice for extra in services.extras if extra.notice],
                "failed_plugins": {failure.key: failure.reason for failure in services.loaded.failures},
                "streams": len(services.fanout.subscriptions()),
                "database_bytes": await _size(services),
                **({} if services.pushing is None else {"push": _push(services.pushing)}),
            }
        status = services.health.status
        return JSONResponse({"status": status, **details}, 503 if status == "unavailable" else 200)

    async def live(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_request: Request) -> Response:
        problem = services.health.problem
        if problem:
            return JSONResponse({"status": "unavailable", "reason": problem}, 503)
        return JSONResponse({"status": "ok"})

    async def webhooks_health(request: Request) -> Response:
        details: dict[str, Any] = {}
        if await _may_read(services, request):
            details = {
                "platforms": {
                    connector.platform: {
                        "receives": isinstance(connector, Receives),
                        "shared_secret": isinstance(connector, Receives)
                        and bool(connector.shared_keys.secrets),
                    }
                    for connector in services.connectors
                }
            }
        status = services.health.status
        return JSONResponse({"status": status, **details}, 503 if status == "unavailable" else 200)

    async def metrics(request: Request) -> Response:
        await _scrape_or_read(services, request)
        services.fanout.count_frames()
        for name, state in services.health.report().items():
            services.metrics.up.labels(name).set(state["status"] == "up")
        return Response(services.metrics.expose(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def openapi(request: Request) -> Response:
        await _scrape_or_read(services, request)
        public_url = services.settings.server.public_url
        return JSONResponse(describe(operations, services.transports, public_url, others=_PATHS))

    return [
        Route("/api/health", health, methods=["GET"]),
        Route("/api/health/live", live, methods=["GET"]),
        Route("/api/health/ready", ready, methods=["GET"]),
        Route("/api/webhooks/health", webhooks_health, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
        Route("/openapi.json", openapi, methods=["GET"]),
    ]


def _push(pushing: Pushing) -> dict[str, Any]:
    transport = pushing.transport
    return {"ready": not transport.problem, "problem": transport.problem, "warning": transport.warning}


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
