"""What of a list that shows its newest first is new, with a memory of few ids.

Uploads are listed in the order of their upload, and a video that was made public late may stand below others; likes
and uploads are deleted, and what lay on the next page then moves up. So a thing is new if it is of the last days and
its id was not among those seen; all that is older was seen, or never will be.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, TypeVar

import msgspec

_LOOKS_BACK_SECONDS: Final = 2 * 86_400
# What shows up long after it happened is no news, whatever the reason.
_RECENT_SECONDS: Final = 7 * 86_400
_MOST_IDS: Final = 50


class Thing(msgspec.Struct, frozen=True):
    """An entry of the list: its id, and its instant by the platform's clock."""

    id: str
    at: datetime


SomeThing = TypeVar("SomeThing", bound=Thing)


class Window(msgspec.Struct, frozen=True, array_like=True):
    """What is remembered of a list.

    Attributes:
        floor: Whatever is older is not new, in seconds since 1970.
        ids: Those seen that are not older, newest first.
    """

    floor: int = 0
    ids: tuple[str, ...] = ()

    def fresh(self, shown: Sequence[SomeThing], looked_at: int) -> list[SomeThing]:
        """What of the entries shown is new, oldest first.

        Args:
            shown: All entries that were read.
            looked_at: When the list was last read, by our own clock, in seconds since 1970.
        """
        floor = max(self.floor, looked_at - _RECENT_SECONDS)
        known = set(self.ids)
        found = {one.id: one for one in shown if one.id not in known and one.at.timestamp() >= floor}
        return sorted(found.values(), key=lambda one: (one.at, one.id))

    def moved(self, shown: Sequence[Thing], *, is_whole: bool) -> Window:
        """The window after these entries.

        Args:
            shown: All entries that were read.
            is_whole: Whether there are no more than those.
        """
        if not shown:
            return self
        newest = sorted(shown, key=lambda one: one.at, reverse=True)
        floor = max(self.floor, int(newest[0].at.timestamp()) - _LOOKS_BACK_SECONDS)
        if not is_whole:  # older ones, never seen, may move up
            floor = max(floor, int(newest[-1].at.timestamp()) + 1)
        if len(newest) > _MOST_IDS:
            floor = max(floor, int(newest[_MOST_IDS - 1].at.timestamp()) + 1)
        kept = dict.fromkeys(one.id for one in newest if one.at.timestamp() >= floor)
        return Window(floor, tuple(kept)[:_MOST_IDS])
