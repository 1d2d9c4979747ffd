"""What only Slack's JSON has: its ids, and text that is cut in the middle of a character."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from tidings.fields import Object, as_strings, raw

# Ids are "upper-case letters and digits" (docs.slack.dev, "Slack ID"): T, C, G, D, U, W, B and so on come first.
_IDENTITY = re.compile(r"[A-Z0-9]{1,32}", re.ASCII)


def read_object(body: bytes) -> Object | None:
    """The JSON object in a body; None where there is none."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        found = _read_tolerantly(body)
    return found if isinstance(found, dict) else None


def _read_tolerantly(body: bytes) -> Any:
    """Half of a surrogate pair is no Unicode, but JSON has a way to write it; what is cut in the middle ends so."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


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
