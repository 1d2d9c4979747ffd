"""Messages of your own: `org.tidings.message` events, to one user or to everyone."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import Connection, select, update

from tidings.contracts import Appended, Clock, Item, JobRequest, Principal
from tidings.database import Insert
from tidings.errors import Rejected
from tidings.event import MESSAGE_TYPE, OWN_PLATFORM, Event, UserId
from tidings.jobs import Ended, Job, request_job
from tidings.journal import SqlJournal
from tidings.scheduler import Scheduler
from tidings.schema import broadcasts, to_stored, users
from tidings.writer import Writer

_LONGEST_TITLE = 300
_LONGEST_TEXT = 4000
_MOST_MESSAGE_BYTES = 16 * 1024
_USERS_AT_ONCE = 500
_KEY = re.compile(r"[!-~]{1,128}")
_BROADCAST = "broadcast"
_LONGEST_BROADCAST_SECONDS = 6 * 3600.0


@dataclasses.dataclass(frozen=True, slots=True)
class Message:
    """A checked message.

    Attributes:
        id: The id of its event.
        data: The data of its event.
    """

    id: str
    data: Mapping[str, Any]


def compose(fields: Mapping[str, Any], sender: Principal, idempotency_key: str | None) -> Message:
    """Check what a client sent as a message.

    Raises:
        Rejected: A field is missing, of another type, or too long (400).
    """
    title, text, url = fields.get("title"), fields.get("text", ""), fields.get("url", "")
    if not isinstance(title, str) or not title.strip() or len(title) > _LONGEST_TITLE:
        raise Rejected(f"message.title must be a text of 1 to {_LONGEST_TITLE} characters.", status=400)
    if not isinstance(text, str) or len(text) > _LONGEST_TEXT:
        raise Rejected(f"message.text must be a text of at most {_LONGEST_TEXT} characters.", status=400)
    if not isinstance(url, str) or (url and not re.match(r"https?://[^\s]+\Z", url)):
        raise Rejected("message.url must begin with http:// or https://.", status=400)
    data = {
        **fields,
        "title": title,
        "text": text,
        "url": url,
        "actor": {"name": sender.user_name, "avatar_url": ""},
    }
    if len(msgspec.json.encode(data)) > _MOST_MESSAGE_BYTES:
        raise Rejected(f"The message is larger than {_MOST_MESSAGE_BYTES} bytes.", status=413)
    if idempotency_key is None:
        return Message(f"tidings:message:{secrets.token_hex(16)}", data)
    if not _KEY.fullmatch(idempotency_key):
        raise Rejected("Idempotency-Key must be 1 to 128 visible ASCII characters.", status=400)
    # The sender is part of it, so that nobody can occupy another's keys.
    return Message(f"tidings:message:{sender.user_id}:{idempotency_key}", data)


class Messages:
    """Sends messages; broadcasts go out in the background, as a job that survives restarts."""

    def __init__(self, journal: SqlJournal, writer: Writer, scheduler: Scheduler, clock: Clock) -> None:
        self._journal = journal
        self._writer = writer
        self._scheduler = scheduler
        self._clock = clock
        scheduler.handle(_BROADCAST, self._continue, longest_seconds=_LONGEST_BROADCAST_SECONDS)

    async def send(self, user_id: UserId, message: Message) -> Appended:
        """Append the message to one user's journal; the same message again changes nothing.

        Raises:
            Unavailable: The database can't take it now.
            NotFound: There is no such user.
        """
        return (await self._journal.append(self._item(user_id, message.id, message.data)))[0]

    async def broadcast(self, sender: UserId, message: Message) -> None:
        """Append the message to everyone's journal, soon; returns when that is certain to happen.

        Raises:
            Unavailable: The database can't take it now.
        """
        await self._writer.run_unit(partial(self._accept, sender, message))
        self._scheduler.wake()

    def _accept(self, sender: UserId, message: Message, connection: Connection) -> None:
        now = to_stored(self._clock.now())
        statement = Insert(broadcasts).values(
            user_id=sender,
            id=message.id,
            message=msgspec.json.encode(message.data).decode(),
            created_at=now,
            reached_user_id=0,
        )
        if connection.execute(statement.on_conflict_do_nothing()).rowcount:
            # A digest: an id can be longer than a job's key, and cut it would be another admin's too.
            key = hashlib.sha256(message.id.encode()).hexdigest()
            request_job(connection, 0, JobRequest(_BROADCAST, key, {"id": message.id}), now)

    async def _continue(self, job: Job) -> Ended:
        broadcast_id = str(job.payload["id"])
        while True:
            step = await self._writer.run_unit(partial(_next_users, broadcast_id))
            if step is None:
                return Ended()
            data, user_ids = step
            if user_ids:
                # Repeating a chunk after a crash adds nothing: the event's id is the same.
                await self._journal.append(*[self._item(user_id, broadcast_id, data) for user_id in user_ids])
            await self._writer.run_unit(partial(self._reached, broadcast_id, user_ids))

    def _reached(self, broadcast_id: str, user_ids: Sequence[UserId], connection: Connection) -> None:
        values: dict[str, int] = (
            {"reached_user_id": user_ids[-1]} if user_ids else {"finished_at": to_stored(self._clock.now())}
        )
        connection.execute(update(broadcasts).where(broadcasts.c.id == broadcast_id).values(values))

    def _item(self, user_id: UserId, event_id: str, data: Mapping[str, Any]) -> Item:
        event = Event(
            id=event_id,
            type=MESSAGE_TYPE,
            source="//tidings/messages",
            time=self._clock.now(),
            platform=OWN_PLATFORM,
            data=data,
        )
        return Item(user_id, [event], via="api")


def _next_users(
    broadcast_id: str, connection: Connection
) -> tuple[Mapping[str, Any], Sequence[UserId]] | None:
    """The message and the next users it goes to, none where all have it; None where it is finished."""
    row = connection.execute(select(broadcasts).where(broadcasts.c.id == broadcast_id)).one_or_none()
    if row is None or row.finished_at is not None:
        return None
    next_users = (
        select(users.c.id).where(users.c.id > row.reached_user_id).order_by(users.c.id).limit(_USERS_AT_ONCE)
    )
    return msgspec.json.decode(row.message), list(connection.execute(next_users).scalars())
