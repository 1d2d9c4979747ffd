"""One refresh of a grant, from the intent to the commit, and what becomes of it if something goes wrong."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection as Sql
from structlog.typing import FilteringBoundLogger

from tidings.connecting import Connects, Http, OAuthClient, TokenSet
from tidings.contracts import Clock
from tidings.errors import AuthExpired, NotFound, Unavailable
from tidings.event import UserId
from tidings.grants import REFRESH, Grant, GrantListener, horizon_of, merged, open_tokens, token_columns
from tidings.health import Health
from tidings.metrics import Metrics
from tidings.oauth import Failed, Lost, Refused, redeem
from tidings.redemptions import Current, Parked, Redemption, Wait, begin, commit, fail, holder, refuse
from tidings.schema import from_stored, to_stored
from tidings.vault import Vault, VaultError
from tidings.writer import Writer

T = TypeVar("T")

# Another process redeems: how often to look whether it is done, and for how long.
_LOOK_SECONDS = 0.1
_LOOK_SELDOM_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 60.0
# An answer that can't be saved, because the disk is full or away, is kept until it can.
_SAVE_AGAIN_SECONDS = 1.0
_SAVE_SELDOM_SECONDS = 30.0
# A term told in seconds from now differs a little with each answer.
_SAME_TERM = timedelta(days=1)


#: Writes an attempt into the history of what uses a grant: user, grant, kind, outcome (a word), detail (a sentence
#: without anything secret), milliseconds.
Note = Callable[[UserId, str, str, str, str, float], None]


@dataclasses.dataclass(frozen=True, slots=True)
class Renewed:
    """A grant after a refresh; `tokens` are None where another had done it."""

    grant: Grant
    tokens: TokenSet | None = None


class Refresher:
    """Refreshes grants; at most one caller at a time for each.

    Args:
        connectors: Whose platforms gave the grants.
        listener: Told what becomes of grants.
        note: Told of every attempt.
    """

    def __init__(
        self,
        writer: Writer,
        vault: Vault,
        http: Http,
        clock: Clock,
        log: FilteringBoundLogger,
        metrics: Metrics,
        health: Health,
        *,
        connectors: Iterable[Connects],
        listener: GrantListener,
        note: Note,
    ) -> None:
        self._writer = writer
        self._vault = vault
        self._http = http
        self._clock = clock
        self._log = log
        self._metrics = metrics
        self._health = health
        self._connectors = tuple(connectors)
        self._listener = listener
        self._note = note
        self._finishing = asyncio.Event()

    def finish(self) -> None:
        """Begin nothing more, and wait for nothing but answers under way."""
        self._finishing.set()

    async def run(self, grant_id: str, than: int | None, because: str, user_id: UserId) -> Renewed:
        """Bring a grant to a version newer than `than`; None means: if its refresh is due.

        Args:
            grant_id: Which.
            than: See above.
            because: Why, for logs and people.
            user_id: Whose it is.

        Raises:
            AuthExpired: Its user must consent again.
            Unavailable: Not now.
            NotFound: There is no such grant.
        """
        give_up_at = self._clock.monotonic() + _LONGEST_WAIT_SECONDS
        while not self._finishing.is_set():
            begun = await self._writer.run_unit(
                partial(
                    begin,
                    listener=self._listener,
                    grant_id=grant_id,
                    than=than,
                    lease=secrets.token_hex(8),
                    at=to_stored(self._clock.now()),
                    user_id=user_id,
                )
            )
            if isinstance(begun, Current):
                return Renewed(begun.grant)
            if isinstance(begun, Parked):
                raise self._expired(begun)
            if isinstance(begun, Redemption):
                renewed = await self._redeem(begun, because)
                if renewed is not None:
                    return renewed
            elif begun.is_held and self._clock.monotonic() < give_up_at:
                await self._until_free(begun)
            else:
                raise self._not_now(begun)
        raise Unavailable("The server is shutting down.", retry_after_seconds=5)

    def _expired(self, parked: Parked) -> AuthExpired:
        if parked.is_news:
            outcome = "crash_lost" if parked.is_crash_lost else "parked"
            self._account(parked.grant, outcome, parked.grant.reason, 0.0)
        return AuthExpired(parked.grant.reason)

    def _not_now(self, wait: Wait) -> Unavailable:
        reason = wait.grant.reason or "Another process is refreshing the token."
        # Before it nobody may redeem the token; after a refusal, its user is not asked to consent again before it.
        left = (from_stored(wait.until) - self._clock.now()).total_seconds()
        return Unavailable(reason, retry_after_seconds=max(1.0, left))

    async def _until_free(self, wait: Wait) -> None:
        """Wait until another process has ended its redemption, or may be taken for dead."""
        look_seconds = _LOOK_SECONDS
        while to_stored(self._clock.now()) < wait.until and not self._finishing.is_set():
            await self._sleep(look_seconds)
            look_seconds = min(look_seconds * 2, _LOOK_SELDOM_SECONDS)
            look = partial(holder, user_id=wait.grant.user_id, grant_id=wait.grant.id)
            if await self._writer.database.read(look) != wait.lease:
                return

    async def _redeem(self, redemption: Redemption, because: str) -> Renewed | None:
        """Redeem once, and commit whatever comes of it.

        Returns:
            The grant with newer tokens. None to look again at what to do: the platform refused, or the answer was
            lost for the first time, or overtaken by another.

        Raises:
            Unavailable: It failed.
        """
        grant = redemption.grant
        started = self._clock.monotonic()
        outcome: TokenSet | Refused | Failed | Lost
        try:
            connector, client = self._client(grant)
            old = open_tokens(self._vault, grant)
        except (NotFound, VaultError) as error:
            outcome = Failed(str(error), is_operators=True)
        else:
            outcome = await self._ask(grant, connector, client, old)
        ms = (self._clock.monotonic() - started) * 1000
        self._judge(grant, outcome)
        if isinstance(outcome, TokenSet):
            return await self._save(redemption, connector, merged(old, outcome), because, ms)
        if isinstance(outcome, Refused):
            now = to_stored(self._clock.now())
            await self._persist(partial(refuse, redemption=redemption, reason=outcome.reason, at=now))
            self._account(grant, "refused", outcome.reason, ms)
        else:
            await self._failed(redemption, outcome, ms)
        return None

    async def _failed(self, redemption: Redemption, outcome: Failed | Lost, ms: float) -> None:
        is_lost = isinstance(outcome, Lost)
        is_first_loss = is_lost and not redemption.is_again
        asked = outcome.retry_after_seconds if isinstance(outcome, Failed) else None
        rest_seconds = redemption.rest_seconds if asked is None else asked
        until = to_stored(self._clock.now()) + round(rest_seconds * 1e6)
        work = partial(
            fail,
            redemption=redemption,
            reason=outcome.reason,
            is_lost=is_lost,
            rest_until=None if is_first_loss else until,
        )
        await self._persist(work)
        self._account(redemption.grant, "lost" if is_lost else "failed", outcome.reason, ms)
        if not is_first_loss:
            raise Unavailable(outcome.reason, rest_seconds)

    async def _ask(
        self, grant: Grant, connector: Connects, client: OAuthClient, tokens: TokenSet
    ) -> TokenSet | Refused | Failed | Lost:
        try:
            return await redeem(self._http, connector, client, tokens.refresh_token, now=self._clock.now())
        except Exception as error:  # noqa: BLE001 - a defect of a plugin; what the platform did is unknown
            self._log.error("refresh_defect", grant=grant.id, provider=grant.provider, exc_info=error)
            return Lost(f"The connector failed: {type(error).__name__}.")

    def _judge(self, grant: Grant, outcome: TokenSet | Refused | Failed | Lost) -> None:
        """Report what the operator must mend, once, and that it is mended."""
        component = self._health.component(f"oauth/{grant.provider}/{grant.client_id}")
        if isinstance(outcome, Failed) and outcome.is_operators:
            component.down(outcome.reason)
        elif isinstance(outcome, TokenSet | Refused):
            component.up()

    def _client(self, grant: Grant) -> tuple[Connects, OAuthClient]:
        for connector in self._connectors:
            if connector.oauth.provider == grant.provider:
                for client in connector.clients:
                    if client.id == grant.client_id:
                        return connector, client
        raise NotFound(
            f"No OAuth client {grant.client_id!r} of {grant.provider} is configured, but accounts are connected "
            "by it. Put it back into config.yaml, or connect them again."
        )

    async def _save(
        self, redemption: Redemption, connector: Connects, tokens: TokenSet, because: str, ms: float
    ) -> Renewed | None:
        grant, oauth = redemption.grant, connector.oauth
        now = self._clock.now()
        term = horizon_of(oauth, tokens, authorized_at=grant.authorized_at, now=now) or grant.reauthorize_by
        is_longer = term is not None and (
            grant.reauthorize_by is None or term > grant.reauthorize_by + _SAME_TERM
        )
        columns = token_columns(self._vault, grant.id, tokens, oauth, now) | {
            "scopes": " ".join(grant.scopes if tokens.scopes is None else tokens.scopes),
            "reauthorize_by": None if term is None else to_stored(term),
            "announced_days": None if is_longer else grant.announced_days,
        }
        version = await self._persist(
            partial(commit, listener=self._listener, redemption=redemption, columns=columns)
        )
        if version is None:
            self._account(grant, "overtaken", "Another answer was faster.", ms)
            return None
        renewed = dataclasses.replace(
            grant,
            version=version,
            reason="",
            sealed=columns["tokens"],
            scopes=tuple(columns["scopes"].split()),
            expires_at=_instant(columns["expires_at"]),
            refresh_at=_instant(columns["refresh_at"]),
            reauthorize_by=term,
            announced_days=columns["announced_days"],
        )
        self._account(renewed, "done", f"Refreshed: {because}.", ms)
        self._listener.refreshed(renewed)
        return Renewed(renewed, tokens)

    async def _persist(self, work: Callable[[Sql], T]) -> T:
        """Commit what a platform answered, however long the database is away: it can't be had again.

        Raises:
            Unavailable: The server is shutting down, and the database still away.
        """
        wait_seconds = _SAVE_AGAIN_SECONDS
        while True:
            try:
                return await self._writer.run_unit(work)
            except Unavailable:
                if self._finishing.is_set():
                    raise
            await self._sleep(wait_seconds)
            wait_seconds = min(wait_seconds * 2, _SAVE_SELDOM_SECONDS)

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but not on while the server is finishing."""
        tasks = [asyncio.ensure_future(work) for work in (self._clock.sleep(seconds), self._finishing.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    def _account(self, grant: Grant, outcome: str, detail: str, ms: float) -> None:
        """Count, log and remember an attempt."""
        self._metrics.refreshes.labels(grant.provider, outcome).inc()
        self._log.info("refresh", grant=grant.id, outcome=outcome, detail=detail, ms=round(ms, 2))
        self._note(grant.user_id, grant.id, REFRESH, outcome, detail, round(ms))


def _instant(stored: int | None) -> datetime | None:
    return None if stored is None else from_stored(stored)
