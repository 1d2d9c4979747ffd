"""Discord's HTTP API, version 10: what people's tokens open, and what the bot's does."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from tidings_sandbox.consents import Consents
from tidings_sandbox.discord import shapes
from tidings_sandbox.discord.life import Life
from tidings_sandbox.discord.rates import Rates
from tidings_sandbox.discord.servers import Channel, Server, Servers, user_id
from tidings_sandbox.discord.webhooks import Webhooks
from tidings_sandbox.people import People, Person
from tidings_sandbox.tokens import Access
from tidings_sandbox.wire import Answer, Call, json_answer

PREFIX: Final = "/api/v10"

_MOST_GUILDS: Final = 200
_MOST_MEMBERS: Final = 1000
_MOST_MESSAGES, _USUAL_MESSAGES = 100, 50


class Refused(Exception):
    """What was asked for can't be had.

    Args:
        status: Of the answer.
        code: Discord's own (Opcodes and Status Codes, "JSON Error Codes").
        message: Likewise.
    """

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def answer(self) -> Answer:
        """The answer to send."""
        return json_answer({"message": self.message, "code": self.code}, self.status)


ForPerson = Callable[["Api", Access, Mapping[str, str], Sequence[str]], Any]
ForBot = Callable[["Api", Call, Mapping[str, str], Sequence[str]], Any]


class Api:
    """Answers calls.

    Attributes:
        has_message_content: Whether the app has the privileged intent for messages' content.
        has_members: Whether it has the one for lists of members.
        bot_token: Of the app's bot.

    Args:
        application_id: The app's.
        bot_token: Of its bot.
        consents: Whose tokens open what.
        servers: What there is to see.
        people: Everybody.
        life: Knows what people call themselves.
        webhooks: Of the app.
        rates: Counts calls.
    """

    def __init__(
        self,
        application_id: str,
        bot_token: str,
        consents: Consents,
        servers: Servers,
        people: People,
        life: Life,
        webhooks: Webhooks,
        rates: Rates,
    ) -> None:
        self.has_message_content = True
        self.has_members = True
        self._application_id = application_id
        self.bot_token = bot_token
        self._consents = consents
        self._servers = servers
        self._people = people
        self._life = life
        self._webhooks = webhooks
        self._rates = rates

    def answer(self, call: Call, now: datetime) -> Answer:
        """Answer a call of the API itself; `call.path` begins with `PREFIX`."""
        path = call.path.removeprefix(PREFIX)
        try:
            scheme, _, token = call.header(b"authorization").partition(" ")
            if scheme == "Bot" and token == self.bot_token:
                return self._answer_bot(call, path, now)
            access = self._consents.authenticate(call) if scheme == "Bearer" else None
            if access is None:
                raise Refused(401, 0, "401: Unauthorized")
            return self._answer_person(call, path, access, now)
        except Refused as refused:
            return refused.answer()

    def _answer_person(self, call: Call, path: str, access: Access, now: datetime) -> Answer:
        for pattern, name, scope, handler in _FOR_PEOPLE:
            found = pattern.fullmatch(path)
            if found is not None and call.method == "GET":
                major = found[1] if found.groups() else ""
                caller = f"user/{access.person.key}/{access.client_id}"
                headers, refusal = self._rates.take(caller, name, major, now)
                if refusal is not None:
                    return refusal
                if scope not in access.scopes:
                    raise Refused(401, 0, "401: Unauthorized")
                shown = handler(self, access, call.parameters(), found.groups())
                return json_answer(shown, headers=headers)
        raise Refused(404, 0, "404: Not Found")

    def _answer_bot(self, call: Call, path: str, now: datetime) -> Answer:
        for method, pattern, name, handler in _FOR_BOTS:
            found = pattern.fullmatch(path)
            if found is not None and call.method == method:
                major = found[1] if found.groups() else ""
                headers, refusal = self._rates.take("bot", name, major, now)
                if refusal is not None:
                    return refusal
                return json_answer(handler(self, call, call.parameters(), found.groups()), headers=headers)
        raise Refused(404, 0, "404: Not Found")

    # --- for people ---

    def _me(self, access: Access, _asked: Mapping[str, str], _in: Sequence[str]) -> Any:
        return shapes.user(access.person, self._life.global_name(access.person))

    def _my_guilds(self, access: Access, asked: Mapping[str, str], _in: Sequence[str]) -> Any:
        limit = _whole(asked, "limit", _MOST_GUILDS, _MOST_GUILDS)
        after = int(asked.get("after", "0")) if asked.get("after", "0").isdecimal() else 0
        mine = [one for one in self._servers.of(access.person) if int(one.id) > after]
        return [shapes.partial_guild(one, access.person) for one in mine[:limit]]

    def _my_member(self, access: Access, _asked: Mapping[str, str], ids: Sequence[str]) -> Any:
        server = self._servers.get(ids[0])
        member = server.members.get(access.person.key) if server is not None else None
        if member is None:
            raise Refused(404, 10004, "Unknown Guild")
        return shapes.member(member, self._life.global_name(access.person))

    # --- for the bot ---

    def _bot_guild(self, _call: Call, _asked: Mapping[str, str], ids: Sequence[str]) -> Any:
        return shapes.guild(self._seen(ids[0]))

    def _bot_roles(self, _call: Call, _asked: Mapping[str, str], ids: Sequence[str]) -> Any:
        return shapes.roles(self._seen(ids[0]))

    def _bot_member(self, _call: Call, _asked: Mapping[str, str], ids: Sequence[str]) -> Any:
        server, person = self._seen(ids[0]), self._person(ids[1])
        if person is None:
            raise Refused(404, 10013, "Unknown User")
        member = server.members.get(person.key)
        if member is None:
            raise Refused(404, 10007, "Unknown Member")
        return shapes.member(member, self._life.global_name(person))

    def _bot_members(self, _call: Call, asked: Mapping[str, str], ids: Sequence[str]) -> Any:
        server = self._seen(ids[0])
        if not self.has_members:
            raise Refused(403, 50001, "Missing Access")
        limit = _whole(asked, "limit", 1, _MOST_MEMBERS)
        after = int(asked.get("after", "0")) if asked.get("after", "0").isdecimal() else 0
        listed = sorted(server.members.values(), key=lambda one: int(user_id(one.person)))
        listed = [one for one in listed if int(user_id(one.person)) > after]
        return [shapes.member(one, self._life.global_name(one.person)) for one in listed[:limit]]

    def _bot_channels(self, _call: Call, _asked: Mapping[str, str], ids: Sequence[str]) -> Any:
        return [shapes.channel(one) for one in self._seen(ids[0]).channels if not one.is_hidden]

    def _bot_channel(self, _call: Call, _asked: Mapping[str, str], ids: Sequence[str]) -> Any:
        return shapes.channel(self._seen_channel(ids[0]))

    def _bot_messages(self, _call: Call, asked: Mapping[str, str], ids: Sequence[str]) -> Any:
        channel = self._seen_channel(ids[0])
        limit = _whole(asked, "limit", _USUAL_MESSAGES, _MOST_MESSAGES)
        after = asked.get("after", "")
        if after and not after.isdecimal():
            raise Refused(400, 50035, "Invalid Form Body")
        if channel.is_past_hidden:
            return []
        shown = channel.messages
        if after:
            shown = [one for one in shown if int(one["id"]) > int(after)][:limit]
        shown = shown[: -limit - 1 : -1]  # the newest first
        return shown if self.has_message_content else [shapes.without_content(one) for one in shown]

    def _application(self, call: Call, _asked: Mapping[str, str], _in: Sequence[str]) -> Any:
        if call.method == "PATCH":
            self._edit(call.json())
        return {
            "id": self._application_id,
            "name": "tidings",
            "event_webhooks_url": self._webhooks.url or None,
            "event_webhooks_status": self._webhooks.status,
            "event_webhooks_types": list(self._webhooks.types),
        }

    def _edit(self, fields: Mapping[str, Any]) -> None:
        url, types = fields.get("event_webhooks_url"), fields.get("event_webhooks_types")
        if isinstance(url, str):
            self._webhooks.url = url
        if isinstance(types, list):
            self._webhooks.types = tuple(one for one in types if isinstance(one, str))
        if isinstance(url, str) or fields.get("event_webhooks_status") == 2:
            self._webhooks.check()

    def _seen(self, server_id: str) -> Server:
        server = self._servers.get(server_id)
        if server is None or not server.has_bot:
            raise Refused(404, 10004, "Unknown Guild")
        return server

    def _seen_channel(self, channel_id: str) -> Channel:
        channel = self._servers.channel(channel_id)
        if channel is None:
            raise Refused(404, 10003, "Unknown Channel")
        if channel.is_hidden or not channel.server.has_bot:
            raise Refused(403, 50001, "Missing Access")
        return channel

    def _person(self, identity: str) -> Person | None:
        return next((one for one in self._people if user_id(one) == identity), None)


def _whole(asked: Mapping[str, str], name: str, usual: int, most: int) -> int:
    text = asked.get(name)
    if text is None:
        return usual
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) <= most:
        raise Refused(400, 50035, "Invalid Form Body")
    return int(text)


_ID: Final = "([0-9]{1,20})"
_FOR_PEOPLE: Final[Sequence[tuple[re.Pattern[str], str, str, ForPerson]]] = [
    (re.compile("/users/@me"), "me", "identify", Api._me),
    (re.compile("/users/@me/guilds"), "my_guilds", "guilds", Api._my_guilds),
    (re.compile(f"/users/@me/guilds/{_ID}/member"), "my_member", "guilds.members.read", Api._my_member),
]
_FOR_BOTS: Final[Sequence[tuple[str, re.Pattern[str], str, ForBot]]] = [
    ("GET", re.compile(f"/guilds/{_ID}"), "guild", Api._bot_guild),
    ("GET", re.compile(f"/guilds/{_ID}/roles"), "roles", Api._bot_roles),
    ("GET", re.compile(f"/guilds/{_ID}/members"), "members", Api._bot_members),
    ("GET", re.compile(f"/guilds/{_ID}/members/{_ID}"), "member", Api._bot_member),
    ("GET", re.compile(f"/guilds/{_ID}/channels"), "channels", Api._bot_channels),
    ("GET", re.compile(f"/channels/{_ID}"), "channel", Api._bot_channel),
    ("GET", re.compile(f"/channels/{_ID}/messages"), "messages", Api._bot_messages),
    ("GET", re.compile("/applications/@me"), "application", Api._application),
    ("PATCH", re.compile("/applications/@me"), "application", Api._application),
]
