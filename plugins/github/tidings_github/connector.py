"""The GitHub connector: the pieces beside this file, put together as the contracts want them."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from tidings.contracts import (
    Account,
    AddressedDelivery,
    Answer,
    Api,
    Asked,
    Clock,
    Connector,
    Connects,
    Http,
    Keys,
    LoggedDelivery,
    Manifest,
    OAuth,
    OAuthClient,
    Parsed,
    Pause,
    Polled,
    Polls,
    Provisions,
    Receives,
    Recovers,
    RecoversCommon,
    Registers,
    Target,
    TokenSet,
    Upstream,
    WebhookRequest,
)
from tidings.errors import Rejected
from tidings.fields import line, link, number
from tidings_github import app as apps
from tidings_github import limits, oauth, recovery
from tidings_github.api import HEADERS, object_in
from tidings_github.appkey import AppKey
from tidings_github.hooks import Hooks
from tidings_github.parse import parse
from tidings_github.poll import poll
from tidings_github.sample import push
from tidings_github.settings import SETTINGS_SCHEMA
from tidings_github.site import GITHUB, Site
from tidings_github.targets import installations, watched
from tidings_github.verify import verify

# A fork in the road, drawn for tidings; GitHub's own mark is a trademark.
_ICON = (
    "M6 2a3 3 0 0 1 1 5.83v8.34a3 3 0 1 1-2 0V7.83A3 3 0 0 1 6 2z"
    "m12 2a3 3 0 0 1 1 5.83V10a5 5 0 0 1-5 5H9v-2h5a3 3 0 0 0 3-3v-.17A3 3 0 0 1 18 4z"
)


@dataclasses.dataclass(frozen=True, slots=True)
class Setup:
    """What the operator configured.

    Attributes:
        site: Where GitHub is.
        shared_keys: Verify deliveries to users without a registration of their own.
        client: The OAuth App; None for none.
        app: The GitHub App, in place of an OAuth App; None for none.
        poll_seconds: The cadence where nothing is pushed, and of notifications.
        private: Whether private repositories are watched.
        organizations: Whether webhooks are made for whole organisations.
        expiring: Whether tokens end and are refreshed.
    """

    site: Site = GITHUB
    shared_keys: Keys = dataclasses.field(default_factory=Keys)
    client: OAuthClient | None = None
    app: apps.App | None = None
    poll_seconds: float = 6 * 3600.0
    private: bool = False
    organizations: bool = False
    expiring: bool = False


class GitHubConnector(Connector, Receives, Connects, Polls, Registers, Recovers, RecoversCommon, Provisions):
    """Takes GitHub's webhooks, makes them, asks for what they lack, and recovers those that were lost.

    Two ways lead to an account: an OAuth App, which makes a webhook for each repository, and a GitHub App, which has
    one of its own for all.
    """

    platform: ClassVar[str] = "github"
    display_name: ClassVar[str] = "GitHub"
    icon: ClassVar[str] = _ICON
    settings_schema: ClassVar[Mapping[str, Any]] = SETTINGS_SCHEMA
    named_sources: ClassVar[bool] = True

    log_seconds = recovery.LOG_SECONDS
    common_log_seconds = recovery.LOG_SECONDS

    def __init__(self, setup: Setup, clock: Clock) -> None:
        self.api_url = setup.site.api_url
        self._setup = setup
        self._app = setup.app
        self._app_key = _app_key(setup.app)
        self._hooks = Hooks(clock)

    # --- webhooks ---

    @property
    def shared_keys(self) -> Keys:
        """The operator's `webhook_secret` and the GitHub App's, as far as there are any."""
        secret = self._app.webhook_secret if self._app is not None else ""
        own = self._setup.shared_keys.secrets
        return Keys((*own, secret.encode())) if secret.strip() else Keys(own)

    def verify(self, request: WebhookRequest, keys: Keys, now: datetime) -> None:
        """See `tidings_github.verify`.

        GitHub signs no timestamp: a replay is caught by its delivery id and by the event's id.
        """
        verify(request, keys)

    def parse(self, request: WebhookRequest) -> Parsed:
        """See `tidings_github.parse`."""
        return parse(request)

    def sample(self, keys: Keys, now: datetime, serial: str) -> WebhookRequest:
        """See `tidings_github.sample`."""
        return push(keys, now, serial)

    # --- accounts ---

    @property
    def oauth(self) -> OAuth:
        """An OAuth App asks for scopes; a GitHub App has permissions of its own."""
        setup = self._setup
        if self._app is not None:
            return oauth.app_oauth(setup.site)
        return oauth.oauth(
            setup.site,
            private=setup.private,
            organizations=setup.organizations,
            expiring=setup.expiring,
        )

    @property
    def clients(self) -> Sequence[OAuthClient]:
        """The GitHub App's, else the OAuth App's."""
        client = self._app.client if self._app is not None else self._setup.client
        return () if client is None else (client,)

    @property
    def headers(self) -> Mapping[str, str]:
        """The kind of answer and the version of the API."""
        return HEADERS

    async def identify(self, api: Api) -> Account:
        """Whose account it is, by `id`: a login can change hands."""
        person = object_in(await api.request("GET", "/user"))
        identity, login = number(person, "id"), line(person, "login", 100)
        if identity is None or not login:
            raise Rejected("GitHub does not say whose account this is.", status=502)
        addresses: tuple[str, ...] = ()
        if self._app is not None:
            installed = await installations(api)
            addresses = (f"user:{identity}", *(f"installation:{one}" for one in installed))
        return Account(
            key=str(identity),
            name=login,
            avatar_url=link(person, "avatar_url"),
            url=link(person, "html_url"),
            addresses=addresses,
        )

    def pause(self, answer: Answer, now: datetime) -> Pause | None:
        """See `tidings_github.limits`."""
        return limits.pause(answer, now)

    def is_permanent(self, status: int, error: str) -> bool:
        """GitHub says `bad_refresh_token`, with status 200."""
        return oauth.is_dead(error)

    async def revoke(self, http: Http, client: OAuthClient, tokens: TokenSet) -> None:
        """See `tidings_github.oauth`."""
        await oauth.revoke(http, self._setup.site, client, tokens)

    # --- polling ---

    @property
    def poll_every_seconds(self) -> float:
        """As the operator says."""
        return self._setup.poll_seconds

    def poll(self, api: Api, asked: Asked) -> AsyncIterator[Polled]:
        """See `tidings_github.poll`."""
        return poll(
            api,
            asked,
            web_url=self._setup.site.web_url,
            inbox_seconds=self._setup.poll_seconds,
            by_app=self._app is not None,
        )

    # --- registering ---

    async def targets(self, api: Api, settings: Mapping[str, Any]) -> Sequence[Target]:
        """See `tidings_github.targets`; none for a GitHub App, whose one webhook is there already."""
        return () if self._app is not None else await watched(api, settings)

    async def register(self, api: Api, target: Target, callback_url: str, secret: str) -> Upstream:
        """See `tidings_github.hooks`."""
        return await self._hooks.register(api, target, callback_url, secret)

    async def check(self, api: Api, upstream: Upstream) -> Upstream:
        """See `tidings_github.hooks`."""
        return await self._hooks.check(api, upstream)

    async def unregister(self, api: Api, upstream: Upstream) -> None:
        """See `tidings_github.hooks`."""
        await self._hooks.unregister(api, upstream)

    def reaches(self, callback_url: str) -> bool:
        """GitHub calls public addresses; one that stands in this network itself (a test's own, too) also others."""
        return super().reaches(callback_url) or not super().reaches(self.api_url)

    # --- recovering ---

    def deliveries(self, api: Api, upstream: Upstream, since: datetime) -> AsyncIterator[LoggedDelivery]:
        """See `tidings_github.recovery`."""
        return recovery.deliveries(api, upstream, since)

    async def fetch_delivery(self, api: Api, upstream: Upstream, logged: LoggedDelivery) -> WebhookRequest:
        """See `tidings_github.recovery`."""
        return await recovery.fetch_delivery(api, upstream, logged)

    def application_token(self, now: datetime) -> str | None:
        """See `tidings_github.appkey`; None without a GitHub App, or without its private key."""
        return self._app_key.token(now) if self._app_key is not None else None

    def common_deliveries(self, api: Api, since: datetime) -> AsyncIterator[AddressedDelivery]:
        """See `tidings_github.recovery`."""
        return recovery.common_deliveries(api, since)

    async def fetch_common_delivery(self, api: Api, logged: AddressedDelivery) -> WebhookRequest:
        """See `tidings_github.recovery`."""
        return await recovery.fetch_common_delivery(api, logged)

    # --- a GitHub App on one click ---

    def manifest(self, public_url: str, redirect_uri: str, callback_url: str, return_url: str) -> Manifest:
        """See `tidings_github.app`."""
        return apps.manifest(
            self._setup.site,
            public_url,
            redirect_uri,
            callback_url,
            return_url,
            is_reachable=self.reaches(callback_url),
        )

    async def provision(self, http: Http, code: str) -> Mapping[str, Any]:
        """See `tidings_github.app`."""
        return await apps.provision(http, self._setup.site, code)

    def use(self, credentials: Mapping[str, Any]) -> None:
        """Be the GitHub App that was made, unless the operator configured a client."""
        if self._setup.client is None and self._setup.app is None:
            self._app = apps.read_credentials(credentials)
            self._app_key = _app_key(self._app)


def _app_key(app: apps.App | None) -> AppKey | None:
    if app is None or not app.private_key.strip():
        return None
    return AppKey(app.id or app.client.id, app.private_key)
