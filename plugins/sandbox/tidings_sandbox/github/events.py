"""The event feeds: what happened lately, late, and with less in it than a webhook."""

from __future__ import annotations

import dataclasses
import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Final

from tidings_sandbox.github.requests import Header, Request, link_header, listing
from tidings_sandbox.wire import Answer

KEPT: Final = timedelta(days=30)
MOST: Final = 300
_SLACK: Final = 100
_SHOWN_AT: Final = attrgetter("shown_at")
_AT: Final = attrgetter("at")


@dataclasses.dataclass(slots=True, eq=False)
class FeedItem:
    """One event of the feeds.

    Attributes:
        at: When it happened.
        shown_at: From when on the feeds show it.
        body: The event as JSON.
    """

    id: int
    at: datetime
    shown_at: datetime
    public: bool
    body: bytes


class Feed:
    """What a repository, an organisation or a person sees of what happened, oldest first."""

    __slots__ = ("_items",)

    def __init__(self) -> None:
        self._items: list[FeedItem] = []

    def add(self, item: FeedItem) -> None:
        """Put the newest item in; what no answer can hold any more goes."""
        items = self._items
        items.append(item)
        if len(items) > MOST + _SLACK or items[0].at < item.at - KEPT - timedelta(days=1):
            first = bisect_left(items, item.at - KEPT, key=_AT)
            del items[: max(first, len(items) - MOST)]

    def shown(self, now: datetime) -> Sequence[FeedItem]:
        """At most 300 of the last 30 days, newest first."""
        items = self._items
        end = bisect_right(items, now, key=_SHOWN_AT)
        first = max(bisect_left(items, now - KEPT, key=_AT), end - MOST)
        return items[first:end][::-1]


class FeedReader:
    """Answers requests for feeds.

    Attributes:
        poll_interval_seconds: What `X-Poll-Interval` says.

    Args:
        api: The API's address.
    """

    def __init__(self, api: str) -> None:
        self._api = api
        self.poll_interval_seconds = 60

    def answer(self, request: Request, feed: Feed, *, private: bool) -> Answer:
        """One page of a feed, or 304 where it is as the caller knows it.

        Args:
            request: The call.
            feed: The feed asked for.
            private: Whether events of private repositories are shown too.
        """
        items = feed.shown(request.at)
        if not private:
            items = [item for item in items if item.public]
        size = request.number("per_page", 30, 100)
        page = request.number("page", 1, 100)
        part = items[(page - 1) * size : page * size]
        tag = _tag(part, len(items), size)
        headers: list[Header] = [
            (b"etag", tag.encode()),
            (b"x-poll-interval", str(self.poll_interval_seconds).encode()),
            (b"cache-control", b"private, max-age=60, s-maxage=60"),
        ]
        if matches(request.header(b"if-none-match"), tag):
            return Answer(304, b"", headers)
        if page * size < len(items):
            last = str(-(-len(items) // size))
            headers.append(
                link_header(request, self._api, {"next": {"page": str(page + 1)}, "last": {"page": last}})
            )
        return listing([item.body for item in part], headers)


def matches(condition: str, tag: str) -> bool:
    """Whether `If-None-Match` names this tag, quotes included; weak or strong is the same."""
    if not condition:
        return False
    bare = tag.removeprefix("W/")
    return any(given.strip().removeprefix("W/") in {bare, "*"} for given in condition.split(","))


def _tag(part: Sequence[FeedItem], count: int, size: int) -> str:
    ends = (part[0].id, part[-1].id) if part else (0, 0)
    return f'W/"{hashlib.blake2b(repr((ends, count, size)).encode(), digest_size=16).hexdigest()}"'


class Lateness:
    """When the feeds show something: later than it happened, and never before what happened earlier.

    Attributes:
        least_seconds: At least so much later.
        most_seconds: At most so much later, unless something before it is later still.

    Args:
        chance: A number between 0 and 1.
    """

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._last = datetime.min.replace(tzinfo=UTC)
        self.least_seconds = 30.0
        self.most_seconds = 120.0

    def shown_at(self, at: datetime) -> datetime:
        """When the feeds show what happened at `at`."""
        seconds = self.least_seconds + (self.most_seconds - self.least_seconds) * self._chance()
        self._last = max(self._last, at + timedelta(seconds=seconds))
        return self._last
