"""What came into a mailbox since the last time.

A push says only that there is something. What it is stands in the mailbox's history, from the position stored here and
never from the one that the push names, behind which there is nothing yet (GoogleCloudPlatform/python-docs-samples#200).

The checkpoint: `history` (the position), `mailbox` (its address), `at` (when it was asked last), `late` (messages that
were not there although the history tells of them: they are asked for once more).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from tidings.contracts import Api, Asked, Polled
from tidings.errors import AuthExpired, Rejected, Unavailable
from tidings.event import Event, rfc3339
from tidings.fields import as_strings, raw
from tidings_gmail.cards import labels_event, message_event
from tidings_gmail.fields import instant, position
from tidings_gmail.mailbox import INBOX, Change, HistoryGone, history, message, newest, profile
from tidings_gmail.parse import mailbox_address
from tidings_gmail.rules import Rules
from tidings_gmail.settings import tells_all

#: The one thing there is to watch.
TARGET: Final = "mailbox"
_PIECE: Final = 25  # mails committed together
_MOST_FOUND_AGAIN: Final = 200
_LATE_SECONDS: Final = 3.0
_MOST_LATE: Final = 50
_OVERLAP: Final = timedelta(hours=1)
_NEVER: Final = frozenset({"DRAFT", "SPAM", "TRASH"})


async def poll(api: Api, asked: Asked, rules: Rules) -> AsyncIterator[Polled]:
    """The mails that came since the checkpoint, in the order in which they came.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    run = _Run(api, asked, rules)
    if position(asked.checkpoint.get("history")) is None:
        yield await run.begin()
        return
    try:
        async for polled in run.follow():
            yield polled
    except HistoryGone:
        async for polled in run.find_again():
            yield polled


class _Run:
    def __init__(self, api: Api, asked: Asked, rules: Rules) -> None:
        self._api = api
        self._asked = asked
        self._rules = rules
        self._mailbox = raw(asked.checkpoint, "mailbox")
        self._position = position(asked.checkpoint.get("history")) or 0
        self._all = tells_all(asked.settings)

    async def begin(self) -> Polled:
        """Where the mailbox stands; what is in it already is not news."""
        found = await profile(self._api)
        self._mailbox, self._position = found.address, found.history_id
        return self._polled((), addresses=(mailbox_address(found.address),))

    async def follow(self) -> AsyncIterator[Polled]:
        """What the history tells; what was found before a failure is told before it is raised."""
        kinds = ["messageAdded", *(("labelAdded", "labelRemoved") if self._rules.tells_labels else ())]
        late: list[str] = []
        events = await self._once_more(as_strings(self._asked.checkpoint.get("late"))[:_MOST_LATE])
        told = set()
        since, next_page, reached = self._position, "", self._position
        try:
            while True:
                page = await history(self._api, since, next_page, kinds)
                for change in page.changes:
                    # Records may hold several messages: the last one may be looked at again, and is told once.
                    reached = change.record - 1
                    if change.message_id in told or not self._is_news(change):
                        continue
                    event, is_missing = await self._event(change)
                    if is_missing and change.kind == "came":
                        late.append(change.message_id)
                    if event is not None:
                        events.append(event)
                        if change.kind == "came":
                            told.add(change.message_id)
                    if len(events) >= _PIECE:
                        yield self._moved(reached, events, late)
                        events = []
                next_page = page.next_page
                if not next_page:
                    break
        except (AuthExpired, Unavailable, Rejected):
            if events:
                yield self._moved(reached, events, late)
            raise
        yield self._moved(page.history_id, events, late)

    async def find_again(self) -> AsyncIterator[Polled]:
        """The newest mails of the inbox, since nobody knows what changed."""
        found = await profile(self._api)
        since = _moment(raw(self._asked.checkpoint, "at"))
        begins = None if since is None else since - _OVERLAP
        events: list[Event] = []
        next_page, looked_at, is_done = "", 0, False
        while not is_done:
            ids, next_page = await newest(self._api, next_page, begins, can_search=self._rules.can_search)
            for message_id in ids:
                shown = await message(self._api, message_id)
                looked_at += 1
                at = None if shown is None else instant(shown, "internalDate")
                is_old = begins is not None and at is not None and at < begins
                if is_old or looked_at > _MOST_FOUND_AGAIN:
                    is_done = True
                    break
                event = None if shown is None else message_event(self._api.account_key, self._mailbox, shown)
                if event is not None:
                    events.append(event)
            is_done = is_done or not next_page
        self._mailbox = found.address or self._mailbox
        self._position = found.history_id
        begun = f"since {since:%Y-%m-%d %H:%M} UTC" if since is not None else "lately"
        yield self._polled(
            sorted(events, key=lambda one: rfc3339(one.time) if one.time is not None else ""),
            gap=(
                f"Gmail no longer shows what changed {begun}. The newest mails of the inbox were looked at instead; "
                "mails that have left it since are missing."
            ),
            addresses=(mailbox_address(self._mailbox),),
        )

    async def _once_more(self, late: Sequence[str]) -> list[Event]:
        """The mails that were not there the last time; what is still not there was a draft, or is deleted."""
        found = []
        for message_id in late:
            shown = await message(self._api, message_id)
            event = None if shown is None else message_event(self._api.account_key, self._mailbox, shown)
            if event is not None and self._is_wanted(event.data["labels"]):
                found.append(event)
        return found

    async def _event(self, change: Change) -> tuple[Event | None, bool]:
        """The event of a change, and whether its message was not there."""
        shown = await message(self._api, change.message_id)
        if shown is None:
            return None, True
        key = self._api.account_key
        if change.kind != "came":
            name = f"{change.kind}:{change.record}"
            return labels_event(key, self._mailbox, shown, name, change.moved, self._asked.now), False
        event = message_event(key, self._mailbox, shown)
        # What the history says of labels may be missing; the message says them now.
        return (event if event is not None and self._is_wanted(event.data["labels"], change) else None), False

    def _is_news(self, change: Change) -> bool:
        return change.kind != "came" or change.labels is None or self._is_wanted(change.labels)

    def _is_wanted(self, labels: Sequence[str], change: Change | None = None) -> bool:
        """Whether a mail with these labels is news; one that is archived at once was in the inbox when it came."""
        if change is not None and change.labels is not None:
            labels = change.labels
        if not _NEVER.isdisjoint(labels):
            return False
        return INBOX in labels or (self._all and "SENT" not in labels)

    def _moved(self, to: int, events: Sequence[Event], late: Sequence[str]) -> Polled:
        self._position = max(self._position, to)
        return self._polled(events, late=late)

    def _polled(
        self,
        events: Sequence[Event],
        *,
        late: Sequence[str] = (),
        gap: str = "",
        addresses: tuple[str, ...] | None = None,
    ) -> Polled:
        checkpoint: Mapping[str, Any] = {
            "history": str(self._position),
            "mailbox": self._mailbox,
            "at": rfc3339(self._asked.now),
            **({"late": list(late[:_MOST_LATE])} if late else {}),
        }
        # The position alone says whether anything is new; without news the old checkpoint stands.
        if not (events or late or gap) and addresses is None and self._is_unmoved():
            checkpoint = self._asked.checkpoint
        return Polled(
            events=tuple(events),
            target=TARGET,
            checkpoint=checkpoint,
            next_in_seconds=_LATE_SECONDS if late else None,
            gap=gap,
            addresses=addresses,
        )

    def _is_unmoved(self) -> bool:
        before = self._asked.checkpoint
        return before.get("history") == str(self._position) and not before.get("late")


def _moment(written: str) -> datetime | None:
    try:
        return datetime.fromisoformat(written)
    except ValueError:
        return None
