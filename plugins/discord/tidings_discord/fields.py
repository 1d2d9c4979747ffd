"""Tolerant access to what Discord sends: the value if it is there and of the right kind, else an empty one.

Nothing here raises, and no text leaves without having been cut and cleaned.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

Object = Mapping[str, Any]

TITLE_LENGTH: Final = 200
TEXT_LENGTH: Final = 2000
NAME_LENGTH: Final = 100

_EMPTY: Final[Object] = {}
_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_SNOWFLAKE: Final = re.compile(r"[1-9][0-9]{0,19}", re.ASCII)
_BITS: Final = re.compile(r"[0-9]{1,40}", re.ASCII)
_HASH: Final = re.compile(r"[A-Za-z0-9_]{1,64}", re.ASCII)
_EPOCH_MS: Final = 1_420_070_400_000  # the first second of 2015 (Discord's reference, "Snowflakes")
_LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
_EARLIEST: Final = datetime(2015, 1, 1, tzinfo=UTC)


def as_object(value: object) -> Object:
    """`value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else _EMPTY


def obj(holder: Object, key: str) -> Object:
    """The object at `key`, or an empty one."""
    return as_object(holder.get(key))


def as_objects(value: object) -> list[Object]:
    """The objects in a list; nothing where `value` is none."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def objs(holder: Object, key: str) -> list[Object]:
    """The objects in the list at `key`."""
    return as_objects(holder.get(key))


def raw(holder: Object, key: str) -> str:
    """The string at `key` as it came, or ""; for comparing, never for showing."""
    value = holder.get(key)
    return value if isinstance(value, str) else ""


def whole(holder: Object, key: str) -> int | None:
    """The integer at `key`, or None."""
    value = holder.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def line(holder: Object, key: str, length: int = NAME_LENGTH) -> str:
    """The string at `key` on one line of at most `length` characters, or ""."""
    value = raw(holder, key)
    return clip(clean(" ".join(value[: 4 * length].split())), length)


def words(holder: Object, key: str) -> list[str]:
    """The short strings in the list at `key`, each on one line; twenty at most."""
    value = holder.get(key)
    if not isinstance(value, list):
        return []
    return [line({"": one}, "") for one in value[:20] if isinstance(one, str)]


def snowflake(holder: Object, key: str) -> str:
    """The id at `key`: a number of up to 64 bits, which the API gives as a string; "" for none."""
    return as_snowflake(holder.get(key))


def as_snowflake(value: object) -> str:
    """`value` if it is an id in the form that the API gives, else ""."""
    if isinstance(value, str) and _SNOWFLAKE.fullmatch(value) and int(value) < 2**64:
        return value
    return ""


def snowflakes(holder: Object, key: str) -> list[str] | None:
    """The ids in the list at `key`; None where it is no list, or holds something else."""
    value = holder.get(key)
    if not isinstance(value, list):
        return None
    found = [as_snowflake(one) for one in value]
    return found if all(found) else None


def made_at(identity: str) -> datetime | None:
    """When a snowflake was made, which is part of it; None for no snowflake."""
    if not as_snowflake(identity):
        return None
    seconds = ((int(identity) >> 22) + _EPOCH_MS) / 1000
    return datetime.fromtimestamp(seconds, UTC)


def bits(holder: Object, key: str) -> int | None:
    """The permissions at `key`: a number of any size, which the API gives as a string; None for none."""
    value = raw(holder, key)
    return int(value) if _BITS.fullmatch(value) else None


def image(holder: Object, key: str) -> str:
    """The hash of a picture at `key`, or ""."""
    value = raw(holder, key)
    return value if _HASH.fullmatch(value) else ""


def instant(holder: Object, key: str) -> datetime | None:
    """The instant at `key`, aware UTC, from ISO 8601, which here may lack its offset; None for none."""
    value = raw(holder, key)
    if len(value) > 40:
        return None
    try:
        moment = datetime.fromisoformat(value)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return moment if _EARLIEST <= moment < _LATEST else None


def clean(value: str) -> str:
    """`value` without control characters (but with its line feeds and tabs) and without lone surrogates."""
    return value if value.isprintable() else _SURROGATE.sub("\ufffd", _UNPRINTABLE.sub("", value))


def clip(value: str, length: int) -> str:
    """`value`, or its beginning and an ellipsis where it has more than `length` characters."""
    return value if len(value) <= length else value[: length - 1].rstrip() + "…"
