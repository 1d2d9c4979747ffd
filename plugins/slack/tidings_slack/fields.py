"""Tolerant access to what Slack says: the value if it is there and of the right kind, else an empty one.

Whoever holds the signing secret can send anything, so nothing here raises, and no text leaves without having been cut
and cleaned.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

Object = Mapping[str, Any]

TITLE_LENGTH: Final = 200
TEXT_LENGTH: Final = 2000
NAME_LENGTH: Final = 100
LIST_LENGTH: Final = 10
_URL_LENGTH: Final = 2000

_EMPTY: Final[Object] = {}
# Ids are "upper-case letters and digits" (docs.slack.dev, "Slack ID"): T, C, G, D, U, W, B and so on come first.
_IDENTITY = re.compile(r"[A-Z0-9]{1,32}", re.ASCII)
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_URL = re.compile(r"https?://[A-Za-z0-9\[][!#-&(-;=?-\[\]-_a-~\x80-\U0010ffff]*")  # no blank, no "'<>\`
_EARLIEST: Final = 1_230_768_000  # 2009-01-01: nothing at Slack is older
_LATEST: Final = 4_102_444_800  # 2100-01-01


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


def obj(parent: Object, key: str) -> Object:
    """The object at `key`, or an empty one."""
    value = parent.get(key)
    return value if isinstance(value, dict) else _EMPTY


def objs(parent: Object, key: str) -> Sequence[Object]:
    """The objects in the list at `key`; what is not an object is left out."""
    value = parent.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else ()


def raw(parent: Object, key: str) -> str:
    """The string at `key` as it came, or ""; for comparing, never for showing."""
    value = parent.get(key)
    return value if isinstance(value, str) else ""


def flag(parent: Object, key: str) -> bool:
    """Whether `key` is true."""
    return parent.get(key) is True


def identity(parent: Object, key: str) -> str:
    """The id at `key`: `C024BE91L`; "" where it is none."""
    value = parent.get(key)
    return value if isinstance(value, str) and _IDENTITY.fullmatch(value) else ""


def identities(parent: Object, key: str) -> Sequence[str]:
    """The ids in the list at `key`."""
    value = parent.get(key)
    found = value if isinstance(value, list) else []
    return [one for one in found if isinstance(one, str) and _IDENTITY.fullmatch(one)]


def is_identity(value: str) -> bool:
    """Whether it has the form of an id."""
    return _IDENTITY.fullmatch(value) is not None


def line(parent: Object, key: str, length: int = NAME_LENGTH) -> str:
    """The string at `key` on one line of at most `length` characters, or ""."""
    value = parent.get(key)
    if not isinstance(value, str):
        return ""
    return clip(clean(" ".join(value[: 4 * length].split())), length)


def link(parent: Object, key: str) -> str:
    """The http or https address at `key`, or "": a page may put it into a link as it is."""
    value = parent.get(key)
    if not isinstance(value, str) or len(value) > _URL_LENGTH or _URL.fullmatch(value) is None:
        return ""
    return value if value.isprintable() else ""


def seconds(parent: Object, key: str) -> datetime | None:
    """The instant at `key`, aware UTC, from seconds since 1970; else None."""
    value = parent.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not _EARLIEST <= value < _LATEST:
        return None
    return datetime.fromtimestamp(value, UTC)


def clean(value: str) -> str:
    """`value` without control characters (but with its line feeds and tabs) and without lone surrogates."""
    if value.isprintable():
        return value
    return _SURROGATE.sub("\ufffd", _UNPRINTABLE.sub("", value))


def clip(value: str, length: int) -> str:
    """`value`, or its beginning and an ellipsis where it has more than `length` characters."""
    return value if len(value) <= length else value[: length - 1].rstrip() + "…"
