"""What is asked of Google, and when: the list of calendars, and of each calendar what has changed since the last time.

The checkpoint:
    `list`      the calendars (see `calendars`), and `at`, when the list was asked for last (epoch seconds)
    `events`    by calendar: `token` (Google's, for what is new from there on), `at` (asked last), `listed` (listed as a
                whole), `known` (see `known`) and `until`, the stamp up to which that is everything; or `off`, since
                when Google shows it no more
    `reminded`  the events that were said to start soon, and their starts

Where a notification has named calendars, those alone are looked at, and what is due in any case.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tidings.contracts import Api, Asked, Polled
from tidings.errors import Rejected, Unavailable
from tidings.event import Event
from tidings.fields import Object, obj, raw
from tidings_calendar.calendars import Calendar, Calendars, calendar_of, watched
from tidings_calendar.cards import event_of
from tidings_calendar.comparison import FUTURE, PAST, Comparison
from tidings_calendar.entry import read_entry
from tidings_calendar.fields import number
from tidings_calendar.google import TokenGone, calendar_path, pages
from tidings_calendar.known import Known
from tidings_calendar.reminders import Reminders
from tidings_calendar.settings import remind_seconds
from tidings_calendar.when import stamp

# One date of a series at a time, so that each has an instant of its own; deleted events too. All requests that go on
# from a sync token must have the parameters of the first.
_EVENTS: Final = {"singleEvents": "true", "showDeleted": "true", "maxResults": "2500"}
_MARGIN: Final = timedelta(days=1)
_PIECE: Final = 100  # events committed at once
_OFF_SECONDS: Final = 86_400
# Half of what is known of the future: then all of it is listed anew.
_LISTED_SECONDS: Final = FUTURE.total_seconds() / 2
_ALMOST_SECONDS: Final = 60
_MOST_FAILURES: Final = 3
# A calendar that was deleted, or is shared with the account no more; 403 where it may see only when it is free.
_GONE: Final = frozenset({404, 410})
_HIDDEN: Final = _GONE | {403}


async def poll(api: Api, asked: Asked) -> AsyncIterator[Polled]:
    """Ask for what is new.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`. What was yielded stays.
    """
    run = _Run(api, asked)
    await run.find_calendars()
    async for polled in run.ask_calendars():
        yield polled
    async for polled in run.remind():
        yield polled
    yield run.polled(next_in_seconds=run.next_in_seconds())


class _Run:
    """One run, and the checkpoint as it grows."""

    def __init__(self, api: Api, asked: Asked) -> None:
        self._api = api
        self._asked = asked
        self._now = int(asked.now.timestamp())
        listed = obj(asked.checkpoint, "list")
        self._calendars = Calendars(listed)
        self._listed_at = number(listed, "at")
        self._events: dict[str, Object] = dict(obj(asked.checkpoint, "events"))
        self._reminded = obj(asked.checkpoint, "reminded")
        self._hinted = {calendar_of(key) for key in asked.hinted} - {""}
        self._asks_all = asked.is_urgent or not asked.hinted or "" in asked.hinted
        self._chosen: Sequence[Calendar] = ()
        self._remind_in_seconds: float | None = None

    def polled(
        self, events: Sequence[Event] = (), *, target: str = "", next_in_seconds: float | None = None
    ) -> Polled:
        """A piece of news with the checkpoint as it stands now."""
        checkpoint: dict[str, Any] = {
            "list": {**self._calendars.store(), "at": self._listed_at},
            "events": dict(self._events),
        }
        if self._reminded:
            checkpoint["reminded"] = self._reminded
        return Polled(events=events, target=target, checkpoint=checkpoint, next_in_seconds=next_in_seconds)

    def next_in_seconds(self) -> float | None:
        """When to ask again; None for the cadence."""
        every = self._asked.every_seconds
        seconds = every
        if not self._asks_all:  # the others are no later for it
            asked = [number(self._state(one), "at") or 0 for one in self._chosen if not self._is_off(one)]
            oldest = min([*asked, self._listed_at or 0])
            seconds = min(every, max(1.0, oldest + every - self._now))
        if self._remind_in_seconds is not None:
            seconds = min(seconds, max(1.0, self._remind_in_seconds))
        return None if seconds == every else seconds

    # --- the list -------------------------------------------------------------------------------------------------

    async def find_calendars(self) -> None:
        """Ask for the list of calendars, unless it need not be known better for what was named."""
        known = self._calendars.all
        before = self._listed_at
        if self._asks_all or not self._hinted <= known.keys() or self._is_due(before):
            await self._calendars.refresh(self._api)
            self._listed_at = self._now
        self._chosen = watched(self._calendars.all.values(), self._asked.settings)
        ids = {one.id for one in self._chosen}
        self._events = {identity: state for identity, state in self._events.items() if identity in ids}
        if before is not None:  # what is made in a calendar that is new on the list is news
            for identity in ids - self._events.keys():
                self._events[identity] = {"at": before}

    # --- calendars ------------------------------------------------------------------------------------------------

    async def ask_calendars(self) -> AsyncIterator[Polled]:
        """Ask for what has changed in those whose turn it is.

        One calendar that fails does not keep the others from having their turn.
        """
        failures: list[Unavailable] = []
        refusals: list[Rejected] = []
        due = self._due()
        for calendar in due:
            try:
                async for polled in self._ask(calendar):
                    yield polled
            except Unavailable as error:
                failures.append(error)
                if error.retry_after_seconds is not None or len(failures) >= _MOST_FAILURES:
                    break
            except Rejected as error:
                refusals.append(error)
                if error.status in _HIDDEN:
                    self._events[calendar.id] = {"off": self._now}
        if failures:
            yield self.polled()  # what was reached stays
            raise failures[-1]
        if refusals and len(refusals) == len(due) and refusals[-1].status not in _GONE:
            raise refusals[-1]  # none may be read: something is wrong with the consent

    def _due(self) -> Sequence[Calendar]:
        return [
            one
            for one in self._chosen
            if not self._is_off(one)
            and (
                self._asks_all
                or one.id in self._hinted
                or "token" not in self._state(one)
                or self._is_due(number(self._state(one), "at"))
            )
        ]

    async def _ask(self, calendar: Calendar) -> AsyncIterator[Polled]:
        try:
            comparison, state = await self._compare(calendar, self._state(calendar))
        except TokenGone:
            whole = {name: value for name, value in self._state(calendar).items() if name != "token"}
            comparison, state = await self._compare(calendar, whole)
        events = [event_of(one, calendar) for one in comparison.news()]
        first, last = stamp(self._asked.now - PAST), stamp(self._asked.now + FUTURE)
        known, complete_until = comparison.known.store(first, last)
        state["known"] = known
        state["until"] = min(complete_until, raw(state, "until") or complete_until)
        key = calendar.target.key
        while len(events) > _PIECE:
            yield self.polled(events[:_PIECE], target=key)
            events = events[_PIECE:]
        self._events[calendar.id] = state
        if events:
            yield self.polled(events, target=key)

    async def _compare(self, calendar: Calendar, state: Object) -> tuple[Comparison, dict[str, Any]]:
        """Compare what Google says of a calendar with what is known, and give its state after that."""
        token, now = raw(state, "token"), self._asked.now
        listed_at = number(state, "listed")
        if listed_at is not None and self._now - listed_at > _LISTED_SECONDS:
            token = ""
        since = datetime.fromtimestamp(number(state, "at") or self._now, UTC)
        known, until = Known(obj(state, "known")), raw(state, "until")
        comparison = Comparison(known, until, since, now, is_whole=not token)
        begin = (now - PAST - _MARGIN).strftime("%Y-%m-%dT%H:%M:%SZ")
        path, found = f"{calendar_path(calendar.id)}/events", token
        async for page in pages(self._api, path, _EVENTS, {"timeMin": begin}, token):
            for item in page.items:
                entry = read_entry(item)
                if entry is not None:
                    comparison.take(entry)
            found = page.sync_token
        new: dict[str, Any] = {"token": found, "at": self._now, "listed": listed_at if token else self._now}
        if token:
            new["until"] = until
        return comparison, new

    # --- what starts soon -----------------------------------------------------------------------------------------

    async def remind(self) -> AsyncIterator[Polled]:
        """Say which events start soon, where that is wanted."""
        seconds = remind_seconds(self._asked.settings)
        if not seconds:
            self._reminded = {}
            return
        known = {one: Known(obj(self._state(one), "known")) for one in self._chosen}
        reminders = Reminders(self._asked.now, seconds, self._reminded)
        for calendar, events in known.items():
            async for event in reminders.due(self._api, calendar, events):
                self._reminded = reminders.told
                yield self.polled([event])
        self._reminded = reminders.told
        self._remind_in_seconds = reminders.next_in_seconds(known.values(), self._asked.every_seconds)

    # --- turns ----------------------------------------------------------------------------------------------------

    def _state(self, calendar: Calendar) -> Object:
        return obj(self._events, calendar.id)

    def _is_due(self, asked_at: int | None) -> bool:
        return asked_at is None or self._now - asked_at >= self._asked.every_seconds - _ALMOST_SECONDS

    def _is_off(self, calendar: Calendar) -> bool:
        """Whether Google refused to show it less than a day ago."""
        refused_at = number(self._state(calendar), "off")
        return refused_at is not None and 0 <= self._now - refused_at < _OFF_SECONDS
