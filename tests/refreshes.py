"""What tests of refreshing stand on: a provider as data, its token endpoint in memory, and everybody who is told."""

import asyncio
import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

import msgspec
import structlog
from sqlalchemy import Connection as Sql

from tidings.connecting import Account, Answer, Api, Connects, Http, OAuth, OAuthClient, TokenSet
from tidings.contracts import Clock
from tidings.errors import NotSent, Unavailable
from tidings.event import UserId
from tidings.grants import Grant, save_grant
from tidings.health import Health
from tidings.keys import KeyRing
from tidings.metrics import Metrics
from tidings.refreshing import Refresher
from tidings.tokens import Tokens
from tidings.vault import Vault
from tidings.writer import Writer

URL = "http://127.0.0.1:9"
OAUTH = OAuth(
    provider="acme",
    authorize_url=f"{URL}/authorize",
    token_url=f"{URL}/token",
    scopes=("read", "offline"),
)
CLIENT = OAuthClient("client-1", "planted-client-secret")
KEYS = KeyRing({"k1": b"1" * 32})
HOUR = 3600.0
quiet = structlog.wrap_logger(None, processors=[lambda *_: (_ for _ in ()).throw(structlog.DropEvent)])


class Provider(Connects):
    """A connector of which nothing but its OAuth matters."""

    api_url = URL

    def __init__(self, oauth: OAuth = OAUTH, *clients: OAuthClient) -> None:
        self._oauth = oauth
        self.registered: Sequence[OAuthClient] = clients or (CLIENT,)

    @property
    def oauth(self) -> OAuth:
        return self._oauth

    @property
    def clients(self) -> Sequence[OAuthClient]:
        return self.registered

    async def identify(self, api: Api) -> Account:
        raise NotImplementedError


def answered(status: int, body: Mapping[str, Any] | bytes, **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


@dataclasses.dataclass
class Endpoint:
    """A token endpoint in memory.

    Attributes:
        rotates: Whether a refresh token is good for one use.
        grace_seconds: For so long a used token gets the same answer once more.
        scripted: What to do with the next requests instead: an answer, or an error to raise. An error marked by
            `after` comes when the token has been redeemed all the same.
    """

    clock: Clock
    rotates: bool = True
    grace_seconds: float = 0.0
    life_seconds: float | None = HOUR
    scripted: list[Answer | Exception | Callable[[], Any]] = dataclasses.field(default_factory=list)
    more: dict[str, Any] = dataclasses.field(default_factory=dict)
    sent: list[str] = dataclasses.field(default_factory=list)
    redeemed: Counter[str] = dataclasses.field(default_factory=Counter)
    alive: set[str] = dataclasses.field(default_factory=set)
    requests: list[dict[str, str]] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self._used: dict[str, tuple[float, Answer]] = {}

    def first(self, **more: Any) -> TokenSet:
        """What a consent gives."""
        number = next(self._numbers)
        self.alive.add(f"refresh-{number}")
        return TokenSet(f"access-{number}", f"refresh-{number}", self.life_seconds, **more)

    def revoke(self) -> None:
        self.alive.clear()
        self._used.clear()

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """As `Http.send`."""
        assert (method, url) == ("POST", OAUTH.token_url)
        fields = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        self.requests.append(fields | {"authorization": (headers or {}).get("Authorization", "")})
        self.sent.append(fields["refresh_token"])
        if self.scripted:
            step = self.scripted.pop(0)
            step = step() if callable(step) and not isinstance(step, Exception) else step
            if asyncio.iscoroutine(step):
                step = await step
            if isinstance(step, Exception):
                raise step
            if step is not None:
                return step
        return self.handle(fields["refresh_token"])

    def handle(self, token: str) -> Answer:
        """What the endpoint does with a token."""
        now = self.clock.monotonic()
        used = self._used.get(token)
        if used is not None and now - used[0] <= self.grace_seconds:
            return used[1]
        if token not in self.alive:
            return answered(400, {"error": "invalid_grant", "error_description": "Token revoked."})
        self.redeemed[token] += 1
        number = next(self._numbers)
        given: dict[str, Any] = {"access_token": f"access-{number}", "token_type": "bearer", **self.more}
        if self.life_seconds is not None:
            given["expires_in"] = self.life_seconds
        if self.rotates:
            self.alive = {f"refresh-{number}"}
            given["refresh_token"] = f"refresh-{number}"
        answer = answered(200, given)
        if self.rotates:
            self._used[token] = (now, answer)
        return answer

    def swallow(self) -> Exception:
        """The token is redeemed, and the answer lost."""
        self.handle(self.sent[-1])
        return Unavailable("The answer broke off.")


def not_sent() -> Exception:
    return NotSent("No connection came about.")


@dataclasses.dataclass
class Told:
    """Everybody who is told what becomes of grants."""

    parks: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    heals: list[str] = dataclasses.field(default_factory=list)
    horizons: list[int] = dataclasses.field(default_factory=list)
    versions: list[int] = dataclasses.field(default_factory=list)
    notes: list[tuple[str, str]] = dataclasses.field(default_factory=list)

    def parked(self, sql: Sql, grant: Grant, reason: str) -> None:
        assert sql.in_transaction()
        self.parks.append((grant.id, reason))

    def healed(self, sql: Sql, grant: Grant) -> None:
        assert sql.in_transaction()
        self.heals.append(grant.id)

    def horizon(self, sql: Sql, grant: Grant, days: int) -> None:
        assert sql.in_transaction()
        self.horizons.append(days)

    def refreshed(self, grant: Grant) -> None:
        self.versions.append(grant.version)

    def note(self, user_id: int, grant_id: str, kind: str, outcome: str, detail: str, ms: int) -> None:
        assert (user_id > 0, kind) == (True, "refresh")
        assert ms >= 0
        self.notes.append((outcome, detail))

    @property
    def outcomes(self) -> list[str]:
        return [outcome for outcome, _ in self.notes]


@dataclasses.dataclass
class Holder:
    """One process that refreshes grants."""

    tokens: Tokens
    refresher: Refresher
    told: Told
    metrics: Metrics
    health: Health


def holder(
    writer: Writer, clock: Clock, http: Http, *connectors: Connects, vault: Vault | None = None
) -> Holder:
    vault = vault or Vault(KEYS)
    told, metrics, health = Told(), Metrics(), Health(clock, quiet)
    refresher = Refresher(
        writer, vault, http, clock, quiet, metrics, health,
        connectors=connectors or (Provider(),), listener=told, note=told.note,
    )  # fmt: skip
    return Holder(Tokens(writer, vault, clock, refresher, told), refresher, told, metrics, health)


def saved(sql: Sql, user_id: UserId, tokens: TokenSet, clock: Clock, oauth: OAuth = OAUTH) -> Grant:
    """A consent of the account `account-1`."""
    return save_grant(
        sql,
        Vault(KEYS),
        user_id=user_id,
        account_key="account-1",
        client_id=CLIENT.id,
        tokens=tokens,
        oauth=oauth,
        now=clock.now(),
    )
