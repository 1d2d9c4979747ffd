"""Platforms that ask an address whether it wants their deliveries, before they send any (WebSub 1.0, §5.3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection as Sql
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tidings.api.operation import problem
from tidings.connectors import Greeted, Greets
from tidings.deliveries import WebhookRequest
from tidings.errors import Rejected
from tidings.services import Services
from tidings.upstreams import (
    REMOVING,
    PlatformRegistration,
    find_platform_registration,
    note_failure,
    note_greeted,
)
from tidings.watching import denied, greeted

#: What this route does, for /openapi.json.
OPERATION: Mapping[str, Any] = {
    "operationId": "get_api_webhooks",
    "summary": "Ask whether an address wants deliveries; platforms call this",
    "description": "Where a platform asks before it sends (WebSub). The answer is what its protocol wants.",
    "security": [],
    "responses": {
        "200": {"description": "It does, or what was asked is agreed to."},
        "404": {"description": "It does not."},
        "405": {"description": "This platform does not ask."},
    },
}


def route(services: Services) -> Route:
    """The route."""
    connectors = {one.platform: one for one in services.connectors}

    async def greet(request: Request) -> Response:
        platform, ref = request.path_params["platform"], request.path_params["ref"]
        greets = connectors.get(platform)
        if greets is None:
            return problem(404, "not_found", f"Nothing here takes webhooks for {platform[:64]!r}.")
        if not isinstance(greets, Greets):
            return problem(
                405,
                "method_not_allowed",
                f"{greets.display_name} asks nothing by GET: it sends its webhooks by POST.",
                {"Allow": "POST"},
            )
        row = await services.database.read(
            partial(find_platform_registration, platform=platform, registration_id=ref)
        )
        is_wanted = row is not None and row.state != REMOVING
        asked = WebhookRequest("GET", request.url.path, request.url.query, dict(request.headers), b"")
        try:
            answer = greets.greet(asked, None if row is None else row.target, is_wanted=is_wanted)
        except Rejected as error:
            services.log.info("greeting_refused", platform=platform, reason=str(error))
            return problem(error.status, "refused", str(error))
        if row is not None and is_wanted:
            await services.writer.run_unit(partial(_note, services, row, answer))
        services.log.info(
            "greeting", platform=platform, wanted=is_wanted, registration=row.id if row is not None else ""
        )
        return Response(answer.reply.body, answer.reply.status, media_type=answer.reply.content_type)

    return Route("/api/webhooks/{platform}/{ref}", greet, methods=["GET"], name="greetings")


def _note(services: Services, row: PlatformRegistration, answer: Greeted, sql: Sql) -> None:
    now = services.clock.now()
    if answer.problem:
        note_failure(sql, row.id, answer.problem, now)
        denied(sql, row, now)
        return
    lease = answer.expires_in_seconds
    note_greeted(sql, row.id, None if lease is None else now + timedelta(seconds=lease), now)
    greeted(sql, row, now)
