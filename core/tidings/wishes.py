"""What people ask for of their connected accounts, by the API or by a transport."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection as Sql

from tidings.connections import (
    DISCONNECTING,
    NEEDS_REAUTH,
    PARKED,
    change_monitor,
    find_connection,
    set_state,
)
from tidings.contracts import Clock, JobRequest, Principal
from tidings.errors import Conflict, Denied
from tidings.event import UserId
from tidings.jobs import request_job
from tidings.ratelimit import RequestLimits
from tidings.schema import to_stored
from tidings.watching import encourage
from tidings.writer import Writer


class Wishes:
    """Carries them out; fulfils `contracts.Requests`.

    Args:
        writer: Writes down what is wished.
        clock: All time.
        limits: How often a principal may use the API.
        wake: Has the scheduler look for what is due.
    """

    def __init__(
        self, writer: Writer, clock: Clock, limits: RequestLimits, *, wake: Callable[[], None]
    ) -> None:
        self._writer = writer
        self._clock = clock
        self._limits = limits
        self._wake = wake

    async def sync(self, principal: Principal, connection_id: str) -> None:
        """See `tidings.contracts.Requests.sync`."""
        if "send" not in principal.scopes:
            raise Denied(
                "This needs the scope send; these credentials lack it. Use a token that has it.",
                status=403,
                code="forbidden",
            )
        decision = await self._limits.hit(principal, self._clock.monotonic())
        if decision is not None and not decision.allowed:
            raise Denied(decision.refusal, status=429, code="rate_limited")
        await self.carry_out(principal.user_id, connection_id)

    async def carry_out(self, user_id: UserId, connection_id: str) -> None:
        """Have a connection's platform asked for news now.

        Raises:
            NotFound: The user has no such connection.
            Conflict: It can't be synced as it is.
            Unavailable: The database can't take it now.
        """
        await self._writer.run_unit(partial(self._ask, user_id=user_id, connection_id=connection_id))
        self._wake()

    def _ask(self, sql: Sql, *, user_id: UserId, connection_id: str) -> None:
        connection = find_connection(sql, connection_id, user_id=user_id)
        if connection.state in {NEEDS_REAUTH, DISCONNECTING}:
            raise Conflict(f"This connection can't be synced: {connection.reason}")
        now = self._clock.now()
        if connection.state == PARKED:
            set_state(sql, connection.id, "connected", user_id=user_id)
            encourage(sql, connection, now)
        change_monitor(sql, connection.user_id, connection.id, is_urgent=True)
        for kind in ("sync", "recover"):
            job = JobRequest(kind, connection.id, platform=connection.platform, account=connection.id)
            request_job(sql, connection.user_id, job, to_stored(now))
