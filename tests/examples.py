"""How many examples a state machine tries: some with each change, more where new ones are looked for."""

from __future__ import annotations

from hypothesis import settings


def examples(count: int) -> int:
    """`count` of them in `make test`; in `make soak` so many times more as its profile has more than 100."""
    return count * settings().max_examples // 100
