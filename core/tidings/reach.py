"""The job `reach`: asks a platform by which addresses its deliveries name an account; that changes over time.

A GitHub App that is installed on one more organisation sends what happens there under an address that nobody here
knew at the consent.
"""

from __future__ import annotations

import random
from datetime import datetime
from functools import partial
from typing import Final

from sqlalchemy import Connection as Sql
from sqlalchemy import select
from structlog.typing import FilteringBoundLogger

from tidings.addressing import REACH_SECONDS, replace_addresses, request_comparison, request_reach
from tidings.commoncomparison import compare_again_since
from tidings.commonlog import RecoversCommon
from tidings.connections import CONNECTED, change_monitor, find_connection, list_connections, read_again
from tidings.contracts import Account, Clock
from tidings.defects import handed
from tidings.errors import NotFound
from tidings.jobs import Ended, Job
from tidings.platforms import Platforms
from tidings.schema import connection_addresses
from tidings.watching import recall
from tidings.writer import Writer

_SPREAD_SECONDS: Final = 3.0  # a connection, after a start
_LONGEST_SPREAD_SECONDS: Final = 3600.0
_JITTER: Final = 0.1


class Reach:
    """Runs the jobs `reach`.

    Args:
        platforms: The connectors and their APIs.
        writer: Writes, and reads beside.
        clock: All time.
        log: Told what changed.
    """

    def __init__(self, platforms: Platforms, writer: Writer, clock: Clock, log: FilteringBoundLogger) -> None:
        self._platforms = platforms
        self._writer = writer
        self._clock = clock
        self._log = log

    async def handle(self, job: Job) -> Ended:
        """Ask for one connection's addresses, and have what came for new ones meanwhile looked for.

        Raises:
            AuthExpired, Unavailable, Rejected: As the connector says.
        """
        try:
            connection = await self._writer.database.read(
                partial(find_connection, connection_id=job.key, user_id=job.user_id)
            )
            connector = self._platforms.connecting(connection.platform)
        except NotFound:
            return Ended()  # disconnected, or its plugin was taken out of the configuration
        if not isinstance(connector, RecoversCommon):
            return Ended()  # its polls say by which addresses it is named
        if not connection.is_working:
            return Ended()  # healing it asks again
        asked_at = self._clock.now()
        account = handed(await connector.identify(self._platforms.api(connection)), Account, "identify")
        again = Ended(REACH_SECONDS * random.uniform(1 - _JITTER, 1 + _JITTER))  # noqa: S311 - spreads the calls
        if account.key != connection.account_key:
            self._log.warning("account_changed", connection=connection.id, platform=connection.platform)
            return again  # what another account reaches is not for this one

        def work(sql: Sql) -> bool:
            is_new = replace_addresses(sql, connection, account.addresses)
            if is_new:
                since = recall(read_again(sql, connection)).reached_at or connection.created_at
                compare_again_since(sql, connection.platform, since)
                request_comparison(sql, connection.platform, asked_at)
            change_monitor(sql, connection.user_id, connection.id, reached_at=asked_at)
            return is_new

        if await self._writer.run_unit(work):
            self._log.info("reach_grew", connection=connection.id, addresses=len(account.addresses))
        return again if account.addresses else Ended()


def request_all(sql: Sql, now: datetime) -> None:
    """Have every connection that has addresses asked for them soon: they may have changed while nobody listened."""
    addressed = set(sql.execute(select(connection_addresses.c.connection_id).distinct()).scalars())
    working = [one for one in list_connections(sql) if one.state == CONNECTED and one.id in addressed]
    spread = min(_LONGEST_SPREAD_SECONDS, _SPREAD_SECONDS * len(working))
    for connection in working:
        in_seconds = random.uniform(0, spread)  # noqa: S311 - spreads the work of a start
        request_reach(sql, connection, now, in_seconds=in_seconds)
