"""What the user of a connection can choose, as a JSON Schema from which a page makes a form; see `targets`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tidings_github.targets import ALL, FULL_NAME, LOGIN

SETTINGS_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "repositories": {
            "title": "Repositories",
            "default": ALL,
            "oneOf": [
                {"const": ALL, "title": "All of which this account is an admin"},
                {
                    "type": "array",
                    "title": "Only these",
                    "items": {
                        "type": "string",
                        "pattern": f"^(?:{FULL_NAME.pattern})$",
                        "title": "repository",
                    },
                    "examples": ["octo/hello"],
                },
            ],
        },
        "organizations": {
            "title": "Organisations",
            "description": "Everything that happens in them, whichever repository it is in.",
            "type": "array",
            "items": {"type": "string", "pattern": f"^(?:{LOGIN.pattern})$", "title": "organisation"},
            "examples": ["octo-org"],
            "default": [],
        },
    },
}
