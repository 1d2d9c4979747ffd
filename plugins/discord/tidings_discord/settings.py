"""What the user of a connection can choose, as a JSON Schema from which a page makes a form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tidings_discord.fields import as_snowflake

_ALL: Final = "all"

SETTINGS_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "messages": {
            "title": "Messages",
            "description": "Of the channels in which the bot of whoever runs this server is, as far as you may read "
            "them. Discord shows no app anybody's other messages.",
            "default": _ALL,
            "oneOf": [
                {"const": _ALL, "title": "Of all these channels"},
                {
                    "type": "array",
                    "title": "Only of these, by their ids; of none for none",
                    "items": {"type": "string", "pattern": "^[1-9][0-9]{0,19}$", "title": "channel's id"},
                    "examples": ["81384788765712384"],
                },
            ],
        },
    },
}


def chosen(settings: Mapping[str, Any], channels: Sequence[str]) -> Sequence[str]:
    """Of the operator's channels those that a user wants to hear of."""
    wanted = settings.get("messages", _ALL)
    if not isinstance(wanted, list | tuple):
        return channels
    named = {as_snowflake(one) for one in wanted}
    return [one for one in channels if one in named]
