"""Having a platform make its application for this installation: where an admin leaves, and comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tidings.api.operation import problem_of
from tidings.api.page import failure, form_page
from tidings.errors import TidingsError
from tidings.services import Services

_CONNECTIONS = "/#connections"
_PLATFORM = {
    "name": "platform",
    "in": "path",
    "required": True,
    "description": "The platform's id: `github`.",
    "schema": {"type": "string"},
}
_LEAVING = "For an admin's browser with a session. The form holds a state that works once, for an hour."


def _get(name: str, summary: str, description: str, responses: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "get": {
            "operationId": name,
            "summary": summary,
            "description": description,
            "parameters": [_PLATFORM],
            "responses": responses,
        }
    }


#: What these routes do, for /openapi.json.
PATHS: Mapping[str, Mapping[str, Any]] = {
    "/api/platforms/{platform}/manifest": _get(
        "get_api_platforms_manifest",
        "The form that has the platform make an application",
        f"{_LEAVING} A page of one's own posts its `fields` to its `url`.",
        {"200": {"description": "`url` and `fields`.", "content": {"application/json": {}}}},
    ),
    "/api/platforms/{platform}/provision": _get(
        "get_api_platforms_provision",
        "Leave for the platform, to have an application made",
        f"{_LEAVING} Answers a page that posts it.",
        {"200": {"description": "A page that goes on by itself.", "content": {"text/html": {}}}},
    ),
    "/api/platforms/{platform}/provisioned": _get(
        "get_api_platforms_provisioned",
        "Come back from the platform; platforms redirect here",
        "Exchanges `code` for the application's credentials, which are kept sealed and shown to nobody.",
        {"303": {"description": "To the page; accounts can be connected."}},
    ),
}


def routes(services: Services) -> list[Route]:
    """The three routes."""
    provisioning = services.upkeep.provisioning

    async def manifest(request: Request) -> Response:
        try:
            principal = await services.gate.require(request.scope, "admin")
            form = await provisioning.begin(principal, request.path_params["platform"])
        except TidingsError as error:
            return problem_of(error)
        answer = {"url": form.url, "fields": dict(form.fields)}
        return JSONResponse(answer, headers={"cache-control": "no-store"})

    async def provision(request: Request) -> Response:
        platform = request.path_params["platform"]
        try:
            principal = await services.gate.require(request.scope, "admin")
            form = await provisioning.begin(principal, platform)
        except TidingsError as error:
            return failure(request, error, f"{_name(services, platform)} is not set up")
        name = _name(services, platform)
        return form_page(
            f"On to {name}",
            f"{name} will ask whether to make an application for tidings, and send you back here.",
            f"Go on to {name}",
            url=form.url,
            fields=form.fields,
        )

    async def provisioned(request: Request) -> Response:
        platform = request.path_params["platform"]
        try:
            principal = await services.gate.require(request.scope, "admin")
            await provisioning.finish(principal, platform, dict(request.query_params))
        except TidingsError as error:
            return failure(request, error, f"{_name(services, platform)} is not set up")
        headers = {"cache-control": "no-store", "referrer-policy": "no-referrer"}
        return RedirectResponse(_CONNECTIONS, 303, headers)

    return [
        Route("/api/platforms/{platform}/manifest", manifest, methods=["GET"]),
        Route("/api/platforms/{platform}/provision", provision, methods=["GET"]),
        Route("/api/platforms/{platform}/provisioned", provisioned, methods=["GET"]),
    ]


def _name(services: Services, platform: str) -> str:
    names = {connector.platform: connector.display_name for connector in services.connectors}
    return names.get(platform, "The platform")
