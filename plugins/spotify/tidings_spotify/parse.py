"""Plays and saved tracks as events."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NamedTuple

from tidings.event import Event
from tidings.fields import Object, as_instant, obj, objs, raw
from tidings_spotify.fields import number

_PLATFORM: Final = "spotify"
_PLAYED: Final = "com.spotify.played"
_SAVED: Final = "com.spotify.saved"


class Play(NamedTuple):
    """A track that was played, or saved, and when."""

    uri: str
    at_text: str
    at: datetime
    track: Object
    context: Object


def plays(answer: Object) -> list[Play]:
    """The plays of `GET /v1/me/player/recently-played`, oldest first."""
    return _dated(answer, "played_at")


def saved(answer: Object) -> list[Play]:
    """The tracks of `GET /v1/me/tracks`, oldest first."""
    return _dated(answer, "added_at")


def _dated(answer: Object, field: str) -> list[Play]:
    found = []
    for item in objs(answer, "items"):
        at_text = raw(item, field)
        at = as_instant(at_text, is_utc=True)
        track = obj(item, "track")
        uri = raw(track, "uri") or raw(track, "id")
        if at is not None and uri:
            found.append(Play(uri, at_text, at, track, obj(item, "context")))
    return sorted(found, key=lambda play: play.at)


def played_event(account_key: str, play: Play, *, late: bool) -> Event:
    """A play; `late` where one that ended after it has been told before."""
    return Event(
        id=f"spotify:played:{account_key}:{play.uri}:{play.at_text}",
        type=_PLAYED,
        source="//spotify.com/me/player/recently-played",
        subject=play.uri,
        time=play.at,
        platform=_PLATFORM,
        data={
            **track_card(play.track),
            "text": f"Played {track_line(play.track)}",
            "played_at": play.at_text,
            "context": raw(play.context, "uri"),
            "late": late,
        },
    )


def saved_event(account_key: str, play: Play) -> Event:
    """A track that was saved to the library."""
    return Event(
        id=f"spotify:saved:{account_key}:{play.uri}:{play.at_text}",
        type=_SAVED,
        source="//spotify.com/me/tracks",
        subject=play.uri,
        time=play.at,
        platform=_PLATFORM,
        data={
            **track_card(play.track),
            "text": f"Saved {track_line(play.track)}",
            "added_at": play.at_text,
        },
    )


def track_card(track: Object) -> dict[str, Any]:
    """What to show of a track; its link leads back to Spotify, as its terms ask."""
    album = obj(track, "album")
    images = objs(album, "images")
    return {
        "title": raw(track, "name") or "A track",
        "url": raw(obj(track, "external_urls"), "spotify"),
        "actor": {"name": _artists(track), "avatar_url": raw(images[0], "url") if images else ""},
        "track": {
            "uri": raw(track, "uri"),
            "name": raw(track, "name"),
            "artists": [raw(artist, "name") for artist in objs(track, "artists")],
            "album": raw(album, "name"),
            "duration_ms": int(number(track, "duration_ms")),
        },
    }


def track_line(track: Object) -> str:
    """`Name by Artist, Artist`."""
    artists = _artists(track)
    name = raw(track, "name") or "a track"
    return f"{name} by {artists}" if artists else name


def _artists(track: Object) -> str:
    found = (raw(artist, "name") for artist in objs(track, "artists"))
    show = raw(obj(track, "show"), "name")  # an episode has a show instead
    return ", ".join(name for name in found if name) or show
