"""Reading JSON that may hold anything: what is not as expected counts as absent, and text is made fit to show."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

Object = Mapping[str, Any]

TITLE_LENGTH: Final = 200
_EMPTY: Final[Object] = {}
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_LARGEST: Final = 2**64


def obj(value: object) -> Object:
    """`value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else _EMPTY


def objects(value: object) -> list[Object]:
    """The JSON objects in a list; nothing where `value` is none."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def texts(value: object) -> list[str]:
    """The strings in a list; nothing where `value` is none."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def text(holder: Object, key: str) -> str:
    """A string of `holder` as it came, or ""."""
    value = holder.get(key)
    return value if isinstance(value, str) else ""


def identity(holder: Object, key: str) -> str:
    """An id of a message or a thread, or ""."""
    value = text(holder, key)
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


def line(value: str, length: int = TITLE_LENGTH) -> str:
    """`value` on one line of at most `length` characters, fit to be shown."""
    value = " ".join(value[: 4 * length].split())
    value = _SURROGATE.sub("\ufffd", _CONTROL.sub("", value))
    return value if len(value) <= length else value[: length - 1].rstrip() + "…"
