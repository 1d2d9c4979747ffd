"""What only Slack's JSON has: its ids."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tidings.fields import Object, as_json, as_strings, raw

# Ids are "upper-case letters and digits" (docs.slack.dev, "Slack ID"): T, C, G, D, U, W, B and so on come first.
_IDENTITY = re.compile(r"[A-Z0-9]{1,32}", re.ASCII)


def read_object(body: bytes) -> Object | None:
    """The JSON object in a body; None where there is none."""
    found = as_json(body)
    return found if isinstance(found, dict) else None


def identity(holder: Object, key: str) -> str:
    """The id at `key`: `C024BE91L`; "" where it is none."""
    value = raw(holder, key)
    return value if is_identity(value) else ""


def identities(holder: Object, key: str) -> Sequence[str]:
    """The ids in the list at `key`."""
    return [one for one in as_strings(holder.get(key)) if is_identity(one)]


def is_identity(value: str) -> bool:
    """Whether it has the form of an id."""
    return _IDENTITY.fullmatch(value) is not None
