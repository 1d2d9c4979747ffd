"""YouTube and its hub as tests write them down, behind the contracts `Http` and `Api`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

from tidings.connecting import Answer
from tidings.contracts import Asked, Polled, WebhookRequest
from tidings.event import Event
from tidings.testing.clock import FakeClock
from tidings_youtube import YouTubeOptions, YouTubePlugin
from tidings_youtube.cadence import Rules
from tidings_youtube.connector import YouTubeConnector
from tidings_youtube.poll import poll
from tidings_youtube.readings import Readings

FIXTURES = Path(__file__).parent / "plugins" / "youtube" / "fixtures"


@dataclasses.dataclass
class HubStub:
    """The hub as its HTTP answers; fulfils `Http`."""

    answer: Answer | Exception = dataclasses.field(default_factory=lambda: Answer(202, {}, b""))
    asked: list[dict[str, str]] = dataclasses.field(default_factory=list)
    urls: list[str] = dataclasses.field(default_factory=list)
    sent_headers: list[Mapping[str, str]] = dataclasses.field(default_factory=list)

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        assert method == "POST"
        self.urls.append(url)
        self.sent_headers.append(headers or {})
        self.asked.append(dict(parse_qsl(body.decode(), keep_blank_values=True)))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@dataclasses.dataclass
class Bench:
    """A connector, and what it stands on."""

    connector: YouTubeConnector
    hub: HubStub
    clock: FakeClock


def make_bench(**options: Any) -> Bench:
    hub, clock = HubStub(), FakeClock()
    context: Any = SimpleNamespace(http=hub, clock=clock)
    (connector,) = YouTubePlugin(YouTubeOptions(**options)).tidings_connectors(context)
    assert isinstance(connector, YouTubeConnector)
    return Bench(connector, hub, clock)


def delivery(name: str) -> WebhookRequest:
    """A delivery as it came: the body, and the headers beside it."""
    headers = json.loads((FIXTURES / f"{name}.json").read_text())
    return WebhookRequest(
        "POST", "/api/webhooks/youtube/whk", "", headers, (FIXTURES / f"{name}.xml").read_bytes()
    )


NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ME = "UCme"


@dataclasses.dataclass
class Upload:
    """A video as its owner's list shows it."""

    id: str
    at: datetime
    privacy: str = "public"
    live: str = "none"
    duration: str = "PT4M5S"


class YouTubeStub:
    """The Data API as one account sees it; fulfils the contract `Api`.

    Attributes:
        uploads: Of each channel, by its id, newest first as they were uploaded.
        likes: Newest first.
        playlists: By id: title, when it was made, and its entries as videos with when they were added, in any order.
        subscriptions: When each began, by channel.
        asked: Paths of all calls, with the list or the ids that were asked for.
        gone: Videos that nobody may see any more, though lists still show them.
        unlisted: Videos that are counted, though no list shows them yet.
        failures: Raised instead of an answer, by path, or by path and what is asked for.
        refusals: Reasons for which a 403 is answered, likewise.
    """

    account_key = ME

    def __init__(self) -> None:
        self.uploads: dict[str, list[Upload]] = {}
        self.likes: list[tuple[str, datetime]] = []
        self.playlists: dict[str, tuple[str, datetime, list[tuple[str, datetime]]]] = {}
        self.subscriptions: dict[str, datetime] = {}
        self.asked: list[str] = []
        self.gone: set[str] = set()
        self.unlisted: set[str] = set()
        self.failures: dict[str, Exception] = {}
        self.refusals: dict[str, str] = {}
        self.page_size = 50
        self.garbage: bytes | None = None

    async def request(
        self, method: str, url: str, *, params: Mapping[str, str] | None = None, **_: Any
    ) -> Answer:
        assert method == "GET"
        wish = dict(params or {})
        named = wish.get("playlistId") or wish.get("id", "")
        self.asked.append(f"{url} {named}".strip())
        failure = self.failures.get(f"{url} {named}") or self.failures.get(url)
        if failure is not None:
            raise failure
        if f"{url} {named}" in self.refusals:
            return _refusal(403, self.refusals[f"{url} {named}"])
        if self.garbage is not None:
            return Answer(200, {}, self.garbage)
        answer = {
            "/channels": self._channels,
            "/subscriptions": self._subscriptions,
            "/playlists": self._playlists,
            "/playlistItems": self._items,
            "/videos": self._videos,
        }[url](wish)
        return answer if isinstance(answer, Answer) else Answer(200, {}, json.dumps(answer).encode())

    def publish(self, channel: str, video: str, at: datetime, **more: Any) -> None:
        self.uploads.setdefault(channel, []).insert(0, Upload(video, at, **more))

    def _page(self, items: list[Any], wish: Mapping[str, str]) -> dict[str, Any]:
        start = int(wish.get("pageToken", "0").rstrip("="))
        end = start + min(self.page_size, int(wish["maxResults"]))
        following = {"nextPageToken": f"{end}=="} if end < len(items) else {}
        return {"items": items[start:end], **following, "pageInfo": {"totalResults": len(items)}}

    def _channels(self, wish: Mapping[str, str]) -> dict[str, Any]:
        ids = [ME] if wish.get("mine") else wish["id"].split(",")
        assert len(ids) <= 50
        return {
            "items": [
                {
                    "id": one,
                    "snippet": {"title": f"Title of {one}"},
                    "contentDetails": {"relatedPlaylists": {"uploads": f"UU{one[2:]}", "likes": "LL"}},
                    "statistics": {"videoCount": f"{len(self.uploads.get(one, ()))}"},
                }
                for one in ids
            ]
        }

    def _subscriptions(self, wish: Mapping[str, str]) -> dict[str, Any]:
        assert (wish["mine"], wish["order"]) == ("true", "alphabetical")
        items = [
            {
                "snippet": {
                    "title": f"Title of {channel}",
                    "publishedAt": text(since),
                    "resourceId": {"kind": "youtube#channel", "channelId": channel},
                }
            }
            for channel, since in sorted(self.subscriptions.items())
        ]
        return self._page(items, wish)

    def _playlists(self, wish: Mapping[str, str]) -> dict[str, Any]:
        assert wish["mine"] == "true"
        items = [
            {
                "id": one,
                "snippet": {"title": title, "publishedAt": text(made_at)},
                "contentDetails": {"itemCount": len(added)},
            }
            for one, (title, made_at, added) in self.playlists.items()
        ]
        return self._page(items, wish)

    def _items(self, wish: Mapping[str, str]) -> Any:
        playlist = wish["playlistId"]
        if playlist == "LL":
            liked = [_item(video, f"UCof{video}", at, NOON - timedelta(days=300)) for video, at in self.likes]
            return self._page(liked, wish)
        if playlist in self.playlists:
            added = self.playlists[playlist][2]
            return self._page(
                [_item(video, f"UCof{video}", at, NOON - timedelta(days=300)) for video, at in added], wish
            )
        uploads = [one for one in self.uploads.get(f"UC{playlist[2:]}", ()) if one.id not in self.unlisted]
        if not uploads:
            return _refusal(404, "playlistNotFound")
        shown = [_item(one.id, f"UC{playlist[2:]}", one.at, one.at, one.privacy) for one in uploads]
        return self._page(shown, wish)

    def _videos(self, wish: Mapping[str, str]) -> dict[str, Any]:
        ids = wish["id"].split(",")
        assert len(ids) <= 50
        known = {one.id: one for uploads in self.uploads.values() for one in uploads}
        return {
            "items": [
                {
                    "id": one,
                    "snippet": {"liveBroadcastContent": known[one].live},
                    "contentDetails": {"duration": known[one].duration},
                }
                for one in ids
                if one not in self.gone
            ]
        }


def _item(video: str, channel: str, added: datetime, published: datetime, privacy: str = "public") -> Any:
    return {
        "snippet": {
            "publishedAt": text(added),
            "title": f"Film {video}",
            "resourceId": {"kind": "youtube#video", "videoId": video},
            "videoOwnerChannelId": channel,
            "videoOwnerChannelTitle": f"Title of {channel}",
        },
        "contentDetails": {
            "videoId": video,
            **({"videoPublishedAt": text(published)} if privacy == "public" else {}),
        },
        "status": {"privacyStatus": privacy},
    }


def _refusal(status: int, reason: str) -> Answer:
    said = {"error": {"code": status, "message": reason, "errors": [{"reason": reason}]}}
    return Answer(status, {}, json.dumps(said).encode())


def text(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


class Viewer:
    """Polls an account as core does: each piece is committed, its checkpoint kept.

    Attributes:
        events: All that was told.
        pieces: Of the last poll.
    """

    def __init__(self, **rules: Any) -> None:
        self.youtube = YouTubeStub()
        self.rules = Rules(**{"likes_seconds": 900.0, "subscriptions_seconds": 6 * 3600.0, **rules})
        self.clock = FakeClock(NOON)
        self.readings = Readings(self.clock)
        self.checkpoint: Mapping[str, Any] = {}
        self.now = NOON
        self.events: list[Event] = []
        self.gaps: list[str] = []
        self.pieces: list[Polled] = []
        self.settings: dict[str, Any] = {}

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.events]

    async def pass_hours(self, hours: float) -> None:
        """Let time pass without a poll."""
        self.now += timedelta(hours=hours)
        await self.clock.advance(hours * 3600)

    async def poll(self, hours: float = 0.0, *, every: float = 7200.0, **asked: Any) -> Sequence[str]:
        """Poll so many hours later; returns the ids of what was told."""
        await self.pass_hours(hours)
        before = len(self.events)
        self.youtube.asked.clear()
        self.pieces = []
        wish = Asked(
            checkpoint=json.loads(json.dumps(self.checkpoint)),
            now=self.now,
            every_seconds=every,
            settings=self.settings,
            **asked,
        )
        async for piece in poll(self.youtube, wish, self.rules, self.readings):
            self.pieces.append(piece)
            self.events += piece.events
            self.gaps += [piece.gap] if piece.gap else []
            self.checkpoint = piece.checkpoint
        return self.ids[before:]

    def looked_at(self) -> list[str]:
        """The channels whose uploads the last poll asked for."""
        lists = [one.removeprefix("/playlistItems ") for one in self.youtube.asked if "playlistItems" in one]
        return [f"UC{one[2:]}" for one in lists if one != "LL"]

    def subscribe(self, *channels: str, since: datetime | None = None) -> None:
        self.youtube.subscriptions |= dict.fromkeys(channels, since or NOON - timedelta(days=90))

    def at(self, hours: float) -> datetime:
        """So many hours from now."""
        return self.now + timedelta(hours=hours)
