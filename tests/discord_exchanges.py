"""What Discord sends and answers, for the tests of its connector."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tidings.connecting import Answer
from tidings.contracts import WebhookRequest
from tidings.errors import Rejected
from tidings.testing.clock import FakeClock
from tidings_discord.bot import Bot

FIXTURES = Path(__file__).parent / "plugins" / "discord" / "fixtures"
SEED = bytes(range(32))
PUBLIC = b"03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
NOW = datetime.fromtimestamp(1_700_000_000, UTC)
API = "https://discord.example/api/v10"
TOKEN = "planted-bot-token"
ANN, BEN = "80351110224678912", "80351110224678913"
HOME, AWAY = "197038439483310086", "197038439483310087"
TALK, CREW, VOICE = "41771983423143937", "41771983423143938", "41771983423143939"
CREW_ROLE = "41771983423143936"
VIEW, HISTORY, CONNECT = 1 << 10, 1 << 16, 1 << 20


def sign(message: bytes, seed: bytes = SEED) -> str:
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message).hex()


def delivery(payload: Any, timestamp: str = "1700000000") -> WebhookRequest:
    """A signed delivery of a payload, or of a body's bytes."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    headers = {
        "content-type": "application/json",
        "x-signature-timestamp": timestamp,
        "x-signature-ed25519": sign(timestamp.encode() + body),
    }
    return WebhookRequest("POST", "/api/webhooks/discord", "", headers, body)


def fixture(name: str) -> Any:
    return json.loads((FIXTURES / f"{name}.json").read_text())


def user(identity: str = ANN, name: str = "ann", **more: Any) -> dict[str, Any]:
    return {"id": identity, "username": name, "global_name": name.title(), "avatar": None, **more}


def guild(identity: str = HOME, *, everyone: int = VIEW | HISTORY, owner: str = "1", **roles: int) -> Any:
    """A server; `roles` are further ones by `r{id}`."""
    listed = [{"id": identity, "name": "@everyone", "permissions": str(everyone)}]
    listed += [
        {"id": key[1:], "name": f"Role {key[-2:]}", "permissions": str(given)} for key, given in roles.items()
    ]
    return {"id": identity, "name": "The Lantern", "owner_id": owner, "roles": listed}


def channel(identity: str = TALK, *overwrites: Mapping[str, Any], kind: int = 0, **more: Any) -> Any:
    return {
        "id": identity,
        "type": kind,
        "guild_id": HOME,
        "name": "talk",
        "permission_overwrites": list(overwrites),
        "last_message_id": None,
        **more,
    }


def overwrite(identity: str, *, deny: int = 0, allow: int = 0, kind: int = 0) -> dict[str, Any]:
    return {"id": identity, "type": kind, "deny": str(deny), "allow": str(allow)}


def member(*roles: str, identity: str = ANN) -> dict[str, Any]:
    return {"user": user(identity), "roles": list(roles), "joined_at": "2026-01-01T00:00:00+00:00"}


def message(identity: int, content: str = "hello", **more: Any) -> dict[str, Any]:
    return {
        "id": str(identity),
        "type": 0,
        "channel_id": TALK,
        "content": content,
        "author": user(BEN, "ben"),
        "timestamp": "2026-11-01T12:00:00.000000+00:00",
        "attachments": [],
        "embeds": [],
        "mentions": [],
        **more,
    }


class Discord:
    """Discord's API in memory, as an account and as a bot see it; fulfils the contracts `Api` and `Http`.

    Attributes:
        ungranted: Scopes that the account's token lacks.
        scripted: What to answer the bot next, instead.
        asked: The account's calls.
        asked_by_bot: The bot's.
        hidden: Paths that the bot may not see.
        refusals: Paths that the account is refused next, for no reason.
    """

    account_key = ANN

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.profile: dict[str, Any] = user()
        self.mine: dict[str, str] = {HOME: "The Lantern"}
        self.roles: dict[str, list[str]] = {HOME: []}
        self.guilds: dict[str, Any] = {HOME: guild(r41771983423143936=0)}
        self.channels: dict[str, Any] = {TALK: channel()}
        self.messages: dict[str, list[dict[str, Any]]] = {TALK: []}
        self.members: set[str] = {ANN}
        self.ungranted: set[str] = set()
        self.scripted: list[Answer | Exception] = []
        self.hidden: dict[str, int] = {}
        self.refusals: list[str] = []
        self.asked: list[str] = []
        self.asked_by_bot: list[str] = []
        self.sent_to: list[str] = []

    def bot(self) -> Bot:
        return Bot(
            self,
            self.clock,
            structlog.get_logger(),
            api_url=API,
            token=TOKEN,
            headers={"user-agent": "DiscordBot (x, 1)"},
        )

    def say(self, identity: int, content: str = "hello", channel_id: str = TALK, **more: Any) -> None:
        self.messages.setdefault(channel_id, []).append(message(identity, content, **more))
        self.channels[channel_id]["last_message_id"] = str(identity)

    def _member(self, guild_id: str, identity: str) -> dict[str, Any]:
        """The account as it is; of the roles of others nobody asks."""
        if identity != ANN:
            return member(identity=identity)
        return {**member(*self.roles.get(guild_id, [])), "user": self.profile}

    # --- as the account sees it ---

    async def request(self, method: str, url: str, *, accept: Collection[int] = (), **_: Any) -> Answer:
        assert method == "GET"
        self.asked.append(url)
        status, found = self._for_account(url)
        if url.partition("?")[0] in self.refusals:
            self.refusals.remove(url.partition("?")[0])
            status, found = 401, {"message": "401: Unauthorized", "code": 0}
        if status >= 400 and status not in accept:
            raise Rejected("refused", status=status)
        return answered(status, found)

    def _for_account(self, url: str) -> tuple[int, Any]:
        path, _, query = url.partition("?")
        if path == "/users/@me":
            return 200, self.profile
        if path == "/users/@me/guilds":
            if "guilds" in self.ungranted:
                return 401, {"message": "401: Unauthorized", "code": 0}
            after = int(dict(one.split("=") for one in query.split("&")).get("after", "0"))
            found = sorted((one for one in self.mine if int(one) > after), key=int)[:200]
            return 200, [{"id": one, "name": self.mine[one], "owner": False} for one in found]
        _, _, _, _, guild_id, _ = path.split("/")
        if "guilds.members.read" in self.ungranted:
            return 403, {"message": "Missing Access", "code": 50001}
        if guild_id not in self.mine:
            return 404, {"message": "Unknown Guild", "code": 10004}
        return 200, self._member(guild_id, ANN)

    # --- as the bot sees it ---

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        assert method == "GET"
        self.sent_to.append(url)
        assert (headers or {})["authorization"] == f"Bot {TOKEN}"
        path = url.removeprefix(API)
        self.asked_by_bot.append(path)
        if self.scripted:
            outcome = self.scripted.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome
        if path in self.hidden:
            return answered(self.hidden[path], {"message": "Missing Access", "code": 50001})
        found = self._for_bot(path)
        return answered(404, {"message": "Unknown", "code": 10003}) if found is None else answered(200, found)

    def _for_bot(self, url: str) -> Any:
        path, _, query = url.partition("?")
        _, kind, identity, *rest = path.split("/")
        if kind == "guilds" and not rest:
            return self.guilds.get(identity)
        if kind == "guilds" and rest == ["channels"]:
            shown = [one for one in self.channels.values() if one.get("guild_id") == identity]
            return [
                one
                for one in shown
                if one["type"] not in {10, 11, 12} and f"/channels/{one['id']}" not in self.hidden
            ]
        if kind == "guilds" and len(rest) == 1:
            listed = sorted(self.members, key=int)[:1000]
            return [self._member(identity, one) for one in listed]
        if kind == "guilds":
            return self._member(identity, rest[1]) if rest[1] in self.members else None
        if not rest:
            return self.channels.get(identity)
        asked = dict(one.split("=") for one in query.split("&"))
        limit, after = int(asked["limit"]), asked.get("after")
        found = sorted(self.messages.get(identity, []), key=lambda one: int(one["id"]))
        shown = (
            found[-limit:] if after is None else [one for one in found if int(one["id"]) > int(after)][:limit]
        )
        return shown[::-1]


def answered(status: int, body: Any, **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)
