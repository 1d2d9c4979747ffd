"""Reading what may hold anything: what is not of the expected type counts as absent, and no text leaves uncleaned."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

Object = Mapping[str, Any]

TITLE_LENGTH: Final = 200

_EMPTY: Final[Object] = {}
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_URL: Final = re.compile(r"https?://[A-Za-z0-9\[][!#-&(-;=?-\[\]-_a-~]{0,2000}", re.ASCII)
_EARLIEST: Final = datetime(2005, 1, 1, tzinfo=UTC)  # YouTube's first video is of April 2005
_LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def obj(value: object) -> Object:
    """`value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else _EMPTY


def objects(value: object) -> list[Object]:
    """The JSON objects in a list; nothing where `value` is none."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def text(holder: Object, key: str) -> str:
    """A string of `holder` as it came, or ""; for comparing, never for showing."""
    value = holder.get(key)
    return value if isinstance(value, str) else ""


def line(value: object, length: int = TITLE_LENGTH) -> str:
    """A string on one line of at most `length` characters, fit to be shown; "" where `value` is none."""
    if not isinstance(value, str):
        return ""
    if len(value) > length or not value.isprintable():
        value = " ".join(value[: 4 * length].split())
        value = _SURROGATE.sub("\ufffd", _UNPRINTABLE.sub("", value))
    value = value.strip()
    return value if len(value) <= length else value[: length - 1].rstrip() + "…"


def identity(value: object) -> str:
    """An id of a video, a channel or a playlist: letters, digits, `_` and `-`; "" where `value` is none."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""


def link(value: object) -> str:
    """An http or https address, or "": a page may put it into a link as it is."""
    return value if isinstance(value, str) and _URL.fullmatch(value) else ""


def instant(value: object) -> datetime | None:
    """An RFC 3339 instant as aware UTC; its fraction may have nine digits. None for anything else."""
    if not isinstance(value, str) or not 20 <= len(value) <= 40:
        return None
    try:
        found = datetime.fromisoformat(value)
        if found.tzinfo is None:
            return None
        found = found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if _EARLIEST <= found < _LATEST else None
