"""Who looks at a page of tidings just now, as the pages say: a stream alone may belong to a tab in the background."""

from __future__ import annotations

from typing import Final

from tidings.contracts import Clock
from tidings.event import UserId

#: How long a page's word holds; a page that stays in view repeats it in time.
HOLDS_SECONDS: Final = 60.0
_MOST_PAGES: Final = 50


class Presence:
    """Which users have a page in view. In memory: after a restart the pages say it again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[UserId, dict[str, float]] = {}

    def say(self, user_id: UserId, page: str, *, visible: bool) -> None:
        """A page has come into view, is still in view, or has gone out of it."""
        now = self._clock.monotonic()
        pages = {name: until for name, until in self._until.get(user_id, {}).items() if until > now}
        pages.pop(page, None)
        if visible:
            if len(pages) >= _MOST_PAGES:
                del pages[next(iter(pages))]
            pages[page] = now + HOLDS_SECONDS
        if pages:
            self._until[user_id] = pages
        else:
            self._until.pop(user_id, None)

    def is_looking(self, user_id: UserId) -> bool:
        """Whether one of a user's pages is in view."""
        now = self._clock.monotonic()
        return any(until > now for until in self._until.get(user_id, {}).values())
