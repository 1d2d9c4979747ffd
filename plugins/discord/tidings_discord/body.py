"""A delivery's body -> a JSON object, whatever is in it."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from tidings.errors import Rejected
from tidings.fields import Object

_LONGEST_INTEGER: Final = 20  # characters of a 64-bit integer with its sign


def payload(body: bytes) -> Object:
    """The JSON object in a body; one that is nested too deep to read counts as empty.

    Raises:
        Rejected: 400. It is no JSON object.
    """
    value = _decode(body)
    if not isinstance(value, dict):
        raise Rejected("The body is not a JSON object.", status=400)
    return value


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        return {}
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Lone surrogates, bare control characters, NaN, integers of thousands of digits: the strict decoder refuses
        # them, and an error would have Discord turn the address off.
        return _decode_leniently(body)


def _decode_leniently(body: bytes) -> Any:
    try:
        return _lenient.decode(body.decode("utf-8", "replace"))
    except RecursionError:
        return {}
    except ValueError:
        raise Rejected("The body is not JSON.", status=400) from None


def _integer(digits: str) -> int | None:
    """None beyond 64 bits: Python refuses to print very long integers, and Discord sends none."""
    return int(digits) if len(digits) <= _LONGEST_INTEGER else None


_lenient = json.JSONDecoder(strict=False, parse_int=_integer, parse_constant=lambda _: None)
