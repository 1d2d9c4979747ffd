"""Connecting accounts by OAuth: where a browser leaves for a platform, and where it comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tidings.api.page import failure
from tidings.contracts import Principal
from tidings.errors import TidingsError
from tidings.services import Services

_CONNECTIONS = "/#connections"

#: What these routes do, for /openapi.json.
PATHS: Mapping[str, Mapping[str, Any]] = {
    "/api/oauth/{platform}/start": {
        "get": {
            "operationId": "get_api_oauth_start",
            "summary": "Leave for the platform, to connect an account",
            "description": (
                "For a browser with a session. `?connection=` names a connection to heal; without it any account "
                "is connected, and one that was connected before is healed."
            ),
            "parameters": [
                {
                    "name": "platform",
                    "in": "path",
                    "required": True,
                    "description": "The platform's id: `github`.",
                    "schema": {"type": "string"},
                },
                {
                    "name": "connection",
                    "in": "query",
                    "description": "The id of a connection.",
                    "schema": {"type": "string"},
                },
            ],
            "responses": {"303": {"description": "To the platform."}},
        }
    },
    "/api/oauth/{platform}/callback": {
        "get": {
            "operationId": "get_api_oauth_callback",
            "summary": "Come back from the platform; platforms redirect here",
            "description": "The address to register at the platform, exactly as `tidings doctor` prints it.",
            "parameters": [
                {
                    "name": "platform",
                    "in": "path",
                    "required": True,
                    "description": "The platform's id: `github`.",
                    "schema": {"type": "string"},
                }
            ],
            "responses": {"303": {"description": "To the page; the account is connected."}},
        }
    },
}


def routes(services: Services) -> list[Route]:
    """The two routes."""

    async def start(request: Request) -> Response:
        platform = request.path_params["platform"]
        try:
            principal = await services.gate.require(request.scope, "read")
            connection_id = request.query_params.get("connection", "")
            url = await services.upkeep.consent.begin(principal, platform, connection_id)
        except TidingsError as error:
            return failure(request, error, _title(services, platform))
        return RedirectResponse(url, 303, {"cache-control": "no-store", "referrer-policy": "no-referrer"})

    async def callback(request: Request) -> Response:
        platform = request.path_params["platform"]
        try:
            principal: Principal = await services.gate.require(request.scope, "read")
            consented = await services.upkeep.consent.finish(principal, platform, dict(request.query_params))
        except TidingsError as error:
            return failure(request, error, _title(services, platform))
        services.scheduler.wake()
        target = f"{_CONNECTIONS}/{consented.connection.id}"
        headers = {"cache-control": "no-store", "referrer-policy": "no-referrer"}
        return RedirectResponse(target, 303, headers)

    return [
        Route("/api/oauth/{platform}/start", start, methods=["GET"], name="oauth_start"),
        Route("/api/oauth/{platform}/callback", callback, methods=["GET"], name="oauth_callback"),
    ]


def _title(services: Services, platform: str) -> str:
    names = {connector.platform: connector.display_name for connector in services.connectors}
    return f"{names.get(platform, 'The platform')} is not connected"
