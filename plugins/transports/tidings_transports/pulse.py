"""Keeps silent streams alive, and the positions of their clients fresh; for every transport that streams."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping

import anyio
import anyio.lowlevel

from tidings.contracts import Clock, Principal, Sink, Subscription
from tidings.event import Cursor

_STREAMS_PER_TURN = 250
_TICKS = 4  # of a heartbeat: a stream that was quiet for three of them gets one in time


class PacedSink(Sink):
    """A sink whose stream is never silent for long.

    Attributes:
        frames: Of the subscription, when last looked.
        quiet_ticks: Since then.
        told_seq: Of the last position told without an event.
    """

    frames: int
    quiet_ticks: int
    told_seq: int

    @abstractmethod
    def heartbeat(self) -> bytes:
        """A frame that says no more than that the stream is alive."""

    @abstractmethod
    def position(self, cursor: Cursor) -> bytes:
        """A frame that moves the client's cursor without an event."""


class Pulse:
    """The open streams of a transport, and their heartbeats.

    Args:
        clock: All time.
        heartbeat_seconds: Longest silence on a stream.
    """

    def __init__(self, clock: Clock, heartbeat_seconds: float) -> None:
        self._clock = clock
        self._tick_seconds = heartbeat_seconds / _TICKS
        self._streams: dict[Subscription, PacedSink] = {}

    def add(self, subscription: Subscription, sink: PacedSink) -> None:
        """A stream has been told its first position."""
        sink.frames = sink.quiet_ticks = 0
        sink.told_seq = subscription.cursor.seq
        self._streams[subscription] = sink

    def remove(self, subscription: Subscription) -> None:
        """A stream has ended; it need not have begun."""
        self._streams.pop(subscription, None)

    def stats(self, principal: Principal) -> Mapping[str, int]:
        """How many streams are open, and how they are doing: the principal's own, or everyone's for an admin."""
        everyone = "admin" in principal.scopes
        open_now = [one for one in self._streams if everyone or one.principal.user_id == principal.user_id]
        states = Counter(one.state for one in open_now)
        return {
            "streams": len(open_now),
            "users": len({one.principal.user_id for one in open_now}),
            "live": states["live"],
            "lagging": states["lagging"],
            "reading": states["reading"],
            "frames": sum(one.frames for one in open_now),
        }

    async def run(self) -> None:
        """Beat for as long as the server runs."""
        while True:
            await self._clock.sleep(self._tick_seconds)
            for count, (subscription, sink) in enumerate(list(self._streams.items()), 1):
                if sink.frames != subscription.frames:
                    sink.frames = subscription.frames
                    sink.quiet_ticks = 1  # at most
                else:
                    sink.quiet_ticks += 1
                if sink.quiet_ticks >= _TICKS - 1 and _beat(subscription, sink):
                    sink.quiet_ticks = 0
                if count % _STREAMS_PER_TURN == 0:
                    await anyio.lowlevel.checkpoint()


def _beat(subscription: Subscription, sink: PacedSink) -> bool:
    cursor = subscription.cursor
    if cursor.seq <= max(subscription.sent_seq, sink.told_seq):
        return subscription.offer(sink.heartbeat())
    # The filter withheld something: without this the client would resume far behind.
    if not subscription.offer(sink.position(cursor)):
        return False
    sink.told_seq = cursor.seq
    return True
