"""Everything that can happen in the workspace: it is shown by the API, sent by the Events API, and recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any, Final

import msgspec

from tidings_sandbox.happenings import Happening, Record
from tidings_sandbox.people import People, Person
from tidings_sandbox.slack.events_api import EventsApi
from tidings_sandbox.slack.workspace import TEAM, Conversation, Json, Message, Workspace, user_of

KINDS: Final = {
    "message": "Write a message in a channel",
    "reply": "Answer in a thread",
    "direct": "Write to a colleague",
    "edit": "Edit the last message",
    "delete": "Delete the last message",
    "reaction": "React to a message",
    "channel_created": "Make a channel",
    "join": "Join a channel",
    "leave": "Leave a channel",
    "rename": "Rename a channel",
    "archive": "Archive a channel",
    "hear": "Hear from a colleague in a channel",
    "hear_reply": "Hear an answer in a thread",
    "hear_edit": "Hear a colleague correct themselves",
    "hear_direct": "Get a message from a colleague",
}
#: What is told by polls too, so that nothing of it is lost with a delivery; and told to the person it happens to.
SMALL: Final = ("hear", "hear_reply", "hear_edit", "hear_direct")

_DAY_SECONDS: Final = 86_400.0
_REACTIONS: Final = ("thumbsup", "tada", "eyes", "heart", "seedling")
_SENTENCES: Final = (
    "Who has the key to the shed?",
    "The roses &amp; the beans are in.",
    "Lunch at noon, <!here>?",
    "See <https://example.org/plan|the new plan>.",
    "That took longer than I thought.",
    "It rains tomorrow, so let us dig today.",
    "Could somebody look at the pump?",
    "*Done.* The greenhouse is warm again.",
)


class Details(msgspec.Struct, frozen=True):
    """What `act` understands.

    Attributes:
        channel: A channel's name or id.
        text: Of a message.
        ts: The message that is answered, edited, deleted or reacted to.
        to: Key of the person who is written to, or added to a channel by whoever acts.
        name: Of a new channel, or a channel's new one.
        by: Key of the colleague from whom one hears.
        reaction: Its name.
    """

    channel: str = ""
    text: str = ""
    ts: str = ""
    to: str = ""
    name: str = ""
    by: str = ""
    reaction: str = ""


class Life:
    """Makes it happen.

    Args:
        workspace: Where.
        events: Sends it.
        record: Of what is to be told.
        people: Everybody.
        chance: Decides what nobody says.
    """

    def __init__(
        self, workspace: Workspace, events: EventsApi, record: Record, people: People, chance: Random
    ) -> None:
        self._workspace = workspace
        self._events = events
        self._record = record
        self._people = people
        self._chance = chance
        self._ways: dict[str, Callable[[Person, Details], list[Happening]]] = {
            "message": self._message,
            "reply": self._reply,
            "direct": self._direct,
            "edit": self._edit,
            "delete": self._delete,
            "reaction": self._reaction,
            "channel_created": self._create,
            "join": self._join,
            "leave": self._leave,
            "rename": self._rename,
            "archive": self._archive,
        }

    def make(self, kind: str, person: Person, wanted: Details) -> Happening:
        """Make something happen; returns it as recorded for the person, or as it is for who did it.

        Raises:
            LookupError: No such kind, channel, message or person.
        """
        self._workspace.settle()
        hears = kind.startswith("hear")
        way = self._ways.get(kind.removeprefix("hear_") if hears and kind != "hear" else kind)
        if kind == "hear":
            way = self._message
        if way is None or kind not in KINDS:
            raise LookupError(f"Slack knows no {kind!r}. There are: {', '.join(KINDS)}.")
        if not hears:
            return way(person, wanted)[0]
        told = way(*self._from_colleague(kind, person, wanted))
        return next((one for one in told if one.person == person.key), told[0])

    def _from_colleague(self, kind: str, person: Person, wanted: Details) -> tuple[Person, Details]:
        """Who acts so that the person hears of it, and where."""
        me = user_of(person)
        if kind == "hear_direct":
            by = self._person(wanted.by) if wanted.by else self._colleague(person)
            return by, msgspec.structs.replace(wanted, to=person.key)
        channel = self._channel(me, wanted.channel)
        members = [one for one in self._people if user_of(one) in channel.members and one.key != person.key]
        if not members:
            raise LookupError(f"{person.name} is alone in #{channel.name}.")
        by = self._person(wanted.by) if wanted.by else self._chance.choice(members)
        return by, msgspec.structs.replace(wanted, channel=channel.id)

    # --- messages -----------------------------------------------------------------------------------------------------

    def _message(self, person: Person, wanted: Details) -> list[Happening]:
        channel = self._channel(user_of(person), wanted.channel)
        message = self._write(channel, person, wanted.text)
        return self._tell("message", person, channel, message.ts, "wrote")

    def _reply(self, person: Person, wanted: Details) -> list[Happening]:
        channel = self._channel(user_of(person), wanted.channel)
        parent = self._found(channel, wanted.ts) if wanted.ts else self._last(channel, person)
        answer = self._write(channel, person, wanted.text, thread=parent)
        return self._tell("reply", person, channel, answer.ts, "answered")

    def _direct(self, person: Person, wanted: Details) -> list[Happening]:
        to = self._person(wanted.to) if wanted.to else self._colleague(person)
        channel, is_new = self._workspace.direct(user_of(person), user_of(to))
        if is_new:
            self._events.send(
                {
                    "type": "im_created",
                    "user": user_of(person),
                    "channel": {**channel.shown(user_of(person))},
                    "event_ts": self._workspace.ts(),
                },
                channel.members,
            )
        message = self._write(channel, person, wanted.text)
        return self._tell("direct", person, channel, message.ts, "wrote to a colleague")

    def _edit(self, person: Person, wanted: Details) -> list[Happening]:
        # A history shows the last edit alone, so two between two looks are one to who looks: chance edits once.
        channel, message = self._own(person, wanted, is_unedited=True)
        before = message.shown()
        at = self._workspace.ts()
        message.text = wanted.text or f"{message.text} (corrected)"
        second = f"{at.partition('.')[0]}.000000"  # Slack tells no more of when it was edited
        message.edited = {"user": message.user, "ts": second}
        self._send(
            channel,
            {
                "type": "message",
                "subtype": "message_changed",
                "hidden": True,
                "message": message.shown(),
                "previous_message": before,
                "ts": at,
            },
        )
        key = f"{message.ts}:edited:{second}"
        return self._tell("edit", person, channel, key, "edited")

    def _delete(self, person: Person, wanted: Details) -> list[Happening]:
        channel, message = self._own(person, wanted)
        holder = next((one for one in channel.messages if message in one.answers), None)
        (channel.messages if holder is None else holder.answers).remove(message)
        self._send(
            channel,
            {
                "type": "message",
                "subtype": "message_deleted",
                "hidden": True,
                "deleted_ts": message.ts,
                "previous_message": message.shown(),
                "ts": self._workspace.ts(),
            },
        )
        return self._tell("delete", person, channel, f"{message.ts}:deleted", "deleted a message")

    def _reaction(self, person: Person, wanted: Details) -> list[Happening]:
        channel = self._channel(user_of(person), wanted.channel)
        message = self._found(channel, wanted.ts) if wanted.ts else self._last(channel, person)
        reaction = wanted.reaction or self._chance.choice(_REACTIONS)
        at = self._workspace.ts()
        self._events.send(
            {
                "type": "reaction_added",
                "user": user_of(person),
                "reaction": reaction,
                "item_user": message.user,
                "item": {"type": "message", "channel": channel.id, "ts": message.ts},
                "event_ts": at,
            },
            channel.members,
        )
        key = f"{message.ts}:reaction_added:{user_of(person)}:{reaction}:{at}"
        return self._tell("reaction", person, channel, key, "reacted")

    # --- channels -----------------------------------------------------------------------------------------------------

    def _create(self, person: Person, wanted: Details) -> list[Happening]:
        creator = user_of(person)
        name = wanted.name or f"beds-{self._workspace.ts().replace('.', '')[-9:]}"
        channel = self._workspace.create(name, creator)
        event = {
            "type": "channel_created",
            "channel": {
                "id": channel.id,
                "is_channel": True,
                "name": name,
                "name_normalized": name,
                "created": channel.created,
                "creator": creator,
                "is_shared": False,
            },
            "event_ts": self._workspace.ts(),
        }
        everybody = [user_of(one) for one in self._people]
        self._events.send(event, everybody)
        return self._tell("channel_created", person, channel, "created", f"made #{name}", everybody)

    def _join(self, person: Person, wanted: Details) -> list[Happening]:
        """The person joins a public channel, or adds somebody to one that they are in."""
        channel = self._workspace.named(wanted.channel)
        if channel is None:
            raise LookupError(f"There is no channel {wanted.channel!r}.")
        joining = user_of(self._person(wanted.to)) if wanted.to else user_of(person)
        if joining in channel.members or channel.kind == "im":
            raise LookupError(f"Nobody new can join #{channel.name}.")
        channel.members.add(joining)
        more: Json = {"subtype": "channel_join"}
        if wanted.to:
            more["inviter"] = user_of(person)
        text = f"<@{joining}> has joined the channel"
        message = Message(self._workspace.ts(), joining, text, more=more)
        self._post(channel, message)
        moved = {"channel": channel.id, "channel_type": "G" if channel.kind == "group" else "C", "team": TEAM}
        invited = {"inviter": user_of(person)} if wanted.to else {}
        event = {"type": "member_joined_channel", "user": joining, **moved, **invited}
        self._events.send({**event, "event_ts": self._workspace.ts()}, channel.members)
        return self._tell("join", person, channel, message.ts, f"joined #{channel.name}")

    def _leave(self, person: Person, wanted: Details) -> list[Happening]:
        channel = self._channel(user_of(person), wanted.channel)
        left = user_of(person)
        seen_by = set(channel.members)
        message = Message(
            self._workspace.ts(), left, f"<@{left}> has left", more={"subtype": "channel_leave"}
        )
        self._post(channel, message)
        channel.members.remove(left)
        event = {"type": "member_left_channel", "user": left, "channel": channel.id, "team": TEAM}
        self._events.send({**event, "event_ts": self._workspace.ts()}, seen_by)
        return self._tell("leave", person, channel, message.ts, f"left #{channel.name}", ())

    def _rename(self, person: Person, wanted: Details) -> list[Happening]:
        channel = self._channel(user_of(person), wanted.channel)
        old, channel.name = channel.name, wanted.name or f"{channel.name}-2"
        text = f'<@{user_of(person)}> has renamed the channel from "{old}" to "{channel.name}"'
        more: Json = {"subtype": "channel_name", "old_name": old, "name": channel.name}
        message = Message(self._workspace.ts(), user_of(person), text, more=more)
        self._post(channel, message)
        named = {"id": channel.id, "name": channel.name, "created": channel.created}
        event = {"type": "channel_rename", "channel": named, "event_ts": self._workspace.ts()}
        self._events.send(event, channel.members)
        return self._tell("rename", person, channel, message.ts, f"renamed #{old}")

    def _archive(self, person: Person, wanted: Details) -> list[Happening]:
        channel = self._channel(user_of(person), wanted.channel)
        text = f"<@{user_of(person)}> archived the channel"
        message = Message(self._workspace.ts(), user_of(person), text, more={"subtype": "channel_archive"})
        self._post(channel, message)
        channel.is_archived = True
        event = {"type": "channel_archive", "channel": channel.id, "user": user_of(person)}
        self._events.send({**event, "event_ts": self._workspace.ts()}, channel.members)
        return self._tell("archive", person, channel, message.ts, f"archived #{channel.name}")

    # --- how ----------------------------------------------------------------------------------------------------------

    def _write(
        self, channel: Conversation, person: Person, text: str, thread: Message | None = None
    ) -> Message:
        said = text or self._chance.choice(_SENTENCES)
        message = Message(
            self._workspace.ts(), user_of(person), said, thread.ts if thread is not None else ""
        )
        self._post(channel, message, thread)
        return message

    def _post(self, channel: Conversation, message: Message, thread: Message | None = None) -> None:
        if thread is None:
            channel.add(message)
        else:
            thread.answers = [*thread.answers, message]
        self._send(channel, message.shown())

    def _send(self, channel: Conversation, event: Mapping[str, Any]) -> None:
        """A message event, to the members."""
        placed = {"channel": channel.id, "channel_type": channel.kind, "event_ts": event["ts"]}
        self._events.send({**event, **placed}, channel.members)

    def _tell(
        self,
        kind: str,
        person: Person,
        channel: Conversation,
        key: str,
        what: str,
        to: Iterable[str] | None = None,
    ) -> list[Happening]:
        """Record it for everybody who sees it, but not for who did it."""
        at, me = self._workspace.now(), user_of(person)
        title = f"{person.name} {what}"
        members = set(channel.members if to is None else to) - {me}
        told = [
            self._record.add(Happening("slack", one.key, kind, at, f"slack:{TEAM}:{channel.id}:{key}", title))
            for one in self._people
            if user_of(one) in members
        ]
        return [Happening("slack", person.key, kind, at, f"slack:{TEAM}:{channel.id}:{key}", title), *told]

    def _channel(self, user: str, name: str) -> Conversation:
        """A channel of somebody's, by its name; by chance a small one where others are, too."""
        mine = [one for one in self._workspace.of(user) if not one.is_archived]
        if name:
            found = next((one for one in mine if name in {one.name, one.id}), None)
            if found is None:
                raise LookupError(f"There is no channel {name!r} of theirs.")
            return found
        channels = [one for one in mine if one.kind != "im"]
        shared = [one for one in channels if len(one.members) > 1]
        small = [one for one in shared if one.name != "general"]
        return self._chance.choice(small or shared or channels)

    def _found(self, channel: Conversation, ts: str) -> Message:
        message = channel.find(ts)
        if message is None:
            raise LookupError(f"There is no message {ts!r} in {channel.name or channel.id}.")
        return message

    def _last(self, channel: Conversation, person: Person) -> Message:
        """The last message that somebody wrote; one is written where there was none today."""
        written = (one for one in reversed(channel.messages) if not one.more)
        found = next((one for one in written if self._is_recent(one)), None)
        if found is None:
            found = self._write(channel, person, "")
            self._tell("message", person, channel, found.ts, "wrote")
        return found

    def _own(
        self, person: Person, wanted: Details, *, is_unedited: bool = False
    ) -> tuple[Conversation, Message]:
        """A message of the person's: the one that is named, or the last; one is written where there was none today."""
        me = user_of(person)
        channel = self._channel(me, wanted.channel)
        if wanted.ts:
            return channel, self._found(channel, wanted.ts)
        mine = (one for one in reversed(channel.messages) if one.user == me and not one.more)
        fitting = (one for one in mine if self._is_recent(one) and not (is_unedited and one.edited))
        message = next(fitting, None)
        if message is None:
            message = self._write(channel, person, "")
            self._tell("message", person, channel, message.ts, "wrote")
        return channel, message

    def _is_recent(self, message: Message) -> bool:
        return self._workspace.now().timestamp() - float(message.ts) < _DAY_SECONDS

    def _colleague(self, person: Person) -> Person:
        """Somebody who shares a channel with the person, of the smaller ones; else anybody."""
        me = user_of(person)
        near = {
            user
            for one in self._workspace.of(me)
            if one.name != "general" and one.kind != "im"
            for user in one.members
        }
        others = [one for one in self._people if one.key != person.key]
        if not others:
            raise LookupError(f"{person.name} is alone here.")
        return self._chance.choice([one for one in others if user_of(one) in near] or others)

    def _person(self, key: str) -> Person:
        person = self._people.get(key)
        if person is None:
            raise LookupError(f"There is no person {key!r}.")
        return person
