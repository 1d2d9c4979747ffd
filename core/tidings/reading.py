"""Up to where a user has read: one position for all their tabs, devices and programs."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import Connection, case, select

from tidings.contracts import Notice
from tidings.database import Insert
from tidings.errors import NotFound
from tidings.event import OWN_PLATFORM, Cursor, UserId, encode_json, rfc3339
from tidings.schema import journals, readings

READING_TYPE: Final = "org.tidings.reading"


class Reading(msgspec.Struct, frozen=True):
    """How far somebody has read.

    Attributes:
        cursor: Everything up to here is read.
        unread: How many events of those kept lie between it and `head`.
        head: The newest event; what comes later is not counted yet.
    """

    cursor: Cursor
    unread: int
    head: Cursor


def find_reading(sql: Connection, user_id: UserId) -> Reading:
    """How far a user has read; without a word of theirs, nothing is read.

    Raises:
        NotFound: There is no such user.
    """
    # The position lies in the database of the journal that it is of: a backup has both or neither, so that it holds
    # in whatever epoch.
    found = sql.execute(
        select(journals.c.epoch, journals.c.head, journals.c.floor, readings.c.seq)
        .select_from(journals.outerjoin(readings, readings.c.user_id == journals.c.user_id))
        .where(journals.c.user_id == user_id)
    ).one_or_none()
    if found is None:
        raise NotFound(f"There is no user with id {user_id}.")
    seq = min(max(found.seq or 0, found.floor), found.head)
    return Reading(Cursor(found.epoch, seq), found.head - seq, Cursor(found.epoch, found.head))


def mark_read(sql: Connection, user_id: UserId, cursor: Cursor) -> tuple[Reading, bool]:
    """Everything up to a cursor is read; what was read before stays so.

    A cursor that is not of this journal, or beyond its head, changes nothing: nobody can say what was read.

    Returns:
        How far they have read now, and whether that is further than before.

    Raises:
        NotFound: There is no such user.
    """
    before = find_reading(sql, user_id)
    if cursor.epoch != before.head.epoch or not before.cursor.seq < cursor.seq <= before.head.seq:
        return before, False
    statement = Insert(readings).values(user_id=user_id, seq=cursor.seq)
    further = case((readings.c.seq > cursor.seq, readings.c.seq), else_=cursor.seq)
    sql.execute(statement.on_conflict_do_update(index_elements=[readings.c.user_id], set_={"seq": further}))
    return find_reading(sql, user_id), True


def reading_notice(user_id: UserId, reading: Reading, now: datetime) -> Notice:
    """What the user's open pages and programs are told, so that they all show the same."""
    data = {
        "type": READING_TYPE,
        "platform": OWN_PLATFORM,
        "time": rfc3339(now),
        "cursor": str(reading.cursor),
        "unread": reading.unread,
        "head": str(reading.head),
    }
    return Notice(user_id, "connection_status", READING_TYPE, OWN_PLATFORM, encode_json(data))
