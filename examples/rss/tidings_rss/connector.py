"""The connector: follows feeds and asks them; what hubs tell comes by `tidings.websub`."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urljoin

from tidings import (
    Account,
    Answer,
    Api,
    Asked,
    Follows,
    Hint,
    Http,
    Keys,
    Parsed,
    Polled,
    Polls,
    Rejected,
    Target,
    Unavailable,
    WebhookRequest,
)
from tidings.websub import Subscriber, signed
from tidings_rss.feed import Feed

_MOST_REMEMBERED = 1000
_MOST_REDIRECTS = 4


class Rss(Follows, Polls, Subscriber):
    """One account is one feed; its key is the feed's address."""

    platform = "rss"
    display_name = "Feeds"
    asks_for = "The address of a feed, or of a page that has one"
    poll_every_seconds = 3600.0

    def __init__(self, http: Http, poll_every_seconds: float, *, allow_private: bool) -> None:
        super().__init__(http)
        self.poll_every_seconds, self._allow_private = poll_every_seconds, allow_private

    def reaches(self, callback_url: str) -> bool:
        """A hub in this network can call this machine, too."""
        return self._allow_private or super().reaches(callback_url)

    async def _get(self, url: str, headers: Mapping[str, str] | None = None) -> tuple[str, Answer]:
        """What stands there, and where that was, after redirects."""
        for _ in range(_MOST_REDIRECTS):
            answer = await self.http.send("GET", url, headers=headers)
            if answer.status in {200, 304}:
                return url, answer
            if answer.status not in {301, 302, 307, 308}:
                break
            url = urljoin(url, answer.headers.get("location", ""))
        if answer.status >= 500 or answer.status == 429:
            raise Unavailable(f"The feed's server answers {answer.status}.")
        raise Rejected(f"The feed's server answers {answer.status}.", status=400)

    async def follow(self, address: str) -> Account:
        """The feed that stands there, or that the page there names."""
        url, answer = await self._get(address)
        feed = Feed(answer.body, url)
        if not feed.is_feed:
            url, answer = await self._get(feed.found)
            feed = Feed(answer.body, url)
        return Account(key=url, name=feed.title or url, url=feed.page or url)

    async def poll(self, api: Api, asked: Asked) -> AsyncIterator[Polled]:
        """Entries that were not there the last time, oldest first."""
        before = asked.checkpoint
        headers = {name: before[name] for name in ("if-none-match", "if-modified-since") if before.get(name)}
        _, answer = await self._get(api.account_key, headers)
        if answer.status == 304:
            yield Polled(checkpoint=before)
            return
        events = Feed(answer.body, api.account_key).events
        known: list[str] = before.get("known", [])
        fresh = [one for one in events if one.id not in set(known)] if before else []
        ids = dict.fromkeys([*[one.id for one in events], *known])
        marks = {
            "if-none-match": answer.headers.get("etag"),
            "if-modified-since": answer.headers.get("last-modified"),
        }
        yield Polled(events=fresh[::-1], checkpoint={"known": list(ids)[:_MOST_REMEMBERED], **marks})

    async def targets(self, api: Api, settings: Mapping[str, Any]) -> Sequence[Target]:
        """The feed itself, if it names a hub."""
        url, answer = await self._get(api.account_key)
        feed = Feed(answer.body, url)
        return [Target(f"{feed.hub} {feed.topic}", feed.title or url)] if feed.hub else []

    def parse(self, request: WebhookRequest) -> Parsed:
        """What a hub sends says that there is news; what of it is new, the feed and the position tell."""
        return Parsed((), kind="feed", hint=Hint())

    def sample(self, keys: Keys, now: datetime, serial: str) -> WebhookRequest:
        """A delivery of anything."""
        return signed(f"<feed><id>urn:{serial}</id></feed>".encode(), keys, "application/atom+xml")
