"""The emulated Slack: a workspace, its Web API and its Events API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Literal

import msgspec

from tidings_sandbox.dialects import Dialect
from tidings_sandbox.emulator import Emulator
from tidings_sandbox.happenings import Happening
from tidings_sandbox.oauth import AuthorizationServer
from tidings_sandbox.people import Person
from tidings_sandbox.slack.events_api import EventsApi
from tidings_sandbox.slack.life import KINDS, SMALL, Details, Life
from tidings_sandbox.slack.oauth import ROBOT, SlackAuthorization, SlackConsents, slack_dialect
from tidings_sandbox.slack.web_api import WebApi
from tidings_sandbox.slack.workspace import BOT_USER, TEAM_NAME, Workspace, user_of
from tidings_sandbox.stage import Stage
from tidings_sandbox.tokens import Consent, Mint
from tidings_sandbox.wire import Answer, Call, json_answer

CLIENT_ID: Final = "sandbox-slack"

_HOOK: Final = 1


class Slack(Emulator):
    """Slack: one workspace in which everybody is, with channels of which each is a member or not.

    `act` understands the details of `life.Details`. Token rotation is on where the dialect's `expires` is `always`.

    Attributes:
        workspace: People, conversations, messages.
        events: What is sent to the app.
        web_api: Limits.
    """

    name: ClassVar[str] = "slack"
    title: ClassVar[str] = "Slack"
    client_ids: ClassVar[Sequence[str]] = (CLIENT_ID,)
    kinds: ClassVar[Mapping[str, str]] = KINDS
    small: ClassVar[Sequence[str]] = SMALL

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        consents = self.consents
        assert isinstance(consents, SlackConsents)
        secret = signing_secret(stage.seed)
        self.workspace = Workspace(stage.people, stage.public_url, self.now)
        self.events = EventsApi(stage, self.courier, consents, self.now, secret)
        self.web_api = WebApi(self.workspace, consents, self.now)
        self._life = Life(self.workspace, self.events, stage.record, stage.people, self.chance)
        consents.ended = self._tell_ended

    def authorization(self) -> AuthorizationServer:
        """Slack's own; see `slack.oauth`."""
        consents = SlackConsents(self.stage, self.dialect(), self.faults.now)
        for client_id in self.client_ids:
            consents.register(client_id, f"{self.stage.public_url}/api/oauth/{self.name}/callback")
        return SlackAuthorization(self.stage, consents)

    @classmethod
    def dialect(cls) -> Dialect:
        """Without token rotation."""
        return slack_dialect()

    @classmethod
    def options(cls, base: str, seed: int, *, lively: bool) -> Mapping[str, Any]:
        """The app, with its signing secret: events are pushed, so newcomers need no other cadence."""
        return {
            "client_id": CLIENT_ID,
            "client_secret": Mint(seed, cls.title).secret(CLIENT_ID),
            "signing_secret": signing_secret(seed),
            "authorize_url": f"{base}/oauth/v2/authorize",
            "token_url": f"{base}/api/oauth.v2.access",
            "api_url": f"{base}/api",
        }

    def become_lively(self) -> None:
        """Lift the tiers, which polls of many at a newcomer's cadence would exceed."""
        self.web_api.tiers.lift()

    def answer(self, call: Call) -> Answer:
        """Answer a request at once."""
        found = self.oauth.answer(call)
        if found is not None:
            return found
        if call.path.startswith("/api/"):
            self.workspace.settle()
            return self.web_api.answer(call)
        return json_answer({"ok": False, "error": "not_found"}, 404)

    def act(self, kind: str, person: Person, details: Mapping[str, Any]) -> Happening:
        """Make something happen; it is recorded for everybody who sees it, but not for who did it."""
        try:
            wanted = msgspec.convert(details, Details)
        except msgspec.ValidationError as error:
            raise LookupError(f"There is no such detail: {error}.") from error
        return self._life.make(kind, person, wanted)

    def describe(self) -> Mapping[str, Any]:
        """The workspace, and how events are sent."""
        return {
            "workspace": TEAM_NAME,
            "channels": {
                one.name: len(one.members) for one in self.workspace if one.name and not one.is_archived
            },
            "token_rotation": self.consents.dialect.expires == "always",
            "delayed_events": self.events.delayed_events,
            "calls_refused": self.web_api.tiers.refused,
        }

    # --- the app's settings ---------------------------------------------------------------------------------------

    def hooks(self) -> Sequence[Mapping[str, Any]]:
        """The Request URL."""
        log = self.events.log()
        return [
            {
                "id": _HOOK,
                "owner": CLIENT_ID,
                "target": "Request URL",
                "url": self.events.url,
                "active": self.events.is_active,
                "events": ["message", "reaction_added", "channel_created", "member_joined_channel"],
                "last_status": log[0].status if log else None,
            }
        ]

    def change_hook(self, hook_id: int, change: Literal["delete", "disable", "enable"]) -> None:
        """Switch event subscriptions off, or on again: then the Request URL is asked whether it is the app's.

        Raises:
            LookupError: No such hook.
        """
        if hook_id != _HOOK:
            super().change_hook(hook_id, change)
        if change == "enable":
            self.events.verify_url()
        else:
            self.events.is_active = False

    def deliveries(self, hook_id: int | None = None) -> Sequence[Mapping[str, Any]]:
        """What was sent lately, newest first."""
        return [
            {
                "id": sent.id,
                "hook_id": _HOOK,
                "guid": sent.event_id,
                "event": sent.kind,
                "action": "",
                "delivered_at": sent.at,
                "status_code": sent.status,
                "redelivery": sent.tries > 1,
            }
            for sent in self.events.log()
        ]

    def _tell_ended(self, consent: Consent) -> None:
        """Tell that tokens were revoked and, with the last of them, that the app is gone from the workspace."""
        person = self.stage.people.get(consent.person)
        if person is None:
            return
        is_bot = ROBOT in consent.scopes
        tokens = {"oauth": [] if is_bot else [user_of(person)], "bot": [BOT_USER] if is_bot else []}
        ts = self.workspace.ts()
        self.events.send({"type": "tokens_revoked", "tokens": tokens, "event_ts": ts})
        if not self.consents.living():
            self.events.send({"type": "app_uninstalled", "event_ts": self.workspace.ts()})


def signing_secret(seed: int) -> str:
    """What the app's events are signed with."""
    return Mint(seed, Slack.title).secret("signing")
