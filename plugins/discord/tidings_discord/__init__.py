"""Discord for tidings: servers, roles and profile by asking, messages by the operator's bot, consents by webhook."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from tidings import __version__
from tidings.config import Secret
from tidings.context import Context
from tidings.contracts import Connector, Keys, OAuthClient
from tidings.durations import Duration
from tidings.hooks import Options, Plugin, hookimpl
from tidings_discord.bot import Bot
from tidings_discord.connector import DiscordConnector, Setup
from tidings_discord.fields import as_snowflake
from tidings_discord.site import DISCORD, Site
from tidings_discord.verify import public_key


def _http_url(url: str) -> str:
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"{url!r} is not a URL. Write one that begins with https://.")
    return url.rstrip("/")


def _digits(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _id(value: str) -> str:
    if not as_snowflake(value):
        raise ValueError(
            f"{value!r} is not an id. Switch on Discord's developer mode, and choose Copy Channel ID."
        )
    return value


def _public_key(value: str | None) -> str | None:
    if value is None or not value.strip():
        return None
    if public_key(value.encode("utf-8", "replace")) is None:
        raise ValueError("It is not 64 hexadecimal digits, as the app's page General Information shows them.")
    return value.strip()


Url = Annotated[str, AfterValidator(_http_url)]
Id = Annotated[str, BeforeValidator(_digits), AfterValidator(_id)]


class DiscordOptions(Options):
    """What stands under `plugins.connectors.discord`.

    Attributes:
        client_id: From the app's page OAuth2; without one nobody can connect.
        client_secret: Likewise.
        public_key: From the app's page General Information; verifies the app's webhook events.
        bot_token: From the app's page Bot; reads `channels`.
        channels: The ids of the channels whose messages are told, to those who may read them at Discord.
        roles: Ask for the scope `guilds.members.read`, and tell of roles that were given or taken.
        roles_every: How often to ask for the roles in servers where the bot reads nothing; elsewhere they are asked for
            each time.
        poll_every: How often to ask.
        authorize_url: Where people consent.
        token_url: Where tokens are given.
        revoke_url: Where they are given back.
        api_url: The HTTP API.
        web_url: Discord's pages, for links.
        cdn_url: Discord's pictures.
    """

    client_id: Annotated[str | None, BeforeValidator(_digits)] = None
    client_secret: Secret = None
    public_key: Annotated[str | None, AfterValidator(_public_key)] = None
    bot_token: Secret = None
    channels: tuple[Id, ...] = Field(default=(), max_length=200)
    roles: bool = True
    roles_every: Duration = 24 * 3600.0
    poll_every: Duration = 4 * 3600.0
    authorize_url: Url = DISCORD.authorize_url
    token_url: Url = DISCORD.token_url
    revoke_url: Url = DISCORD.revoke_url
    api_url: Url = DISCORD.api_url
    web_url: Url = DISCORD.web_url
    cdn_url: Url = DISCORD.cdn_url

    @property
    def own_client_id(self) -> str:
        """The client's id; blank is as good as none."""
        return (self.client_id or "").strip()

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.own_client_id and not _text(self.client_secret):
            raise ValueError("client_id stands without client_secret. Discord gives no tokens without one.")
        if self.channels and not _text(self.bot_token):
            raise ValueError("channels stand without bot_token. Only a bot can read them.")
        return self


class DiscordPlugin(Plugin):
    """Offers the Discord connector."""

    options_model = DiscordOptions
    options: DiscordOptions

    @hookimpl
    def tidings_connectors(self, context: Context) -> Iterable[Connector]:
        """Return the one connector."""
        options = self.options
        site = Site(
            authorize_url=options.authorize_url,
            token_url=options.token_url,
            revoke_url=options.revoke_url,
            api_url=options.api_url,
            web_url=options.web_url,
            cdn_url=options.cdn_url,
        )
        # The form that Discord asks for (https://docs.discord.com/developers/reference, "User Agent").
        headers = {"user-agent": f"DiscordBot ({context.public_url}, {__version__})"}
        client = None
        if options.own_client_id:
            client = OAuthClient(options.own_client_id, _text(options.client_secret))
        bot = None
        if token := _text(options.bot_token):
            bot = Bot(
                context.http,
                context.clock,
                context.log,
                api_url=site.api_url,
                token=token,
                headers=headers,
            )
        setup = Setup(
            site=site,
            client=client,
            shared_keys=Keys((options.public_key.encode(),) if options.public_key else ()),
            bot=bot,
            channels=tuple(dict.fromkeys(options.channels)),
            roles=options.roles,
            roles_seconds=options.roles_every,
            poll_seconds=options.poll_every,
            headers=headers,
        )
        return (DiscordConnector(setup),)


def _text(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value().strip()
