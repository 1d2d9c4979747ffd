"""Who looks just now, and what they have been shown: at this node and, by the bus, at the others."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from tidings.bus import Glance, Notice, Question
from tidings.contracts import Clock
from tidings.errors import Unavailable
from tidings.event import Cursor, UserId
from tidings.presence import Presence

if TYPE_CHECKING:
    from tidings.fanout import Fanout


class Attention:
    """Answers for the streams of this node, and asks the other nodes about theirs.

    During an outage of the bus each node knows of its own streams alone; what follows is a notification too many, or
    a player that is asked more rarely, and nothing worse.

    Args:
        fanout: Has the streams, and the bus.
        clock: For how long a page's word holds.
    """

    def __init__(self, fanout: Fanout, clock: Clock) -> None:
        self._fanout = fanout
        self._presence = Presence(clock)

    async def say(self, user_id: UserId, page: str, *, visible: bool) -> None:
        """A page has come into view, is still in view, or has gone out of it; its stream may be at another node."""
        glance = Glance(user_id, page, visible)
        self.heard(glance)
        with suppress(Unavailable):
            await self._fanout.bus.tell(glance)

    async def tell(self, notice: Notice) -> None:
        """Tell who watches, wherever that is; during an outage some may hear nothing."""
        with suppress(Unavailable):
            await self._fanout.bus.tell(notice)

    async def is_watched(self, user_id: UserId) -> bool:
        """Whether a user has a stream open."""
        question = Question(user_id)
        return self.answers(question) or await self._fanout.bus.ask(question)

    async def was_shown(self, user_id: UserId, cursor: Cursor) -> bool:
        """Whether a page that its user looks at has been sent everything up to `cursor`."""
        question = Question(user_id, cursor)
        return self.answers(question) or await self._fanout.bus.ask(question)

    # --- what other nodes say and ask ---

    def heard(self, glance: Glance) -> None:
        """Remember a page's word."""
        self._presence.say(glance.user_id, glance.page, visible=glance.visible)

    def answers(self, question: Question) -> bool:
        """Whether it is so at this node."""
        streams = self._fanout.subscriptions_of(question.user_id)
        shown = question.shown
        if shown is None:
            return bool(streams)
        return self._presence.is_looking(question.user_id) and any(
            one.cursor.epoch == shown.epoch and one.cursor.seq >= shown.seq for one in streams
        )
