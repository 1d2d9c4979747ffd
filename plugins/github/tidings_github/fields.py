"""Tolerant access to a payload: the value if it is there and of the right kind, else an empty one.

Whoever holds the secret can send anything, so nothing here raises, and no text leaves without having been
cut and cleaned.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

Payload = Mapping[str, Any]

TITLE_LENGTH: Final = 200
TEXT_LENGTH: Final = 2000
LIST_LENGTH: Final = 20
_WORD_LENGTH: Final = 100
_URL_LENGTH: Final = 2000

_EMPTY: Final[Payload] = {}
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_URL = re.compile(r"https?://[A-Za-z0-9\[][!#-&(-;=?-\[\]-_a-~\x80-\U0010ffff]*")  # no blank, no "'<>\`
_EARLIEST: Final = 946_684_800  # 2000-01-01: nothing at GitHub is older
_LATEST: Final = 4_102_444_800  # 2100-01-01


def obj(parent: Payload, key: str) -> Payload:
    """The object at `key`, or an empty one."""
    value = parent.get(key)
    return value if isinstance(value, dict) else _EMPTY


def objs(parent: Payload, key: str) -> Sequence[Payload]:
    """The objects in the list at `key`; what is not an object is left out."""
    value = parent.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else ()


def raw(parent: Payload, key: str) -> str:
    """The string at `key` as it came, or ""; for comparing, never for showing."""
    value = parent.get(key)
    return value if isinstance(value, str) else ""


def number(parent: Payload, key: str) -> int | None:
    """The integer at `key` if it fits 64 bits, or None."""
    value = parent.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return value
    return None


def flag(parent: Payload, key: str) -> bool:
    """Whether `key` is true."""
    return parent.get(key) is True


def line(parent: Payload, key: str, length: int = TITLE_LENGTH) -> str:
    """The string at `key` on one line of at most `length` characters, or ""."""
    value = parent.get(key)
    if not isinstance(value, str):
        return ""
    if (
        len(value) <= length and value.isprintable()
    ):  # as in `one_line`, written out: this runs for every field
        return value.strip()
    return one_line(value, length)


def word(parent: Payload, key: str) -> str:
    """A short string at `key` (a state, a login, a ref's name) on one line, or ""."""
    return line(parent, key, _WORD_LENGTH)


def text(parent: Payload, key: str) -> str:
    """The string at `key` with its lines, at most `TEXT_LENGTH` characters, or ""."""
    value = parent.get(key)
    return clip(clean(value[: 4 * TEXT_LENGTH]).strip(), TEXT_LENGTH) if isinstance(value, str) else ""


def link(parent: Payload, key: str) -> str:
    """The http or https address at `key`, or "": a page may put it into a link as it is."""
    value = parent.get(key)
    if not isinstance(value, str) or len(value) > _URL_LENGTH or _URL.fullmatch(value) is None:
        return ""
    if value.isascii() or value.isprintable():
        return value
    return ""


def instant(parent: Payload, key: str) -> datetime | None:
    """The instant at `key`, aware UTC, from ISO 8601 with an offset or from epoch seconds; else None."""
    value = parent.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, UTC) if _EARLIEST <= value < _LATEST else None
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None or not _EARLIEST <= moment.timestamp() < _LATEST:
            return None
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def clean(value: str) -> str:
    """`value` without control characters (but with its line feeds and tabs) and without lone surrogates."""
    if value.isprintable():
        return value
    return _SURROGATE.sub("\ufffd", _UNPRINTABLE.sub("", value))


def clip(value: str, length: int) -> str:
    """`value`, or its beginning and an ellipsis where it has more than `length` characters."""
    return value if len(value) <= length else value[: length - 1].rstrip() + "…"


def one_line(value: str, length: int = TITLE_LENGTH) -> str:
    """`value` on one line of at most `length` characters."""
    if len(value) <= length and value.isprintable():
        return value.strip()
    return clip(clean(" ".join(value[: 4 * length].split())), length)
