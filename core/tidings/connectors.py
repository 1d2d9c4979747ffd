"""What a connector must be, and what it may be besides: the platform's half of the contracts.

A connector is one object that says what it can by the contracts it fulfils: `Receives` webhooks, `Greets` who
asks whether an address wants them, `Pulls` what waits for it elsewhere, `Connects` accounts by OAuth or `Follows` what
needs no consent, `Polls` their news, `Registers` webhooks at the platform, `Recovers` lost deliveries. Core does all
the rest: consent, tokens, rates, retries, checkpoints, order and durability.

Failures: `Unavailable` (try again), `AuthExpired` (the token is dead), `Rejected` (this item, for good).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from tidings.addresses import is_public
from tidings.connecting import Account, Api, Connects, OAuth, OAuthClient
from tidings.deliveries import Keys, Parsed, Reply, WebhookRequest
from tidings.errors import Rejected
from tidings.event import Event


class Connector(ABC):
    """Speaks to one platform. What it can do, it says by the contracts below that it fulfils too.

    Attributes:
        platform: The id used in routes, configuration and event ids: `github`.
        display_name: The platform's name as people write it: `GitHub`.
        icon: An SVG path (24 by 24) for pages; "" for none.
        settings_schema: What the user of a connection can choose (its `settings`), as a JSON Schema of an object from
            which pages make a form: strings, booleans, numbers, `enum`, lists of strings, and `oneOf` a `const` or
            such a list, each with a `title`; {} for nothing.
        unseen: What the platform shows no app at all, in a sentence or two, for who is about to connect: nobody shall
            wait for news that can't come. "" where that goes without saying.
        named_sources: Whether the paths of its events' sources are names that people know (`octo/repo`) and no ids.
            Where they are ids, pages name the account instead.
    """

    platform: ClassVar[str]
    display_name: ClassVar[str]
    icon: ClassVar[str] = ""
    settings_schema: ClassVar[Mapping[str, Any]] = {}
    unseen: ClassVar[str] = ""
    named_sources: ClassVar[bool] = False


class Follows(Connector, Connects):
    """A connector whose accounts need no consent: what anybody may read, named by an address such as a feed's.

    Such an account has no token. The connector calls its platform by `Context.http`, or, where people type addresses,
    by `Context.internet`; never by the `Api` it is given, of which `account_key` alone is of use. People follow by
    `POST /api/connections`. Since API 1.

    Attributes:
        asks_for: What people are asked for: `The address of a feed, or of a page that has one`.
    """

    asks_for: ClassVar[str]
    api_url: str = ""

    @abstractmethod
    async def follow(self, address: str) -> Account:
        """What stands at an address that somebody typed.

        Implementers must not believe it: it may lead to a machine of the installation's own network, as may every
        redirect. `Context.internet` refuses that.

        Raises:
            Rejected: There is nothing to follow there; the text says what to write instead (status 400).
            Unavailable: It does not answer now.
        """

    @property
    def oauth(self) -> OAuth:
        """Nothing to consent to."""
        return OAuth(provider=f"follows-{self.platform}", authorize_url="", token_url="", scopes=())

    @property
    def clients(self) -> Sequence[OAuthClient]:
        """One for all, which is registered nowhere."""
        return (OAuthClient("none"),)

    async def identify(self, api: Api) -> Account:
        """Nobody consents.

        Raises:
            Rejected: Always.
        """
        raise Rejected(f"{self.display_name} is followed by an address.", status=409)


# --- webhooks: what a platform sends --------------------------------------------------------------------------


class Receives(ABC):
    """A connector that takes webhooks at `/api/webhooks/{platform}/{registration}`.

    Without this contract a connector can't receive at all: there is no route that skips `verify`.

    Attributes:
        jwks_url: Where the platform publishes the keys it signs with; core keeps them at hand as `Keys.jwks`.
        common_kinds: The kinds of event that deliveries to the common address bring to a connection they reach; a
            poll that finds one of these finds something that was not delivered.
        brings_news: Whether what happens in an account is delivered; where deliveries tell of the consent alone, asking
            stays the way to the news.
    """

    jwks_url: str = ""
    brings_news: ClassVar[bool] = True
    common_kinds: ClassVar[frozenset[str]] = frozenset()

    @property
    @abstractmethod
    def shared_keys(self) -> Keys:
        """Keys from the operator's configuration, for deliveries to users without a registration of their own."""

    @abstractmethod
    def verify(self, request: WebhookRequest, keys: Keys, now: datetime) -> None:
        """Say whether the platform sent this request.

        Implementers must be pure, compare in constant time, and refuse when `keys` is empty.

        Raises:
            Rejected: It is not signed, signed wrongly, or too old. The status is what the platform expects.
            UnknownKey: It names a key that is not in `keys.jwks`; core reads them anew and asks once more.
        """

    @abstractmethod
    def parse(self, request: WebhookRequest) -> Parsed:
        """Read a verified request.

        Implementers must be pure, must give an event the same id whichever way it comes, and must not raise
        anything but `Rejected` whatever is in the body: who signed it may still send anything.

        Raises:
            Rejected: It can't be read at all (status 400, 415, …).
        """

    def unknown(self, request: WebhookRequest) -> Reply | None:
        """What to answer a delivery to an address that is none, or none any more; None, by default, for a 404.

        For platforms that go on sending for a while after they were told to stop, or that can't be told, and that
        take a refusal for an outage. Nothing about the request is proven, and nothing of it is stored.
        """
        return None

    @abstractmethod
    def sample(self, keys: Keys, now: datetime, serial: str) -> WebhookRequest:
        """A signed example delivery, as the platform would send it, for `tidings send-sample` and tests.

        Args:
            keys: Signed with the first of `keys.secrets`.
            now: When it is said to have happened.
            serial: Makes this sample another happening than the last one.
        """


class Greeted(msgspec.Struct, frozen=True):
    """What a platform that asks whether an address wants its deliveries is told.

    Attributes:
        reply: The answer.
        expires_in_seconds: The lease that the platform grants with it; None where it says nothing of one.
        problem: Why the platform will not deliver, for people; "" where it will.
    """

    reply: Reply
    expires_in_seconds: float | None = None
    problem: str = ""


class Greets(ABC):
    """A connector whose platform asks by GET whether an address wants its deliveries (WebSub 1.0, §5.3)."""

    @abstractmethod
    def greet(self, request: WebhookRequest, target: str | None, *, is_wanted: bool) -> Greeted:
        """Answer the question.

        Implementers must be pure.

        Args:
            request: The question; nothing about it is proven.
            target: The key of what the registration at this address watches; None where there is none (any more).
            is_wanted: Whether deliveries are wanted there.

        Raises:
            Rejected: The question makes no sense for this address (status 404).
        """


class Pulled(msgspec.Struct, frozen=True):
    """A delivery that was fetched instead of sent.

    Attributes:
        request: As it would have come to the common address.
        receipt: By which it is acknowledged.
    """

    request: WebhookRequest
    receipt: str


class Pulls(ABC):
    """A connector that can fetch what its platform would send to the common address, from a queue of the platform's.

    So an installation that nothing can reach from outside has its deliveries too. One server of an installation does
    it at a time. What is fetched is not verified: it comes from the platform's own API.
    """

    @property
    @abstractmethod
    def pulls(self) -> bool:
        """Whether the operator configured it."""

    @abstractmethod
    async def pull(self, now: datetime) -> Sequence[Pulled]:
        """Wait a while for deliveries, and take those that are there.

        Raises:
            Unavailable: Try again.
            Rejected: The operator must mend something; the text says what.
        """

    @abstractmethod
    async def acknowledge(self, receipts: Sequence[str]) -> None:
        """Tell the platform that these are on disk, so that it does not give them out again.

        Raises:
            Unavailable: It was not told; they will come again.
        """


# --- polling: what a connector asks for -------------------------------------------------------------------------


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What core wants to know, and what it knows.

    Attributes:
        checkpoint: The position stored last; empty at first, when what is there already is not news.
        every_seconds: The cadence wanted: short when polling, long when reconciling under push.
        share_seconds: What one call costs of the account's fair share of its client's budgets: with 500 calls a day
            for five accounts, 864 s. An interval of n calls that is n times as long never uses a budget up.
        is_urgent: Whether its user asked for it just now: then everything is to be looked at, due or not.
        is_watched: Whether somebody looks at a live page of this user.
        pushed: The kinds of event, by target's key, that healthy webhooks deliver: `{"repo:5": {"push"}}`; under ""
            those of the common address.
        hinted: The keys of targets that deliveries have named since the last poll (see `Hint`), "" for everything.
            Then these are to be looked at, due or not, and the rest need not be.
        settings: The connection's own: what its user chose.
    """

    checkpoint: Mapping[str, Any]
    now: datetime
    every_seconds: float
    share_seconds: float = 0.0
    is_urgent: bool = False
    is_watched: bool = False
    pushed: Mapping[str, frozenset[str]] = {}
    hinted: frozenset[str] = frozenset()
    settings: Mapping[str, Any] = {}


class Polled(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of news; committed with its checkpoint in one transaction.

    Attributes:
        target: The key of the target that the events are from, where there are several.
        checkpoint: The position after these events.
        next_in_seconds: When to ask again, where the platform or the content says; None for the cadence.
        gap: Where the platform no longer shows everything since the checkpoint: what is lost, for people.
        notices: For who watches just now, never stored: `{"type": "com.spotify.now_playing", …}`.
        addresses: What deliveries to the common address name this account by from now on, all of them (see
            `Account.addresses`); None where that was not looked at. They hold before the checkpoint does. A new consent
            replaces them with those of `identify`, so tell them whenever they were looked at, changed or not.
    """

    events: Sequence[Event] = ()
    target: str = ""
    checkpoint: Mapping[str, Any]
    next_in_seconds: float | None = None
    gap: str = ""
    notices: Sequence[Mapping[str, Any]] = ()
    addresses: tuple[str, ...] | None = None


class Polls(ABC):
    """A connector that can ask for news.

    Attributes:
        follows_watchers: Whether a user who opens a live page wants it asked at once.
    """

    follows_watchers: ClassVar[bool] = False

    @property
    @abstractmethod
    def poll_every_seconds(self) -> float:
        """The cadence where nothing is pushed."""

    @abstractmethod
    def poll(self, api: Api, asked: Asked) -> AsyncIterator[Polled]:
        """Ask for what is new since the checkpoint; each piece is committed before the next is asked for.

        Raises:
            AuthExpired, Unavailable, Rejected: As `Api.request`. What was committed stays.
        """


# --- registering: webhooks that tidings makes at the platform ------------------------------------------------------


class Target(msgspec.Struct, frozen=True):
    """Something that a webhook can watch: `repo:1296269`, called `octo/hello`."""

    key: str
    name: str


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """A registration as it stands at the platform.

    Attributes:
        id: The platform's id of it.
        kinds: The kinds of event it delivers.
        expires_at: When it lapses unless it is renewed.
        problem: What keeps it from delivering, for people; "" for nothing.
        is_pending: Whether it delivers only once the platform has asked the address (see `Greets`).
        data: More that the connector needs to find it again.
    """

    id: str
    target: Target
    kinds: frozenset[str] = frozenset()
    expires_at: datetime | None = None
    problem: str = ""
    is_pending: bool = False
    data: Mapping[str, Any] = {}


class Registers(ABC):
    """A connector that makes webhooks at the platform.

    Attributes:
        shares_upstream: Whether the platform keeps one registration of a target for all who ask, so that it is to be
            removed only with the last connection of that account.
    """

    shares_upstream: ClassVar[bool] = False

    @abstractmethod
    async def targets(self, api: Api, settings: Mapping[str, Any]) -> Sequence[Target]:
        """What to watch for this account, by its user's choice."""

    @abstractmethod
    async def register(self, api: Api, target: Target, callback_url: str, secret: str) -> Upstream:
        """Make the webhook, or bring the one that calls `callback_url` already up to date.

        Raises:
            Rejected: This account may not; the text says what is missing.
        """

    async def renew(
        self, api: Api, target: Target, callback_url: str, secret: str, former: Upstream
    ) -> Upstream:
        """Have a webhook that stands last longer, or mend it; by default `register` does that as well.

        Where a platform can only make another one, implementers make it first and remove `former` then, so that
        nothing falls between them; both may deliver for a while.

        Raises:
            Rejected: This account may not (any more); the text says what is missing.
        """
        return await self.register(api, target, callback_url, secret)

    @abstractmethod
    async def check(self, api: Api, upstream: Upstream) -> Upstream:
        """How it stands at the platform now.

        Raises:
            Rejected: It is gone (status 404).
        """

    @abstractmethod
    async def unregister(self, api: Api, upstream: Upstream) -> None:
        """Remove it; one that is gone already is fine."""

    def reaches(self, callback_url: str) -> bool:
        """Whether the platform can call that address; by default, any but one of this machine or its network."""
        return is_public(callback_url)


class LoggedDelivery(msgspec.Struct, frozen=True):
    """A line of the platform's own log of what it sent.

    Attributes:
        delivery_id: As in `Parsed.delivery_id`.
        number: The platform's id of this line, to fetch it by.
        succeeded: Whether the platform believes that it arrived.
    """

    delivery_id: str
    number: str
    kind: str
    delivered_at: datetime
    succeeded: bool


class Recovers(ABC):
    """A connector whose platform keeps a log of deliveries, so that lost ones can be had later."""

    #: How far back the log reaches.
    log_seconds: float

    @abstractmethod
    def deliveries(self, api: Api, upstream: Upstream, since: datetime) -> AsyncIterator[LoggedDelivery]:
        """What the platform sent to this registration since then, newest first."""

    @abstractmethod
    async def fetch_delivery(self, api: Api, upstream: Upstream, logged: LoggedDelivery) -> WebhookRequest:
        """The delivery itself, as it would have arrived."""
