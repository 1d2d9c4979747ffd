"""A feed as it is read: RSS of every version, and Atom."""

import calendar
import hashlib
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin

import feedparser

from tidings import Event, Rejected
from tidings.fields import one_line


class Feed:
    """What a document says, whether it was asked for or pushed."""

    def __init__(self, body: bytes, url: str = "") -> None:
        """Read it.

        Raises:
            Rejected: It is no feed (400).
        """
        try:
            # A stream: text that looks like an address or a path would be opened.
            read: Any = feedparser.parse(io.BytesIO(body))
        except Exception as error:  # whatever the parser trips over, it is no feed
            raise Rejected("This is no feed.", status=400) from error
        links = {
            one.get("rel"): urljoin(url, one["href"]) for one in read.feed.get("links", ()) if one.get("href")
        }
        self.hub, self.topic = links.get("hub", ""), links.get("self", url)
        pages = [
            one for one in read.feed.get("links", ()) if "xml" in one.get("type", "") and one.get("href")
        ]
        self.found = urljoin(url, pages[0]["href"]) if pages else ""  # by a page that names its feed
        self.is_feed = bool(read.get("version"))  # of nothing at all there is not even that
        if not self.is_feed and not self.found:
            raise Rejected("This is no feed, and no page that names one.", status=400)
        self.title, self.page = one_line(read.feed.get("title", "")), str(read.feed.get("link", ""))
        self.name = str(read.feed.get("id") or self.page or self.topic)
        self.events: Sequence[Event] = [self._event(one) for one in read.entries]

    def _event(self, entry: Any) -> Event:
        link, title = str(entry.get("link", "")), one_line(entry.get("title", ""))
        key = str(entry.get("id") or link or title or one_line(entry.get("summary", ""), 1000))
        at = entry.get("published_parsed") or entry.get("updated_parsed")
        digest = hashlib.sha256(f"{self.name}\n{key}".encode("utf-8", "replace")).hexdigest()[:32]
        return Event(
            id=f"rss:{digest}",  # of what the feed calls itself and the entry: pushed or asked for, it is the same
            type="org.rssboard.entry",
            source=self.page or "//feed",
            time=datetime.fromtimestamp(calendar.timegm(at), UTC) if at else None,
            platform="rss",
            data={
                "title": title or self.title or "A new entry",
                "text": one_line(entry.get("summary", ""), 500),
                "url": link,
                "actor": {"name": one_line(entry.get("author", "")) or self.title, "avatar_url": ""},
                "feed": self.title,
            },
        )
