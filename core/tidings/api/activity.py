"""`/api/activity`: your events of the last hours, counted."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tidings.activity import DELAYS, MOST_EVENTS, MOST_HOURS, find_activity
from tidings.api.operation import Operation, Parameter, whole_number
from tidings.contracts import Principal
from tidings.services import Services

_DEFAULT_HOURS = 24
_COUNT = {"type": "integer"}
_TEXT = {"type": "string"}
_ANSWER: dict[str, Any] = {
    "type": "object",
    "required": ["since", "hours", "steps_seconds", "delays"],
    "properties": {
        "since": {
            **_TEXT,
            "format": "date-time",
            "description": f"From when on it was counted: at most the newest {MOST_EVENTS:,} events are.",
        },
        "hours": {
            "type": "array",
            "description": "Those with events, oldest first, a row for each platform.",
            "items": {
                "type": "object",
                "properties": {"at": {**_TEXT, "format": "date-time"}, "platform": _TEXT, "events": _COUNT},
            },
        },
        "steps_seconds": {"type": "array", "items": _COUNT},
        "delays": {
            "type": "array",
            "description": "How long after it happened an event was recorded, by platform and by how it came.",
            "items": {
                "type": "object",
                "properties": {
                    "platform": _TEXT,
                    "via": _TEXT,
                    "counts": {
                        "type": "array",
                        "items": _COUNT,
                        "description": "How many were at most so late as each of `steps_seconds` says, and not within "
                        "the one before; the last number is of those later still.",
                    },
                },
            },
        },
    },
}


def operations(services: Services) -> list[Operation]:
    """The operation that counts."""

    async def tell(request: Request, principal: Principal) -> Response:
        hours = whole_number("hours", request.query_params.get("hours"), _DEFAULT_HOURS, most=MOST_HOURS)
        found = await services.database.read(
            partial(
                find_activity,
                user_id=principal.user_id,
                hours=hours,
                now=services.clock.now(),
            ),
            user_id=principal.user_id,
        )
        return JSONResponse({**msgspec.to_builtins(found), "steps_seconds": DELAYS})

    return [
        Operation(
            "GET",
            "/api/activity",
            "read",
            "Your events of the last hours, counted: by hour and platform, and how late they came",
            tell,
            answer=_ANSWER,
            parameters=(
                Parameter(
                    "hours",
                    f"How many, the present one included, 1 to {MOST_HOURS}; larger is cut.",
                    {"type": "integer", "minimum": 1, "default": _DEFAULT_HOURS},
                ),
            ),
        )
    ]
