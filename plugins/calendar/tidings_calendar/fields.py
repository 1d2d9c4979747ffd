"""Reading JSON that may hold anything: what is not as expected counts as absent, and text is made fit to show."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

Payload = Mapping[str, Any]

TITLE_LENGTH: Final = 200
_URL_LENGTH: Final = 2000
_EMPTY: Final[Payload] = {}
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_TAG = re.compile(r"<[^<>]{0,500}>")
_URL = re.compile(r"https?://[A-Za-z0-9\[][!#-&(-;=?-\[\]-_a-~]*")  # no blank, no "'<>\`
_EARLIEST: Final = -2_208_988_800  # 1900-01-01
_LATEST: Final = 7_258_118_400  # 2200-01-01


def obj(parent: Payload, key: str) -> Payload:
    """The object at `key`, or an empty one."""
    value = parent.get(key)
    return value if isinstance(value, dict) else _EMPTY


def objs(parent: Payload, key: str) -> Sequence[Payload]:
    """The objects in the list at `key`; what is none is left out."""
    value = parent.get(key)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else ()


def raw(parent: Payload, key: str) -> str:
    """The string at `key` as it came, or ""; for comparing, never for showing."""
    value = parent.get(key)
    return value if isinstance(value, str) else ""


def flag(parent: Payload, key: str) -> bool:
    """Whether `key` is true."""
    return parent.get(key) is True


def number(parent: Payload, key: str) -> int | None:
    """The integer at `key`, also where it is written as a string, if it fits 64 bits; else None."""
    value = parent.get(key)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return value
    return None


def line(parent: Payload, key: str, length: int = TITLE_LENGTH) -> str:
    """The string at `key` on one line of at most `length` characters, or ""."""
    return one_line(raw(parent, key), length)


def prose(parent: Payload, key: str, length: int) -> str:
    """The string at `key` with its lines and without its HTML tags, at most `length` characters, or ""."""
    return clip(_clean(_TAG.sub("", raw(parent, key)[: 4 * length])).strip(), length)


def link(parent: Payload, key: str) -> str:
    """The http or https address at `key`, or "": a page may put it into a link as it is."""
    value = raw(parent, key)
    return value if len(value) <= _URL_LENGTH and _URL.fullmatch(value) else ""


def instant(parent: Payload, key: str) -> datetime | None:
    """The instant at `key` (RFC 3339) with the offset that it was written with; None for none."""
    value = raw(parent, key)
    if not value or len(value) > 40:
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment if _EARLIEST <= moment.timestamp() < _LATEST else None
    except (ValueError, OverflowError):
        return None


def one_line(value: str, length: int = TITLE_LENGTH) -> str:
    """`value` on one line of at most `length` characters."""
    return clip(_clean(" ".join(value[: 4 * length].split())), length)


def clip(value: str, length: int) -> str:
    """`value`, or its beginning and an ellipsis where it has more than `length` characters."""
    return value if len(value) <= length else value[: length - 1].rstrip() + "…"


def _clean(value: str) -> str:
    if value.isprintable():
        return value
    return _SURROGATE.sub("\ufffd", _CONTROL.sub("", value))
