"""One person's mailbox: its messages, and the history of what changed in it.

https://developers.google.com/workspace/gmail/api/guides/sync and the API's discovery document (2026-10-05): ids and
history ids are unsigned 64-bit numbers; history ascends with gaps and is kept "typically for at least a week".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

Kind = Literal["messageAdded", "messageDeleted", "labelAdded", "labelRemoved"]

HISTORY_KEPT: Final = timedelta(days=7)
_MOST_OLD_MESSAGES: Final = 1000
_OLD: Final = timedelta(days=60)


class Message(msgspec.Struct, kw_only=True):
    """A message.

    Attributes:
        id: 16 hexadecimal digits, greater than that of every message before it.
        thread_id: The id of the message that began the conversation.
        labels: `INBOX`, `UNREAD`, `SENT`, ….
        headers: As they were sent, in order.
        snippet: The beginning of the text, escaped as for HTML.
        received_at: The API's `internalDate`.
        history_id: Of the last change to it.
    """

    id: str
    thread_id: str
    labels: list[str]
    headers: Mapping[str, str]
    snippet: str
    received_at: datetime
    history_id: int


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the history.

    Attributes:
        labels: The message's, after the change; of a deleted one those that it had.
        moved: The labels that were added or removed.
        seen_under: The labels before and after: a listing of any one of them shows the change.
    """

    id: int
    at: datetime
    kind: Kind
    message_id: str
    thread_id: str
    labels: tuple[str, ...]
    moved: tuple[str, ...] = ()
    seen_under: frozenset[str]


class Mailbox:
    """A mailbox.

    Attributes:
        address: The person's.
        history_id: Of the last change to anything in it.
        forgotten: The history up to this id can't be listed any more.

    Args:
        address: The person's.
        serial: Numbers that only grow, for the ids.
        now: Gmail's clock.
        changed: Called with every change.
    """

    def __init__(
        self,
        address: str,
        serial: Callable[[], int],
        now: Callable[[], datetime],
        changed: Callable[[Change], None],
    ) -> None:
        self.address = address
        self.history_id = serial()
        self.forgotten = 0
        self._serial = serial
        self._now = now
        self._changed = changed
        self._messages: dict[str, Message] = {}
        self._history: deque[Change] = deque()

    def __iter__(self) -> Iterator[Message]:
        """The messages, in the order in which they were added."""
        return iter(self._messages.values())

    def __len__(self) -> int:
        return len(self._messages)

    def get(self, message_id: str) -> Message | None:
        """The message of this id, if it is still there."""
        return self._messages.get(message_id)

    # --- what happens ---

    def add(
        self,
        headers: Mapping[str, str],
        snippet: str,
        labels: Iterable[str],
        *,
        thread_id: str = "",
        received_at: datetime | None = None,
    ) -> Message:
        """A message comes to be: it arrives, is sent, or is drafted; in a thread of its own where none is named."""
        message_id = f"{self._serial():016x}"
        message = Message(
            id=message_id,
            thread_id=thread_id or message_id,
            labels=list(labels),
            headers=headers,
            snippet=snippet,
            received_at=received_at or self._now(),
            history_id=0,
        )
        self._messages[message_id] = message
        self._record("messageAdded", message, (), message.labels)
        self._forget_old_messages()
        return message

    def delete(self, message: Message) -> None:
        """Delete a message for ever."""
        del self._messages[message.id]
        self._record("messageDeleted", message, (), message.labels)

    def relabel(self, message: Message, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> None:
        """Change the labels of a message: one record for what is added, one for what is removed."""
        before = list(message.labels)
        added = [label for label in add if label not in before]
        removed = [label for label in remove if label in before]
        message.labels = [label for label in [*before, *added] if label not in removed]
        if added:
            self._record("labelAdded", message, added, [*before, *added])
        if removed:
            self._record("labelRemoved", message, removed, [*before, *added])

    # --- the history ---

    def changes(self, after: int) -> Iterator[Change]:
        """The records behind this id, oldest first."""
        return (change for change in self._history if change.id > after)

    def forget_history(self) -> None:
        """Nothing that happened so far can be listed any more."""
        self.forgotten = self.history_id
        self._history.clear()

    def _record(self, kind: Kind, message: Message, moved: Iterable[str], labels: Iterable[str]) -> None:
        self.history_id = message.history_id = self._serial()
        change = Change(
            id=self.history_id,
            at=self._now(),
            kind=kind,
            message_id=message.id,
            thread_id=message.thread_id,
            labels=tuple(message.labels),
            moved=tuple(moved),
            seen_under=frozenset(labels),
        )
        self._history.append(change)
        while self._history[0].at <= change.at - HISTORY_KEPT:
            self.forgotten = self._history.popleft().id
        self._changed(change)

    def _forget_old_messages(self) -> None:
        """So that a simulated year does not fill the memory."""
        while len(self._messages) > _MOST_OLD_MESSAGES:
            oldest = next(iter(self._messages.values()))
            if oldest.received_at > self._now() - _OLD:
                break
            del self._messages[oldest.id]
