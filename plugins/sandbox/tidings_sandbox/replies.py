"""The forms of Spotify's answers, and of the parameters that it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tidings_sandbox.wire import Answer, encode, json_answer

_JSON: Final = [(b"content-type", b"application/json; charset=utf-8")]

Parameters = Mapping[str, str]


def listing(items: Sequence[bytes], rest: Mapping[str, Any]) -> Answer:
    """A page of items that are encoded already, with what stands beside them."""
    return holding(b"items", b"[%b]" % b",".join(items), rest)


def holding(name: bytes, encoded: bytes, rest: Mapping[str, Any]) -> Answer:
    """An object with one field that is encoded already, and with others; there must be some."""
    return Answer(200, b'{"%b":%b,%b' % (name, encoded, encode(rest)[1:]), _JSON)


def error(status: int, message: str) -> Answer:
    """The Web API's form of an error."""
    return json_answer({"error": {"status": status, "message": message}}, status)


def too_many(wait_seconds: int, *, is_quota: bool) -> Answer:
    """The answer to one call too many: by the rate limit, or by the quota of development mode."""
    words: dict[str, Any] = {"status": 429, "message": "API rate limit exceeded"}
    if is_quota:
        words |= {"message": "Too many requests", "reason": "QUOTA_EXCEEDED"}
    return json_answer({"error": words}, 429, [(b"retry-after", str(wait_seconds).encode())])


def whole(parameters: Parameters, name: str, default: int | None = None) -> int | None:
    """A parameter as a whole number: the default where it is absent, None where it is something else."""
    text = parameters.get(name)
    if text is None:
        return default
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else None
