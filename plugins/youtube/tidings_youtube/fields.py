"""What only YouTube's answers and feeds have: its ids."""

from __future__ import annotations

import re
from typing import Final

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def identity(value: object) -> str:
    """An id of a video, a channel or a playlist: letters, digits, `_` and `-`; "" where `value` is none."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""
