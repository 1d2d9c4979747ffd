"""The Discord connector: the pieces beside this file, put together as the contracts want them."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final

from tidings.contracts import (
    Account,
    Answer,
    Api,
    Asked,
    Budget,
    Connector,
    Connects,
    Http,
    Keys,
    OAuth,
    OAuthClient,
    Parsed,
    Pause,
    Polled,
    Polls,
    Receives,
    TokenSet,
    WebhookRequest,
)
from tidings.errors import Rejected
from tidings_discord import limits
from tidings_discord.account import read_profile
from tidings_discord.bot import Bot
from tidings_discord.fields import snowflake
from tidings_discord.oauth import oauth, revoke
from tidings_discord.parse import parse
from tidings_discord.poll import Terms, poll
from tidings_discord.settings import SETTINGS_SCHEMA
from tidings_discord.site import DISCORD, Site, name_of
from tidings_discord.verify import verify

# Two bubbles, one behind the other, drawn for tidings; Discord's own mark is a trademark.
_ICON: Final = (
    "M4 3h11a2 2 0 0 1 2 2v5a2 2 0 0 1-2 2H9l-4 3.500V12H4a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2z"
    "M19 8h1a2 2 0 0 1 2 2v6a2 2 0 0 1-2 2h-1v3.500L15 18h-4a2 2 0 0 1-2-2v-2h6a4 4 0 0 0 4-4z"
)
_UNSEEN: Final = (
    "Discord shows no app your messages, direct messages or friends: you hear of servers joined, left and renamed, of "
    "your roles and your profile. Messages come only from channels in which whoever runs this server has a bot, and "
    "that you may read there."
)


@dataclasses.dataclass(frozen=True, slots=True)
class Setup:
    """What the operator configured.

    Attributes:
        site: Where Discord is.
        client: The app; None for none.
        shared_keys: The app's public key, which verifies its webhook events.
        bot: The app's bot; None for none.
        channels: Those that it reads.
        roles: Whether roles are looked at.
        roles_seconds: How often, in servers where the bot reads nothing.
        poll_seconds: The cadence.
        headers: Sent with every call.
    """

    site: Site = DISCORD
    client: OAuthClient | None = None
    shared_keys: Keys = dataclasses.field(default_factory=Keys)
    bot: Bot | None = None
    channels: tuple[str, ...] = ()
    roles: bool = True
    roles_seconds: float = 24 * 3600.0
    poll_seconds: float = 4 * 3600.0
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


class DiscordConnector(Connector, Receives, Connects, Polls):
    """Learns by polling what changes in an account and what a bot may read; the app's webhook tells of consents."""

    platform: ClassVar[str] = "discord"
    display_name: ClassVar[str] = "Discord"
    icon: ClassVar[str] = _ICON
    settings_schema: ClassVar[Mapping[str, Any]] = SETTINGS_SCHEMA
    unseen: ClassVar[str] = _UNSEEN
    brings_news: ClassVar[bool] = False

    def __init__(self, setup: Setup) -> None:
        self.api_url = setup.site.api_url
        self._setup = setup
        self._oauth = oauth(setup.site, roles=setup.roles)

    # --- webhook events ---

    @property
    def shared_keys(self) -> Keys:
        """The app's public key, if there is one."""
        return self._setup.shared_keys

    def verify(self, request: WebhookRequest, keys: Keys, now: datetime) -> None:
        """See `tidings_discord.verify`."""
        verify(request, keys, now)

    def parse(self, request: WebhookRequest) -> Parsed:
        """See `tidings_discord.parse`."""
        return parse(request, self._setup.site)

    def sample(self, keys: Keys, now: datetime, serial: str) -> WebhookRequest:
        """There is none: what is configured is a public key, and only Discord has the private one.

        Raises:
            Rejected: Always.
        """
        raise Rejected(
            "Discord signs with a private key that only Discord has; the public key in config.yaml verifies, and signs "
            "nothing. To see an event, take the app's access back at Discord (Settings, Authorized Apps), or use the "
            "sandbox.",
            status=400,
        )

    # --- accounts ---

    @property
    def oauth(self) -> OAuth:
        """See `tidings_discord.oauth`."""
        return self._oauth

    @property
    def clients(self) -> Sequence[OAuthClient]:
        """The app, if there is one."""
        return () if self._setup.client is None else (self._setup.client,)

    @property
    def headers(self) -> Mapping[str, str]:
        """Who calls, in the form without which Discord lets nobody in."""
        return self._setup.headers

    @property
    def budgets(self) -> Sequence[Budget]:
        """Fifty calls a second, the one limit that Discord publishes; the others are read from its answers."""
        return (Budget(50 * 60, 60.0),)

    async def identify(self, api: Api) -> Account:
        """Whose account it is, by `id`: names can change hands."""
        user = await read_profile(api)
        identity = snowflake(user, "id")
        if not identity:
            raise Rejected("Discord does not say whose account this is.", status=502)
        return Account(
            key=identity,
            name=name_of(user) or identity,
            avatar_url=self._setup.site.avatar_url(user),
            url=self._setup.site.user_url(identity),
            addresses=(f"user:{identity}",),
        )

    def pause(self, answer: Answer, now: datetime) -> Pause | None:
        """See `tidings_discord.limits`."""
        return limits.pause(answer)

    async def revoke(self, http: Http, client: OAuthClient, tokens: TokenSet) -> None:
        """See `tidings_discord.oauth`."""
        await revoke(http, self._setup.site, client, tokens, self.headers)

    # --- polling ---

    @property
    def poll_every_seconds(self) -> float:
        """As the operator says."""
        return self._setup.poll_seconds

    def poll(self, api: Api, asked: Asked) -> AsyncIterator[Polled]:
        """See `tidings_discord.poll`."""
        setup = self._setup
        terms = Terms(
            setup.site, setup.bot, setup.channels, setup.roles, setup.roles_seconds, setup.poll_seconds
        )
        return poll(api, asked, terms)
