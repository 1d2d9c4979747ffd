"""Servers, their channels, roles and members, and what was said there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from tidings_sandbox.people import People, Person

#: So many people share a server from the start.
CIRCLE: Final = 5

_PEOPLE_FROM: Final = 800_000_000_000_000_000
_CIRCLES_FROM: Final = 700_000_000_000_000_000
_OWN_FROM: Final = 710_000_000_000_000_000
_STEP: Final = 1000  # between the ids of two servers, for what belongs to each
_TALK, _CREW, _NOTES, _CREW_ROLE = 1, 2, 3, 9
_MOST_MESSAGES: Final = 20_000
_CIRCLE_NAMES: Final = ("The Lantern", "Copper Kettle", "Night Garden", "Harbour Lights", "The Long Table")
_EPOCH_MS: Final = 1_420_070_400_000

Json = dict[str, Any]


@dataclasses.dataclass(slots=True, eq=False)
class Role:
    """A role of a server."""

    id: str
    name: str


@dataclasses.dataclass(slots=True, eq=False)
class Member:
    """Somebody in a server; `roles` are ids, the oldest first."""

    person: Person
    joined_at: datetime
    roles: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(slots=True, eq=False)
class Channel:
    """A channel of a server.

    Attributes:
        role: The role without which nobody but the server's owner sees it; None where every member does.
        messages: As the API shows them, oldest first.
        last_id: Of the last message, even where that was deleted; "" for none.
        is_hidden: Whether the bot may not see it.
        is_past_hidden: Whether the bot may not read what was said.
    """

    id: str
    name: str
    server: Server
    role: Role | None = None
    messages: list[Json] = dataclasses.field(default_factory=list)
    last_id: str = ""
    is_hidden: bool = False
    is_past_hidden: bool = False

    def add(self, message: Json) -> None:
        """Keep a new message, and forget the oldest beyond a limit."""
        self.messages.append(message)
        del self.messages[:-_MOST_MESSAGES]
        self.last_id = message["id"]

    def audience(self) -> Sequence[Person]:
        """Who sees it."""
        return [
            member.person
            for member in self.server.members.values()
            if self.role is None or self.role.id in member.roles or member.person is self.server.owner
        ]


@dataclasses.dataclass(slots=True, eq=False)
class Server:
    """A server, which the API calls a guild.

    Attributes:
        owner: Whose it is; None for a stranger's.
        members: By person's key.
        has_bot: Whether the app's bot is in it.
        renamed: How often it was.
    """

    id: str
    name: str
    owner: Person | None
    has_bot: bool = False
    renamed: int = 0
    roles: dict[str, Role] = dataclasses.field(default_factory=dict)
    channels: list[Channel] = dataclasses.field(default_factory=list)
    members: dict[str, Member] = dataclasses.field(default_factory=dict)

    def role(self, name: str) -> Role | None:
        """The role of this name or id."""
        return next((one for one in self.roles.values() if name in {one.id, one.name}), None)


def user_id(person: Person) -> str:
    """A person's number at Discord."""
    return str(_PEOPLE_FROM + person.number)


def watched_channels(circles: int) -> Sequence[str]:
    """The ids of the channels that an operator would choose in the servers of the first circles."""
    starts = [_CIRCLES_FROM + number * _STEP for number in range(circles)]
    return [str(start + one) for start in starts for one in (_TALK, _CREW)]


def snowflake(serial: int) -> str:
    """An id of a number that is the milliseconds since 1970, or grew beyond them."""
    return str((serial - _EPOCH_MS) << 22)


class Servers:
    """All of them.

    Each person is in two from the start: that of their circle of five, where the bot is, and one of their own.

    Args:
        people: Everybody.
        serial: Gives numbers that grow.
        now: Discord's clock.
    """

    def __init__(self, people: People, serial: Callable[[], int], now: Callable[[], datetime]) -> None:
        self._people = people
        self._serial = serial
        self._now = now
        self._by_id: dict[str, Server] = {}
        self._channels: dict[str, Channel] = {}
        self._settled: set[str] = set()

    def get(self, server_id: str) -> Server | None:
        """The server of this id."""
        self._settle_circle(server_id)
        return self._by_id.get(server_id)

    def channel(self, channel_id: str) -> Channel | None:
        """The channel of this id."""
        if channel_id.isdecimal():
            self._settle_circle(str(int(channel_id) // _STEP * _STEP))
        return self._channels.get(channel_id)

    def of(self, person: Person) -> list[Server]:
        """Those that a person is in, in the order of their ids."""
        self._settle(person)
        found = [one for one in self._by_id.values() if person.key in one.members]
        return sorted(found, key=lambda one: int(one.id))

    def circle(self, person: Person) -> Server:
        """The server of a person's circle, whether or not they are still in it."""
        self._settle(person)
        return self._by_id[str(_CIRCLES_FROM + person.number // CIRCLE * _STEP)]

    def open(self, name: str) -> Server:
        """A new server, of a stranger."""
        return self._add(Server(snowflake(self._serial()), name, None))

    def add_role(self, server: Server, name: str) -> Role:
        """A new role."""
        role = Role(snowflake(self._serial()), name)
        server.roles[role.id] = role
        return role

    def join(self, server: Server, person: Person) -> None:
        """Let a person in, without any role."""
        server.members[person.key] = Member(person, self._now())

    def _settle(self, person: Person) -> None:
        if person.key in self._settled:
            return
        first = person.number // CIRCLE * CIRCLE
        circle = [one for one in self._people if first <= one.number < first + CIRCLE]
        self._settle_people(circle, _CIRCLES_FROM + first // CIRCLE * _STEP)

    def _settle_circle(self, server_id: str) -> None:
        """Have the server of a circle there, whoever asks for it first: its ids are known beforehand."""
        number, rest = divmod(int(server_id) - _CIRCLES_FROM, _STEP) if server_id.isdecimal() else (-1, 0)
        if rest == 0 and 0 <= number * CIRCLE < len(self._people) and server_id not in self._by_id:
            first = number * CIRCLE
            people = [one for one in self._people if first <= one.number < first + CIRCLE]
            self._settle_people(people, int(server_id))

    def _settle_people(self, people: Iterable[Person], circle_id: int) -> None:
        for person in people:
            if person.key in self._settled:
                continue  # people may grow in number later
            self._settled.add(person.key)
            circle = self._by_id.get(str(circle_id)) or self._found(circle_id, person)
            self.join(circle, person)
            if person.number % CIRCLE < 2:
                circle.members[person.key].roles.append(str(circle_id + _CREW_ROLE))
            own = str(_OWN_FROM + person.number * _STEP)
            self.join(self._add(Server(own, f"{person.name.split()[0]}'s corner", person)), person)

    def _found(self, circle_id: int, owner: Person) -> Server:
        number = (circle_id - _CIRCLES_FROM) // _STEP
        again = number // len(_CIRCLE_NAMES)
        name = _CIRCLE_NAMES[number % len(_CIRCLE_NAMES)] + (f" {again + 1}" if again else "")
        server = self._add(Server(str(circle_id), name, owner, has_bot=True))
        crew = Role(str(circle_id + _CREW_ROLE), "Crew")
        server.roles[crew.id] = crew
        for offset, called, role in ((_TALK, "talk", None), (_CREW, "crew", crew), (_NOTES, "notes", None)):
            channel = Channel(str(circle_id + offset), called, server, role)
            server.channels.append(channel)
            self._channels[channel.id] = channel
        return server

    def _add(self, server: Server) -> Server:
        self._by_id[server.id] = server
        return server
