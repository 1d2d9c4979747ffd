"""Slack's `ts`: an instant in microseconds that also names a message within its channel, as text.

It is kept as the text that it came as, and compared as a decimal number: a float can't hold it
(https://docs.slack.dev/reference/methods/conversations.history).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from tidings.fields import Object

#: Before everything.
NEVER: Final = "0"

_STAMP = re.compile(r"[0-9]{1,10}\.[0-9]{1,9}", re.ASCII)


def stamp(parent: Object, key: str) -> str:
    """The `ts` at `key`; "" where it is none."""
    value = parent.get(key)
    return value if isinstance(value, str) and _STAMP.fullmatch(value) else ""


def value(text: str) -> Decimal:
    """What stamps are ordered by."""
    return Decimal(text)


def is_later(one: str, other: str) -> bool:
    """Whether `one` comes after `other`."""
    return Decimal(one) > Decimal(other)


def latest(stamps: Iterable[str]) -> str:
    """The last of some, without the empty ones; `NEVER` for none."""
    return max((one for one in stamps if one), key=value, default=NEVER)


def in_order(stamps: Iterable[str]) -> list[str]:
    """The first one first."""
    return sorted(stamps, key=value)


def instant_of(text: str) -> datetime:
    """When that was, aware UTC."""
    whole, _, part = text.partition(".")
    return datetime.fromtimestamp(int(whole), UTC).replace(microsecond=int((part + "000000")[:6]))


def stamp_of(instant: datetime) -> str:
    """An instant as `ts`."""
    micros = round(instant.timestamp() * 1e6)
    return f"{micros // 1_000_000}.{micros % 1_000_000:06d}"


def earlier(text: str, by_seconds: int) -> str:
    """The `ts` so many seconds before; `NEVER` at the earliest."""
    found = Decimal(text) - by_seconds
    return f"{found:f}" if found > 0 else NEVER
