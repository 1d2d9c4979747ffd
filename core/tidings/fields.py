"""Tolerant access to what platforms send: the value if it is there and of the right kind, else an empty one.

Whoever holds a secret can send anything, so nothing here raises, and no text that is to be shown leaves without having
been cut and cleaned. What is read by key takes the object and the key (`raw`, `line`, `number`, …); what is at hand
already takes the value (`as_object`, `as_link`, `one_line`, …).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

#: A JSON object with anything in it.
Object = Mapping[str, Any]

#: Characters of a title or name.
TITLE_LENGTH: Final = 200
#: Characters of a text with several lines.
TEXT_LENGTH: Final = 2000
_WORD_LENGTH: Final = 100
_URL_LENGTH: Final = 2000
_INSTANT_LENGTH: Final = 40

# Characters of a 64-bit integer with its sign; Python refuses to print very long ones.
_LONGEST_INTEGER: Final = 20
_strict: Final = msgspec.json.Decoder[Any]()
_lenient: Final = json.JSONDecoder(
    strict=False,
    parse_int=lambda digits: int(digits) if len(digits) <= _LONGEST_INTEGER else None,
    parse_constant=lambda _: None,
)
_EMPTY: Final[Object] = {}
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_URL = re.compile(r"https?://[A-Za-z0-9\[][!#-&(-;=?-\[\]-_a-~\x80-\U0010ffff]*")  # no blank, no "'<>\`
_EARLIEST: Final = 946_684_800  # 2000-01-01: nothing at any platform is older
_LATEST: Final = 4_102_444_800  # 2100-01-01


def as_json(text: bytes, decoder: msgspec.json.Decoder[Any] = _strict) -> Any:
    """The JSON value in `text`, whatever is in it; None where it is no JSON, `{}` where it is nested too deep to read.

    Platforms write what the strict standard refuses, and it is news all the same: half a surrogate pair where text was
    cut, bare control characters, bytes that are no UTF-8. NaN, infinities and integers beyond 64 bits become None.

    Args:
        text: As it came.
        decoder: For what is strictly JSON; it may leave out what nobody asks for. What it refuses is read whole.
    """
    try:
        return decoder.decode(text)
    except RecursionError:
        return {}
    except (msgspec.DecodeError, UnicodeError) as error:
        if isinstance(error, msgspec.ValidationError) and decoder is not _strict:
            return as_json(text)
    try:
        return _lenient.decode(text.decode("utf-8-sig", "replace"))
    except RecursionError:
        return {}
    except ValueError:
        return None


def as_object(value: object) -> Object:
    """`value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else _EMPTY


def obj(holder: Object, key: str) -> Object:
    """The object at `key`, or an empty one."""
    value = holder.get(key)
    return value if isinstance(value, dict) else _EMPTY


def as_objects(value: object) -> Sequence[Object]:
    """The objects in a list; what is not an object is left out. Nothing where `value` is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else ()


def objs(holder: Object, key: str) -> Sequence[Object]:
    """The objects in the list at `key`, likewise."""
    return as_objects(holder.get(key))


def as_strings(value: object) -> Sequence[str]:
    """The strings in a list, as they came; nothing where `value` is no list."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else ()


def raw(holder: Object, key: str) -> str:
    """The string at `key` as it came, or ""; for comparing, never for showing."""
    value = holder.get(key)
    return value if isinstance(value, str) else ""


def number(holder: Object, key: str) -> int | None:
    """The integer at `key` if it fits 64 bits, or None."""
    value = holder.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return value
    return None


def flag(holder: Object, key: str) -> bool:
    """Whether `key` is true."""
    return holder.get(key) is True


def line(holder: Object, key: str, length: int = TITLE_LENGTH) -> str:
    """The string at `key` on one line of at most `length` characters, or ""."""
    value = holder.get(key)
    # As in `one_line`, written out: this runs for every field.
    if isinstance(value, str) and len(value) <= length and value.isprintable():
        return value.strip()
    return one_line(value, length)


def word(holder: Object, key: str) -> str:
    """A short string at `key` (a state, a login, a name) on one line of at most 100 characters, or ""."""
    return line(holder, key, _WORD_LENGTH)


def text(holder: Object, key: str) -> str:
    """The string at `key` with its lines, at most `TEXT_LENGTH` characters, or ""."""
    return clip(clean(raw(holder, key)[: 4 * TEXT_LENGTH]).strip(), TEXT_LENGTH)


def as_link(value: object) -> str:
    """An http or https address of at most 2,000 characters, or "": a page may put it into a link as it is."""
    if not isinstance(value, str) or len(value) > _URL_LENGTH or _URL.fullmatch(value) is None:
        return ""
    return value if value.isascii() or value.isprintable() else ""


def link(holder: Object, key: str) -> str:
    """The address at `key`, likewise."""
    return as_link(holder.get(key))


def as_instant(value: object, *, is_utc: bool = False) -> datetime | None:
    """An instant of the years 2000 to 2099, aware UTC, from ISO 8601 text or from seconds since 1970; else None.

    Args:
        value: `"2026-11-29T10:00:00Z"`, `1795946400`, or anything.
        is_utc: Whether text without an offset means UTC; otherwise it means nothing.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, UTC) if _EARLIEST <= value < _LATEST else None
    if not isinstance(value, str) or len(value) > _INSTANT_LENGTH:
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            if not is_utc:
                return None
            moment = moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC) if _EARLIEST <= moment.timestamp() < _LATEST else None
    except (ValueError, OverflowError):
        return None


def instant(holder: Object, key: str, *, is_utc: bool = False) -> datetime | None:
    """The instant at `key`, likewise."""
    return as_instant(holder.get(key), is_utc=is_utc)


def clean(value: str) -> str:
    """`value` without control characters (but with its line feeds and tabs) and without lone surrogates."""
    if value.isprintable():
        return value
    return _SURROGATE.sub("\ufffd", _UNPRINTABLE.sub("", value))


def clip(value: str, length: int) -> str:
    """`value`, or its beginning and an ellipsis where it has more than `length` characters."""
    return value if len(value) <= length else value[: length - 1].rstrip() + "…"


def one_line(value: object, length: int = TITLE_LENGTH) -> str:
    """`value` on one line of at most `length` characters; "" where it is no string."""
    if not isinstance(value, str):
        return ""
    if len(value) <= length and value.isprintable():
        return value.strip()
    # Twice, for a control character that goes may have stood between two spaces, or alone at the end of a line.
    words = clean(" ".join(value[: 4 * length].split())).split()
    return clip(" ".join(words), length)
