"""What is known of a calendar's events, in few characters, for a checkpoint.

It is what new answers are compared with: they say how an event is, not what has become of it, and of a deleted one
they may say no more than its id. Kept are events that start between 30 days ago and a year from now, of a crowded
calendar those that start first.

Stored: `{series: {"c": [version, look, title, answers], "n": "date date …", "x": {key: [version, look, start, title,
answers]}}}`. Most dates of a series look alike: `c` says how, `n` lists them. An event that is in no series stands in
`x` alone, under the key "".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any, Final, NamedTuple

from tidings.fields import Object, clip, obj, raw
from tidings_calendar.entry import Entry, Guest
from tidings_calendar.when import is_stamp

_TITLE_LENGTH: Final = 80
_ODD: Final = "="  # begins the key of a date whose id does not follow from it
# About 200 kB: a date that looks like the others of its series weighs 1, any other event 6.
_MOST_WEIGHT: Final = 12_000
_WEIGHT: Final = 6


class Seen(NamedTuple):
    """An event as it was seen last.

    Attributes:
        version: As `Entry.version`.
        look: As `Entry.look`.
        start: The stamp of its start.
        answers: The guests' answers: `mark` and letter of each, one after the other.
    """

    version: str
    look: str
    start: str
    title: str
    answers: str


Dates = dict[str, Seen]


def seen(entry: Entry) -> Seen:
    """What is kept of an event."""
    start = "" if entry.when is None else entry.when.stamp
    return Seen(entry.version, entry.look, start, clip(entry.title, _TITLE_LENGTH), _answers(entry.guests))


def key_of(entry: Entry) -> str:
    """By which an event is known among the dates of its series; "" where it is in none."""
    if not entry.is_of_series:
        return ""
    is_regular = entry.id == f"{entry.series}_{entry.date}" and is_stamp(entry.date)
    return entry.date if is_regular else f"{_ODD}{entry.id}"


def id_of(series: str, key: str) -> str:
    """The id of the event with this key."""
    if key.startswith(_ODD):
        return key[len(_ODD) :]
    return f"{series}_{key}" if key else series


def answer_of(answers: str, guest: Guest) -> str:
    """The letter that a guest had answered with; "" for one who was not invited."""
    width = len(guest.mark) + 1
    found = (
        answers[at + width - 1] for at in range(0, len(answers), width) if answers.startswith(guest.mark, at)
    )
    return next(found, "")


def _answers(guests: tuple[Guest, ...]) -> str:
    return "".join(f"{guest.mark}{guest.answer}" for guest in sorted(guests) if guest.answer)


class Known:
    """The events of a calendar.

    Args:
        stored: As `store` gave them.
    """

    def __init__(self, stored: Mapping[str, Any]) -> None:
        self._packed = dict(stored)
        self._open: dict[str, Dates] = {}

    def dates(self, series: str) -> Dates:
        """The events of a series, to be changed in place; an event that is in none is a series of its own."""
        found = self._open.get(series)
        if found is None:
            found = self._open[series] = _unpack(obj(self._packed, series))
        return found

    def __iter__(self) -> Iterator[str]:
        """All series."""
        return iter(dict.fromkeys([*self._packed, *self._open]))

    def starting(self, after: str, until: str) -> Iterator[tuple[str, str]]:
        """The ids and stamps of the events that start between two stamps: behind the first, up to the second."""
        for series in [*self]:
            if series not in self._open and not _may_start(obj(self._packed, series), after, until):
                continue
            for key, one in self.dates(series).items():
                if after < one.start <= until:
                    yield id_of(series, key), one.start

    def store(self, first: str, until: str) -> tuple[Mapping[str, Any], str]:
        """For a checkpoint: what starts between two stamps; and up to which one nothing had to be left out."""
        for series, dates in self._open.items():
            self._packed[series] = _pack(dates)
        self._open = {}
        self._packed = {
            series: kept
            for series, packed in self._packed.items()
            if (kept := _between(packed, first, until))
        }
        complete_until = self._trim(until)
        return self._packed, complete_until

    def _trim(self, until: str) -> str:
        """Give up what starts last of a calendar that is too crowded; says up to when everything is left."""
        weights = sorted(one for packed in self._packed.values() for one in _weights(packed))
        totals = accumulate(weight for _, weight in weights)
        start = next(
            (start for (start, _), total in zip(weights, totals, strict=True) if total > _MOST_WEIGHT), None
        )
        if start is None:
            return until
        before = f"{start[:-1]}{chr(ord(start[-1]) - 1)}~"  # sorts right before it
        self._packed = {
            series: kept for series, packed in self._packed.items() if (kept := _between(packed, "", before))
        }
        return before


def _unpack(packed: Object) -> Dates:
    dates: Dates = {}
    version, look, title, answers = _texts(packed.get("c"), 4)
    for key in raw(packed, "n").split():
        dates[key] = Seen(version, look, key, title, answers)
    for key, fields in obj(packed, "x").items():
        own = Seen(*_texts(fields, 5))
        start = own.start or key
        dates[key] = own._replace(start=start, title=own.title or title)
    return dates


def _pack(dates: Dates) -> Mapping[str, Any]:
    alike = Counter(_common(one) for key, one in dates.items() if key and one.start == key)
    common = next((look for look, count in alike.most_common(1) if count > 1), None)
    like = [key for key, one in dates.items() if key and one.start == key and _common(one) == common]
    title = common[2] if common is not None else ""
    others = {
        key: [
            one.version,
            one.look,
            "" if one.start == key else one.start,
            "" if one.title == title else one.title,
            one.answers,
        ]
        for key, one in dates.items()
        if not (common is not None and key and one.start == key and _common(one) == common)
    }
    packed: dict[str, Any] = {}
    if common is not None:
        packed["c"], packed["n"] = [*common], " ".join(sorted(like))
    if others:
        packed["x"] = others
    return packed


def _common(one: Seen) -> tuple[str, str, str, str]:
    return one.version, one.look, one.title, one.answers


def _between(packed: Object, first: str, until: str) -> Mapping[str, Any]:
    kept = dict(packed)
    regular = " ".join(key for key in raw(packed, "n").split() if first <= key <= until)
    others = {
        key: fields for key, fields in obj(packed, "x").items() if first <= _start(key, fields) <= until
    }
    for name, value in (("n", regular), ("x", others)):
        if value:
            kept[name] = value
        else:
            kept.pop(name, None)
    return kept if regular or others else {}


def _may_start(packed: Object, after: str, until: str) -> bool:
    starts = [
        *raw(packed, "n").split(),
        *(_start(key, fields) for key, fields in obj(packed, "x").items()),
    ]
    return any(after < start <= until for start in starts)


def _weights(packed: Object) -> Iterator[tuple[str, int]]:
    for key in raw(packed, "n").split():
        yield key, 1
    for key, fields in obj(packed, "x").items():
        yield _start(key, fields), _WEIGHT


def _start(key: str, fields: object) -> str:
    return _texts(fields, 5)[2] or key


def _texts(fields: object, count: int) -> list[str]:
    found = fields if isinstance(fields, list | tuple) else ()
    texts = [one if isinstance(one, str) else "" for one in found[:count]]
    return texts + [""] * (count - len(texts))
