"""Reading one feed: what is new in it since it was read last.

GitHub shows at most 300 events of 30 days, newest first, each of them between half a minute and six hours late. So the
first page is always read whole: what comes in late stands between events that were seen. The position is the ids seen
on it of the last six hours; what lies below the lowest of them is old.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from tidings.contracts import Answer, Api
from tidings.event import rfc3339
from tidings.fields import Object, instant, raw
from tidings_github.api import PAGE, next_url, objects_in
from tidings_github.feed import item_id

USUAL_WAIT_SECONDS: Final = 60
_MOST_WAIT_SECONDS: Final = 6 * 3600
_MOST_PAGES: Final = 5  # three are full; a page can have fewer than it should
_FULL: Final = 200  # with fewer, it is age that ends the feed and not their number
#: How late something may come into a feed.
LATE: Final = timedelta(hours=6)
_LONGEST_TAG: Final = 200


@dataclasses.dataclass(frozen=True, slots=True)
class Position:
    """How far a feed was read.

    Attributes:
        seen: Ids of the events seen lately, at least the newest.
        tag: The ETag of the first page.
        since: Where nothing was seen yet: only what did not happen before is news; None for nothing at all.
    """

    seen: frozenset[int] = frozenset()
    tag: str = ""
    since: datetime | None = None

    @property
    def is_new(self) -> bool:
        """Whether the feed is read for the first time: then nothing in it is news."""
        return not self.seen and self.since is None

    def knows(self, item: Object) -> bool:
        """Whether an event was seen, or is from before; so is what follows it in the feed."""
        identity = item_id(item)
        if self.seen:
            return identity is not None and (identity in self.seen or identity < min(self.seen))
        at = instant(item, "created_at")
        # Feeds tell whole seconds: of the one in which this was noted, more may have come.
        return at is not None and self.since is not None and at < self.since.replace(microsecond=0)


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """What a feed has to tell.

    Attributes:
        items: What is new by its id, oldest first.
        position: The position after them.
        wait_seconds: How long GitHub wants it left alone.
        gap: What is lost, for people; "" for nothing.
    """

    items: Sequence[tuple[int, Object]]
    position: Position
    wait_seconds: int
    gap: str = ""


async def read(api: Api, path: str, position: Position, now: datetime, name: str) -> Reading:
    """Read a feed; costs nothing where it is as it was.

    Args:
        api: The account's.
        path: Of the feed.
        position: How far it was read.
        now: The present.
        name: Whose feed it is, for people.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    headers = {"if-none-match": position.tag} if position.tag else None
    answer = await api.request("GET", f"{path}?per_page={PAGE}", headers=headers)
    wait_seconds = wait(answer)
    if answer.status == 304:
        return Reading((), position, wait_seconds)
    first = objects_in(answer)
    after = _position(first, answer, now, position)
    if position.is_new:
        return Reading((), after, wait_seconds)
    items, is_reached = await _back(api, answer, first, position)
    fresh = [(identity, items[identity]) for identity in sorted(items) if not position.knows(items[identity])]
    gap = ""
    if not is_reached and len(items) >= _FULL:
        oldest = instant(fresh[0][1], "created_at")
        before = f" before {oldest:%Y-%m-%d %H:%M} UTC" if oldest is not None else ""
        gap = f"More happened at {name} than the {len(items)} events that GitHub shows: some{before} may be missing."
    return Reading(fresh, after, wait_seconds, gap)


def wait(answer: Answer) -> int:
    """How many seconds GitHub wants a list left alone (`X-Poll-Interval`)."""
    text = answer.headers.get("x-poll-interval", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return min(max(int(text), 1), _MOST_WAIT_SECONDS)
    return USUAL_WAIT_SECONDS


async def _back(
    api: Api, answer: Answer, first: Sequence[Object], position: Position
) -> tuple[dict[int, Object], bool]:
    """All events of the pages back to what is known, and whether that was reached."""
    items: dict[int, Object] = {}
    page = first
    for _ in range(_MOST_PAGES):
        items |= {identity: item for item in page if (identity := item_id(item)) is not None}
        if any(position.knows(item) for item in page):
            return items, True
        url = next_url(answer)
        if not url or not page:
            break
        answer = await api.request("GET", url)
        page = objects_in(answer)
    return items, False


def _position(first: Sequence[Object], answer: Answer, now: datetime, before: Position) -> Position:
    """The position after everything on a first page."""
    dated = [
        (identity, at)
        for item in first
        if (identity := item_id(item)) is not None and (at := instant(item, "created_at")) is not None
    ]
    tag = answer.headers.get("etag", "")
    if len(tag) > _LONGEST_TAG or not tag.isprintable():
        tag = ""
    if not dated:
        return Position(before.seen, tag, None if before.seen else before.since or now)
    newest = max(at for _, at in dated)
    return Position(frozenset(identity for identity, at in dated if at >= newest - LATE), tag)


def load(state: Object) -> Position:
    """A position from a checkpoint, whatever is in it."""
    seen = state.get("seen")
    ids = (
        [one for one in seen if isinstance(one, int) and not isinstance(one, bool)]
        if isinstance(seen, list)
        else []
    )
    return Position(frozenset(ids), raw(state, "tag"), None if ids else instant(state, "since"))


def store(position: Position) -> Mapping[str, Any]:
    """A position for a checkpoint."""
    state: dict[str, Any] = {}
    if position.seen:
        state["seen"] = sorted(position.seen)
    elif position.since is not None:
        state["since"] = rfc3339(position.since)
    if position.tag:
        state["tag"] = position.tag
    return state
