"""What the user of a connection can choose, as a JSON Schema from which a page makes a form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_INBOX: Final = "inbox"
_ALL: Final = "all"

SETTINGS_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "mails": {
            "title": "Tell of",
            "default": _INBOX,
            "oneOf": [
                {"const": _INBOX, "title": "mails that come into the inbox"},
                {"const": _ALL, "title": "every mail that comes, but spam"},
            ],
        }
    },
}


def tells_all(settings: Mapping[str, Any]) -> bool:
    """Whether mails are told that go past the inbox."""
    return bool(settings.get("mails", _INBOX) == _ALL)
