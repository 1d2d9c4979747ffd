"""Which rights have ended, so that what lives by them can be closed.

Other processes end rights too (the CLI beside the server), so this looks into the database; a counter says
when there is something to look for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, Connection, bindparam, select

from tidings.contracts import Clock, Principal
from tidings.database import Database
from tidings.facts import RIGHTS_CHANGED, counted
from tidings.schema import api_tokens, sessions, users
from tidings.sessions import session_hash_of

REVOKED: Final = "revoked"
EXPIRED: Final = "expired"
SIGNED_OUT: Final = "signed_out"
USER_REMOVED: Final = "user_removed"

_CHUNK = 500


def lost_rights(connection: Connection, principals: Iterable[Principal]) -> dict[str, str]:
    """The keys of those whose right is no longer in the database, each with the reason."""
    by_key = {principal.key: principal for principal in principals}
    tokens = {key: int(key.removeprefix("token:")) for key in by_key if key.startswith("token:")}
    hashes = {key: session_hash_of(key) for key in by_key if key.startswith("session:")}
    known_users = _existing(connection, users.c.id, {p.user_id for p in by_key.values()})
    known_tokens = _existing(connection, api_tokens.c.id, set(tokens.values()))
    known_sessions = _existing(connection, sessions.c.session_hash, set(hashes.values()))
    lost = {}
    for key, principal in by_key.items():
        if principal.user_id not in known_users:
            lost[key] = USER_REMOVED
        elif key in tokens and tokens[key] not in known_tokens:
            lost[key] = REVOKED
        elif key in hashes and hashes[key] not in known_sessions:
            lost[key] = SIGNED_OUT
    return lost


def expired_rights(principals: Iterable[Principal], now: datetime) -> dict[str, str]:
    """The keys of those whose right has reached its end, each with the reason."""
    return {
        principal.key: EXPIRED
        for principal in principals
        if principal.expires_at is not None and principal.expires_at <= now
    }


class RightsWatch:
    """Watches the rights of everybody connected.

    Args:
        database: Where the rights are stored.
        clock: Tells which have expired.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._changes: int | None = None
        self._verified: frozenset[str] = frozenset()

    async def ended(self, principals: Collection[Principal]) -> dict[str, str]:
        """The keys whose rights have ended, each with the reason.

        Reads one number unless a right was ended since the last call, or somebody is new: who was let in may
        have lost the right before this call knew of them.

        Args:
            principals: Everybody connected.

        Raises:
            Unavailable: The database can't be read now. What has expired is told by a later call too.
        """
        ended = expired_rights(principals, self._clock.now())
        changes, lost = await self._database.read(lambda connection: self._look(connection, principals))
        self._changes = changes
        self._verified = frozenset(p.key for p in principals if p.key not in lost)
        return {**ended, **lost}

    def _look(self, connection: Connection, principals: Collection[Principal]) -> tuple[int, dict[str, str]]:
        changes = counted(connection, RIGHTS_CHANGED)
        doubtful = principals
        if changes == self._changes:
            doubtful = [principal for principal in principals if principal.key not in self._verified]
        return changes, lost_rights(connection, doubtful) if doubtful else {}


def _existing(connection: Connection, column: Column[Any], values: Collection[Any]) -> set[Any]:
    statement = select(column).where(column.in_(bindparam("values", expanding=True)))
    existing: set[Any] = set()
    pending: Sequence[Any] = list(values)
    for start in range(0, len(pending), _CHUNK):
        rows = connection.execute(statement, {"values": pending[start : start + _CHUNK]})
        existing.update(rows.scalars())
    return existing
