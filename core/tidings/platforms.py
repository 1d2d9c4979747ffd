"""The platforms as core calls them: a connector's API with a fresh token, within what the platform allows."""

from __future__ import annotations

from collections.abc import Collection, ItemsView, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import urlencode, urljoin, urlsplit

import msgspec

from tidings.budgets import Budgets
from tidings.connecting import Answer, Api, Connects, Http
from tidings.connections import Connection
from tidings.connectors import Connector
from tidings.contracts import Clock
from tidings.discretion import redact, use_secrets
from tidings.errors import AuthExpired, NotFound, Rejected, Unavailable
from tidings.tokens import AccessToken, Tokens

_MOST_REDIRECTS = 3
_SAFE = frozenset({"GET", "HEAD"})
# A platform that refuses a token which it has just given is confused; asking again at once would not help it.
_REFUSED_FRESH_SECONDS = 600.0
_MOST_TEXT = 300


class TokenSource(Protocol):
    """Where an account's access token comes from."""

    async def access(self) -> AccessToken:
        """A token that has not ended."""

    async def renew(self, refused: AccessToken) -> AccessToken:
        """A newer one than the platform refused.

        Raises:
            AuthExpired: There is none to be had.
        """


class GrantTokens:
    """The tokens of the grant behind a connection, from the version on that it had."""

    __slots__ = ("_connection", "_tokens")

    def __init__(self, tokens: Tokens, connection: Connection) -> None:
        self._tokens = tokens
        self._connection = connection

    async def access(self) -> AccessToken:
        """See `TokenSource.access`."""
        one = self._connection
        return await self._tokens.access(one.grant_id, version=one.grant_version, user_id=one.user_id)

    async def renew(self, refused: AccessToken) -> AccessToken:
        """See `TokenSource.renew`."""
        one = self._connection
        return await self._tokens.renew(
            one.grant_id, than=refused.version, because="401", user_id=one.user_id
        )


class OneToken:
    """A token that was given a moment ago, and is stored nowhere yet."""

    def __init__(self, token: AccessToken) -> None:
        self._token = token

    async def access(self) -> AccessToken:
        """See `TokenSource.access`."""
        return self._token

    async def renew(self, refused: AccessToken) -> AccessToken:
        """See `TokenSource.renew`."""
        raise AuthExpired("The platform refuses the token that it has just given.")


class PlatformApi:
    """One account's way to its platform; see `tidings.connecting.Api`."""

    __slots__ = ("_account_key", "_budgets", "_clock", "_connector", "_http", "_platform", "_source")

    def __init__(
        self,
        platform: str,
        connector: Connects,
        account_key: str,
        source: TokenSource,
        *,
        http: Http,
        budgets: Budgets,
        clock: Clock,
    ) -> None:
        self._platform = platform
        self._connector = connector
        self._account_key = account_key
        self._source = source
        self._http = http
        self._budgets = budgets
        self._clock = clock

    @property
    def account_key(self) -> str:
        """See `Api.account_key`."""
        return self._account_key

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        accept: Collection[int] = (),
    ) -> Answer:
        """See `Api.request`."""
        connector = self._connector
        url = url if "://" in url else connector.api_url.rstrip("/") + url
        _keep_token_at_home(url, connector)
        if params:
            url += ("&" if "?" in url else "?") + urlencode(params)
        sent = {**connector.headers, **(headers or {})}
        body = b""
        if json is not None:
            body = msgspec.json.encode(json)
            sent["content-type"] = "application/json"
        token = await self._source.access()
        answer = await self._follow(method, url, sent, body, token)
        if connector.is_refused(answer) and answer.status not in accept:
            token = await self._source.renew(token)
            answer = await self._follow(method, url, sent, body, token)
        return self._judge(answer, accept)

    async def _follow(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, token: AccessToken
    ) -> Answer:
        for _ in range(_MOST_REDIRECTS):
            answer = await self._send(method, url, headers, body, token)
            onwards = answer.headers.get("location", "")
            moved = answer.status in {307, 308} or (answer.status in {301, 302} and method in _SAFE)
            if not onwards or not moved:
                return answer
            url = urljoin(url, onwards)
            _keep_token_at_home(url, self._connector)
        raise Unavailable(f"{urlsplit(url).hostname} redirects in circles.")

    async def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, token: AccessToken
    ) -> Answer:
        platform, client_id = self._platform, token.client_id
        self._budgets.check(platform, client_id, self._account_key)
        use_secrets(token.text)
        self._budgets.spent(platform, client_id, self._account_key, self._connector.cost(method, url))
        try:
            answer = await self._http.send(
                method, url, headers={**headers, "authorization": f"Bearer {token.text}"}, body=body
            )
        except Unavailable as error:
            self._budgets.failed(platform, client_id, str(error))
            raise
        if answer.status >= 500:
            self._budgets.failed(platform, client_id, f"it answers {answer.status}")
        else:
            self._budgets.worked(platform, client_id)
        now = self._clock.now()
        pause = self._connector.pause(answer, now)
        if pause is not None:
            account = "" if pause.whole_app else self._account_key
            await self._budgets.pause(platform, client_id, account, pause)
            if answer.status >= 400:
                raise Unavailable(pause.reason, retry_after_seconds=pause.seconds)
        return answer

    def _judge(self, answer: Answer, accept: Collection[int]) -> Answer:
        status = answer.status
        is_refused = self._connector.is_refused(answer) and status not in accept
        if not is_refused and (200 <= status < 300 or status == 304 or status in accept):
            return answer
        if is_refused:
            raise Unavailable(
                "The platform refuses a token that it has just given.",
                retry_after_seconds=_REFUSED_FRESH_SECONDS,
            )
        if status >= 500 or status in {408, 429}:
            raise Unavailable(f"The platform answers {status}.")
        raise Rejected(f"The platform answers {status}: {_message(answer)}", status=status)


class Platforms:
    """All platforms of this installation."""

    def __init__(
        self, connectors: Sequence[Connector], *, tokens: Tokens, budgets: Budgets, http: Http, clock: Clock
    ) -> None:
        self._connectors = {connector.platform: connector for connector in connectors}
        self._tokens = tokens
        self._budgets = budgets
        self._http = http
        self._clock = clock

    def __iter__(self) -> Any:
        """All connectors, in the order of the configuration."""
        return iter(self._connectors.values())

    def items(self) -> ItemsView[str, Connector]:
        """All connectors, by platform."""
        return self._connectors.items()

    def connector(self, platform: str) -> Connector:
        """The connector of a platform.

        Raises:
            NotFound: None is loaded.
        """
        connector = self._connectors.get(platform)
        if connector is None:
            raise NotFound(
                f"No connector for {platform[:64]!r} is loaded. Name it under plugins.connectors in config.yaml; "
                f"loaded: {', '.join(self._connectors) or 'none'}."
            )
        return connector

    def connecting(self, platform: str) -> Connects:
        """The connector of a platform whose accounts can be connected.

        Raises:
            NotFound: None is loaded, or its accounts can't be connected.
        """
        connector = self.connector(platform)
        if not isinstance(connector, Connects):
            raise NotFound(
                f"{connector.display_name} accounts can't be connected; it receives webhooks alone."
            )
        return connector

    def api(self, connection: Connection) -> Api:
        """The platform's API as a connected account may use it.

        Raises:
            NotFound: The platform's connector is not loaded.
        """
        return self._api(
            connection.platform,
            self.connecting(connection.platform),
            connection.account_key,
            GrantTokens(self._tokens, connection),
        )

    def new_api(self, platform: str, token: AccessToken) -> Api:
        """The API with a token that was just given, to find out whose it is.

        Raises:
            NotFound: The platform's connector is not loaded.
        """
        return self._api(platform, self.connecting(platform), "", OneToken(token))

    def own_api(self, platform: str, account_key: str, source: TokenSource) -> Api:
        """The API with tokens of another kind than accounts have; their limits are counted under `account_key`.

        Raises:
            NotFound: The platform's connector is not loaded.
        """
        return self._api(platform, self.connecting(platform), account_key, source)

    def _api(self, platform: str, connector: Connects, account_key: str, source: TokenSource) -> PlatformApi:
        return PlatformApi(
            platform,
            connector,
            account_key,
            source,
            http=self._http,
            budgets=self._budgets,
            clock=self._clock,
        )


def _keep_token_at_home(url: str, connector: Connects) -> None:
    """Refuse to send a token anywhere but to its platform, whatever a page or a redirect names.

    Raises:
        Rejected: The URL lies at another host, or is less safe than the API's own.
    """
    given = urlsplit(url)
    homes = [urlsplit(one) for one in (connector.api_url, *connector.other_api_urls)]
    if not any((given.scheme, given.netloc) == (home.scheme, home.netloc) for home in homes):
        raise Rejected(f"{given.hostname} is not {homes[0].hostname}, whose token this is.", status=502)


def _message(answer: Answer) -> str:
    """What the platform says about its refusal, for people."""
    try:
        said = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return "(no reason given)"
    error = said.get("error") if isinstance(said, dict) else None
    for holder in (error, said):
        if isinstance(holder, dict) and isinstance(holder.get("message"), str):
            return redact(str(holder["message"]))[:_MOST_TEXT]
    return redact(error)[:_MOST_TEXT] if isinstance(error, str) else "(no reason given)"
