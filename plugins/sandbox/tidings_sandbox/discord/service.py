"""The emulated Discord, put together."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any, ClassVar, Final, Literal

import msgspec

from tidings_sandbox.dialects import Dialect
from tidings_sandbox.discord import shapes
from tidings_sandbox.discord.api import PREFIX, Api
from tidings_sandbox.discord.life import KINDS, Life, told_by
from tidings_sandbox.discord.rates import Rates
from tidings_sandbox.discord.servers import Servers, user_id, watched_channels
from tidings_sandbox.discord.webhooks import DISABLED, OFF, ON, TYPES, Webhooks, private_key
from tidings_sandbox.emulator import Emulator
from tidings_sandbox.happenings import Happening
from tidings_sandbox.people import Person, face
from tidings_sandbox.stage import Stage
from tidings_sandbox.tokens import Mint
from tidings_sandbox.wire import Answer, Call, html_answer, json_answer

CLIENT_ID: Final = "690000000000000001"
#: The channels of so many circles of people are those that the operator chose.
CIRCLES: Final = 4

_TITLE: Final = "Discord"
_TOKEN_PATH: Final = f"{PREFIX}/oauth2/token"
_REVOKE_PATH: Final = f"{PREFIX}/oauth2/token/revoke"
_AGENT: Final = "DiscordBot ("
# A moment passes between the consent and the event that tells of it.
_TOLD_SECONDS: Final = 2.0
_PICTURE: Final = re.compile(r"/cdn/(?:embed/)?avatars/(?:[0-9]+/)?([0-9a-f]{1,32})\.png")


class Discord(Emulator):
    """Discord: an account's profile, servers and roles; the messages that a bot reads; the app's webhook events.

    `act` understands these details: `server`, `channel` and `role` (an id or a name), `text` of a message, and `name`
    (of a server that is joined or renamed, or what somebody calls themselves).

    Attributes:
        servers: All of them.
        webhooks: The app's events.
        rates: How much a caller may ask.
        api: What it shows.
    """

    name: ClassVar[str] = "discord"
    title: ClassVar[str] = _TITLE
    client_ids: ClassVar[Sequence[str]] = (CLIENT_ID,)
    kinds: ClassVar[Mapping[str, str]] = KINDS
    small: ClassVar[Sequence[str]] = ("message", "message", "server_joined", "role_given")

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.servers = Servers(stage.people, stage.serial, self.now)
        self.rates = Rates()
        self.webhooks = Webhooks(
            stage,
            self.courier,
            self.now,
            application_id=CLIENT_ID,
            key=private_key(stage.seed),
            url=f"{stage.public_url}/api/webhooks/{self.name}",
        )
        self._life = Life(stage, self.servers, self.chance)
        self.watch(CIRCLES)
        self.api = Api(
            CLIENT_ID,
            _bot_token(stage.seed),
            self.consents,
            self.servers,
            stage.people,
            self._life,
            self.webhooks,
            self.rates,
        )

    @property
    def watched(self) -> frozenset[str]:
        """The ids of the channels whose messages tidings is expected to tell."""
        return self._life.watched

    def watch(self, circles: int) -> None:
        """Have tidings expected to tell the messages of so many circles, for an operator who chose their channels."""
        self._life.watched = frozenset(watched_channels(circles))

    @classmethod
    def dialect(cls) -> Dialect:
        """Tokens of seven days; each refresh token is good for one use.

        https://docs.discord.com/developers/topics/oauth2; for single use discord/discord-api-docs#5942.
        """
        refused = ("invalid_grant", 'Invalid "refresh_token" in request')
        return Dialect(
            title=_TITLE,
            authorize_path="/oauth2/authorize",
            token_path=_TOKEN_PATH,
            access_prefix="",
            refresh_prefix="",
            access_seconds=604_800,
            rotation="single_use",
            access_outlives_consent=False,
            access_dies_at_refresh=False,
            basic_auth=False,
            scope_separator=" ",
            error_status=400,
            errors={
                "client": ("invalid_client", "Invalid client credentials."),
                "code": ("invalid_grant", 'Invalid "code" in request.'),
                "redirect": ("invalid_grant", 'Invalid "redirect_uri" in request.'),
                "verifier": ("invalid_grant", 'Invalid "code_verifier" in request.'),
                "refresh": refused,
                "revoked": refused,
                "grant_type": ("unsupported_grant_type", "Invalid grant type."),
            },
            speaks_form=False,
            token_type="Bearer",  # noqa: S106 - a word of the protocol
        )

    @classmethod
    def options(cls, base: str, seed: int, *, lively: bool) -> Mapping[str, Any]:
        """The app, its key, its bot and the channels it reads; for newcomers a cadence that shows something soon."""
        return {
            "client_id": CLIENT_ID,
            "client_secret": Mint(seed, _TITLE).secret(CLIENT_ID),
            "public_key": private_key(seed).public_key().public_bytes_raw().hex(),
            "bot_token": _bot_token(seed),
            "channels": list(watched_channels(CIRCLES)),
            "authorize_url": f"{base}/oauth2/authorize",
            "token_url": f"{base}{_TOKEN_PATH}",
            "revoke_url": f"{base}{_REVOKE_PATH}",
            "api_url": f"{base}{PREFIX}",
            "web_url": base,
            "cdn_url": f"{base}/cdn",
            **({"poll_every": "1m"} if lively else {}),
        }

    def describe(self) -> Mapping[str, Any]:
        """The app's webhook events, and whether its bot may read what is said."""
        words = {OFF: "off", ON: "on", DISABLED: "disabled by Discord"}
        return {
            "webhook_events": words[self.webhooks.status],
            "message_content": self.api.has_message_content,
            "watched_channels": sorted(self._life.watched),
        }

    def told_by(self, event: Mapping[str, Any]) -> str:
        """See `life.told_by`."""
        return told_by(event)

    # --- what happens ---

    def act(self, kind: str, person: Person, details: Mapping[str, Any]) -> Happening:
        """Make something happen. Of a message in a channel that the bot does not read tidings need not tell."""
        at = self.now()
        if kind != "deauthorised":
            return self._life.act(kind, person, details, at)
        if not self.consents.revoke(person=person.key):
            raise LookupError(f"{person.name} has let no app see their account.")
        return self._life.deauthorised(person, self._tell_deauthorised(person, at), at)

    def _tell_deauthorised(self, person: Person, at: datetime) -> str:
        """Send the event; returns the id by which tidings tells it."""
        data = {"user": shapes.user(person, self._life.global_name(person))}
        timestamp = self.webhooks.tell(TYPES[1], data, at)
        named = "\n".join((CLIENT_ID, TYPES[1], timestamp, user_id(person), ""))
        digest = hashlib.sha256(named.encode()).hexdigest()[:32]
        return f"discord:{user_id(person)}:application_deauthorized:{digest}"

    # --- the app's webhook events ---

    def hooks(self) -> Sequence[Mapping[str, Any]]:
        """The one that there is."""
        events = self.webhooks
        hook = {
            "id": 1,
            "owner": CLIENT_ID,
            "target": "application",
            "url": events.url,
            "active": events.status == ON,
            "events": list(events.types),
            "last_status": events.last_status,
        }
        return [hook]

    def change_hook(self, hook_id: int, change: Literal["delete", "disable", "enable"]) -> None:
        """Take the address away, turn events off, or enter the installation's address anew, which Discord checks."""
        if hook_id != 1:
            raise LookupError(f"Discord has no hook {hook_id}.")
        if change == "enable":
            self.webhooks.url = f"{self.stage.public_url}/api/webhooks/{self.name}"
            self.webhooks.check()
            return
        self.webhooks.status = OFF
        if change == "delete":
            self.webhooks.url = ""

    def deliveries(self, hook_id: int | None = None) -> Sequence[Mapping[str, Any]]:
        """What was sent lately."""
        return [
            {
                "id": one.id,
                "hook_id": 1,
                "guid": hashlib.sha256(one.body).hexdigest()[:16],
                "event": one.name,
                "action": "" if one.is_genuine else "with a wrong signature",
                "delivered_at": one.sent_at,
                "status_code": one.statuses[-1] if one.statuses else 0,
                "redelivery": one.redelivery,
            }
            for one in self.webhooks.deliveries()
        ]

    def redeliver(self, delivery_id: int) -> None:
        """Send something once more."""
        self.webhooks.send_again(delivery_id)

    # --- the API and the pages ---

    def answer(self, call: Call) -> Answer:
        """Answer a request at once."""
        if not call.path.startswith("/api/"):
            return self.oauth.answer(call) or _page(call.path)
        if not call.header(b"user-agent").startswith(_AGENT):
            return Answer(403, b"error code: 1010", [(b"content-type", b"text/plain; charset=UTF-8")])
        if call.path in {_TOKEN_PATH, _REVOKE_PATH} and call.method == "POST":
            if not call.header(b"content-type").startswith("application/x-www-form-urlencoded"):
                words = "Only application/x-www-form-urlencoded is accepted."
                return json_answer({"error": "invalid_request", "error_description": words}, 400)
            return self._give_tokens(call) if call.path == _TOKEN_PATH else self._revoke(call)
        if not call.path.startswith(f"{PREFIX}/"):
            return json_answer({"message": "Invalid API version", "code": 50041}, 400)
        return self.api.answer(call, self.now())

    def _give_tokens(self, call: Call) -> Answer:
        answer = self.oauth.answer(call)
        assert answer is not None, "this is the token endpoint"
        if answer.status == 200 and call.form().get("grant_type") == "authorization_code":
            access = self.consents.check(msgspec.json.decode(answer.body)["access_token"])
            assert access is not None, "it was given a moment ago"
            data = {
                "integration_type": 1,
                "scopes": sorted(access.scopes),
                "user": shapes.user(access.person, self._life.global_name(access.person)),
            }
            self.webhooks.tell(TYPES[0], data, self.now(), in_seconds=_TOLD_SECONDS)
        return answer

    def _revoke(self, call: Call) -> Answer:
        """Whichever token is shown, all of the person's tokens for the app die (RFC 7009 for dead ones)."""
        form = call.form()
        app = self.consents.app(form.get("client_id", ""))
        if app is None or form.get("client_secret") != app.client_secret:
            return json_answer({"error": "invalid_client"}, 401)
        text = form.get("token", "")
        access = self.consents.check(text)
        token = access.token if access is not None else self.consents.read_refresh(text)
        if token is not None and token.client_id == app.client_id:
            person = self.stage.people.get(token.person)
            if person is not None and self.consents.revoke(person=person.key, client_id=app.client_id):
                self._tell_deauthorised(person, self.now())
        return json_answer({})


def _bot_token(seed: int) -> str:
    return Mint(seed, _TITLE).secret("the bot")


def _page(path: str) -> Answer:
    picture = _PICTURE.fullmatch(path)
    if picture is not None:
        return Answer(200, face(int(picture[1], 16) % 1000), [(b"content-type", b"image/svg+xml")])
    words = f"At Discord you would now see {escape(path)}. The sandbox has no pages of its own."
    return html_answer(f"<!doctype html><title>Discord (sandbox)</title><p>{words}</p>")
