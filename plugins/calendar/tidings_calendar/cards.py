"""News of a calendar as events: readable by themselves, with ids that follow from what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from tidings.event import Event
from tidings.fields import TITLE_LENGTH, clip
from tidings_calendar.calendars import Calendar
from tidings_calendar.comparison import CANCELLED, CHANGED, CREATED, PLACE, TIME, News
from tidings_calendar.entry import Entry
from tidings_calendar.known import Seen
from tidings_calendar.when import iso_stamp, spell_stamp, spell_when

PLATFORM: Final = "calendar"
_TYPE: Final = "com.google.calendar."
_STARTING: Final = "event_starting"
_WORDS: Final[Mapping[str, str]] = {CREATED: "created", CHANGED: "changed", CANCELLED: "cancelled"}
_ANSWERED: Final[Mapping[str, str]] = {"a": "accepted", "d": "declined", "t": "accepted tentatively"}
_STATES: Final[Mapping[str, str]] = {"a": "accepted", "d": "declined", "t": "tentative"}
_NAMELESS: Final = "(No title)"
_TEXT_LENGTH: Final = 1000


def event_of(news: News, calendar: Calendar) -> Event:
    """The event that tells a piece of news."""
    return Event(
        id=_event_id(news, calendar),
        type=f"{_TYPE}{news.kind}",
        source=_source(calendar),
        subject=news.id,
        time=max((entry.updated_at for entry in news.entries if entry.updated_at is not None), default=None),
        platform=PLATFORM,
        data={
            "title": clip(_title(news, calendar), TITLE_LENGTH),
            "text": clip(_text(news, calendar), _TEXT_LENGTH),
            "url": news.entries[0].link if news.entries else "",
            "actor": {"name": _actor(news), "avatar_url": ""},
            **_fields(news, calendar),
        },
    )


def starting(entry: Entry, calendar: Calendar, due_at: datetime, seconds: int) -> Event:
    """The event that says that one of the calendar starts soon.

    Args:
        entry: As it is now.
        calendar: Where it is.
        due_at: When it was to be said.
        seconds: How long before its start that is.
    """
    assert entry.when is not None
    minutes = seconds // 60
    name = entry.title or _NAMELESS
    return Event(
        id=f"{PLATFORM}:{calendar.id}:{entry.id}:starting:{entry.when.stamp}",
        type=f"{_TYPE}{_STARTING}",
        source=_source(calendar),
        subject=entry.id,
        time=due_at,
        platform=PLATFORM,
        data={
            "title": clip(f"In {minutes} minute{'' if minutes == 1 else 's'}: {name}", TITLE_LENGTH),
            "text": clip(_where_and_when(entry, calendar), _TEXT_LENGTH),
            "url": entry.meeting or entry.link,
            "actor": {"name": "" if entry.is_own else entry.creator, "avatar_url": ""},
            "calendar": {"id": calendar.id, "name": calendar.name},
            "event": _facts(entry),
        },
    )


def _event_id(news: News, calendar: Calendar) -> str:
    parts = [PLATFORM, calendar.id, news.id]
    if news.guest is not None:
        parts += ["response", news.guest.mark, _STATES.get(news.guest.answer, ""), news.version]
    else:
        parts += [_WORDS[news.kind], *([news.version] if news.version else [])]
    return ":".join(parts)


def _source(calendar: Calendar) -> str:
    return f"//calendar.google.com/calendars/{quote(calendar.id, safe='@')}"


# --- words --------------------------------------------------------------------------------------------------------


def _title(news: News, calendar: Calendar) -> str:
    name = _name(news)
    if news.guest is not None:
        who = "You" if news.guest.is_self else news.guest.name or "Somebody"
        return f"{who} {_ANSWERED.get(news.guest.answer, 'answered')}: {name}"
    if news.kind == CREATED:
        first = news.entries[0]
        if any(guest.is_self and guest.answer == "n" for guest in first.guests) and not first.is_own:
            return f"Invitation: {name}"
        return f"New in {calendar.name}: {name}"
    if news.kind == CANCELLED:
        return f"Cancelled: {name}"
    if TIME in news.parts:
        return f"{'Moved' if _begins_elsewhen(news) else 'New end'}: {name}"
    return f"{'New place' if PLACE in news.parts else 'Changed'}: {name}"


def _text(news: News, calendar: Calendar) -> str:
    if news.kind == CANCELLED:
        return _dates(news, [spell_stamp(was.start, calendar.zone) for was in news.before])
    entry = news.entries[0]
    lines = [_where_and_when(entry, calendar)]
    if news.is_whole:
        lines.append(f"A series: {_count(news.dates)} within the next year.")
    if news.kind == CHANGED and news.before:
        lines.append(_before(entry, news.before[0], calendar))
    if news.kind == CREATED and entry.description:
        lines.append(entry.description)
    return "\n".join(line for line in lines if line)


def _where_and_when(entry: Entry, calendar: Calendar) -> str:
    when = "" if entry.when is None else spell_when(entry.when, calendar.zone)
    return " · ".join(word for word in (when, entry.place) if word)


def _before(entry: Entry, was: Seen, calendar: Calendar) -> str:
    before = []
    if was.title and was.title != clip(entry.title, len(was.title)):
        before.append(was.title)
    if entry.when is not None and was.start != entry.when.stamp:
        before.append(spell_stamp(was.start, calendar.zone))
    return f"Before: {' · '.join(before)}" if before else ""


def _dates(news: News, spelled: Sequence[str]) -> str:
    if news.dates == 1:
        return spelled[0]
    return f"{'All dates' if news.is_whole else _count(news.dates)} from {spelled[0]} on"


def _count(count: int) -> str:
    return f"{count} date{'' if count == 1 else 's'}"


def _name(news: News) -> str:
    titles = [entry.title for entry in news.entries] + [was.title for was in news.before]
    return next((title for title in titles if title), _NAMELESS)


def _begins_elsewhen(news: News) -> bool:
    starts = [entry.when.stamp for entry in news.entries if entry.when is not None]
    return starts != [was.start for was in news.before]


def _actor(news: News) -> str:
    if news.guest is not None:
        return news.guest.name
    if not news.entries or news.entries[0].is_own:
        return ""
    return news.entries[0].creator


# --- fields -------------------------------------------------------------------------------------------------------


def _fields(news: News, calendar: Calendar) -> dict[str, Any]:
    fields: dict[str, Any] = {"calendar": {"id": calendar.id, "name": calendar.name}}
    if news.entries:
        fields["event"] = _facts(news.entries[0])
    else:
        was = news.before[0]
        fields["event"] = {"id": news.id, "title": was.title, "start": iso_stamp(was.start)}
    if news.kind == CHANGED:
        fields["changed"] = sorted(news.parts)
    if news.dates > 1 or news.id != news.series:
        fields["series"] = {"id": news.series, "dates": news.dates}
    if news.guest is not None:
        fields["answer"] = _STATES.get(news.guest.answer, "")
    return fields


def _facts(entry: Entry) -> dict[str, Any]:
    facts: dict[str, Any] = {"id": entry.id, "title": entry.title, "status": entry.status}
    if entry.when is not None:
        when, is_all_day = entry.when, entry.when.is_all_day
        facts["start"] = when.start.date().isoformat() if is_all_day else when.start.isoformat()
        facts["end"] = when.end.date().isoformat() if is_all_day else when.end.isoformat()
        facts["all_day"] = is_all_day
    if entry.place:
        facts["location"] = entry.place
    if entry.meeting:
        facts["meeting_url"] = entry.meeting
    return facts
