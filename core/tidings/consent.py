"""Flow C: from a click on Connect to a connection that works.

The browser leaves for the platform with a state that only its own session can bring back, once, and within the
time a consent takes. What comes back is exchanged, the account behind it is asked for, and grant, connection,
first jobs and the news of it are committed together.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection as Sql
from sqlalchemy import delete, func, insert, select
from structlog.typing import FilteringBoundLogger

from tidings import feed
from tidings.addressing import (
    FIRST_COMPARISON_SECONDS,
    REACH_SECONDS,
    request_comparison,
    request_reach,
)
from tidings.commonlog import RecoversCommon
from tidings.connecting import Account, Connects, Http, OAuthClient, TokenSet
from tidings.connections import Connection, find_connection, list_connections, save_connection
from tidings.connectors import Connector, Follows
from tidings.contracts import Clock, Item, JobRequest, Principal
from tidings.errors import Denied, NotFound, Rejected
from tidings.grants import Grant, save_grant
from tidings.jobs import request_job
from tidings.oauth import authorization_url, exchange_code, new_verifier
from tidings.parking import heal
from tidings.platforms import Platforms
from tidings.schema import grants, oauth_states, to_stored
from tidings.sessions import digest
from tidings.tokens import AccessToken
from tidings.vault import Vault
from tidings.watching import encourage
from tidings.writer import Writer, announce

_STATE_LIFE: Final = timedelta(minutes=15)
_STATE_BYTES = 32
_MOST_TEXT = 300


@dataclasses.dataclass(frozen=True, slots=True)
class Consented:
    """What a consent came to.

    Attributes:
        missing_scopes: Needed, and not granted; "a|b" where either would do.
    """

    connection: Connection
    is_new: bool
    missing_scopes: Sequence[str]


@dataclasses.dataclass(frozen=True, slots=True)
class _Begun:
    """A consent under way, as it was stored."""

    client_id: str
    connection_id: str
    verifier: str = dataclasses.field(repr=False)


class Consent:
    """Connects accounts.

    Args:
        platforms: The connectors.
        writer: Writes, and reads beside.
        vault: Seals tokens and verifiers.
        http: For the exchange of codes.
        clock: All time.
        log: One line for each consent.
        public_url: Where browsers come back to.
    """

    def __init__(
        self,
        platforms: Platforms,
        writer: Writer,
        vault: Vault,
        http: Http,
        clock: Clock,
        log: FilteringBoundLogger,
        *,
        public_url: str,
    ) -> None:
        self._platforms = platforms
        self._writer = writer
        self._vault = vault
        self._http = http
        self._clock = clock
        self._log = log
        self._public_url = public_url

    def redirect_uri(self, platform: str) -> str:
        """Where a platform sends browsers back to; to be registered there exactly so."""
        return f"{self._public_url}/api/oauth/{platform}/callback"

    async def begin(self, principal: Principal, platform: str, connection_id: str = "") -> str:
        """The platform's address to send the browser to.

        Args:
            principal: Who connects; must be signed in.
            platform: What.
            connection_id: The connection to heal; "" for any account.

        Raises:
            Denied: A token can't consent: no browser's session is behind it.
            NotFound: No such platform or connection.
            Rejected: The operator has registered no OAuth client, or all of them are full.
        """
        if principal.kind != "session":
            raise Denied(
                "Only who is signed in with a browser can connect an account.", status=403, code="forbidden"
            )
        connector, connects = self._platforms.connector(platform), self._platforms.connecting(platform)
        if isinstance(connector, Follows):
            raise Rejected(
                f"{connector.display_name} needs no consent. Follow an address: POST /api/connections.",
                status=409,
            )
        state, verifier = secrets.token_urlsafe(_STATE_BYTES), new_verifier() if connects.oauth.pkce else ""
        hashed, now = digest(state), self._clock.now()

        def remember(sql: Sql) -> OAuthClient:
            client = _choose_client(sql, principal, connector, connects, connection_id)
            sql.execute(delete(oauth_states).where(oauth_states.c.expires_at <= to_stored(now)))
            sql.execute(
                insert(oauth_states).values(
                    user_id=principal.user_id,
                    state_hash=hashed,
                    session_key=principal.key,
                    platform=platform,
                    client_id=client.id,
                    connection_id=connection_id,
                    verifier=self._sealed(verifier, hashed),
                    expires_at=to_stored(now + _STATE_LIFE),
                )
            )
            return client

        client = await self._writer.run_unit(remember)
        return authorization_url(
            connects.oauth,
            client,
            redirect_uri=self.redirect_uri(platform),
            state=state,
            verifier=verifier,
        )

    async def finish(self, principal: Principal, platform: str, query: Mapping[str, str]) -> Consented:
        """What the browser brought back becomes a connection.

        Raises:
            NotFound: No such platform.
            Rejected: The state is another session's, used, too old or invented; its user declined; the platform
                refuses the code; or the account may not be used. The text says what to do.
            Unavailable: The platform does not answer now.
        """
        connector, connects = self._platforms.connector(platform), self._platforms.connecting(platform)
        begun = await self._take(principal, platform, query.get("state", ""))
        if "error" in query:
            raise Rejected(_said(connector.display_name, query), status=400)
        if not query.get("code"):
            raise Rejected(f"{connector.display_name} sent no code back. Connect once more.", status=400)
        client = next((one for one in connects.clients if one.id == begun.client_id), None)
        if client is None:
            raise Rejected("The OAuth client was changed meanwhile. Connect once more.", status=400)
        tokens = await exchange_code(
            self._http,
            connects,
            client,
            code=query["code"],
            redirect_uri=self.redirect_uri(platform),
            verifier=begun.verifier,
        )
        token = AccessToken(tokens.access_token, version=0, client_id=client.id)
        account = await connects.identify(self._platforms.new_api(platform, token))
        consented = await self._writer.run_unit(
            partial(
                self._save,
                user=principal,
                connector=connector,
                connects=connects,
                client=client,
                tokens=tokens,
                account=account,
                wanted=begun.connection_id,
            )
        )
        self._log.info(
            "connected",
            user=principal.user_id,
            platform=platform,
            connection=consented.connection.id,
            new=consented.is_new,
        )
        return consented

    async def follow(self, principal: Principal, platform: str, address: str) -> Consented:
        """What stands at an address becomes a connection, where no consent is needed for it.

        Raises:
            NotFound: No such platform.
            Rejected: The platform wants a consent; or there is nothing to follow at that address.
            Unavailable: It does not answer now.
        """
        connector = self._platforms.connector(platform)
        if not isinstance(connector, Follows):
            raise Rejected(
                f"{connector.display_name} wants a consent: GET /api/oauth/{platform}/start, in a browser.",
                status=409,
            )
        account = await connector.follow(address)
        consented = await self._writer.run_unit(
            partial(
                self._save,
                user=principal,
                connector=connector,
                connects=connector,
                client=connector.clients[0],
                tokens=TokenSet(access_token="none"),  # noqa: S106 - there is none
                account=account,
                wanted="",
            )
        )
        self._log.info(
            "followed", user=principal.user_id, platform=platform, connection=consented.connection.id
        )
        return consented

    async def _take(self, principal: Principal, platform: str, state: str) -> _Begun:
        """Spend a state.

        Raises:
            Rejected: It is not this session's, or no longer valid.
        """
        hashed, now = digest(state), self._clock.now()

        def spend(sql: Sql) -> Any:
            return sql.execute(
                delete(oauth_states)
                .where(
                    oauth_states.c.state_hash == hashed,
                    oauth_states.c.session_key == principal.key,
                    oauth_states.c.platform == platform,
                    oauth_states.c.expires_at > to_stored(now),
                )
                .returning(oauth_states.c.client_id, oauth_states.c.connection_id, oauth_states.c.verifier)
            ).one_or_none()

        row = await self._writer.run_unit(spend)
        if row is None:
            raise Rejected(
                "This consent was not begun here, was finished already, or took longer than "
                f"{_STATE_LIFE.seconds // 60} minutes. Nothing was changed. Connect once more.",
                status=400,
            )
        return _Begun(row.client_id, row.connection_id, self._opened(row.verifier, hashed))

    def _save(
        self,
        sql: Sql,
        *,
        user: Principal,
        connector: Connector,
        connects: Connects,
        client: OAuthClient,
        tokens: TokenSet,
        account: Account,
        wanted: str,
    ) -> Consented:
        now = self._clock.now()
        _check_same_account(sql, user, wanted, account, connector.display_name)
        grant = save_grant(
            sql,
            self._vault,
            user_id=user.user_id,
            account_key=account.grant_key or account.key,
            client_id=client.id,
            tokens=tokens,
            oauth=connects.oauth,
            now=now,
        )
        if connects.oauth.needs_refresh_token and grant.refresh_at is None:
            raise Rejected(_no_refresh_token(connector.display_name), status=409)
        connection_id, is_new = save_connection(
            sql,
            user_id=user.user_id,
            platform=connector.platform,
            grant_id=grant.id,
            account=account,
            now=now,
        )
        connection = find_connection(sql, connection_id, user_id=user.user_id)
        start_watching(sql, connection, grant, now)
        if account.addresses and isinstance(connector, RecoversCommon):
            request_reach(sql, connection, now, in_seconds=REACH_SECONDS)
            request_comparison(sql, connector.platform, now, in_seconds=FIRST_COMPARISON_SECONDS)
        event = feed.connected(connection, connector, is_new=is_new, version=grant.version, now=now)
        announce(sql, Item(user_id=user.user_id, events=[event], via="api", connection_id=connection_id))
        self._heal_others(sql, connection, grant, now)
        return Consented(connection, is_new, missing_scopes(connects, grant.scopes))

    def _heal_others(self, sql: Sql, connection: Connection, grant: Grant, now: datetime) -> None:
        """Start those again that had died with the same grant, as far as it serves them now."""
        connectors = {one.platform: one for one in self._platforms}
        for other in list_connections(sql, user_id=grant.user_id, grant_id=grant.id):
            connector = connectors.get(other.platform)
            is_served = isinstance(connector, Connects) and not missing_scopes(connector, grant.scopes)
            if connector is not None and is_served and other.id != connection.id:
                heal(sql, other, connector.display_name, version=grant.version, now=now)

    def _sealed(self, verifier: str, state_hash: bytes) -> str:
        if not verifier:
            return ""
        row = state_hash.hex()
        return self._vault.seal(verifier.encode(), table=oauth_states.name, column="verifier", row=row)

    def _opened(self, sealed: str, state_hash: bytes) -> str:
        if not sealed:
            return ""
        row = state_hash.hex()
        return self._vault.open(sealed, table=oauth_states.name, column="verifier", row=row).decode()


def start_watching(sql: Sql, connection: Connection, grant: Grant, now: datetime) -> None:
    """Make everything due that a connection with a fresh consent needs."""
    encourage(sql, connection, now)
    if grant.refresh_at is not None:
        seconds = max(0.0, (grant.refresh_at - now).total_seconds())
        request_job(sql, grant.user_id, JobRequest("refresh", grant.id, in_seconds=seconds), to_stored(now))


def missing_scopes(connects: Connects, granted: Sequence[str]) -> Sequence[str]:
    """Which of the scopes that a connector needs were not granted."""
    return [need for need in connects.oauth.needed_scopes if not set(need.split("|")) & set(granted)]


def _check_same_account(
    sql: Sql, user: Principal, connection_id: str, account: Account, display_name: str
) -> None:
    """Raise Rejected where another account consented than the one to be healed."""
    if not connection_id:
        return
    wanted = find_connection(sql, connection_id, user_id=user.user_id)
    if wanted.account_key != account.key:
        raise Rejected(
            f"This was the consent of {account.name}, but {wanted.account_name} was to be connected again. Nothing "
            f"was changed. Sign in at {display_name} as {wanted.account_name} and try again, or use Connect to "
            f"add {account.name} beside it.",
            status=409,
        )


def _choose_client(
    sql: Sql, user: Principal, connector: Connector, connects: Connects, connection_id: str
) -> OAuthClient:
    """The client of the connection to heal, or else the one with most room."""
    if connection_id:
        wanted = find_connection(sql, connection_id, user_id=user.user_id)
        if wanted.platform != connector.platform:
            raise NotFound(f"{connection_id[:80]!r} is no connection to {connector.display_name}.")
        client_id = sql.execute(
            select(grants.c.client_id).where(
                grants.c.user_id == wanted.user_id, grants.c.id == wanted.grant_id
            )
        ).scalar_one_or_none()
        for client in connects.clients:
            if client.id == client_id:
                return client
    rows = sql.execute(
        select(grants.c.client_id, func.count(grants.c.account_key.distinct()))
        .where(grants.c.provider == connects.oauth.provider)
        .group_by(grants.c.client_id)
    )
    counted: dict[str, int] = {row[0]: row[1] for row in rows}
    key = f"plugins.connectors.{connector.platform}"
    if not connects.clients:
        raise Rejected(
            f"Nobody can connect {connector.display_name} yet: the operator has set no {key}.client_id in "
            "config.yaml. `tidings doctor` shows what to register where.",
            status=409,
        )
    room = [
        (counted.get(client.id, 0), place, client)
        for place, client in enumerate(connects.clients)
        if client.most_users is None or counted.get(client.id, 0) < client.most_users
    ]
    if not room:
        raise Rejected(
            f"Each {connector.display_name} client has all the people that the platform lets it serve. The operator "
            f"can add one under {key}.clients in config.yaml.",
            status=409,
        )
    return min(room, key=lambda one: one[:2])[2]


def _no_refresh_token(display_name: str) -> str:
    return (
        f"{display_name} gave a token that ends within hours and can't be refreshed, so this account would have to be "
        "connected again and again. Nothing was changed. Take tidings out of the apps that may use your account "
        "there, then connect once more: a first consent brings what is missing."
    )


def _said(display_name: str, query: Mapping[str, str]) -> str:
    """Why a consent failed, in words."""
    if query["error"] == "access_denied":
        return f"You declined at {display_name}. Nothing was connected, and nothing was changed."
    text = " ".join(query.get("error_description", "").split())[:_MOST_TEXT]
    more = f" ({text})" if text.isprintable() and text else ""
    word = query["error"][:60] if query["error"].isprintable() else "an error"
    return f"{display_name} refused the consent: {word}{more}. Nothing was changed."
