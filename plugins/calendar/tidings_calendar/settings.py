"""What the user of a connection can choose, as a JSON Schema from which a page makes a form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tidings_calendar.calendars import SELECTED

_MOST_MINUTES: Final = 24 * 60

SETTINGS_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "calendars": {
            "title": "Calendars",
            "default": SELECTED,
            "oneOf": [
                {"const": SELECTED, "title": "Those that Google Calendar shows"},
                {
                    "type": "array",
                    "title": "Only these",
                    "items": {"type": "string", "title": "calendar"},
                    "examples": ["Work"],
                },
            ],
        },
        "remind_minutes": {
            "title": "Say that an event starts, so many minutes before",
            "description": "0 for never.",
            "type": "integer",
            "minimum": 0,
            "maximum": _MOST_MINUTES,
            "default": 0,
        },
    },
}


def remind_seconds(settings: Mapping[str, Any]) -> int:
    """How long before its start an event is to be told once more; 0 for never."""
    minutes = settings.get("remind_minutes", 0)
    if isinstance(minutes, bool) or not isinstance(minutes, int | float) or not minutes > 0:
        return 0
    return 60 * int(min(minutes, _MOST_MINUTES))
