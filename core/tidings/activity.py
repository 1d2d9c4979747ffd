"""What happened lately, counted: events by hour and platform, and how late they came."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, case, func, select

from tidings.event import OWN_PLATFORM, UserId
from tidings.schema import events, from_stored, journals, to_stored

MOST_HOURS: Final = 168
MOST_EVENTS: Final = 100_000  # of one user, so that counting takes moments however much came
# Seconds; a delay belongs to the first that it does not exceed, or lies beyond the last.
DELAYS: Final = (1, 5, 30, 120, 600, 3600, 21600)
_HOUR: Final = 3_600_000_000  # in microseconds, as instants are stored


class Hour(msgspec.Struct, frozen=True):
    """How many events of a platform were recorded in the hour that began at `at`."""

    at: datetime
    platform: str
    events: int


class Delay(msgspec.Struct, frozen=True):
    """How many events of a platform came one way, and how late.

    Attributes:
        via: How they came: `webhook`, `polling`, ….
        counts: One number for each of `DELAYS`, and one for what came later than the last.
    """

    platform: str
    via: str
    counts: Sequence[int]


class Activity(msgspec.Struct, frozen=True):
    """What a user's journal took since an instant.

    Attributes:
        since: The beginning of an hour; later than asked for where so much came that not all of it was counted.
        hours: Those with events, oldest first.
        delays: Of what platforms sent and said the time of; tidings' own news and messages have none.
    """

    since: datetime
    hours: Sequence[Hour]
    delays: Sequence[Delay]


def find_activity(sql: Connection, user_id: UserId, hours: int, now: datetime) -> Activity:
    """Count a user's events of the last hours, the present one included.

    Args:
        sql: Inside a transaction.
        user_id: Whose.
        hours: 1 to `MOST_HOURS`.
        now: The present.
    """
    head = sql.execute(select(journals.c.head).where(journals.c.user_id == user_id)).scalar() or 0
    begin = (to_stored(now) // _HOUR - hours + 1) * _HOUR
    begin = max(begin, _begin_of_most(sql, user_id, head))
    mine = (
        events.c.user_id == user_id,
        events.c.seq > head - MOST_EVENTS,  # the key leads there; recorded_at has no index
        events.c.recorded_at >= begin,
    )
    hour = (events.c.recorded_at // _HOUR).label("hour")
    counted = sql.execute(
        select(hour, events.c.platform, func.count())
        .where(*mine)
        .group_by("hour", events.c.platform)  # by its name: PostgreSQL does not know an expression again
        .order_by("hour", events.c.platform)
    )
    return Activity(
        from_stored(begin),
        [Hour(from_stored(at * _HOUR), platform, count) for at, platform, count in counted],
        _delays(sql, mine),
    )


def _begin_of_most(sql: Connection, user_id: UserId, head: int) -> int:
    """The first whole hour of the newest `MOST_EVENTS`; 0 where there are no more."""
    oldest = select(events.c.recorded_at).where(
        events.c.user_id == user_id, events.c.seq == head - MOST_EVENTS
    )
    at = sql.execute(oldest).scalar()
    return 0 if at is None else (at // _HOUR + 1) * _HOUR


def _delays(sql: Connection, mine: Sequence[ColumnElement[bool]]) -> Sequence[Delay]:
    late = events.c.recorded_at - events.c.time
    steps = [(late <= most * 1_000_000, place) for place, most in enumerate(DELAYS)]
    step = case(*steps, else_=len(DELAYS)).label("step")
    rows = sql.execute(
        select(events.c.platform, events.c.via, step, func.count())
        .where(*mine, events.c.time.is_not(None), events.c.platform != OWN_PLATFORM)
        .group_by(events.c.platform, events.c.via, "step")
        .order_by(events.c.platform, events.c.via)
    )
    found: dict[tuple[str, str], list[int]] = {}
    for platform, via, place, count in rows:
        found.setdefault((platform, via), [0] * (len(DELAYS) + 1))[place] = count
    return [Delay(platform, via, counts) for (platform, via), counts in found.items()]
