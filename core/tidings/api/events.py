"""`/api/events`: the journal, page by page."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tidings.api.operation import Operation, Parameter
from tidings.contracts import Page, Principal
from tidings.errors import Rejected
from tidings.event import OLDEST, Cursor
from tidings.selection import parse_selection
from tidings.services import Services

_DEFAULT_LIMIT = 100
_LARGEST_LIMIT = 500

_ANSWER = {
    "type": "object",
    "required": ["events", "next", "cursor"],
    "properties": {
        "events": {"type": "array", "items": {"$ref": "#/components/schemas/CloudEvent"}},
        "next": {"type": ["string", "null"], "description": "Send it as `after` for more; null at the head."},
        "cursor": {"type": "string", "description": "The position reached."},
        "gap": {"$ref": "#/components/schemas/Gap"},
    },
}


def operations(services: Services) -> list[Operation]:
    """The operations on events."""

    async def read(request: Request, principal: Principal) -> Response:
        query = request.query_params
        limit = min(_number("limit", query.get("limit"), _DEFAULT_LIMIT), _LARGEST_LIMIT)
        if "last" in query:
            last = min(_number("last", query["last"], _DEFAULT_LIMIT), _LARGEST_LIMIT)
            return _page(await services.journal.last(principal.user_id, last))
        selection = parse_selection(query.get("types", ""), query.get("platforms", ""))
        page = await services.journal.read(
            principal.user_id,
            Cursor.parse(query["after"]) if query.get("after") else OLDEST,
            limit=limit,
            selection=None if selection.selects_all else selection,
        )
        return _page(page)

    return [
        Operation(
            "GET",
            "/api/events",
            "read",
            "Read your events, oldest first",
            read,
            answer=_ANSWER,
            parameters=(
                Parameter(
                    "after", "A cursor: only what came later. `0`, the default, is the oldest event kept."
                ),
                Parameter(
                    "limit",
                    "Events wanted, 1 to 500; larger is cut to 500. A page can have fewer and still have a `next`.",
                    {"type": "integer", "minimum": 1, "default": _DEFAULT_LIMIT},
                ),
                Parameter(
                    "last", "The newest so many instead, oldest first.", {"type": "integer", "minimum": 1}
                ),
                Parameter("types", "CloudEvents types, `*` for any characters, separated by commas."),
                Parameter("platforms", "Platform ids, separated by commas."),
            ),
        )
    ]


def _page(page: Page) -> Response:
    fields: dict[str, Any] = {
        "events": [msgspec.Raw(entry.cloudevent()) for entry in page.entries],
        "next": None if page.at_head else str(page.cursor),
        "cursor": str(page.cursor),
    }
    if page.gap is not None:
        fields["gap"] = msgspec.Raw(page.gap.encode())
    return Response(msgspec.json.encode(fields), media_type="application/json")


def _number(name: str, text: str | None, default: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 40 and int(text) >= 1):
        raise Rejected(f"{name}: {text[:40]!r} is not a number from 1 to {_LARGEST_LIMIT}.", status=400)
    return int(text)
