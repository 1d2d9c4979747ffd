"""Base64url without padding, as every part of Web Push writes bytes (RFC 7515 §2)."""

from __future__ import annotations

import base64
import re

_LETTERS = re.compile(r"[A-Za-z0-9_-]*=*", re.ASCII)


def encode(data: bytes) -> str:
    """`data` in base64url, without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def decode(text: str) -> bytes:
    """The bytes that `text` stands for; padding may be there or not.

    Raises:
        ValueError: It is not base64url.
    """
    if _LETTERS.fullmatch(text) is None:
        raise ValueError("not base64url")
    bare = text.rstrip("=")
    return base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
