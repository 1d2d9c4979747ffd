"""The Gmail connector: the pieces beside this file, put together as the contracts want them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final

from tidings.contracts import (
    Account,
    Api,
    Asked,
    Budget,
    Connector,
    Http,
    Keys,
    Parsed,
    Polled,
    Polls,
    Pulled,
    Pulls,
    Receives,
    Registers,
    Target,
    Upstream,
    WebhookRequest,
)
from tidings.errors import NotFound
from tidings_gmail.cards import MESSAGE
from tidings_gmail.mailbox import units
from tidings_gmail.parse import mailbox_address, parse
from tidings_gmail.poll import poll
from tidings_gmail.queue import Queue
from tidings_gmail.rules import Rules
from tidings_gmail.settings import SETTINGS_SCHEMA
from tidings_gmail.verify import Sender, verify
from tidings_gmail.watch import Watching
from tidings_google import SCOPE, GoogleConnects, GoogleOptions

# An envelope, drawn for tidings; Google's own mark is a trademark.
_ICON: Final = (
    "M3 5h18a1 1 0 0 1 1 1v12a1 1 0 0 1-1 1H3a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1z"
    "m1 3v9h16V8l-8 6zm1.5-1L12 11.8 18.5 7z"
)
_MINUTE_SECONDS: Final = 60.0


class GmailConnector(GoogleConnects, Connector, Receives, Registers, Polls, Pulls):
    """Is told by Google that a mailbox has news, and asks for it."""

    platform: ClassVar[str] = "gmail"
    display_name: ClassVar[str] = "Gmail"
    icon: ClassVar[str] = _ICON
    settings_schema: ClassVar[Mapping[str, Any]] = SETTINGS_SCHEMA
    common_kinds: ClassVar[frozenset[str]] = frozenset({MESSAGE})
    shares_upstream: ClassVar[bool] = True

    def __init__(
        self,
        options: GoogleOptions,
        http: Http,
        *,
        api_url: str,
        rules: Rules,
        sender: Sender,
        watching: Watching,
        queue: Queue | None,
        jwks_url: str,
    ) -> None:
        super().__init__(options, api_url=api_url, scopes=(f"{SCOPE}gmail.{rules.scope}",), http=http)
        self._rules = rules
        self._sender = sender
        self._watching = watching
        self._queue = queue
        self.jwks_url = jwks_url

    # --- webhooks ---

    @property
    def shared_keys(self) -> Keys:
        """No secret: Google signs with the keys that it publishes at `jwks_url`."""
        return Keys()

    def verify(self, request: WebhookRequest, keys: Keys, now: datetime) -> None:
        """See `tidings_gmail.verify`."""
        verify(request, keys, now, self._sender)

    def parse(self, request: WebhookRequest) -> Parsed:
        """See `tidings_gmail.parse`."""
        return parse(request)

    def sample(self, keys: Keys, now: datetime, serial: str) -> WebhookRequest:
        """None: Google alone can sign a push.

        Raises:
            NotFound: Always.
        """
        raise NotFound("Google alone can sign a push of Gmail's. In the sandbox, make a mail arrive instead.")

    # --- accounts ---

    async def identify(self, api: Api) -> Account:
        """Whose account it is, by Google's `sub`; pushes name it by its address."""
        profile = await self.profile(api)
        return Account(
            key=profile.sub,
            name=profile.email or profile.name or profile.sub,
            avatar_url=profile.picture,
            url="https://mail.google.com/mail/",
            addresses=(mailbox_address(profile.email),) if profile.email else (),
        )

    @property
    def budgets(self) -> Sequence[Budget]:
        """The quota units that each account has in a minute."""
        return (Budget(self._rules.units_per_minute, _MINUTE_SECONDS, per_account=True),)

    def cost(self, method: str, url: str) -> int:
        """In quota units."""
        return units(url)

    # --- polling ---

    @property
    def poll_every_seconds(self) -> float:
        """As the operator says."""
        return self._rules.poll_seconds

    def poll(self, api: Api, asked: Asked) -> AsyncIterator[Polled]:
        """See `tidings_gmail.poll`."""
        return poll(api, asked, self._rules)

    # --- registering ---

    async def targets(self, api: Api, settings: Mapping[str, Any]) -> Sequence[Target]:
        """The mailbox."""
        return await self._watching.targets(api)

    async def register(self, api: Api, target: Target, callback_url: str, secret: str) -> Upstream:
        """See `tidings_gmail.watch`; where a push goes, the subscription at Google says."""
        return await self._watching.register(api, target)

    async def check(self, api: Api, upstream: Upstream) -> Upstream:
        """See `tidings_gmail.watch`."""
        return await self._watching.check(upstream)

    async def unregister(self, api: Api, upstream: Upstream) -> None:
        """See `tidings_gmail.watch`."""
        await self._watching.unregister(api)

    def reaches(self, callback_url: str) -> bool:
        """Whether there is a topic, and a way from it to here: a pull, or a push to a public address.

        An API in this network itself (a test's own) can push to this network.
        """
        if not self._watching.is_on:
            return False
        return self.pulls or super().reaches(callback_url) or not super().reaches(self.api_url)

    # --- pulling ---

    @property
    def pulls(self) -> bool:
        """Whether a subscription and a key are configured."""
        return self._queue is not None

    async def pull(self, now: datetime) -> Sequence[Pulled]:
        """See `tidings_gmail.queue`."""
        return () if self._queue is None else await self._queue.pull()

    async def acknowledge(self, receipts: Sequence[str]) -> None:
        """See `tidings_gmail.queue`."""
        if self._queue is not None:
            await self._queue.acknowledge(receipts)
