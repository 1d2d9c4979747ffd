"""GitHub for tidings: what happens in repositories, organisations and apps, by webhook and by asking."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from tidings.config import Secret, Section
from tidings.context import Context
from tidings.contracts import Connector, Keys, OAuthClient
from tidings.durations import Duration
from tidings.hooks import Options, Plugin, hookimpl
from tidings_github.app import App
from tidings_github.connector import GitHubConnector, Setup
from tidings_github.site import GITHUB, Site


def _http_url(url: str) -> str:
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"{url!r} is not a URL. Write one that begins with https://.")
    return url.rstrip("/")


def _digits(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Url = Annotated[str, AfterValidator(_http_url)]


class GitHubApp(Section):
    """A GitHub App that was registered by hand. Its client is `client_id` and `client_secret` beside it.

    Attributes:
        id: The App ID of its page.
        slug: Its name in its address: `github.com/apps/SLUG`.
        private_key: PEM. By it GitHub's log of what the app's webhook was sent is read, so that lost deliveries are
            found; without it they are not.
        webhook_secret: Verifies what its webhook sends to `/api/webhooks/github`.
    """

    id: Annotated[str, BeforeValidator(_digits)] = Field(min_length=1)
    slug: str = Field(min_length=1)
    private_key: Secret = None
    webhook_secret: Secret = None


class GitHubOptions(Options):
    """What stands under `plugins.connectors.github`.

    Attributes:
        webhook_secret: Verifies deliveries to users without a registration of their own.
        client_id: Of the OAuth App or GitHub App; without one nobody can connect.
        client_secret: Likewise.
        app: Makes the client that of a GitHub App.
        poll_every: How often to ask where nothing is pushed, and for notifications, which nothing pushes.
        private_repositories: Ask for the scope `repo`, without which private repositories can't be seen. It gives
            tidings every right to them: GitHub has none that only reads. A GitHub App does without.
        organization_hooks: Ask for the scope `admin:org_hook`, to make one webhook for a whole organisation.
        expiring_tokens: Ask for tokens that end after eight hours and are refreshed (`offline_access`).
        authorize_url: Where people consent.
        token_url: Where tokens are given.
        api_url: The REST API; `https://HOST/api/v3` of an Enterprise Server.
    """

    webhook_secret: Secret = None
    client_id: str | None = None
    client_secret: Secret = None
    app: GitHubApp | None = None
    poll_every: Duration = 6 * 3600.0
    private_repositories: bool = False
    organization_hooks: bool = False
    expiring_tokens: bool = False
    authorize_url: Url = GITHUB.authorize_url
    token_url: Url = GITHUB.token_url
    api_url: Url = GITHUB.api_url

    @property
    def own_client_id(self) -> str:
        """The client's id; blank is as good as none."""
        return (self.client_id or "").strip()

    @model_validator(mode="after")
    def _client_is_whole(self) -> Self:
        if self.own_client_id and not self.client_secret:
            raise ValueError("client_id stands without client_secret. GitHub gives no tokens without one.")
        if self.app is not None and not self.own_client_id:
            raise ValueError("app stands without client_id and client_secret, which the app's page shows.")
        return self


class GitHubPlugin(Plugin):
    """Offers the GitHub connector."""

    options_model = GitHubOptions
    options: GitHubOptions

    @hookimpl
    def tidings_connectors(self, context: Context) -> Iterable[Connector]:
        """Return the one connector, with the operator's keys if there are any."""
        options = self.options
        site = Site(options.authorize_url, options.token_url, options.api_url)
        client = None
        if options.own_client_id:
            client = OAuthClient(options.own_client_id, _text(options.client_secret))
        secret = _text(options.webhook_secret)
        setup = Setup(
            site=site,
            shared_keys=Keys((secret.encode(),) if secret else ()),
            client=client,
            app=_app(options.app, client),
            poll_seconds=options.poll_every,
            private=options.private_repositories,
            organizations=options.organization_hooks,
            expiring=options.expiring_tokens,
        )
        return (GitHubConnector(setup, context.clock),)


def _app(app: GitHubApp | None, client: OAuthClient | None) -> App | None:
    if app is None or client is None:
        return None
    return App(app.id, app.slug, client, _text(app.webhook_secret), _text(app.private_key))


def _text(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()
