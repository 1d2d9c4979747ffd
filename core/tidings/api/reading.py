"""`/api/reading`: up to where you have read, on whatever device."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tidings.api.operation import Operation, read_body
from tidings.contracts import Principal
from tidings.event import Cursor
from tidings.reading import Reading, find_reading, mark_read, reading_notice
from tidings.services import Services

_ANSWER = {
    "type": "object",
    "required": ["cursor", "unread", "head"],
    "properties": {
        "cursor": {"type": "string", "description": "Everything up to here is read."},
        "unread": {"type": "integer", "description": "How many of the events kept came later, up to `head`."},
        "head": {
            "type": "string",
            "description": "The newest event; count by yourself what comes behind it.",
        },
    },
}


class NewReading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Up to where you have read.

    What was read before stays read, and a cursor of a journal that was replaced since changes nothing; so it may be
    sent late, or twice.
    """

    cursor: Annotated[str, msgspec.Meta(max_length=80)]


def operations(services: Services) -> list[Operation]:
    """The operations on how far one has read."""

    async def tell(_request: Request, principal: Principal) -> Response:
        user_id = principal.user_id
        reading = await services.database.read(partial(find_reading, user_id=user_id), user_id=user_id)
        return _shown(reading)

    async def change(request: Request, principal: Principal) -> Response:
        wish: NewReading = await read_body(request, NewReading)
        user_id = principal.user_id
        reading, is_further = await services.writer.run_unit(
            partial(mark_read, user_id=user_id, cursor=Cursor.parse(wish.cursor))
        )
        if is_further:
            await services.fanout.bus.tell(reading_notice(user_id, reading, services.clock.now()))
        return _shown(reading)

    path = "/api/reading"
    return [
        Operation("GET", path, "read", "Up to where you have read", tell, answer=_ANSWER),
        Operation(
            "PUT",
            path,
            "read",
            "Say up to where you have read; your open pages and programs are told",
            change,
            answer=_ANSWER,
            body=NewReading,
        ),
    ]


def _shown(reading: Reading) -> Response:
    shown = {"cursor": str(reading.cursor), "unread": reading.unread, "head": str(reading.head)}
    return JSONResponse(shown)
