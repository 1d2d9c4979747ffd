"""What deliveries say about the webhooks that brought them: that they work, or that they are gone.

That one works is kept in memory and written down now and then, for it is no news; a delivery costs no write of its
own for it. What it says about the webhook or the grant itself is acted upon before the platform is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy import Connection as Sql

from tidings.addressing import REACH, request_comparison, request_reach
from tidings.connections import change_monitor, find_connection, note_events
from tidings.contracts import Clock
from tidings.errors import NotFound, Unavailable
from tidings.event import UserId
from tidings.upstreams import note_deliveries, note_failure, note_verified
from tidings.watching import HOOKS, MONITOR, RECOVER, encourage, look, request
from tidings.writer import Writer

#: What `Parsed.signal` may say.
VERIFIED: Final = "verified"
REMOVED: Final = "removed"
REVOKED: Final = "revoked"

_FLUSH_SECONDS = 30.0
_LOOKED_ENOUGH = timedelta(minutes=5)
_RECOVER_SECONDS = 60.0  # after a delivery that could not be taken; what follows it may fail too
_MOST_LOOKED = 10_000


class Arrivals:
    """Keeps account of deliveries.

    Args:
        writer: Writes.
        clock: All time.
        park: Gives up this user's grant with this id, for this reason: the account took its consent back, at that
            instant if it is known.
    """

    def __init__(
        self, writer: Writer, clock: Clock, *, park: Callable[[Sql, UserId, str, str, datetime | None], None]
    ) -> None:
        self._writer = writer
        self._clock = clock
        self._park = park
        self._registrations: dict[str, datetime] = {}  # when each delivered last, since the last flush
        self._addressed: dict[str, datetime] = {}  # connections, by the platform's common address
        self._news: dict[str, datetime] = {}  # connections
        self._connections: dict[str, UserId] = {}  # for which something was delivered, and whose they are
        self._failed: dict[str, UserId] = {}  # connections, a delivery for which could not be taken
        self._failed_common: set[str] = (
            set()
        )  # platforms, a delivery to whose common address could not be taken
        self._looked: dict[str, datetime] = {}  # at connections, whether this delivery matters to the monitor

    def delivered(
        self, user_id: UserId, connection_id: str, registration_id: str, now: datetime, *, has_news: bool
    ) -> None:
        """A delivery was taken.

        Args:
            user_id: For whom.
            connection_id: Whose; "" where a person made the registration.
            registration_id: By which it came; "" for the platform's common address.
            now: The present instant.
            has_news: Whether there were events in it.
        """
        if registration_id:
            self._registrations[registration_id] = now
        else:
            self._addressed[connection_id] = now
        if connection_id:
            self._connections[connection_id] = user_id
            if has_news:
                self._news[connection_id] = now

    def failed(self, user_id: UserId, connection_id: str) -> None:
        """A delivery could not be taken, and many platforms send only once."""
        self._failed[connection_id] = user_id

    def failed_common(self, platform: str) -> None:
        """A delivery to a platform's common address could not be taken."""
        self._failed_common.add(platform)

    async def signal(
        self,
        signal: str,
        connections: Mapping[str, UserId],
        registration_id: str,
        at: datetime | None = None,
    ) -> None:
        """Act upon what a delivery says about the webhook or the grant itself; anything unknown is passed over.

        Args:
            signal: As in `Parsed.signal`.
            connections: Whom it concerns, with their users.
            registration_id: By which it came; "" for the platform's common address.
            at: As in `Parsed.signalled_at`.

        Raises:
            Unavailable: The database can't take it now.
        """
        if signal in {VERIFIED, REMOVED, REVOKED, REACH} and connections:
            await self._writer.run_unit(partial(self._act, signal, connections, registration_id, at))

    def _act(
        self,
        signal: str,
        connections: Mapping[str, UserId],
        registration_id: str,
        at: datetime | None,
        sql: Sql,
    ) -> None:
        now = self._clock.now()
        for connection_id, user_id in connections.items():
            try:
                connection = find_connection(sql, connection_id, user_id=user_id)
            except NotFound:
                continue  # disconnected a moment ago
            if signal == REVOKED:
                reason = "The account took its consent back at the platform."
                self._park(sql, user_id, connection.grant_id, reason, at)
            elif signal == VERIFIED:
                if registration_id:
                    note_verified(sql, registration_id, now)
                encourage(sql, connection, now)
            elif signal == REACH:
                request_reach(sql, connection, now)
            elif registration_id:
                note_failure(sql, registration_id, "It was removed at the platform.", now)
                request(
                    sql, connection, HOOKS, now
                )  # which makes it again, or has the monitor draw conclusions

    async def run(self) -> None:
        """Write down what arrived, every half minute, until cancelled."""
        while True:
            await self._clock.sleep(_FLUSH_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Write down what arrived since the last time."""
        if not (self._registrations or self._connections or self._failed or self._failed_common):
            return
        now = self._clock.now()
        if len(self._looked) > _MOST_LOOKED:
            self._looked.clear()
        doubtful = {
            one: user_id
            for one, user_id in self._connections.items()
            if one not in self._looked or now - self._looked[one] > _LOOKED_ENOUGH
        }
        self._looked.update(dict.fromkeys(doubtful, now))
        addressed = {(self._connections[one], one): at for one, at in self._addressed.items()}
        news = {(self._connections[one], one): at for one, at in self._news.items()}
        work = partial(_write, self._registrations, addressed, news, doubtful, now)
        failed, failed_common = self._failed, self._failed_common
        self._registrations, self._addressed, self._news = {}, {}, {}
        self._connections, self._failed, self._failed_common = {}, {}, set()
        with suppress(Unavailable):  # the next ones are written down when the database is back
            await self._writer.run_unit(work)
        if failed or failed_common:
            try:
                await self._writer.run_unit(partial(_recover, failed, sorted(failed_common), now))
            except Unavailable:  # they failed because the database is away, as a rule
                self._failed |= failed
                self._failed_common |= failed_common


def _write(
    registrations: dict[str, datetime],
    addressed: Mapping[tuple[UserId, str], datetime],
    news: Mapping[tuple[UserId, str], datetime],
    doubtful: Mapping[str, UserId],
    now: datetime,
    sql: Sql,
) -> None:
    wanted = {one: user_id for one, user_id in doubtful.items() if _is_sign(sql, user_id, one)}
    note_deliveries(sql, registrations)
    note_events(sql, news)
    for (user_id, connection_id), at in addressed.items():
        change_monitor(sql, user_id, connection_id, addressed_at=at)  # nothing, where it was disconnected
    for connection_id, user_id in wanted.items():
        with suppress(NotFound):  # disconnected a moment ago
            request(sql, find_connection(sql, connection_id, user_id=user_id), MONITOR, now)


def _recover(owners: Mapping[str, UserId], platforms: Collection[str], now: datetime, sql: Sql) -> None:
    """Have the logs looked through in which the deliveries stand that could not be taken."""
    for connection_id, user_id in sorted(owners.items()):
        with suppress(NotFound):  # disconnected a moment ago
            connection = find_connection(sql, connection_id, user_id=user_id)
            request(sql, connection, RECOVER, now, in_seconds=_RECOVER_SECONDS)
    for platform in platforms:
        request_comparison(sql, platform, now, in_seconds=_RECOVER_SECONDS)


def _is_sign(sql: Sql, user_id: UserId, connection_id: str) -> bool:
    """Whether a delivery for this connection is the first since its strategy changed, or came into doubt."""
    try:
        watched = look(user_id, connection_id, sql)
    except NotFound:
        return False
    since = max(
        watched.connection.strategy_since, watched.memory.doubted_at or watched.connection.strategy_since
    )
    return watched.connection.is_working and (watched.delivered_at is None or watched.delivered_at <= since)
