"""`/api/events`: the journal, page by page."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tidings.api.operation import Operation, Parameter, whole_number
from tidings.contracts import Page, Principal
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
        limit = min(
            whole_number("limit", query.get("limit"), _DEFAULT_LIMIT, most=_LARGEST_LIMIT), _LARGEST_LIMIT
        )
        if "last" in query:
            last = min(
                whole_number("last", query["last"], _DEFAULT_LIMIT, most=_LARGEST_LIMIT), _LARGEST_LIMIT
            )
            return _page(await services.journal.last(principal.user_id, last))
        if query.get("before"):
            before = Cursor.parse(query["before"])
            return _page(await services.journal.last(principal.user_id, limit, before))
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
                Parameter(
                    "before",
                    "A cursor: the newest `limit` of those that came earlier, oldest first. Fewer are the oldest kept.",
                ),
                Parameter(
                    "types", "With `after`: CloudEvents types, `*` for any characters, separated by commas."
                ),
                Parameter("platforms", "With `after`: platform ids, separated by commas."),
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
