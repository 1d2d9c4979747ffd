"""What has become of a calendar's events: Google's answer compared with what is known.

An answer is either everything there is, or what has changed since the last time. All that happened to one series is
one piece of news; else moving a daily meeting would be told hundreds of times.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from tidings_calendar.entry import Entry, Guest
from tidings_calendar.known import Dates, Known, Seen, answer_of, id_of, key_of, seen
from tidings_calendar.when import stamp

CREATED: Final = "event_created"
CHANGED: Final = "event_changed"
CANCELLED: Final = "event_cancelled"
RESPONSE: Final = "response"

# Parts of a look that differ.
TIME: Final = "time"
PLACE: Final = "place"
REST: Final = "details"

#: What starts before is history, and what starts later is looked at when its time comes.
PAST: Final = timedelta(days=30)
FUTURE: Final = timedelta(days=366)
# Between the clocks of Google and of this machine, and between a change and its being listed.
_SKEW: Final = timedelta(minutes=10)
_ANSWERED: Final = frozenset("adt")


class News(NamedTuple):
    """Something that happened to an event, or to several dates of a series at once.

    Attributes:
        kind: `event_created`, `event_changed`, `event_cancelled` or `response`.
        id: Google's, of the event or the series.
        series: Of the series, or that of the event itself.
        version: Tells it apart from others of its kind; "" where there can be no other.
        entries: Those concerned as they are now, earliest first.
        before: Those concerned as they were.
        dates: How many are concerned; 1 for an event.
        is_whole: Whether the series as such is.
        parts: What changed about it.
        guest: Who answered.
    """

    kind: str
    id: str
    series: str
    version: str = ""
    entries: Sequence[Entry] = ()
    before: Sequence[Seen] = ()
    dates: int = 1
    is_whole: bool = False
    parts: frozenset[str] = frozenset()
    guest: Guest | None = None


@dataclasses.dataclass(slots=True)
class _Group:
    """What happened to one series.

    Attributes:
        had: How many of its dates were known.
        far: Those that lie where not everything is known, and whether each was made just now.
    """

    had: int
    added: list[tuple[Entry, bool]] = dataclasses.field(default_factory=list)
    changed: list[tuple[Seen | None, Entry]] = dataclasses.field(default_factory=list)
    removed: list[tuple[str, Seen]] = dataclasses.field(default_factory=list)
    far: list[tuple[Entry, bool]] = dataclasses.field(default_factory=list)
    answered: dict[tuple[str, str], list[tuple[Guest, Entry]]] = dataclasses.field(default_factory=dict)


class Comparison:
    """Compares one answer with what is known, and keeps what is known up to date.

    Args:
        known: All that is known, up to a stamp.
        until: That stamp; "" where nothing is known, because it was never asked.
        since: When it was asked last; what was made or changed before, and is not known, is no news.
        now: The present.
        is_whole: Whether the answer is everything there is.
    """

    def __init__(self, known: Known, until: str, since: datetime, now: datetime, *, is_whole: bool) -> None:
        self._old = known
        self.known = Known({}) if is_whole else known
        self._until = until
        self._since = since if not until else since - _SKEW
        self._first = stamp(now - PAST)
        self._last = stamp(now + FUTURE)
        self._now = stamp(now)
        self._is_whole = is_whole
        self._groups: dict[str, _Group] = {}

    def take(self, entry: Entry) -> None:
        """Take one event of the answer."""
        if entry.is_cancelled:
            self._take_cancelled(entry)
            return
        assert entry.when is not None
        key, now = key_of(entry), seen(entry)
        old = self._old.dates(entry.series)
        before = old.get(key)
        self._group(entry.series)  # counts what was known, before anything is changed
        if self._first <= now.start <= self._last:
            self.known.dates(entry.series)[key] = now
        elif not self._is_whole:
            old.pop(key, None)
        if before is None:
            self._take_unknown(entry)
            return
        if (before.look, before.start) != (now.look, now.start):
            self._group(entry.series).changed.append((before, entry))
        self._take_answers(before, entry)

    def _take_cancelled(self, entry: Entry) -> None:
        dates = self._old.dates(entry.series)
        group = self._group(entry.series)
        gone = [key_of(entry)]
        if not entry.is_of_series and gone[0] not in dates:
            gone = [*dates]  # the series as such
        for key in gone:
            if key in dates and not self._is_whole:
                group.removed.append((key, dates.pop(key)))

    def _take_unknown(self, entry: Entry) -> None:
        assert entry.when is not None
        start, group = entry.when.stamp, self._group(entry.series)
        is_fresh = entry.created_at is not None and entry.created_at >= self._since
        if self._until and self._first <= start <= self._until:
            group.added.append((entry, is_fresh))
        elif entry.when.end_stamp >= self._first:
            is_changed = entry.updated_at is not None and entry.updated_at >= self._since
            if is_fresh or (self._until and is_changed):
                group.far.append((entry, is_fresh))

    def _take_answers(self, before: Seen, entry: Entry) -> None:
        for guest in entry.guests:
            if guest.answer not in _ANSWERED:
                continue
            old = answer_of(before.answers, guest)
            if old and old != guest.answer:  # who is new on the list has been invited, and has not answered
                answered = self._group(entry.series).answered
                answered.setdefault((guest.mark, guest.answer), []).append((guest, entry))

    def _group(self, series: str) -> _Group:
        group = self._groups.get(series)
        if group is None:
            group = self._groups[series] = _Group(len(self._old.dates(series)))
        return group

    def news(self) -> list[News]:
        """What happened, once the whole answer was taken."""
        if self._is_whole and self._until:
            for series in self._old:
                self._find_gone(series)
        return [one for series, group in self._groups.items() for one in self._news(series, group)]

    def _find_gone(self, series: str) -> None:
        """What is no longer there was deleted: a whole answer has no word for it."""
        dates, left = self._old.dates(series), self.known.dates(series)
        gone = [
            (key, one)
            for key, one in dates.items()
            if key not in left and one.start >= self._first and not self._is_moved_away(series, key)
        ]
        if gone:
            self._group(series).removed += gone

    def _is_moved_away(self, series: str, key: str) -> bool:
        """Whether it is there, only no longer where events are kept."""
        group = self._groups.get(series)
        return group is not None and any(key_of(entry) == key for _, entry in group.changed)

    # --- one series -----------------------------------------------------------------------------------------------

    def _news(self, series: str, group: _Group) -> Iterator[News]:
        added, changed, removed = group.added, group.changed, group.removed
        if not (added or changed or removed):  # what lies afar comes with what lies near, as a rule
            added = [one for one in group.far if one[1]]
            changed = [(None, entry) for entry, is_fresh in group.far if not is_fresh]
        total = len(added) + len(changed) + len(removed)
        if total == 1:
            yield _single(series, added, changed, removed)
        elif total and not group.had and not removed and not changed:
            yield _created(series, added, total)
        elif total and not added and not changed:
            is_whole = not self._has_more(self.known.dates(series))
            yield _cancelled(series, removed, is_whole=is_whole)
        elif total:
            yield _changed(series, added, changed, removed)
        for guests in group.answered.values():
            yield _answered(series, guests)

    def _has_more(self, dates: Dates) -> bool:
        return any(one.start >= self._now for one in dates.values())


def _single(
    series: str,
    added: Sequence[tuple[Entry, bool]],
    changed: Sequence[tuple[Seen | None, Entry]],
    removed: Sequence[tuple[str, Seen]],
) -> News:
    """What happened to one event alone."""
    for entry, is_fresh in added:
        return News(CREATED, entry.id, series, "" if is_fresh else entry.version, (entry,))
    for before, entry in changed:
        told = () if before is None else (before,)
        parts = frozenset() if before is None else _parts(before, entry)
        return News(CHANGED, entry.id, series, entry.version, (entry,), told, parts=parts)
    ((key, was),) = removed
    return News(CANCELLED, id_of(series, key), series, was.version, before=(was,))


def _created(series: str, added: Sequence[tuple[Entry, bool]], count: int) -> News:
    entries = _in_order([entry for entry, _ in added])
    is_fresh = any(fresh for _, fresh in added)
    version = "" if is_fresh else max(entry.version for entry in entries)
    return News(CREATED, series, series, version, entries, dates=count, is_whole=True)


def _cancelled(series: str, removed: Sequence[tuple[str, Seen]], *, is_whole: bool) -> News:
    before = sorted((was for _, was in removed), key=lambda was: was.start)
    version = max(was.version for was in before)
    if not is_whole:
        version = f"{version}:{before[0].start}"  # others of the same look may go later
    return News(CANCELLED, series, series, version, before=before, dates=len(before), is_whole=is_whole)


def _changed(
    series: str,
    added: Sequence[tuple[Entry, bool]],
    changed: Sequence[tuple[Seen | None, Entry]],
    removed: Sequence[tuple[str, Seen]],
) -> News:
    """Several dates of a series: a series that begins at another hour has other dates, and none of the old ones."""
    entries = _in_order([*(entry for entry, _ in added), *(entry for _, entry in changed)])
    before = [*(was for was, _ in changed if was is not None), *(was for _, was in removed)]
    parts = {part for was, entry in changed if was is not None for part in _parts(was, entry)}
    if added or removed:
        parts.add(TIME)
    return News(
        CHANGED,
        series,
        series,
        max(entry.version for entry in entries),
        entries,
        sorted(before, key=lambda was: was.start),
        dates=max(len(entries), len(before)),
        is_whole=True,
        parts=frozenset(parts),
    )


def _answered(series: str, guests: Sequence[tuple[Guest, Entry]]) -> News:
    """The same answer of one guest, to one date or to several."""
    guest = guests[0][0]
    entries = _in_order([entry for _, entry in guests])
    identity = entries[0].id if len(entries) == 1 else series
    version = max(entry.version for entry in entries)
    return News(
        RESPONSE,
        identity,
        series,
        version,
        entries,
        dates=len(entries),
        is_whole=len(entries) > 1,
        guest=guest,
    )


def _parts(was: Seen, entry: Entry) -> frozenset[str]:
    is_moved = was.look[:5] != entry.look[:5] or entry.when is None or was.start != entry.when.stamp
    named = (
        (TIME, is_moved),
        (PLACE, was.look[5:10] != entry.look[5:10]),
        (REST, was.look[10:] != entry.look[10:]),
    )
    return frozenset(name for name, differs in named if differs)


def _in_order(entries: Sequence[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: "" if entry.when is None else entry.when.stamp)
