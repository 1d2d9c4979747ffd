"""What is new in one conversation since it was last read: messages, edits, and answers in threads.

A conversation's state, in the checkpoint:
    `ts`       everything up to here is told; a `ts` of Slack's, whatever clock it goes by
    `next`     while a long stretch is being read, newest first: only what is older than this is left of it
    `high`     likewise: what `ts` will be at its end
    `threads`  threads that are yet to be read, and from where on

`conversations.history` has no answers in threads, but their beginnings say when the last answer came (`latest_reply`).
So the page that reaches back to `ts` also shows which older messages were edited, and which threads were answered,
as far as it reaches: about three days or 200 messages (https://docs.slack.dev/reference/methods/conversations.history,
…/conversations.replies).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tidings.contracts import Api
from tidings.fields import Object, flag, obj, objs, raw
from tidings_slack.api import Refusal, ask, next_cursor
from tidings_slack.fields import identity
from tidings_slack.messages import JOINED
from tidings_slack.stamps import earlier, in_order, is_later, latest, stamp, value

PAGE: Final = 200
_LOOK_BACK_SECONDS: Final = 3 * 86_400
# Free workspaces show 90 days: what is older can't be had (https://slack.com/help/articles/27204752526611).
_SHOWN_SECONDS: Final = 90 * 86_400


class Reading:
    """Reads one conversation, as far as its calls go.

    Attributes:
        gap: What can't be had any more, for people; "" for nothing.
        calls: How many calls were made.

    Args:
        api: The account's.
        channel: The conversation's id.
        state: As it was.
        calls: How many calls may be made; at least one is.
    """

    def __init__(self, api: Api, channel: str, state: Mapping[str, Any], calls: int) -> None:
        self.gap = ""
        self.calls = 0
        self._new: dict[
            str, Object
        ] = {}  # by ts: what is sent to the channel too stands in its thread as well
        self._edited: dict[str, Object] = {}
        self._api = api
        self._channel = channel
        self._low = stamp(state, "ts")
        self._next = stamp(state, "next")
        self._high = stamp(state, "high")
        self._threads = {str(ts): str(since) for ts, since in obj(state, "threads").items()}
        self._most_calls = calls

    @property
    def messages(self) -> Sequence[Object]:
        """New messages and answers, oldest first."""
        return [self._new[at] for at in in_order(self._new)]

    @property
    def edited(self) -> Sequence[Object]:
        """Messages that were edited since, in the order of their edits; those that are new too."""
        return sorted(self._edited.values(), key=lambda one: value(stamp(obj(one, "edited"), "ts")))

    @property
    def state(self) -> Mapping[str, Any]:
        """The conversation's state now."""
        found: dict[str, Any] = {"ts": self._low}
        if self._next:
            found |= {"next": self._next, "high": self._high}
        if self._threads:
            found["threads"] = dict(self._threads)
        return found

    async def read(self) -> None:
        """Read what is new, and move on.

        Raises:
            AuthExpired, Unavailable, Rejected: As `tidings_slack.api`.
        """
        if not self._next:
            await self._read_threads()  # those that were left the last time
        if not self._threads:
            await self._read_history(is_fresh=not self._next)
        if not self._next:
            await self._read_threads()

    def begin_at_joining(self, user: str) -> None:
        """Leave out what was written before somebody last joined: with a conversation they get its past too."""
        joins = [at for at, one in self._new.items() if _joins(one, user)]
        if not joins:
            return
        joined = latest(joins)
        self._new = {at: one for at, one in self._new.items() if not is_later(joined, at)}
        self._edited = {
            at: one for at, one in self._edited.items() if is_later(stamp(obj(one, "edited"), "ts"), joined)
        }
        if self._next and not is_later(self._next, joined):  # and what is left is older still
            self._low, self._next, self._high = self._high, "", ""

    @property
    def is_done(self) -> bool:
        """Whether nothing is left of what was there."""
        return not self._next and not self._threads

    async def _read_history(self, *, is_fresh: bool) -> None:
        params = {
            "channel": self._channel,
            "oldest": earlier(self._low, _LOOK_BACK_SECONDS),
            "limit": str(PAGE),
        }
        if self._next:
            params["latest"] = self._next
        cursor, shown = "", list[Object]()
        while True:
            page = await ask(
                self._api, "conversations.history", **params, **({"cursor": cursor} if cursor else {})
            )
            self.calls += 1
            found = [one for one in objs(page, "messages") if stamp(one, "ts")]
            if is_fresh and not shown:
                # All that bears an instant up to here was there when this page was made.
                self._high = latest([self._low, *(at for one in found for at in _instants(one))])
            shown += found
            cursor = next_cursor(page)
            reached = any(not is_later(stamp(one, "ts"), self._low) for one in found)
            if reached or not cursor:
                self._note_gap(page, reached=reached)
                break
            if self.calls >= self._most_calls:
                self._next = in_order([*(stamp(one, "ts") for one in shown), *filter(None, [self._next])])[0]
                self._take(shown)
                return
        self._take(shown)
        self._low, self._next, self._high = self._high, "", ""

    def _take(self, shown: Sequence[Object]) -> None:
        """Pick out what is new."""
        for one in shown:
            self._sort(one, self._low)
            answered_at = stamp(one, "latest_reply")
            if answered_at and is_later(answered_at, self._low):
                self._threads.setdefault(stamp(one, "ts"), self._low)

    def _sort(self, message: Object, since: str) -> None:
        at, edited_at = stamp(message, "ts"), stamp(obj(message, "edited"), "ts")
        if is_later(at, since):
            self._new[at] = message
        if edited_at and is_later(edited_at, since):
            self._edited[at] = message

    async def _read_threads(self) -> None:
        """Read the answers in threads, as far as calls are left; the others have their turn next time."""
        for thread in in_order(self._threads):
            if not await self._read_thread(thread):
                return
            del self._threads[thread]

    async def _read_thread(self, thread: str) -> bool:
        """Read the answers in one; says whether it was read to its end."""
        since, cursor = self._threads[thread], ""
        while self.calls < self._most_calls:
            params = {"channel": self._channel, "ts": thread, "oldest": since, "limit": str(PAGE)}
            self.calls += 1
            try:
                page = await ask(
                    self._api, "conversations.replies", **params, **({"cursor": cursor} if cursor else {})
                )
            except Refusal:
                return True  # it is gone, or these tokens may not read threads
            found = [one for one in objs(page, "messages") if stamp(one, "ts") not in {"", thread}]
            for one in found:
                self._sort(one, since)
            # They come oldest first, so that what was read stays read.
            self._threads[thread] = latest([since, *(stamp(one, "ts") for one in found)])
            cursor = next_cursor(page)
            if not cursor:
                return True
        return False

    def _note_gap(self, page: Object, *, reached: bool) -> None:
        newest = self._high or self._low
        is_old = is_later(newest, self._low) and is_later(earlier(newest, _SHOWN_SECONDS), self._low)
        if flag(page, "is_limited") and not reached and is_old:
            self.gap = (
                "Slack shows this workspace the last 90 days alone; what was written before is missing."
            )


def _instants(message: Object) -> list[str]:
    return [stamp(message, "ts"), stamp(obj(message, "edited"), "ts"), stamp(message, "latest_reply")]


def _joins(message: Object, user: str) -> bool:
    return raw(message, "subtype") in JOINED and identity(message, "user") == user
