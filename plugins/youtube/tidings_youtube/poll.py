"""What is asked of YouTube: subscriptions, likes, playlists, and the uploads of each channel, each at its own pace.

Uploads are asked for a few channels at a time. Under push it is asked all the same, seldom, so that what the hub lost
is found: how many videos each channel has, fifty channels for a unit, and the uploads of those alone that have not just
as many more as the hub has told of; once a week of all, for a deletion may hide an upload from a count. `search.list`
is never asked (100 calls a day), nor the RSS feeds (mostly 404 and 500 since December 2025: lion-reader#1127,
miniflux#4261).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Final

from tidings.contracts import Api, Asked, Polled
from tidings.errors import AuthExpired, Rejected, TidingsError, Unavailable
from tidings.event import Event
from tidings.rhythm import ACTIVE_SECONDS, MOST_PACE, slower
from tidings_youtube.cadence import Cadence, Rules
from tidings_youtube.cards import liked, uploaded
from tidings_youtube.channels import PAGE
from tidings_youtube.checkpoint import Channel, Memory
from tidings_youtube.parse import ACTIVE, PUSHED
from tidings_youtube.playlists import due_at, read_playlists
from tidings_youtube.readings import Read, Readings
from tidings_youtube.subscribing import read_subscriptions
from tidings_youtube.targets import chosen, key_of, wants
from tidings_youtube.videos import (
    Listed,
    Reading,
    detailed,
    details,
    like,
    read_playlist,
    upload,
    upload_counts,
)
from tidings_youtube.window import Window

_MOST_AT_ONCE: Final = 50
_MOST_URGENT: Final = 100
# What is due within so many seconds is asked together.
_TOGETHER_SECONDS: Final = 300.0
# More channels than this that were asked at one instant are asked at different ones the next time.
_CROWD: Final = 10
_LEAST_SECONDS: Final = 60.0
_DAY_SECONDS: Final = 86_400
_WEEK_SECONDS: Final = 7 * _DAY_SECONDS
_PATIENCE: Final = 1.25
_MOST_PUSHED: Final = 50  # of more, the list of uploads is read
# Intervals that have grown so much leave no unit for details.
_SCARCE: Final = 2.0

_News = dict[str, list[Listed]]


async def poll(api: Api, asked: Asked, rules: Rules, readings: Readings) -> AsyncIterator[Polled]:
    """Ask for what is due.

    Args:
        api: The account's.
        asked: What core knows.
        rules: What the operator wants.
        readings: What registering has read of the subscriptions.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    run = _Run(api, asked, rules, readings)
    async for piece in run.pieces():
        yield piece


class _Run:
    """One poll."""

    def __init__(self, api: Api, asked: Asked, rules: Rules, readings: Readings) -> None:
        self._api = api
        self._asked = asked
        self._rules = rules
        self._readings = readings
        self._memory = Memory.read(asked.checkpoint)
        self._now = int(asked.now.timestamp())
        self._likes = wants(asked.settings, "likes")
        self._playlists = wants(asked.settings, "playlists")

    async def pieces(self) -> AsyncIterator[Polled]:
        memory = self._memory
        self._note_pushed()
        cadence = self._cadence()
        read = self._read_meanwhile(cadence)
        if read is not None or self._is_due(self._subscriptions_due_at(cadence)):
            most = self._rules.most_channels
            yield self._piece(await read_subscriptions(self._api, self._asked, memory, most, read))
            cadence = self._cadence()  # of the channels that are there now
        self._forget_unwatched()
        if self._likes and memory.likes and self._is_due(self._likes_due_at(cadence)):
            yield await self._liked(cadence)
        if self._playlists and self._is_due(due_at(memory, cadence.playlists_seconds)):
            async for piece in read_playlists(self._api, memory, self._now):
                yield piece
        async for piece in self._uploads(cadence):
            yield piece
        yield Polled(checkpoint=memory.write(), next_in_seconds=self._next_seconds(cadence))

    def _note_pushed(self) -> None:
        """Take note of what the hub has told meanwhile. That alone costs no call: what is not due is not asked for."""
        memory, hinted = self._memory, self._asked.hinted
        if ACTIVE in hinted:
            memory.active_at = self._now
            if self._likes:
                usual = int(self._cadence().likes_seconds)
                memory.likes_due_at = min(memory.likes_due_at, self._now + usual)
        for one in sorted(hinted):
            channel_id, _, video_id = one.removeprefix(PUSHED).partition(":")
            channel = memory.channels.get(channel_id)
            if one.startswith(PUSHED) and channel is not None and video_id not in channel.pushed:
                channel.pushed = [*channel.pushed, video_id][:_MOST_PUSHED]

    # --- what is due ------------------------------------------------------------------------------------------------

    def _cadence(self) -> Cadence:
        pages = 1 + len(self._memory.playlists) // PAGE if self._playlists else 0
        return Cadence(self._rules, self._asked, self._watched(), likes=self._likes, playlists=pages)

    def _watched(self) -> Sequence[str]:
        """The channels that are watched, by the user's choice."""
        own, settings = self._api.account_key, self._asked.settings
        titles = {one: channel.title for one, channel in self._memory.channels.items() if one != own}
        found = chosen(titles, settings)
        return [own, *found] if own in self._memory.channels and wants(settings, "own") else found

    def _forget_unwatched(self) -> None:
        """What its user does not want now is no news either if it is wanted later."""
        memory, watched = self._memory, set(self._watched())
        if not self._likes:
            memory.liked, memory.liked_at = None, 0
        if not self._playlists:
            memory.playlists, memory.playlists_at = {}, 0
        for one, channel in memory.channels.items():
            if one not in watched:
                channel.window, channel.looked_at = None, 0

    def _is_due(self, at: float) -> bool:
        return self._asked.is_urgent or self._now >= at

    def _next_seconds(self, cadence: Cadence) -> float:
        memory = self._memory
        due = [self._subscriptions_due_at(cadence)]
        if self._likes and memory.likes:
            due.append(self._likes_due_at(cadence))
        if self._playlists:
            due.append(due_at(memory, cadence.playlists_seconds))
        due += [memory.channels[one].seen_at + cadence.channel_seconds(one) for one in self._watched()]
        return max(_LEAST_SECONDS, min(due) - self._now)

    def _read_meanwhile(self, cadence: Cadence) -> Read | None:
        """The subscriptions as registering has read them a while after the last reading here."""
        if self._asked.is_urgent:
            return None
        since = self._memory.subscriptions_at + cadence.subscriptions_seconds / 2
        return self._readings.take(self._api.account_key, since)

    def _subscriptions_due_at(self, cadence: Cadence) -> float:
        """When to read the subscriptions; where registering reads them, too, that is waited for a while."""
        patience = _PATIENCE if self._asked.pushed else 1.0
        return self._memory.subscriptions_at + cadence.subscriptions_seconds * patience

    def _likes_due_at(self, cadence: Cadence) -> float:
        """When to look at the likes; never later than the longest pause after the last look."""
        memory = self._memory
        return min(memory.likes_due_at, memory.liked_at + cadence.likes_seconds * MOST_PACE)

    def _piece(self, events: Sequence[Event], *, target: str = "", gap: str = "") -> Polled:
        return Polled(events=events, target=target, checkpoint=self._memory.write(), gap=gap)

    # --- likes and uploads ------------------------------------------------------------------------------------------

    async def _liked(self, cadence: Cadence) -> Polled:
        memory = self._memory
        reading = await read_playlist(self._api, memory.likes, like, memory.liked, memory.liked_at)
        fresh = memory.liked.fresh(reading.items, memory.liked_at) if memory.liked is not None else []
        is_first = memory.liked is None
        memory.liked = self._moved(memory.liked, reading)
        memory.liked_at = self._now
        last_at = max((int(one.at.timestamp()) for one in fresh if one.at is not None), default=0)
        memory.active_at = max(memory.active_at, min(self._now, last_at))
        memory.likes_pace = 1.0 if fresh or is_first else slower(memory.likes_pace)
        pace = 1.0 if self._now < memory.active_at + ACTIVE_SECONDS else memory.likes_pace
        memory.likes_due_at = self._now + int(cadence.likes_seconds * pace)
        events = [liked(self._api.account_key, one.video, one.at) for one in fresh]
        gap = f"More than {len(reading.items)} videos were liked at once; the oldest of them are missing."
        return self._piece(events, gap=gap if reading.is_gap else "")

    async def _uploads(self, cadence: Cadence) -> AsyncIterator[Polled]:
        """Look at the channels that are due; what was found before a failure is told before it is raised."""
        readings: dict[str, Reading] = {}
        due, counts, failure = await self._changed(self._due_channels(cadence), cadence)
        for one in due:
            channel = self._memory.channels[one]
            try:
                readings[one] = await read_playlist(
                    self._api, channel.uploads, upload, channel.window, channel.looked_at
                )
            except (AuthExpired, Unavailable, Rejected) as error:
                failure = error
                break
        news = {one: fresh for one, reading in readings.items() if (fresh := self._fresh(one, reading))}
        hidden: set[str] = set()
        if news and failure is None and cadence.stretch < _SCARCE:
            news, hidden, failure = await self._look_closely(news)
        self._spread(list(readings), cadence)
        for one in [*(readings.keys() - news.keys()), *news]:  # of those without news no commit is waited for
            channel, reading = self._memory.channels[one], readings[one]
            channel.window = self._moved(channel.window, reading, hidden)
            channel.pushed = []
            channel.count = _kept_count(channel.count, counts.get(one), len(news.get(one, ())))
            if events := [uploaded(listed.video) for listed in news.get(one, ())]:
                yield self._piece(events, target=key_of(one), gap=_gap(channel, reading))
        if failure is not None:
            raise failure

    def _due_channels(self, cadence: Cadence) -> Sequence[str]:
        """Those that waited longest first."""
        channels = self._memory.channels
        due_at = {one: channels[one].seen_at + cadence.channel_seconds(one) for one in self._watched()}
        if self._asked.is_urgent:
            return sorted(due_at, key=due_at.__getitem__)[:_MOST_URGENT]
        due = [one for one, at in due_at.items() if at <= self._now + _TOGETHER_SECONDS]
        return sorted(due, key=due_at.__getitem__)[:_MOST_AT_ONCE]

    async def _changed(
        self, due: Sequence[str], cadence: Cadence
    ) -> tuple[Sequence[str], Mapping[str, int], TidingsError | None]:
        """Of these, the channels whose uploads must be read, how many videos those have, and what went wrong."""
        channels = self._memory.channels
        pushed = [] if self._asked.is_urgent else [one for one in due if cadence.is_pushed(one)]
        if not pushed:
            return due, {}, None
        room = PAGE - len(pushed) % PAGE
        pushed = [*pushed, *self._counted_before(cadence, due)[:room]]  # which costs no further unit
        try:
            counts = await upload_counts(self._api, pushed)
        except (AuthExpired, Unavailable, Rejected) as error:
            return [], {}, error
        unchanged = {
            one
            for one in pushed
            if channels[one].window is not None
            and _expected(channels[one]) == counts.get(one, -1)
            and self._now - channels[one].looked_at < _WEEK_SECONDS
        }
        for one in unchanged:
            channels[one].counted_at, channels[one].count, channels[one].pushed = self._now, counts[one], []
        return [one for one in dict.fromkeys([*due, *pushed]) if one not in unchanged], counts, None

    def _counted_before(self, cadence: Cadence, due: Sequence[str]) -> Sequence[str]:
        """Other channels that the hub tells of, those first that were asked for longest ago."""
        found = [one for one in self._watched() if cadence.is_pushed(one) and one not in due]
        return sorted(found, key=lambda one: self._memory.channels[one].seen_at)

    def _fresh(self, channel_id: str, reading: Reading) -> list[Listed]:
        channel = self._memory.channels[channel_id]
        return [] if channel.window is None else channel.window.fresh(reading.items, channel.looked_at)

    async def _look_closely(self, news: _News) -> tuple[_News, set[str], TidingsError | None]:
        """The news with details, and the ids of what nobody may see by now; as they are where none can be had."""
        ids = [listed.id for fresh in news.values() for listed in fresh]
        try:
            found = await details(self._api, ids)
        except (Unavailable, Rejected):
            return news, set(), None
        except AuthExpired as error:
            return news, set(), error
        seen = {
            one: [detailed(listed, found[listed.id]) for listed in fresh if listed.id in found]
            for one, fresh in news.items()
        }
        return {one: fresh for one, fresh in seen.items() if fresh}, set(ids) - found.keys(), None

    def _spread(self, channel_ids: Sequence[str], cadence: Cadence) -> None:
        """Note that these were looked at; a crowd as if at different instants, so that it disperses."""
        count = len(channel_ids)
        for place, one in enumerate(channel_ids):
            early = cadence.channel_seconds(one) / 2 * place / count if count > _CROWD else 0.0
            self._memory.channels[one].looked_at = self._now - int(early)

    def _moved(
        self, window: Window | None, reading: Reading, hidden: Collection[str] = frozenset()
    ) -> Window:
        """The window after a reading; what is hidden was not seen."""
        seen = [one for one in reading.items if one.id not in hidden]
        if window is None and not seen:
            return Window(self._now - _DAY_SECONDS)  # what an empty list will show, it does not show yet
        return (window or Window()).moved(seen, is_whole=reading.is_whole)


def _expected(channel: Channel) -> int | None:
    """How many videos a channel has if the hub has told of each that is new."""
    return None if channel.count is None else channel.count + len(channel.pushed)


def _kept_count(before: int | None, now: int | None, told: int) -> int | None:
    """The count to compare with the next time; none where a list lags behind it, so that it is read once more."""
    is_short = before is not None and now is not None and now - before > told
    return None if is_short else now


def _gap(channel: Channel, reading: Reading) -> str:
    if not reading.is_gap:
        return ""
    return f"{channel.title} published more than {len(reading.items)} videos at once; the oldest of them are missing."
