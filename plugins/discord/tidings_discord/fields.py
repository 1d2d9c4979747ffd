"""What only Discord's JSON has: snowflakes, permissions as numbers of any size, hashes of pictures."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from tidings.fields import Object, as_strings, raw, word

_SNOWFLAKE: Final = re.compile(r"[1-9][0-9]{0,19}", re.ASCII)
_BITS: Final = re.compile(r"[0-9]{1,40}", re.ASCII)
_HASH: Final = re.compile(r"[A-Za-z0-9_]{1,64}", re.ASCII)
_EPOCH_MS: Final = 1_420_070_400_000  # the first second of 2015 (Discord's reference, "Snowflakes")


def words(holder: Object, key: str) -> list[str]:
    """The short strings in the list at `key`, each on one line; twenty at most."""
    return [word({"": one}, "") for one in as_strings(holder.get(key))[:20]]


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
