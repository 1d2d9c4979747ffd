"""Slack for tidings: what is said in the conversations of an account, pushed by the Events API and asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from tidings.config import Secret
from tidings.context import Context
from tidings.contracts import Connector, OAuthClient
from tidings.durations import Duration
from tidings.hooks import Options, Plugin, hookimpl
from tidings_slack.connector import Setup, SlackConnector


def _http_url(url: str) -> str:
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"{url!r} is not a URL. Write one that begins with https://.")
    return url.rstrip("/")


Url = Annotated[str, AfterValidator(_http_url)]


class SlackOptions(Options):
    """What stands under `plugins.connectors.slack`.

    Attributes:
        client_id: Of your Slack app, from its Basic Information; without one nobody can connect.
        client_secret: Likewise.
        signing_secret: Likewise. Verifies what Slack sends to `/api/webhooks/slack`; without one it is refused, and
            polls are the only way.
        token: `user` asks each person for their own rights: what they see, they are told. `bot` asks for a bot in the
            workspace, which sees what it was invited to.
        own_messages: Tell accounts of what they wrote and did themselves, too.
        poll_every: How often to ask where nothing is pushed.
        calls_per_minute: How many calls each account may make. Slack allows 50 to apps that their own workspace made,
            and 1 to apps that are distributed without being in its Marketplace.
        token_rotation: Whether the manifest that `tidings doctor slack` prints has token rotation on. Tokens then end
            after twelve hours and are refreshed; Slack can't switch that off again.
        authorize_url: Where people consent.
        token_url: Where tokens are given.
        api_url: The Web API.
    """

    client_id: str | None = None
    client_secret: Secret = None
    signing_secret: Secret = None
    token: Literal["user", "bot"] = "user"  # noqa: S105 - a kind of token
    own_messages: bool = False
    poll_every: Duration = 4 * 3600.0
    calls_per_minute: int = Field(default=50, ge=1)
    token_rotation: bool = False
    authorize_url: Url = "https://slack.com/oauth/v2/authorize"
    token_url: Url = "https://slack.com/api/oauth.v2.access"  # noqa: S105 - an address
    api_url: Url = "https://slack.com/api"

    @property
    def own_client_id(self) -> str:
        """The client's id; blank is as good as none."""
        return (self.client_id or "").strip()

    @model_validator(mode="after")
    def _client_is_whole(self) -> Self:
        if self.own_client_id and not self.client_secret:
            raise ValueError("client_id stands without client_secret. Slack gives no tokens without one.")
        return self


class SlackPlugin(Plugin):
    """Offers the Slack connector."""

    options_model = SlackOptions
    options: SlackOptions

    @hookimpl
    def tidings_connectors(self, context: Context) -> Iterable[Connector]:
        """Return the one connector."""
        del context  # it needs nothing of it
        options = self.options
        client = None
        if options.own_client_id:
            client = OAuthClient(options.own_client_id, _text(options.client_secret))
        return [
            SlackConnector(
                Setup(
                    authorize_url=options.authorize_url,
                    token_url=options.token_url,
                    api_url=options.api_url,
                    client=client,
                    signing_secret=_text(options.signing_secret),
                    kind=options.token,
                    own_messages=options.own_messages,
                    poll_seconds=options.poll_every,
                    calls_per_minute=options.calls_per_minute,
                    token_rotation=options.token_rotation,
                )
            )
        ]


def _text(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()
