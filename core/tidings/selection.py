"""Which events a reader wants, as it says in a URL: `?types=com.github.*&platforms=github,spotify`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from tidings.errors import Rejected

_MOST_PATTERNS = 50
_PATTERN = re.compile(r"[A-Za-z0-9_.*-]{1,250}", re.ASCII)


class TypeSelection:
    """Selects by CloudEvents type, with `*` for any run of characters, and by platform.

    Args:
        types: Patterns, any of which will do; none means every type.
        platforms: Platform ids, any of which will do; none means every platform.
    """

    def __init__(self, types: Sequence[str] = (), platforms: Sequence[str] = ()) -> None:
        self._types = re.compile("|".join(_expression(pattern) for pattern in types)) if types else None
        self._platforms = frozenset(platforms)
        self.selects_all = not types and not platforms

    def matches(self, type: str, platform: str) -> bool:  # noqa: A002 - the CloudEvents attribute's name
        """Whether an entry of this type from this platform is wanted."""
        if self.selects_all:
            return True
        if self._platforms and platform not in self._platforms:
            return False
        return self._types is None or self._types.fullmatch(type) is not None


#: Withholds nothing.
EVERYTHING = TypeSelection()


@lru_cache(maxsize=256)
def parse_selection(types: str, platforms: str) -> TypeSelection:
    """Read the query parameters `types` and `platforms`, each a comma-separated list or "".

    Raises:
        Rejected: A pattern has characters that no type has, or there are too many (400).
    """
    if not types and not platforms:
        return EVERYTHING
    return TypeSelection(_patterns("types", types), _patterns("platforms", platforms))


def _patterns(name: str, text: str) -> list[str]:
    patterns = [part.strip() for part in text.split(",") if part.strip()]
    if len(patterns) > _MOST_PATTERNS:
        raise Rejected(f"{name}: {len(patterns)} patterns; {_MOST_PATTERNS} are allowed.", status=400)
    for pattern in patterns:
        if not _PATTERN.fullmatch(pattern):
            raise Rejected(
                f"{name}: {pattern[:80]!r} is not a pattern. Separate with commas "
                "CloudEvents types such as com.github.push or com.github.*, and ids of platforms such as github.",
                status=400,
            )
    return patterns


def _expression(pattern: str) -> str:
    first, *rest = (re.escape(part) for part in re.split(r"\*+", pattern))
    if not rest:
        return first
    # Each part between two stars is looked for once, where it comes first (`(?>…)` never tries again): a
    # pattern of many stars must not cost the matcher exponential time.
    *between, last = rest
    return first + "".join(f"(?>[^\n]*?{part})" for part in between) + "[^\n]*" + last
