"""What Spotify shows becomes events: each play and save once, whatever the platform's list does."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidings.connecting import Answer
from tidings.connectors import Asked, Polled
from tidings.errors import Unavailable
from tidings_spotify.poll import PAGE, poll

NOON = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
SAVED_EVERY = 4 * 3600.0


class Spotify:
    """An account at Spotify, as its API shows it; fulfils the contract `Api`."""

    account_key = "acc1"

    def __init__(self) -> None:
        self.plays: list[tuple[str, datetime]] = []
        self.saves: list[tuple[str, datetime]] = []
        self.playing: Mapping[str, Any] | None = None
        self.asked: list[str] = []
        self.garbage: bytes | None = None

    async def request(self, method: str, url: str, **_: Any) -> Answer:
        assert method == "GET"
        self.asked.append(url)
        if self.garbage is not None:
            return Answer(200, {}, self.garbage)
        path, _, query = url.partition("?")
        if path == "/me/player/recently-played":
            newest = sorted(self.plays, key=lambda play: play[1], reverse=True)[:PAGE]
            return self._page([{"track": track(uri), "played_at": text(at)} for uri, at in newest])
        if path == "/me/tracks":
            offset = int(query.rpartition("offset=")[2])
            newest = sorted(self.saves, key=lambda save: save[1], reverse=True)[offset : offset + PAGE]
            return self._page([{"track": track(uri), "added_at": text(at)} for uri, at in newest])
        assert path == "/me/player/currently-playing"
        if self.playing is None:
            return Answer(204, {}, b"")
        return Answer(200, {}, json.dumps(self.playing).encode())

    def _page(self, items: list[Any]) -> Answer:
        return Answer(200, {}, json.dumps({"items": items, "cursors": None, "next": None}).encode())


def track(uri: str) -> Mapping[str, Any]:
    return {
        "uri": uri,
        "name": uri.upper(),
        "duration_ms": 180_000,
        "artists": [{"name": "Ada"}, {"name": "Bo"}],
        "external_urls": {"spotify": f"https://open.spotify.com/{uri}"},
    }


def text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Listener:
    """Polls an account as core does: each piece is committed, its checkpoint kept."""

    def __init__(self) -> None:
        self.spotify = Spotify()
        self.checkpoint: Mapping[str, Any] = {}
        self.now = NOON
        self.ids: list[str] = []
        self.gaps: list[str] = []

    async def poll(
        self, *, watched: bool = False, urgent: bool = True, share: float = 0.0
    ) -> Sequence[Polled]:
        asked = Asked(
            checkpoint=json.loads(json.dumps(self.checkpoint)),
            now=self.now,
            every_seconds=1800,
            share_seconds=share,
            is_watched=watched,
            is_urgent=urgent,
        )
        pieces = [
            piece
            async for piece in poll(
                self.spotify, asked, poll_every_seconds=1800, saved_every_seconds=SAVED_EVERY
            )
        ]
        for piece in pieces:
            self.ids += [event.id for event in piece.events]
            self.gaps += [piece.gap] if piece.gap else []
            self.checkpoint = piece.checkpoint
        return pieces

    def play(self, uri: str, minutes: float) -> None:
        self.spotify.plays.append((uri, NOON + timedelta(minutes=minutes)))

    def save(self, uri: str, minutes: float) -> None:
        self.spotify.saves.append((uri, NOON + timedelta(minutes=minutes)))


@pytest.fixture
def listener() -> Listener:
    return Listener()


async def test_what_was_there_before_is_not_news(listener: Listener) -> None:
    listener.play("a", -60)
    listener.save("b", -50)
    await listener.poll()
    await listener.poll()
    assert listener.ids == []


async def test_each_play_is_told_once_in_the_order_of_playing(listener: Listener) -> None:
    await listener.poll()
    listener.play("b", 8)
    listener.play("a", 4)
    listener.play("a", 12)
    await listener.poll()
    listener.play("c", 16)
    await listener.poll()
    at = [text(NOON + timedelta(minutes=minutes)) for minutes in (4, 8, 12, 16)]
    assert listener.ids == [
        f"spotify:played:acc1:a:{at[0]}",
        f"spotify:played:acc1:b:{at[1]}",
        f"spotify:played:acc1:a:{at[2]}",
        f"spotify:played:acc1:c:{at[3]}",
    ]


async def test_an_event_shows_the_track_and_leads_back_to_spotify(listener: Listener) -> None:
    await listener.poll()
    listener.play("a", 4)
    (event,) = [event for piece in await listener.poll() for event in piece.events]
    assert event.type == "com.spotify.played"
    assert event.time == NOON + timedelta(minutes=4)
    assert event.data["title"] == "A"
    assert event.data["text"] == "Played A by Ada, Bo"
    assert event.data["url"] == "https://open.spotify.com/a"
    assert event.data["late"] is False


async def test_the_same_play_with_another_instant_is_not_told_again(listener: Listener) -> None:
    await listener.poll()
    listener.play("a", 4)
    await listener.poll()
    listener.spotify.plays = [("a", NOON + timedelta(minutes=4, seconds=29))]
    await listener.poll()
    listener.spotify.plays = [("a", NOON + timedelta(minutes=4, seconds=31))]
    await listener.poll()
    assert len(listener.ids) == 2


async def test_a_play_that_vanishes_and_comes_back_is_told_once(listener: Listener) -> None:
    await listener.poll()
    listener.play("a", 4)
    await listener.poll()
    kept, listener.spotify.plays = listener.spotify.plays, []
    await listener.poll()
    listener.spotify.plays = kept
    await listener.poll()
    assert len(listener.ids) == 1


async def test_a_play_from_an_offline_device_is_told_late(listener: Listener) -> None:
    await listener.poll()
    listener.play("b", 30)
    await listener.poll()
    listener.play("a", 10)
    (event,) = [event for piece in await listener.poll() for event in piece.events]
    assert event.data["late"] is True


async def test_more_plays_than_spotify_shows_leave_a_visible_gap(listener: Listener) -> None:
    listener.play("z", -5)
    await listener.poll()
    for number in range(PAGE + 3):
        listener.play(f"t{number}", number)
    await listener.poll()
    assert len(listener.ids) == PAGE
    assert len(listener.gaps) == 1
    assert "50 plays that Spotify shows" in listener.gaps[0]


async def test_saved_tracks_are_told_over_several_pages_oldest_first(listener: Listener) -> None:
    listener.save("old", -100)
    await listener.poll()
    for number in range(2 * PAGE + 7):
        listener.save(f"s{number:03}", number)
    await listener.poll()
    assert [one.split(":")[3] for one in listener.ids] == [f"s{number:03}" for number in range(2 * PAGE + 7)]
    await listener.poll()
    assert len(listener.ids) == 2 * PAGE + 7


async def test_taking_tracks_out_of_the_library_brings_nothing_back(listener: Listener) -> None:
    for number in range(PAGE + 10):
        listener.save(f"s{number}", number - 200)
    await listener.poll()
    listener.spotify.saves = [save for save in listener.spotify.saves if int(save[0][1:]) < 20]
    await listener.poll()
    assert listener.ids == []
    listener.save("new", 5)
    await listener.poll()
    assert len(listener.ids) == 1


async def test_a_library_that_was_empty_has_news_from_its_first_track_on(listener: Listener) -> None:
    await listener.poll()
    listener.save("first", 1)
    listener.play("first", 1)
    await listener.poll()
    assert len(listener.ids) == 2


async def test_each_thing_is_asked_when_it_is_due(listener: Listener) -> None:
    await listener.poll(urgent=False)
    assert len(listener.spotify.asked) == 2
    listener.spotify.asked.clear()
    pieces = await listener.poll(urgent=False)
    assert listener.spotify.asked == []
    assert pieces[-1].next_in_seconds == 1800
    listener.now += timedelta(seconds=1800)
    await listener.poll(urgent=False)
    assert [url.partition("?")[0] for url in listener.spotify.asked] == ["/me/player/recently-played"]
    listener.now += timedelta(seconds=SAVED_EVERY)
    listener.spotify.asked.clear()
    await listener.poll(urgent=False)
    assert len(listener.spotify.asked) == 2


async def test_intervals_stretch_to_the_share_of_the_budget(listener: Listener) -> None:
    pieces = await listener.poll(share=2000)
    assert pieces[-1].next_in_seconds == 4000


async def test_what_plays_now_is_asked_only_while_somebody_watches(listener: Listener) -> None:
    listener.spotify.playing = {"is_playing": True, "progress_ms": 170_000, "item": track("n")}
    await listener.poll()
    assert not any("currently-playing" in url for url in listener.spotify.asked)
    pieces = await listener.poll(watched=True)
    (notice,) = pieces[-1].notices
    assert (notice["type"], notice["title"]) == ("com.spotify.now_playing", "N")
    assert pieces[-1].next_in_seconds == 13
    pieces = await listener.poll(watched=True)
    assert pieces[-1].notices == ()
    listener.spotify.playing = None
    pieces = await listener.poll(watched=True)
    assert [notice["text"] for notice in pieces[-1].notices] == ["Nothing plays."]
    assert pieces[-1].next_in_seconds == 300


@pytest.mark.parametrize(
    "playing",
    [
        {"is_playing": True, "item": None, "progress_ms": None},
        {"is_playing": False, "progress_ms": 5, "item": track("n")},
        {"is_playing": True, "progress_ms": 10_000_000, "item": track("n")},
    ],
)
async def test_an_advertisement_a_pause_and_a_vanished_player_are_silence(
    listener: Listener, playing: Mapping[str, Any]
) -> None:
    listener.spotify.playing = playing
    pieces = await listener.poll(watched=True)
    assert pieces[-1].notices == ()
    assert pieces[-1].next_in_seconds == 300


NAMES = ["items", "track", "played_at", "added_at", "uri", "name", "artists", "item", "is_playing", "album"]
json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_the_api_answers_nothing_but_the_three_errors_is_raised(data: st.DataObject) -> None:
    async def run() -> None:
        listener = Listener()
        for _ in range(2):
            listener.spotify.garbage = json.dumps(data.draw(json_values)).encode()
            await listener.poll(watched=True)
        listener.spotify.garbage = b"<html>"
        with pytest.raises(Unavailable):
            await listener.poll()

    anyio.run(run)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9)), max_size=40), st.integers(1, 6))
def test_however_polls_fall_between_plays_each_is_told_once(plays: list[tuple[str, int]], every: int) -> None:
    async def run() -> None:
        listener = Listener()
        await listener.poll()
        minutes = itertools.accumulate(pause for _, pause in plays)
        for number, ((uri, _), minute) in enumerate(zip(plays, minutes, strict=True)):
            listener.play(uri, minute)
            if number % every == 0:
                await listener.poll()
        await listener.poll()
        assert len(listener.ids) == len(set(listener.ids)) == len(plays)
        assert listener.gaps == []

    anyio.run(run)
