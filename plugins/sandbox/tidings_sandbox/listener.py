"""What Spotify knows of one person: the last plays, what plays now, the saved tracks."""

from __future__ import annotations

import bisect
from datetime import datetime
from typing import Final

import msgspec

from tidings_sandbox.catalog import Track

PLAYS_SHOWN: Final = 50


class Play(msgspec.Struct, frozen=True):
    """A track that was played to its end; `json` is the item as the API shows it."""

    played_at_ms: int
    track: Track
    json: bytes


class Like(msgspec.Struct, frozen=True):
    """A saved track; `json` is the item as the API shows it."""

    track: Track
    json: bytes


class Playing(msgspec.Struct, frozen=True):
    """What plays now."""

    track: Track
    started_at: datetime


class Listener:
    """One person's music.

    Attributes:
        plays: The last 50, oldest first: Spotify shows no more, whatever is asked for.
        likes: Oldest first.
        playing: None while nothing plays.
    """

    def __init__(self) -> None:
        self.plays: list[Play] = []
        self.likes: list[Like] = []
        self.playing: Playing | None = None
        self._liked: set[int] = set()

    def start(self, track: Track, at: datetime) -> Playing:
        """Begin to play a track, instead of whatever played."""
        self.playing = Playing(track, at)
        return self.playing

    def add_play(self, played_at: datetime, track: Track) -> str:
        """Add a play where it belongs by its instant; returns `played_at` as the API shows it."""
        text = f"{played_at:%Y-%m-%dT%H:%M:%S}.{played_at.microsecond // 1000:03d}Z"
        json = b'{"track":%b,"played_at":"%b","context":null}' % (track.json, text.encode())
        bisect.insort(self.plays, Play(_ms(played_at), track, json), key=lambda play: play.played_at_ms)
        del self.plays[:-PLAYS_SHOWN]
        return text

    def between(self, after_ms: int | None, before_ms: int | None, limit: int) -> list[Play]:
        """The newest plays within these bounds, both exclusive, newest first."""
        found = [
            play
            for play in self.plays
            if (after_ms is None or play.played_at_ms > after_ms)
            and (before_ms is None or play.played_at_ms < before_ms)
        ]
        return found[: -limit - 1 : -1]

    def add_like(self, added_at: datetime, track: Track) -> str:
        """Save a track, or save it anew; returns `added_at` as the API shows it."""
        self.remove_like(track)
        text = f"{added_at:%Y-%m-%dT%H:%M:%SZ}"
        self.likes.append(Like(track, b'{"added_at":"%b","track":%b}' % (text.encode(), track.json)))
        self._liked.add(track.number)
        return text

    def remove_like(self, track: Track) -> None:
        """Take a track out of the saved ones, if it is there."""
        if self.likes_track(track):
            self._liked.remove(track.number)
            self.likes = [like for like in self.likes if like.track.number != track.number]

    def likes_track(self, track: Track) -> bool:
        """Whether it is saved."""
        return track.number in self._liked


def _ms(instant: datetime) -> int:
    return int(instant.timestamp()) * 1000 + instant.microsecond // 1000
