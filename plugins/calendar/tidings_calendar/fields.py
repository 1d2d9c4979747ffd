"""What in Calendar's JSON is written in a way of its own: numbers as text, instants with their offset, HTML."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from tidings.fields import Object, clean, clip, raw

_TAG = re.compile(r"<[^<>]{0,500}>")
_EARLIEST: Final = -2_208_988_800  # 1900-01-01
_LATEST: Final = 7_258_118_400  # 2200-01-01


def number(holder: Object, key: str) -> int | None:
    """The integer at `key`, also where it is written as a string, if it fits 64 bits; else None."""
    value = holder.get(key)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return value
    return None


def prose(holder: Object, key: str, length: int) -> str:
    """The string at `key` with its lines and without its HTML tags, at most `length` characters, or ""."""
    return clip(clean(_TAG.sub("", raw(holder, key)[: 4 * length])).strip(), length)


def instant(holder: Object, key: str) -> datetime | None:
    """The instant at `key` (RFC 3339) with the offset that it was written with; None for none."""
    value = raw(holder, key)
    if not value or len(value) > 40:
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment if _EARLIEST <= moment.timestamp() < _LATEST else None
    except (ValueError, OverflowError):
        return None
