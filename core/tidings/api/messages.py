"""`/api/sse/send` and `/api/sse/broadcast`: messages of your own."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tidings.access import owns
from tidings.accounts import resolve_user
from tidings.api.operation import Operation, Parameter, read_body
from tidings.contracts import Principal
from tidings.errors import Denied
from tidings.messages import Messages, compose
from tidings.services import Services

_KEY = Parameter(
    "Idempotency-Key",
    "Up to 128 visible ASCII characters. The same key again sends nothing again.",
    place="header",
)


_Message = Annotated[
    dict[str, Any],
    msgspec.Meta(
        description="More fields of your own are kept, up to 16 KiB in all.",
        extra_json_schema={
            "required": ["title"],
            "properties": {
                "title": {"type": "string", "minLength": 1, "maxLength": 300},
                "text": {"type": "string", "maxLength": 4000},
                "url": {"type": "string", "format": "uri", "description": "http or https."},
            },
        },
    ),
]


class Send(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A message for one user: an id or a name; yourself if left out."""

    message: _Message
    user_id: int | str | None = None


class Broadcast(msgspec.Struct, forbid_unknown_fields=True):
    """A message for everyone."""

    message: _Message


def operations(services: Services, messages: Messages) -> list[Operation]:
    """The operations on messages."""

    async def send(request: Request, principal: Principal) -> Response:
        wish: Send = await read_body(request, Send)
        user_id = principal.user_id
        if wish.user_id is not None:
            ref = str(wish.user_id)
            if ref != str(user_id) and ref.lower() != principal.user_name:
                if "admin" not in principal.scopes:
                    raise Denied("Only an admin can send to others.", status=403, code="forbidden")
                user = await services.database.read(lambda connection: resolve_user(connection, ref))
                user_id = user.id
        assert owns(principal, user_id)
        message = compose(wish.message, principal, request.headers.get("idempotency-key"))
        appended = await messages.send(user_id, message)
        cursor = appended.cursors[0]
        return JSONResponse(
            {
                "id": message.id,
                "cursor": None if cursor is None else str(cursor),
                "duplicate": not appended.fresh,
            }
        )

    async def broadcast(request: Request, principal: Principal) -> Response:
        wish: Broadcast = await read_body(request, Broadcast)
        message = compose(wish.message, principal, request.headers.get("idempotency-key"))
        await messages.broadcast(principal.user_id, message)
        return JSONResponse({"id": message.id}, 202)

    return [
        Operation(
            "POST",
            "/api/sse/send",
            "send",
            "Send a message to yourself; as an admin, to anyone",
            send,
            answer={
                "type": "object",
                "properties": {
                    "id": {"type": "string", "description": "The id of the event."},
                    "cursor": {
                        "type": ["string", "null"],
                        "description": "Its place in the journal; null if retention has cut it.",
                    },
                    "duplicate": {"type": "boolean"},
                },
            },
            parameters=(_KEY,),
            body=Send,
        ),
        Operation(
            "POST",
            "/api/sse/broadcast",
            "admin",
            "Send a message to everyone, in the background",
            broadcast,
            answer={"type": "object", "properties": {"id": {"type": "string"}}},
            status=202,
            parameters=(_KEY,),
            body=Broadcast,
        ),
    ]
