"""Who you are: `/api/me`, signing in and out, tickets and tokens."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tidings.accounts import resolve_user
from tidings.api.operation import Operation, Parameter, read_body
from tidings.api.page import page
from tidings.api_tokens import ApiToken, add_token, list_tokens, revoke_token
from tidings.contracts import Principal
from tidings.durations import parse_duration
from tidings.errors import Denied, NotFound, Rejected, Unavailable
from tidings.services import Services
from tidings.sessions import end_session, sign_in
from tidings.tickets import FIRST_USE_WITHIN, issue_ticket

_TOKEN_ID = re.compile(r"[0-9]{1,18}", re.ASCII)
_ME = {
    "type": "object",
    "properties": {
        "user": {
            "type": "object",
            "properties": {"id": {"type": "integer"}, "name": {"type": "string"}},
        },
        "kind": {"enum": ["session", "token", "jwt"]},
        "scopes": {"type": "array", "items": {"type": "string"}},
        "expires_at": {"type": ["string", "null"], "format": "date-time"},
        "csrf_token": {
            "type": "string",
            "description": "For sessions: send it as X-CSRF-Token with changes.",
        },
    },
}
_TOKEN = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "label": {"type": "string"},
        "scopes": {"type": "array", "items": {"type": "string"}},
        "created_at": {"type": "string", "format": "date-time"},
        "expires_at": {"type": ["string", "null"], "format": "date-time"},
    },
}


class NewToken(msgspec.Struct, forbid_unknown_fields=True):
    """A wish for an API token."""

    scopes: list[str]
    label: str = ""
    expires: str = ""  # from now: 30d


def operations(services: Services) -> list[Operation]:
    """The operations on one's own account."""

    async def me(_request: Request, principal: Principal) -> Response:
        expires_at = principal.expires_at
        csrf = services.gate.csrf_token(principal)
        return JSONResponse(
            {
                "user": {"id": principal.user_id, "name": principal.user_name},
                "kind": principal.kind,
                "scopes": sorted(principal.scopes),
                "expires_at": None if expires_at is None else expires_at.isoformat(),
                **({"csrf_token": csrf} if csrf else {}),
            }
        )

    async def logout(_request: Request, principal: Principal) -> Response:
        if principal.kind != "session":
            raise Rejected("Only a session can be signed out. Revoke a token instead.", status=400)
        await services.writer.run_unit(partial(end_session, principal=principal))
        await services.fanout.end({principal.key: "signed_out"})
        return Response(status_code=204, headers={"set-cookie": services.gate.cookie.clear()})

    async def ticket(_request: Request, principal: Principal) -> Response:
        text = await services.writer.run_unit(
            lambda connection: issue_ticket(connection, principal, now=services.clock.now())
        )
        seconds = int(FIRST_USE_WITHIN.total_seconds())
        return JSONResponse({"ticket": text, "expires_in": seconds}, headers={"cache-control": "no-store"})

    async def tokens(_request: Request, principal: Principal) -> Response:
        found = await services.database.read(
            partial(list_tokens, user_id=principal.user_id), user_id=principal.user_id
        )
        return JSONResponse({"tokens": [_shown(token) for token in found]})

    async def new_token(request: Request, principal: Principal) -> Response:
        if principal.kind != "session":
            raise Denied("Only who is signed in can make tokens.", status=403, code="forbidden")
        wish: NewToken = await read_body(request, NewToken)
        now = services.clock.now()
        try:
            expires_at = now + timedelta(seconds=parse_duration(wish.expires)) if wish.expires else None
        except (ValueError, OverflowError) as error:
            raise Rejected(f"expires: {error}", status=400) from error

        def add(connection: Any) -> tuple[int, str]:
            user = resolve_user(connection, str(principal.user_id))
            return add_token(
                connection, user, scopes=wish.scopes, now=now, label=wish.label, expires_at=expires_at
            )

        token_id, text = await services.writer.run_unit(add)
        answer = {"id": token_id, "token": text}
        return JSONResponse(answer, 201, headers={"cache-control": "no-store"})

    async def revoke(request: Request, principal: Principal) -> Response:
        text = request.path_params["id"]
        if not _TOKEN_ID.fullmatch(text):
            raise NotFound(f"There is no token {text[:40]!r}.")
        token_id = int(text)
        await services.writer.run_unit(
            lambda connection: revoke_token(connection, token_id, user_id=principal.user_id)
        )
        await services.fanout.end({f"token:{token_id}": "revoked"})
        return Response(status_code=204)

    return [
        Operation("GET", "/api/me", "read", "Who you are, and by what right", me, answer=_ME),
        Operation("POST", "/api/logout", "read", "End your session and its streams", logout, status=204),
        Operation(
            "POST",
            "/api/tickets",
            "read",
            "A ticket that opens one stream by URL, for clients that can't send headers",
            ticket,
            answer={
                "type": "object",
                "properties": {"ticket": {"type": "string"}, "expires_in": {"type": "integer"}},
            },
        ),
        Operation(
            "GET",
            "/api/tokens",
            "read",
            "Your API tokens",
            tokens,
            answer={"type": "object", "properties": {"tokens": {"type": "array", "items": _TOKEN}}},
        ),
        Operation(
            "POST",
            "/api/tokens",
            "read",
            "Make an API token; its text is shown this once",
            new_token,
            answer={"type": "object", "properties": {"id": {"type": "integer"}, "token": {"type": "string"}}},
            status=201,
            body=NewToken,
        ),
        Operation(
            "DELETE",
            "/api/tokens/{id}",
            "read",
            "Revoke one of your tokens and end its streams",
            revoke,
            status=204,
            parameters=(Parameter("id", "The token's id.", {"type": "integer"}, "path"),),
        ),
    ]


def login_route(services: Services) -> Route:
    """`GET /login/{token}`: where a login link leads."""

    async def login(request: Request) -> Response:
        if "prefetch" in request.headers.get("sec-purpose", request.headers.get("purpose", "")):
            return Response(status_code=204)  # a link works once; a browser's guess must not use it up
        token, now = request.path_params["token"], services.clock.now()
        try:
            signed_in = await services.writer.run_unit(lambda connection: sign_in(connection, token, now=now))
        except Unavailable as error:
            return page(503, "Not now", str(error))
        if signed_in is None:
            return page(
                410,
                "This link no longer works",
                "A login link works once, for 24 hours. Make a new one on the server: tidings user link NAME",
            )
        services.log.info("signed_in", user=signed_in.user_id)
        headers = {"set-cookie": services.gate.cookie.set(signed_in.value), "cache-control": "no-store"}
        return RedirectResponse("/", 303, headers)

    return Route("/login/{token}", login, methods=["GET"], name="login")


def _shown(token: ApiToken) -> dict[str, Any]:
    return {
        "id": token.id,
        "label": token.label,
        "scopes": sorted(token.scopes),
        "created_at": token.created_at.isoformat(),
        "expires_at": None if token.expires_at is None else token.expires_at.isoformat(),
    }
