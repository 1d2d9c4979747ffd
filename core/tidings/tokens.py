"""Access tokens that are always fresh.

A grant is refreshed by a job some minutes before its token ends, before a call whose token is about to end, and
once when a platform refuses a token. Within this process all of them share one refresh; among processes
`tidings.redemptions` keeps them apart.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy import Connection as Sql

from tidings.connecting import TokenSet
from tidings.contracts import Clock
from tidings.errors import AuthExpired, NotFound, Unavailable
from tidings.event import UserId
from tidings.grants import (
    NEEDS_REAUTH,
    REFRESH,
    Grant,
    GrantListener,
    announce_horizons,
    find_grant,
    near_horizons,
    open_tokens,
    overdue_refreshes,
)
from tidings.items import JobRequest
from tidings.jobs import Ended, Job, request_job
from tidings.refreshing import Refresher, Renewed
from tidings.schema import to_stored
from tidings.vault import Vault
from tidings.writer import Writer

#: Every few minutes: refreshes that no job will do, and consents that end soon.
SWEEP: Final = JobRequest("sweep", "all")

_SWEEP_SECONDS = 300.0
# A token that ends sooner is refreshed before a call: the call takes a while too.
_ENDS_SOON = timedelta(seconds=60)
_MOST_CACHED = 20_000


@dataclasses.dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token.

    Attributes:
        version: Of the grant's token sets; a newer one has a higher number.
        client_id: Of the OAuth client that it was given to, whose limits its use counts towards.
    """

    text: str = dataclasses.field(repr=False)
    version: int
    client_id: str


class Tokens:
    """The access tokens of all grants.

    Args:
        refresher: Refreshes one when it must be.
        listener: Told of consents that end soon.
    """

    def __init__(
        self, writer: Writer, vault: Vault, clock: Clock, refresher: Refresher, listener: GrantListener
    ) -> None:
        self._writer = writer
        self._vault = vault
        self._clock = clock
        self._refresher = refresher
        self._listener = listener
        self._cached: dict[str, tuple[AccessToken, datetime | None]] = {}
        self._refreshing: dict[str, asyncio.Task[Renewed]] = {}

    async def access(self, grant_id: str, *, user_id: UserId, version: int = 0) -> AccessToken:
        """A token for a call: one that does not end within a minute, if such a one can be had.

        Args:
            grant_id: Whose.
            version: One that is older than this is not good enough, though it lives: a consent since then may have
                added scopes.
            user_id: Who gave it.

        Raises:
            AuthExpired: Its user must consent again.
            Unavailable: The token has ended and can't be refreshed now.
            NotFound: There is no such grant.
            VaultError: It can't be opened.
        """
        cached = self._cached.get(grant_id)
        soon = self._clock.now() + _ENDS_SOON
        if cached is not None and cached[0].version >= version and _lasts(cached[1], soon):
            return cached[0]
        grant = await self._writer.database.read(partial(find_grant, grant_id=grant_id, user_id=user_id))
        if grant.state == NEEDS_REAUTH:
            self.forget(grant_id)
            raise AuthExpired(grant.reason)
        if _lasts(grant.expires_at, soon):
            return self._open(grant)
        try:
            return await self.renew(grant_id, than=grant.version, because="it ends", user_id=grant.user_id)
        except Unavailable:
            if _lasts(grant.expires_at, self._clock.now()):
                return self._open(grant)  # some seconds more are better than nothing
            raise

    async def renew(self, grant_id: str, *, than: int, because: str, user_id: UserId) -> AccessToken:
        """A token newer than the version `than`, which is no longer good enough.

        Args:
            grant_id: Whose.
            than: The version that was refused, or that ends.
            because: Why, for logs and people: `401`.
            user_id: Who gave it.

        Raises:
            AuthExpired: Its user must consent again.
            Unavailable: Not now; the text says why.
            NotFound: There is no such grant.
            VaultError: It can't be opened.
        """
        cached = self._cached.get(grant_id)
        if cached is not None and cached[0].version > than and _lasts(cached[1], self._clock.now()):
            return cached[0]
        return self._open(await self._refresh(grant_id, than, because, user_id))

    def forget(self, grant_id: str) -> None:
        """Drop what is kept in memory of a grant that was removed or parked, or consented to anew."""
        self._cached.pop(grant_id, None)

    async def refresh(self, job: Job) -> Ended:
        """The job `refresh`; its key is the grant's id.

        Raises:
            AuthExpired: Its user must consent again.
            Unavailable: Not now.
        """
        try:
            grant = await self._refresh(job.key, None, "it was due", job.user_id)
        except NotFound:
            return Ended()  # disconnected
        if grant.refresh_at is None:
            return Ended()
        return Ended(max(0.0, (grant.refresh_at - self._clock.now()).total_seconds()))

    async def sweep(self, _job: Job) -> Ended:
        """The job `sweep`: a safety net under the others, and who tells of consents that end soon.

        Raises:
            Unavailable: The database is away.
        """
        now = self._clock.now()
        read = self._writer.database.read
        overdue = await read(partial(overdue_refreshes, now=now))
        if overdue:
            await self._writer.run_unit(partial(_request_refreshes, grants=overdue, now=now))
        if await read(partial(near_horizons, now=now)):
            await self._writer.run_unit(partial(announce_horizons, now=now, listener=self._listener))
        return Ended(_SWEEP_SECONDS)

    async def finish(self) -> None:
        """Begin no refresh any more, and wait for answers under way: one that nobody waits for is lost.

        Called before the writer closes.
        """
        self._refresher.finish()
        if self._refreshing:
            await asyncio.wait(self._refreshing.values())

    async def _refresh(self, grant_id: str, than: int | None, because: str, user_id: UserId) -> Grant:
        """One refresh for all in this process who want it."""
        while True:
            task = self._refreshing.get(grant_id)
            if task is None or task.done():
                task = asyncio.create_task(self._refresher.run(grant_id, than, because, user_id))
                self._refreshing[grant_id] = task
                task.add_done_callback(partial(self._ended, grant_id))
            # Shielded: who gives up waiting must not take the answer from the others, and from the disk.
            grant = (await asyncio.shield(task)).grant
            if than is None or grant.version > than:
                return grant
            # It was begun for somebody who is content with less.

    def _ended(self, grant_id: str, task: asyncio.Task[Renewed]) -> None:
        if self._refreshing.get(grant_id) is task:
            del self._refreshing[grant_id]
        error = None if task.cancelled() else task.exception()  # seen, even if everybody has gone
        if isinstance(error, AuthExpired | NotFound):
            self.forget(grant_id)
        elif not task.cancelled() and error is None:
            renewed = task.result()
            if renewed.tokens is not None:
                self._keep(renewed.grant, renewed.tokens)

    def _open(self, grant: Grant) -> AccessToken:
        cached = self._cached.get(grant.id)
        if cached is not None and cached[0].version >= grant.version:
            return cached[0]
        return self._keep(grant, open_tokens(self._vault, grant))

    def _keep(self, grant: Grant, tokens: TokenSet) -> AccessToken:
        token = AccessToken(tokens.access_token, grant.version, grant.client_id)
        self._cached.pop(grant.id, None)  # so that the oldest stands first
        self._cached[grant.id] = (token, grant.expires_at)
        if len(self._cached) > _MOST_CACHED:
            del self._cached[next(iter(self._cached))]
        return token


def _request_refreshes(sql: Sql, grants: Sequence[Grant], now: datetime) -> None:
    for grant in grants:
        if grant.refresh_at is not None:
            due_in = max(0.0, (grant.refresh_at - now).total_seconds())
            request_job(sql, grant.user_id, JobRequest(REFRESH, grant.id, in_seconds=due_in), to_stored(now))


def _lasts(ends: datetime | None, until: datetime) -> bool:
    return ends is None or ends > until
