"""Reading JSON that may hold anything: what is not of the expected type counts as absent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

Object = Mapping[str, Any]


def obj(value: object) -> Object:
    """`value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[Object]:
    """The JSON objects in a list; nothing where `value` is none."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def text(holder: Object, key: str) -> str:
    """A string of `holder`, or ""."""
    value = holder.get(key)
    return value if isinstance(value, str) else ""


def number(holder: Object, key: str) -> float:
    """A number of `holder`, or 0."""
    value = holder.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def instant(value: str) -> datetime | None:
    """An RFC 3339 instant, or None."""
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
