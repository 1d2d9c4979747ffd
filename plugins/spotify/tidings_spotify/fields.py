"""What only Spotify's answers have: durations that may be fractions."""

from __future__ import annotations

from tidings.fields import Object


def number(holder: Object, key: str) -> float:
    """A number of `holder`, or 0."""
    value = holder.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
