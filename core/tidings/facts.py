"""Counters in the table `settings`: ids that are never given twice, and changes that caches watch for."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Connection, Text, bindparam, cast, select

from tidings.database import Insert
from tidings.schema import settings

# Somebody lost a right: a token was revoked, a session ended, a user was removed.
RIGHTS_CHANGED: Final = "changed:rights"
# A registration, or the user it belongs to, came, went or changed.
REGISTRATIONS_CHANGED: Final = "changed:registrations"
# Somebody's devices became more.
DEVICES_CHANGED: Final = "changed:devices"
# A platform gave this installation an application.
PROVISIONS_CHANGED: Final = "changed:provisions"

_read = select(settings.c.value).where(settings.c.key == bindparam("key"))


def increase(connection: Connection, key: str) -> int:
    """Add one to a counter, which starts at 0, and return it."""
    statement = (
        Insert(settings)
        .values(key=key, value="1")
        .on_conflict_do_update(
            index_elements=[settings.c.key],
            set_={"value": cast(cast(settings.c.value, BigInteger) + 1, Text)},
        )
        .returning(settings.c.value)
    )
    return int(connection.execute(statement).scalar_one())


def counted(connection: Connection, key: str) -> int:
    """What a counter stands at."""
    return int(connection.execute(_read, {"key": key}).scalar() or 0)
