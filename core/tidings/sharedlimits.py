"""Rate limits that the nodes of one database have in common.

A node is granted hits by the database, a hundredth of the limit at a time and one by one where that is less than one;
what it was granted it gives out by itself. So all nodes together never let more through than one would, and a request
costs a transaction at most. What a node was granted and has not given out is lost to the others: with N nodes a client
may be refused up to N - 1 hundredths too early.

Only PostgreSQL has several nodes, so this is in its words.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from tidings.contracts import Clock
from tidings.database import KEEPS_TIME, SHARED
from tidings.durations import Rate
from tidings.ratelimit import MOST_KEYS, Decision, Limiter
from tidings.schema import to_stored
from tidings.statements import run_sql
from tidings.writer import Writer

_GRANTS: Final = 100  # into so many a limit is divided
_MICROSECONDS: Final = 1_000_000
_NOW = "coalesce($4::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)"
# A window begins with its first hit, and is never longer than that of who asks.
_IS_OVER = "r.ends_at <= excluded.ends_at - $3::bigint"
_COUNT = (
    "INSERT INTO rates AS r (key_hash, ends_at, used) "  # noqa: S608 - no value among them
    f"SELECT key_hash, {_NOW} + $3::bigint, hits FROM unnest($1::bytea[], $2::bigint[]) AS q(key_hash, hits) "
    f"ON CONFLICT (key_hash) DO UPDATE SET used = CASE WHEN {_IS_OVER} THEN excluded.used "
    f"ELSE r.used + excluded.used END, ends_at = CASE WHEN {_IS_OVER} THEN excluded.ends_at ELSE r.ends_at END "
    f"RETURNING key_hash, used, ends_at - {_NOW}"
)


class _Wanted(NamedTuple):
    key_hash: bytes
    hits: int


class _Counted(NamedTuple):
    """What the database has counted: `used` hits, these included, in a window that ends in so many seconds."""

    used: int
    seconds: float


@dataclasses.dataclass(slots=True, eq=False)
class _Window:
    """What this node knows of a key's window.

    Attributes:
        ends_at: By `Clock.monotonic()`.
        left: Granted, and not given out.
        used: By all nodes, when the database was asked last.
        waiting: How many wait for the answer.
        answer: The answer that is awaited.
    """

    ends_at: float = 0.0
    left: int = 0
    used: int = 0
    waiting: int = 0
    answer: asyncio.Future[_Counted] | None = None


class SharedLimiter(Limiter):
    """Counts hits of each key for all nodes.

    Args:
        rate: How many in how long.
        policy: The limit's name in headers; limits of one name share their counts.
        writer: Of the database that the nodes share.
        clock: All time, as far as the database's does not count.
        is_for_strangers: Whether keys are of their making, such as their addresses. Then the first hundredth of a
            window is each node's own: nothing is written down for who comes a few times, and N nodes let N hundredths
            more through.
        most_keys: How many keys are remembered here.
    """

    def __init__(
        self,
        rate: Rate,
        *,
        policy: str,
        writer: Writer,
        clock: Clock,
        is_for_strangers: bool = False,
        most_keys: int = MOST_KEYS,
    ) -> None:
        super().__init__(rate, policy=policy, most_keys=most_keys, is_for_strangers=is_for_strangers)
        self._writer = writer
        self._clock = clock
        self._grant = max(1, rate.amount // _GRANTS)
        self._unasked = self._grant if is_for_strangers else 0
        self._shared: OrderedDict[str, _Window] = OrderedDict()

    async def count(self, key: str, now: float) -> Decision:
        """See `Limiter.count`."""
        while True:
            window = self._window(key, now)
            if window.left > 0:
                window.left -= 1
                return self._decision(window, now, allowed=True)
            if window.used >= self._rate.amount:
                return self._decision(window, now, allowed=False)
            window.waiting += 1
            try:
                # Shielded: what one waits for, others may wait for too.
                await asyncio.shield(window.answer or self._ask(key, window))
            finally:
                window.waiting -= 1

    def _window(self, key: str, now: float) -> _Window:
        window = self._shared.get(key)
        if window is None:
            window = self._shared[key] = _Window()
            if len(self._shared) > self._most_keys:
                self._shared.popitem(last=False)
        self._shared.move_to_end(key)
        if now >= window.ends_at and window.answer is None:
            window.ends_at, window.left, window.used = now + self._rate.seconds, self._unasked, 0
        return window

    def _ask(self, key: str, window: _Window) -> asyncio.Future[_Counted]:
        key_hash = hashlib.sha256(f"{self._policy}:{key}".encode()).digest()[:16]
        hits = max(self._grant, window.waiting)
        window.answer = self._writer.put(self, _Wanted(key_hash, hits))
        window.answer.add_done_callback(partial(self._answered, window, hits))
        return window.answer

    def _answered(self, window: _Window, hits: int, answer: asyncio.Future[_Counted]) -> None:
        window.answer = None
        if answer.exception() is not None:
            return  # those who wait are told
        counted = answer.result()
        window.ends_at = self._clock.monotonic() + min(counted.seconds, self._rate.seconds)
        window.used = counted.used
        window.left = max(0, min(hits, self._rate.amount - (counted.used - hits)))

    def _decision(self, window: _Window, now: float, *, allowed: bool) -> Decision:
        seconds = self._rate.seconds
        return Decision(
            policy=self._policy,
            limit=self._rate.amount,
            window_seconds=seconds,
            allowed=allowed,
            remaining=max(0, self._rate.amount - window.used) + window.left,
            reset_seconds=max(0.0, min(seconds, window.ends_at - now)),
        )

    # --- what the writer calls ---

    def execute(self, connection: Connection, payloads: Sequence[_Wanted]) -> Sequence[_Counted | Exception]:
        """Count what was asked for; keys in order, so that nodes never wait for one another in a circle."""
        ordered = sorted(payloads)
        keeps_time = connection.info.get(SHARED, {}).get(KEEPS_TIME)
        values: tuple[Any, ...] = (
            [one.key_hash for one in ordered],
            [one.hits for one in ordered],
            round(self._rate.seconds * _MICROSECONDS),
            None if keeps_time else to_stored(self._clock.now()),
        )
        rows = run_sql(connection, _COUNT, values).fetchall()
        counted = {
            bytes(key_hash): _Counted(used, max(0, left) / _MICROSECONDS) for key_hash, used, left in rows
        }
        return [counted[one.key_hash] for one in payloads]

    def committed(self, results: Sequence[_Counted | Exception], seconds: float) -> None:
        """Those who wait are told by the writer."""
