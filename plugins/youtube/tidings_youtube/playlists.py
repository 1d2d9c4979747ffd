"""The playlists of an account: what it makes, deletes, and adds to them.

One call shows fifty playlists with how many entries each has (playlists.list, a unit a call:
developers.google.com/youtube/v3/docs/playlists, 2026). Only those that have another number are read, and each once a
week, for what is taken out may hide from a number what was put in. Entries stand in the order that their owner chose,
so a list is read to its end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from tidings.contracts import Api, Polled
from tidings.event import Event
from tidings.fields import as_instant, as_object, number, obj, objs, one_line, raw
from tidings.rhythm import ACTIVE_SECONDS, slower
from tidings_youtube.cards import playlist_created, playlist_deleted, playlist_item
from tidings_youtube.channels import PAGE
from tidings_youtube.checkpoint import Memory, Playlist
from tidings_youtube.fields import identity
from tidings_youtube.subscribing import ABSENT
from tidings_youtube.videos import addition, read_list

_MOST_PAGES: Final = 4
_MOST_READ: Final = 20  # in one poll
_MOST_IDS: Final = 50
_DAY_SECONDS: Final = 86_400
_WEEK_SECONDS: Final = 7 * _DAY_SECONDS


class Shown(NamedTuple):
    """A playlist as YouTube shows it; `made_at` is None where that is not told."""

    title: str
    made_at: datetime | None
    entries: int


async def read_playlists(api: Api, memory: Memory, now: int) -> AsyncIterator[Polled]:
    """Bring the memory's playlists up to date; what was there at the first look is not told.

    Args:
        api: As the account.
        memory: Changed.
        now: In seconds since 1970.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`; what was yielded stays.
    """
    shown, is_whole = await _shown(api)
    is_first = not memory.playlists_at
    events = [
        *_made(api.account_key, memory, shown, now),
        *_gone(api.account_key, memory, shown, is_whole=is_whole),
    ]
    if events:
        yield Polled(events=events, checkpoint=memory.write())
    has_news = bool(events)
    for one in _changed(memory, shown, now):
        piece = await _read(api, memory, one, shown[one], now)
        has_news = has_news or bool(piece.events)
        yield piece
    memory.playlists_at = now
    memory.playlists_pace = 1.0 if has_news or is_first else slower(memory.playlists_pace)


def due_at(memory: Memory, seconds: float) -> float:
    """When to look at the playlists next: later while nothing comes, but after something happened within `seconds`.

    Args:
        memory: What is remembered.
        seconds: The usual pause.
    """
    looked_at, active_at = memory.playlists_at, memory.active_at
    usual = looked_at + seconds
    if active_at + ACTIVE_SECONDS > looked_at:
        return max(usual, min(looked_at + seconds * memory.playlists_pace, active_at + seconds))
    return looked_at + seconds * memory.playlists_pace


def _made(own: str, memory: Memory, shown: Mapping[str, Shown], now: int) -> Sequence[Event]:
    """Remember those that are new; of one made since the last look, all that stands in it is news."""
    events = []
    for one, found in shown.items():
        if (known := memory.playlists.get(one)) is not None:
            known.title, known.absences = found.title, 0
            continue
        memory.playlists[one] = Playlist(found.title, found.entries, now, now)
        made_at = int(found.made_at.timestamp()) if found.made_at is not None else 0
        if (
            memory.playlists_at
            and found.made_at is not None
            and made_at >= memory.playlists_at - _DAY_SECONDS
        ):
            memory.playlists[one] = Playlist(found.title, 0, made_at, made_at)
            events.append(playlist_created(own, one, found.title, found.made_at))
    return events


def _gone(own: str, memory: Memory, shown: Mapping[str, Shown], *, is_whole: bool) -> Sequence[Event]:
    """Forget those that are gone."""
    events = []
    for one, known in [*memory.playlists.items()]:
        if one in shown:
            continue
        known.absences += 1
        if known.absences >= ABSENT or not is_whole:  # of a list that was cut, the end moves
            del memory.playlists[one]
        if known.absences >= ABSENT and is_whole:
            events.append(playlist_deleted(own, one, known.title))
    return events


def _changed(memory: Memory, shown: Mapping[str, Shown], now: int) -> Sequence[str]:
    """The playlists to read, those first that were read longest ago."""
    due = [
        (known.looked_at, one)
        for one, known in memory.playlists.items()
        if one in shown and (known.count != shown[one].entries or now - known.looked_at >= _WEEK_SECONDS)
    ]
    return [one for _, one in sorted(due)[:_MOST_READ]]


async def _read(api: Api, memory: Memory, one: str, found: Shown, now: int) -> Polled:
    """What was put into a playlist since it was last read."""
    known = memory.playlists[one]
    reading = await read_list(api, one, addition)
    items = reading.items
    since = max(known.since, known.looked_at - _DAY_SECONDS)
    fresh = sorted(
        (entry for entry in items if entry.at.timestamp() >= since and entry.id not in known.seen),
        key=lambda entry: (entry.at, entry.id),
    )
    recent = [entry for entry in items if entry.at.timestamp() >= now - _DAY_SECONDS]
    recent.sort(key=lambda entry: entry.at, reverse=True)
    since = int(recent[_MOST_IDS - 1].at.timestamp()) + 1 if len(recent) > _MOST_IDS else known.since
    seen = [entry.id for entry in recent if entry.at.timestamp() >= since]
    memory.playlists[one] = Playlist(found.title, found.entries, now, since, seen)
    memory.active_at = max([memory.active_at, *(min(now, int(entry.at.timestamp())) for entry in fresh)])
    events = [playlist_item(api.account_key, one, found.title, entry.video, entry.at) for entry in fresh]
    is_cut = not reading.is_whole and found.entries - known.count > len(fresh)
    gap = (
        f"Of the {found.entries} entries of {found.title or 'a playlist'} the first {len(items)} were asked for; what "
        "was added behind them is missing."
    )
    return Polled(events=events, checkpoint=memory.write(), gap=gap if is_cut else "")


async def _shown(api: Api) -> tuple[Mapping[str, Shown], bool]:
    """The account's playlists by id, and whether there are no more than those."""
    found: dict[str, Shown] = {}
    wish = {"part": "snippet,contentDetails", "mine": "true", "maxResults": f"{PAGE}"}
    for _ in range(_MOST_PAGES):
        page = as_object((await api.request("GET", "/playlists", params=wish)).json())
        for item in objs(page, "items"):
            snippet = obj(item, "snippet")
            if one := identity(item.get("id")):
                count = number(obj(item, "contentDetails"), "itemCount") or 0
                title = one_line(snippet.get("title"), 150)
                found[one] = Shown(title, as_instant(snippet.get("publishedAt")), count)
        token = raw(page, "nextPageToken")
        if not token:
            return found, True
        wish = {**wish, "pageToken": token}
    return found, False
