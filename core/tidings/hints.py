"""Hints: what deliveries have said is new, kept from the instant they are answered until a poll has looked at it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection as Sql
from sqlalchemy import bindparam, delete, select

from tidings.event import UserId
from tidings.rowsets import insert_rows
from tidings.schema import hints
from tidings.statements import Statement

_COLUMNS = ("user_id", "connection_id", "target", "wanted")
_ONCE_MORE = "(user_id, connection_id, target) DO UPDATE SET wanted = hints.wanted + excluded.wanted"
_OF_CONNECTION = Statement(
    select(hints.c.target, hints.c.wanted).where(
        hints.c.user_id == bindparam("user_id"), hints.c.connection_id == bindparam("connection_id")
    )
)
_LOOKED_AT = Statement(
    delete(hints).where(
        hints.c.user_id == bindparam("user_id"),
        hints.c.connection_id == bindparam("connection_id"),
        hints.c.target == bindparam("target"),
        hints.c.wanted == bindparam("wanted"),
    )
)


def note_hints(sql: Sql, hinted: Sequence[tuple[int, str, str]]) -> None:
    """Keep hints: user, connection and target of each."""
    counted: dict[tuple[int, str, str], int] = {}
    for hint in hinted:
        counted[hint] = counted.get(hint, 0) + 1
    if counted:
        rows = [(*hint, count) for hint, count in counted.items()]
        insert_rows(sql, hints, _COLUMNS, rows, on_conflict=_ONCE_MORE)


def read_hints(sql: Sql, user_id: UserId, connection_id: str) -> Mapping[str, int]:
    """What a connection's deliveries have named since it was last looked at, and how often."""
    rows = _OF_CONNECTION.rows(sql, user_id=user_id, connection_id=connection_id)
    return {target: int(wanted) for target, wanted in rows}


def drop_hints(sql: Sql, user_id: UserId, connection_id: str, looked_at: Mapping[str, int]) -> None:
    """Forget what was looked at, except what was named once more meanwhile."""
    for target, wanted in looked_at.items():
        _LOOKED_AT.run(sql, user_id=user_id, connection_id=connection_id, target=target, wanted=wanted)
