"""What can be made to happen at the emulated Discord."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from random import Random
from typing import Any, Final

from tidings_sandbox.discord import shapes
from tidings_sandbox.discord.servers import Channel, Member, Server, Servers, snowflake
from tidings_sandbox.happenings import Happening
from tidings_sandbox.people import Person
from tidings_sandbox.stage import Stage

KINDS: Final[Mapping[str, str]] = {
    "message": "Write a message",
    "server_joined": "Join a server",
    "server_left": "Leave a server",
    "server_renamed": "Rename a server",
    "role_given": "Get a role",
    "role_taken": "Lose a role",
    "profile_renamed": "Change the display name",
    "deauthorised": "Take the app's access back",
}
# Chance lets nobody be in more, nor have more roles: then the oldest go first (see `_oldest`).
_MOST_SERVERS: Final = 8
_MOST_ROLES: Final = 20
_PLACES: Final = ("Moss", "Ember", "Tide", "Willow", "Quartz", "Saffron", "Juniper", "Cobalt")
_SORTS: Final = ("Society", "Readers", "Makers", "Garden", "Workshop", "Choir", "Kitchen", "Observatory")
_ROLES: Final = ("Helper", "Gardener", "Archivist", "Lamplighter", "Navigator", "Storyteller")
_WORDS: Final = (
    "Does anybody have the key to the shed?",
    "I have put the photographs from Sunday into the folder.",
    "The meeting is moved to seven.",
    "Look what I found at the market!",
    "Thank you, that worked at once.",
    "Who brings the lanterns this time?",
)

Handler = Callable[[Person, Mapping[str, Any], datetime], Happening]


class Life:
    """Lets things happen, and records them for all who are expected to hear of them.

    Of what chance does it chooses what can't be mistaken for something else: nobody joins by chance where they have
    been, and no name comes twice.

    Attributes:
        watched: The ids of the channels whose messages tidings is expected to tell.

    Args:
        stage: The record, and numbers that grow.
        servers: Where it happens.
        chance: Decides what is left open.
    """

    def __init__(self, stage: Stage, servers: Servers, chance: Random) -> None:
        self.watched: frozenset[str] = frozenset()
        self._stage = stage
        self._servers = servers
        self._chance = chance
        self._names: dict[str, str] = {}
        self._renamed: dict[str, int] = {}
        self._handlers: Mapping[str, Handler] = {
            "message": self._message,
            "server_joined": self._join,
            "server_left": lambda person, details, at: self._leave(person, self._server(person, details), at),
            "server_renamed": self._rename,
            "role_given": self._give,
            "role_taken": self._take,
            "profile_renamed": self._rename_profile,
        }

    def global_name(self, person: Person) -> str:
        """What somebody calls themselves."""
        return self._names.get(person.key, person.name)

    def act(self, kind: str, person: Person, details: Mapping[str, Any], at: datetime) -> Happening:
        """Make something happen; see `Emulator.act`."""
        handler = self._handlers.get(kind)
        if handler is None:
            raise LookupError(f"Discord knows no {kind!r}. There are: {', '.join(KINDS)}.")
        return handler(person, details, at)

    # --- messages ---

    def _message(self, person: Person, details: Mapping[str, Any], at: datetime) -> Happening:
        channel = self._channel(person, _text(details, "channel"))
        text = _text(details, "text") or self._chance.choice(_WORDS)
        identity = snowflake(self._stage.serial())
        author = shapes.user(person, self.global_name(person))
        channel.add(shapes.message(identity, channel, author, text, at))
        key = f"discord:message:{channel.id}:{identity}"
        title = f"{person.name} wrote in #{channel.name}"
        audience = channel.audience() if channel.id in self.watched else ()
        for one in audience:
            self._stage.record.add(Happening("discord", one.key, "message", at, key, title))
        return Happening("discord", person.key, "message", at, key, title)

    def _channel(self, person: Person, named: str) -> Channel:
        mine = [
            channel
            for server in self._servers.of(person)
            for channel in server.channels
            if person in channel.audience()
        ]
        if named:
            found = [one for one in mine if named in {one.id, one.name}]
            if not found:
                raise LookupError(f"{person.name} sees no channel {named!r}.")
            return found[0]
        if not mine:
            raise LookupError(f"{person.name} sees no channel at all.")
        return self._chance.choice(mine)

    # --- servers ---

    def _join(self, person: Person, details: Mapping[str, Any], at: datetime) -> Happening:
        named = _text(details, "server")
        server = self._servers.get(named) if named else None
        if named and (server is None or person.key in server.members):
            raise LookupError(f"{person.name} can't join a server {named!r}.")
        if server is None:
            self._make_room(person, at)
            serial = self._stage.serial()
            name = f"{self._chance.choice(_PLACES)} {self._chance.choice(_SORTS)} {serial % 100_000}"
            server = self._servers.open(_text(details, "name") or name)
        self._servers.join(server, person)
        return self._record(person, "server_joined", f"guild_joined:{server.id}", f"joined {server.name}", at)

    def _make_room(self, person: Person, at: datetime) -> None:
        mine = [one for one in self._servers.of(person) if one.owner is None]
        if len(mine) >= _MOST_SERVERS - 2:
            self._leave(person, mine[0], at)

    def _leave(self, person: Person, server: Server, at: datetime) -> Happening:
        del server.members[person.key]
        return self._record(person, "server_left", f"guild_left:{server.id}", f"left {server.name}", at)

    def _rename(self, person: Person, details: Mapping[str, Any], at: datetime) -> Happening:
        server = self._server(person, details)
        server.renamed += 1
        server.name = _text(details, "name") or f"{server.name.partition(' (')[0]} ({server.renamed})"
        key, title = f"guild_renamed:{server.id}:{server.name}", f"renamed a server to {server.name}"
        for member in server.members.values():
            if member.person is not person:
                self._record(member.person, "server_renamed", key, title, at)
        return self._record(person, "server_renamed", key, title, at)

    def _server(self, person: Person, details: Mapping[str, Any]) -> Server:
        """The server named, or one by chance."""
        named, mine = _text(details, "server"), self._servers.of(person)
        if named:
            mine = [one for one in mine if named in {one.id, one.name}]
        if not mine:
            raise LookupError(f"{person.name} is in no server {named!r}." if named else "There is no server.")
        return mine[0] if named else self._chance.choice(mine)

    # --- roles ---

    def _give(self, person: Person, details: Mapping[str, Any], at: datetime) -> Happening:
        server, member = self._membership(person, details)
        named = _text(details, "role")
        role = server.role(named) if named else None
        if role is not None and role.id in member.roles:
            raise LookupError(f"{person.name} has the role {named!r} in {server.name} already.")
        if role is None:
            if not named and len(member.roles) >= _MOST_ROLES:
                self._lose(person, server, member, _oldest(server, member), at)
            name = named or f"{self._chance.choice(_ROLES)} {self._stage.serial() % 100_000}"
            role = self._servers.add_role(server, name)
        member.roles.append(role.id)
        key = f"role_added:{server.id}:{role.id}"
        return self._record(person, "role_given", key, f"is {role.name} in {server.name}", at)

    def _take(self, person: Person, details: Mapping[str, Any], at: datetime) -> Happening:
        server, member = self._membership(person, details)
        named = _text(details, "role")
        role = server.role(named) if named else None
        role_id = role.id if role is not None else "" if named or not member.roles else member.roles[-1]
        if role_id not in member.roles:
            raise LookupError(f"{person.name} has no role {named!r} in {server.name}.")
        return self._lose(person, server, member, role_id, at)

    def _lose(self, person: Person, server: Server, member: Member, role_id: str, at: datetime) -> Happening:
        member.roles.remove(role_id)
        name = server.roles[role_id].name
        key = f"role_removed:{server.id}:{role_id}"
        return self._record(person, "role_taken", key, f"is no longer {name} in {server.name}", at)

    def _membership(self, person: Person, details: Mapping[str, Any]) -> tuple[Server, Member]:
        """In the server named, else in that of the person's circle, where roles have names."""
        server = self._server(person, details) if _text(details, "server") else self._servers.circle(person)
        member = server.members.get(person.key)
        if member is None:
            raise LookupError(f"{person.name} is not in {server.name}.")
        return server, member

    # --- the profile ---

    def _rename_profile(self, person: Person, details: Mapping[str, Any], at: datetime) -> Happening:
        count = self._renamed[person.key] = self._renamed.get(person.key, 0) + 1
        self._names[person.key] = _text(details, "name") or f"{person.name} {count}"
        chosen = self._names[person.key]
        return self._record(
            person, "profile_renamed", f"profile_changed:{chosen}", f"is called {chosen} now", at
        )

    def deauthorised(self, person: Person, key: str, at: datetime) -> Happening:
        """Record that somebody took the app's access back."""
        return self._record(person, "deauthorised", key, "took the app's access back", at)

    def _record(self, person: Person, kind: str, key: str, words: str, at: datetime) -> Happening:
        happening = Happening("discord", person.key, kind, at, key, f"{person.name} {words}")
        return self._stage.record.add(happening)


def told_by(event: Mapping[str, Any]) -> str:
    """The key of the happening that an event of tidings tells.

    A change is named by what it is about: its event's number is the connector's own, for Discord gives it none.
    """
    data, kind = event["data"], str(event["type"]).rpartition(".")[2]
    if kind in {"guild_joined", "guild_left"}:
        return f"{kind}:{data['server']['id']}"
    if kind == "guild_renamed":
        return f"{kind}:{data['server']['id']}:{data['server']['name']}"
    if kind in {"role_added", "role_removed"}:
        return f"{kind}:{data['server']['id']}:{data['role']['id']}"
    if kind == "profile_changed":
        return f"{kind}:{data['now'].get('global_name', '')}"
    return str(event["id"])


def _oldest(server: Server, member: Member) -> str:
    """The role that was given longest ago, of those that open no channel: who may read one keeps that by chance.

    What was written there just before would else be news that nobody may be told any more.
    """
    opening = {channel.role.id for channel in server.channels if channel.role is not None}
    return next(one for one in member.roles if one not in opening)


def _text(details: Mapping[str, Any], name: str) -> str:
    """A detail's text of at most 100 characters, "" where it is absent or none."""
    value = details.get(name)
    return value[:100] if isinstance(value, str) else ""
