"""Tickets: short-lived rights for the address of a stream, where no header can be sent.

A ticket must be used within 30 seconds. The first use binds it to that stream; from then on it serves only
reconnects of the same stream, until 15 minutes after the last disconnect. It ends with the right that made
it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import Connection, bindparam, insert, or_, select, update

from tidings.contracts import Principal
from tidings.errors import Denied
from tidings.event import UserId
from tidings.rights import expired_rights, lost_rights
from tidings.schema import from_stored, tickets, to_stored
from tidings.sessions import digest

FIRST_USE_WITHIN: Final = timedelta(seconds=30)
RECONNECT_WITHIN: Final = timedelta(minutes=15)

_SECRET_BYTES = 32
_STREAM_SCOPES = frozenset({"read"})


@dataclasses.dataclass(frozen=True, slots=True)
class TicketPrincipal(Principal):
    """Somebody who came with a ticket; `key` and `expires_at` are those of the right that made it."""

    ticket_hash: bytes = b""


class _Stored(msgspec.Struct):
    user_id: int
    user_name: str
    kind: str
    key: str
    scopes: list[str]
    expires_at: int | None


def issue_ticket(connection: Connection, principal: Principal, *, now: datetime) -> str:
    """A ticket that opens one stream by this principal's right."""
    ticket = secrets.token_urlsafe(_SECRET_BYTES)
    stored = _Stored(
        user_id=principal.user_id,
        user_name=principal.user_name,
        kind=principal.kind,
        key=principal.key,
        scopes=sorted(principal.scopes & _STREAM_SCOPES),
        expires_at=None if principal.expires_at is None else to_stored(principal.expires_at),
    )
    connection.execute(
        insert(tickets).values(
            user_id=principal.user_id,
            ticket_hash=digest(ticket),
            principal=msgspec.json.encode(stored).decode(),
            stream=None,
            valid_until=to_stored(now + FIRST_USE_WITHIN),
        )
    )
    return ticket


def find_ticket(connection: Connection, ticket: str, *, stream: str, now: datetime) -> TicketPrincipal:
    """Who may open `stream` with this ticket; changes nothing, `bind_ticket` makes it count.

    Raises:
        Denied: It is no ticket, has expired, serves another stream, or the right that made it has ended.
    """
    ticket_hash = digest(ticket)
    statement = select(tickets).where(tickets.c.ticket_hash == ticket_hash)
    row = connection.execute(statement).one_or_none()
    if row is None or row.valid_until <= to_stored(now):
        raise Denied("This ticket has expired or never was. Ask for a new one and use it within 30 seconds.")
    if row.stream not in {None, _bound(stream)}:
        raise Denied("This ticket serves another stream. Ask for one more.")
    stored = msgspec.json.decode(row.principal, type=_Stored)
    principal = TicketPrincipal(
        user_id=UserId(stored.user_id),
        user_name=stored.user_name,
        kind="ticket",
        key=stored.key,
        scopes=frozenset(stored.scopes),
        expires_at=None if stored.expires_at is None else from_stored(stored.expires_at),
        ticket_hash=ticket_hash,
    )
    if expired_rights([principal], now) or lost_rights(connection, [principal]):
        raise Denied("The right that made this ticket has ended. Sign in again, or use another token.")
    return principal


def bind_ticket(connection: Connection, principal: TicketPrincipal, *, stream: str, now: datetime) -> bool:
    """Use a ticket for `stream`, and for nothing else from now on; False where another use was faster.

    Does not raise: in the server that would roll back what others write in the same batch.
    """
    bound = _bound(stream)
    result = connection.execute(
        update(tickets)
        .where(
            tickets.c.ticket_hash == principal.ticket_hash,
            tickets.c.valid_until > to_stored(now),
            or_(tickets.c.stream.is_(None), tickets.c.stream == bound),
        )
        .values(stream=bound, valid_until=to_stored(now + RECONNECT_WITHIN))
    )
    return result.rowcount == 1


def extend_tickets(connection: Connection, principals: Collection[Principal], *, now: datetime) -> None:
    """Keep the tickets of open streams for reconnects; also called once when such a stream ends.

    Args:
        connection: To the database.
        principals: Everybody connected; only those with a ticket matter.
        now: The present instant.
    """
    used = [
        {"used": principal.ticket_hash} for principal in principals if isinstance(principal, TicketPrincipal)
    ]
    if used:
        connection.execute(
            update(tickets)
            .where(tickets.c.ticket_hash == bindparam("used"))
            .values(valid_until=to_stored(now + RECONNECT_WITHIN)),
            used,
        )


def _bound(stream: str) -> str:
    return hashlib.sha256(stream.encode("utf-8", "surrogatepass")).hexdigest()
