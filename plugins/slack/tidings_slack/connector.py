"""The Slack connector: the pieces beside this file, put together as the contracts want them."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from tidings.contracts import (
    Account,
    Answer,
    Api,
    Asked,
    Budget,
    Connector,
    Connects,
    Draft,
    Drafts,
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
    retry_after_seconds,
)
from tidings.errors import Rejected
from tidings.fields import flag, link, obj, word
from tidings_slack import manifest, oauth
from tidings_slack.addresses import Whose, all_of
from tidings_slack.api import Refusal, ask, is_refused, who_am_i
from tidings_slack.card import person_of
from tidings_slack.fields import identity
from tidings_slack.memberships import memberships
from tidings_slack.names import Names, Person
from tidings_slack.oauth import TokenKind
from tidings_slack.parse import parse
from tidings_slack.poll import poll
from tidings_slack.sample import message
from tidings_slack.verify import verify

# Four strokes that meet, drawn for tidings; Slack's own mark is a trademark.
_ICON: Final = (
    "M8.500 2.500h2.500v6h-2.500zM13 15.500h2.500v6H13zM2.500 13h6v2.500h-6zM15.500 8.500h6V11h-6z"
    "M4 7a2 2 0 1 1 4 0 2 2 0 0 1-4 0zm12 10a2 2 0 1 1 4 0 2 2 0 0 1-4 0z"
)
_MINUTE_SECONDS: Final = 60.0
_UNSAID_SECONDS: Final = 60.0
# Of the calls of a minute a run leaves some for what its user asks for, and for consents.
_SHARE: Final = 0.8


@dataclasses.dataclass(frozen=True, slots=True)
class Setup:
    """What the operator configured.

    Attributes:
        authorize_url: Where people consent.
        token_url: Where tokens are given.
        api_url: The Web API.
        client: The app; None for none.
        signing_secret: Verifies what Slack sends; "" for none.
        kind: Whose tokens are asked for.
        own_messages: Whether accounts are told of what they did themselves.
        poll_seconds: The cadence where nothing is pushed.
        calls_per_minute: Of each account.
        token_rotation: Whether the app that is made here has tokens that end.
    """

    authorize_url: str
    token_url: str
    api_url: str
    client: OAuthClient | None = None
    signing_secret: str = dataclasses.field(default="", repr=False)
    kind: TokenKind = "user"
    own_messages: bool = False
    poll_seconds: float = 4 * 3600.0
    calls_per_minute: int = 50
    token_rotation: bool = False


class SlackConnector(Connector, Receives, Connects, Polls, Drafts):
    """Takes what Slack's Events API sends for a whole workspace, and asks for what it did not send."""

    platform: ClassVar[str] = "slack"
    display_name: ClassVar[str] = "Slack"
    icon: ClassVar[str] = _ICON
    # What both ways bring. Reactions, deletions and new channels are pushed alone.
    common_kinds: ClassVar[frozenset[str]] = frozenset(
        {
            "message",
            "message_changed",
            "member_joined_channel",
            "channel_rename",
            "channel_archive",
            "channel_unarchive",
        }
    )

    def __init__(self, setup: Setup) -> None:
        self.api_url = setup.api_url
        self._setup = setup
        self._names = Names()

    # --- what Slack sends ---

    @property
    def shared_keys(self) -> Keys:
        """The app's signing secret."""
        secret = self._setup.signing_secret
        return Keys((secret.encode(),)) if secret.strip() else Keys()

    def verify(self, request: WebhookRequest, keys: Keys, now: datetime) -> None:
        """See `tidings_slack.verify`."""
        verify(request, keys, now)

    def parse(self, request: WebhookRequest) -> Parsed:
        """See `tidings_slack.parse`. What cards call people and channels is what polls have learnt."""
        return parse(request, self._names, own_messages=self._setup.own_messages)

    def sample(self, keys: Keys, now: datetime, serial: str) -> WebhookRequest:
        """See `tidings_slack.sample`."""
        return message(keys, now, serial)

    # --- accounts ---

    @property
    def oauth(self) -> OAuth:
        """See `tidings_slack.oauth`."""
        return oauth.oauth(self._setup.authorize_url, self._setup.token_url, self._setup.kind)

    @property
    def clients(self) -> Sequence[OAuthClient]:
        """The one app, where there is one."""
        return () if self._setup.client is None else (self._setup.client,)

    @property
    def budgets(self) -> Sequence[Budget]:
        """Slack's limits are by method; those of history, 50 a minute, are kept for all methods together."""
        return (Budget(self._setup.calls_per_minute, _MINUTE_SECONDS, per_account=True),)

    async def identify(self, api: Api) -> Account:
        """Whose account it is, by `auth.test`: a person, or a bot, in a workspace.

        Raises:
            Rejected: Slack does not say, or the app was installed for a whole organisation.
        """
        found = await who_am_i(api)
        team, user = identity(found, "team_id"), identity(found, "user_id")
        if flag(found, "is_enterprise_install") or team.startswith("E"):
            raise Rejected(
                "This is an installation for a whole Enterprise organisation, of which tidings can't tell what each "
                "account sees. Install the app in one workspace.",
                status=409,
            )
        if not team or not user:
            raise Rejected("Slack does not say whose account this is.", status=502)
        url = link(found, "url")
        if url:
            self._names.note_url(team, url)
        person = await self._person(api, team, user)
        name, workspace = person.name or word(found, "user") or user, word(found, "team")
        whose = Whose(identity(found, "enterprise_id") or "-", team, user)
        conversations = await memberships(api)
        return Account(
            key=whose.key,
            name=f"{name} at {workspace}" if workspace else name,
            avatar_url=person.avatar_url,
            url=url,
            addresses=all_of(whose, (one for one, kept in conversations.items() if not kept.is_archived)),
        )

    async def _person(self, api: Api, team: str, user: str) -> Person:
        try:
            person = person_of(obj(await ask(api, "users.info", user=user), "user"))
        except Refusal:  # the scope is missing, and told of as such
            return Person("")
        self._names.note_person(team, user, person)
        return person

    def is_refused(self, answer: Answer) -> bool:
        """See `tidings_slack.api`."""
        return is_refused(answer)

    def pause(self, answer: Answer, now: datetime) -> Pause | None:
        """A 429 is about one method in one workspace: the account waits, others go on."""
        if answer.status != 429:
            return None
        seconds = retry_after_seconds(answer.headers, now) or _UNSAID_SECONDS
        return Pause(seconds, whole_app=False, reason="Slack's rate limit for this workspace is reached.")

    def read_tokens(self, answer: Mapping[str, Any]) -> TokenSet:
        """See `tidings_slack.oauth`."""
        return oauth.read_tokens(answer, self._setup.kind)

    def is_permanent(self, status: int, error: str) -> bool:
        """Slack says `invalid_refresh_token`, with status 200."""
        return oauth.is_dead(error)

    async def revoke(self, http: Http, client: OAuthClient, tokens: TokenSet) -> None:
        """See `tidings_slack.oauth`."""
        await oauth.revoke(http, self.api_url, client, tokens, self._setup.kind)

    # --- asking ---

    @property
    def poll_every_seconds(self) -> float:
        """As the operator says."""
        return self._setup.poll_seconds

    def poll(self, api: Api, asked: Asked) -> AsyncIterator[Polled]:
        """See `tidings_slack.poll`."""
        return poll(
            api,
            asked,
            self._names,
            most_calls=max(1, int(self._setup.calls_per_minute * _SHARE)),
            own_messages=self._setup.own_messages,
        )

    # --- the app ---

    def draft(self, public_url: str, redirect_uri: str, callback_url: str) -> Draft:
        """See `tidings_slack.manifest`; Slack calls https addresses alone."""
        return manifest.draft(
            public_url,
            redirect_uri,
            callback_url,
            kind=self._setup.kind,
            token_rotation=self._setup.token_rotation,
            is_reachable=urlsplit(callback_url).scheme == "https",
        )
