"""What only Gmail's JSON has: its ids, and numbers of 64 bits that come as text."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from tidings.fields import Object, raw

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_LARGEST: Final = 2**64


def identity(holder: Object, key: str) -> str:
    """An id of a message or a thread, or ""."""
    value = raw(holder, key)
    return value if _ID.fullmatch(value) else ""


def position(value: object) -> int | None:
    """A history id: an unsigned 64-bit number, which comes as a string or as a number; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < _LARGEST:
        return value
    return None


def instant(holder: Object, key: str) -> datetime | None:
    """Milliseconds since 1970 as an instant; None for none, or one beyond the years 1970 to 2200."""
    milliseconds = position(holder.get(key))
    if milliseconds is None or milliseconds >= 7_258_118_400_000:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
