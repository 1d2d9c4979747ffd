"""What is asked of Spotify, and how often: plays, saved tracks, and what plays now while somebody watches.

`after` and the cursors of recently-played can't be relied upon (plays arrive late from offline devices, vanish for
hours and come back), and the platform shows about the last 50 plays anyway. So each time all 50 are read, and what
was told before is recognised by track and instant.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from tidings.contracts import Api, Asked, Polled
from tidings.event import Event, rfc3339
from tidings.fields import as_instant, as_object, obj, raw
from tidings_spotify.fields import number
from tidings_spotify.parse import Play, played_event, plays, saved, saved_event, track_card, track_line

PAGE: Final = 50
_MOST_PAGES: Final = 20
# Spotify gives one play a start in one answer and an end in another; nobody plays a track twice in half a minute.
_SAME_PLAY: Final = timedelta(seconds=30)
_REMEMBERED: Final = 150
# Worst case: 50 plays of half a minute each fill the list within 25 minutes.
_BUSY_SECONDS: Final = 20 * 60.0
_AFTER_TRACK_SECONDS: Final = 3.0
_LONGEST_TRACK_SECONDS: Final = 180.0
_SILENT_SECONDS: Final = 300.0
_GONE_SECONDS: Final = 60.0


async def poll(
    api: Api, asked: Asked, *, poll_every_seconds: float, saved_every_seconds: float
) -> AsyncIterator[Polled]:
    """Ask for what is due; one piece of news for each sort of thing.

    Who listens seldom saves seldom: where plays are asked for more rarely than usual, saved tracks are, too.

    The checkpoint: `played` (`recent`: pairs of track and instant, `last`: the newest instant told), `saved` (`last`,
    `known`: pairs at or near that instant) and `due` (when each is asked next).
    """
    checkpoint: dict[str, Any] = {**asked.checkpoint}
    due = {**obj(checkpoint, "due")}
    saved_every_seconds *= max(1.0, asked.every_seconds / poll_every_seconds)
    calls = 0
    busy = False
    if asked.is_urgent or _is_due(due, "played", asked.now):
        piece, checkpoint["played"] = await _played(api, obj(checkpoint, "played"))
        calls += 1
        busy = bool(piece.events)
        seconds = min(asked.every_seconds, _BUSY_SECONDS) if busy else asked.every_seconds
        due["played"] = rfc3339(asked.now + timedelta(seconds=seconds))
        checkpoint["due"] = {**due}
        yield Polled(events=piece.events, gap=piece.gap, checkpoint={**checkpoint}, next_in_seconds=None)
    if asked.is_urgent or _is_due(due, "saved", asked.now):
        events, checkpoint["saved"], pages, gap = await _saved(api, obj(checkpoint, "saved"))
        calls += pages
        due["saved"] = rfc3339(asked.now + timedelta(seconds=saved_every_seconds))
        checkpoint["due"] = {**due}
        yield Polled(events=events, gap=gap, checkpoint={**checkpoint})
    notices: Sequence[Mapping[str, Any]] = ()
    playing_seconds: float | None = None
    if asked.is_watched:
        notices, playing_seconds, checkpoint["playing"] = await _playing(api, raw(checkpoint, "playing"))
        calls += 1
    soonest = min(_seconds_until(due, name, asked.now) for name in ("played", "saved"))
    if playing_seconds is not None:
        soonest = min(soonest, playing_seconds)
    yield Polled(
        checkpoint=checkpoint,
        notices=notices,
        next_in_seconds=max(soonest, calls * asked.share_seconds),
    )


class _Piece:
    """What recently-played had to tell."""

    def __init__(self, events: list[Event], gap: str) -> None:
        self.events = events
        self.gap = gap


async def _played(api: Api, before: Mapping[str, Any]) -> tuple[_Piece, Mapping[str, Any]]:
    answer = as_object((await api.request("GET", f"/me/player/recently-played?limit={PAGE}")).json())
    shown = plays(answer)
    recent = [(str(uri), str(at)) for uri, at in before.get("recent", ())]
    last = as_instant(raw(before, "last"), is_utc=True) if before else None
    fresh = [play for play in shown if not _is_known(play, recent)] if before else []
    remembered = [*recent, *((play.uri, play.at_text) for play in (fresh if before else shown))]
    remembered.sort(key=lambda pair: pair[1])
    newest = max([play.at for play in shown], default=None)
    if last is not None and (newest is None or last > newest):
        newest = last
    gap = ""
    if before and len(fresh) >= PAGE and recent:
        gap = (
            f"More was played than the {PAGE} plays that Spotify shows: some before "
            f"{fresh[0].at:%Y-%m-%d %H:%M} UTC may be missing."
        )
    events = [played_event(api.account_key, play, late=last is not None and play.at < last) for play in fresh]
    position = {
        "recent": [list(pair) for pair in remembered[-_REMEMBERED:]],
        "last": rfc3339(newest) if newest is not None else "",
    }
    return _Piece(events, gap), position


def _is_known(play: Play, recent: Sequence[tuple[str, str]]) -> bool:
    for uri, at_text in recent:
        at = as_instant(at_text, is_utc=True) if uri == play.uri else None
        if at is not None and abs(at - play.at) <= _SAME_PLAY:
            return True
    return False


async def _saved(api: Api, before: Mapping[str, Any]) -> tuple[list[Event], Mapping[str, Any], int, str]:
    """The tracks saved since; pages are read until one that was there before.

    Pages shift while somebody saves: a track that moved on to the next page is then read twice, and told once.
    """
    last = as_instant(raw(before, "last"), is_utc=True) if before else None
    known = {(str(uri), str(at)) for uri, at in before.get("known", ())}
    fresh: dict[tuple[str, str], Play] = {}
    newest: list[Play] = []
    gap = ""
    for number_ in range(_MOST_PAGES):
        path = f"/me/tracks?limit={PAGE}&offset={number_ * PAGE}"
        shown = saved(as_object((await api.request("GET", path)).json()))
        newest += shown if number_ == 0 else []
        new = [play for play in shown if (play.uri, play.at_text) not in known and _is_newer(play, last)]
        fresh.update({(play.uri, play.at_text): play for play in new})
        if not before or len(new) < PAGE:
            break
    else:
        gap = f"More than {_MOST_PAGES * PAGE} tracks were saved at once; the oldest of them are missing."
    kept = [*fresh.values(), *newest] if before else newest
    last_at = max([play.at for play in kept] + ([last] if last is not None else []), default=None)
    position = {
        "last": rfc3339(last_at) if last_at is not None else "",
        "known": [[play.uri, play.at_text] for play in newest],
        "since": True,
    }
    ordered = sorted(fresh.values(), key=lambda play: play.at) if before else []
    return [saved_event(api.account_key, play) for play in ordered], position, number_ + 1, gap


def _is_newer(play: Play, last: datetime | None) -> bool:
    return last is None or play.at >= last


async def _playing(api: Api, told: str) -> tuple[Sequence[Mapping[str, Any]], float, str]:
    """What plays now: a notice where it is another track than the one told last, and when to look again."""
    path = "/me/player/currently-playing?additional_types=track,episode"
    answer = await api.request("GET", path)
    if answer.status == 204:
        return _stopped(told), _SILENT_SECONDS, ""
    playing = as_object(answer.json())
    item = obj(playing, "item")
    length, progress = number(item, "duration_ms") / 1000, number(playing, "progress_ms") / 1000
    # A client that vanished keeps "playing" beyond its track's end (spotify/web-api#533).
    gone = length > 0 and progress > length + _GONE_SECONDS
    if playing.get("is_playing") is not True or not item or gone:
        return _stopped(told), _SILENT_SECONDS, ""
    seconds = min(max(length - progress, 0.0) + _AFTER_TRACK_SECONDS, _LONGEST_TRACK_SECONDS)
    uri = raw(item, "uri")
    if uri == told:
        return (), seconds, uri
    notice = {"type": "com.spotify.now_playing", **track_card(item), "text": track_line(item)}
    return (notice,), seconds, uri


def _stopped(told: str) -> Sequence[Mapping[str, Any]]:
    return ({"type": "com.spotify.now_playing", "title": "", "text": "Nothing plays."},) if told else ()


def _is_due(due: Mapping[str, Any], name: str, now: datetime) -> bool:
    return _seconds_until(due, name, now) <= 0


def _seconds_until(due: Mapping[str, Any], name: str, now: datetime) -> float:
    at = as_instant(raw(due, name), is_utc=True)
    return 0.0 if at is None else (at - now).total_seconds()
