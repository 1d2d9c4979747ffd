"""The emulated workspace: its people, conversations and messages, as Slack shows them."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from tidings_sandbox.people import People, Person

Json = dict[str, Any]
Kind = Literal["channel", "group", "im"]

TEAM: Final = "T0SANDBOX"
TEAM_NAME: Final = "Otter Works"
DOMAIN: Final = "otter-works"
BOT_USER: Final = "U0SANDBOXBOT"
BOT: Final = "B0SANDBOXBOT"

_KEPT: Final = 5000  # messages of a conversation
_CREW, _BOARD = 4, 3  # how many people share a public channel of their own, and a private one


class Message(msgspec.Struct):
    """A message, or an answer in a thread.

    Attributes:
        ts: Its name within its conversation, and when it was written.
        user: Who wrote it, by Slack's id.
        thread: The message that it answers; "" for none.
        more: Further fields: `subtype`, `inviter`, ….
    """

    ts: str
    user: str
    text: str
    thread: str = ""
    edited: Json | None = None
    more: Json = {}
    answers: list[Message] = []

    def shown(self) -> Json:
        """As `conversations.history` has it."""
        found: Json = {
            "type": "message",
            "user": self.user,
            "text": self.text,
            "ts": self.ts,
            "team": TEAM,
            **self.more,
        }
        if self.edited is not None:
            found["edited"] = self.edited
        if self.thread:
            found |= {"thread_ts": self.thread}
        elif self.answers:
            writers = list(dict.fromkeys(answer.user for answer in self.answers))
            found |= {
                "thread_ts": self.ts,
                "reply_count": len(self.answers),
                "reply_users_count": len(writers),
                "reply_users": writers[:5],
                "latest_reply": self.answers[-1].ts,
                "subscribed": False,
                "is_locked": False,
            }
        return found


class Conversation(msgspec.Struct):
    """A channel, public or private, or what two people say to each other.

    Attributes:
        members: By Slack's ids.
        messages: Oldest first; without answers in threads, which hang on the messages that they answer.
    """

    id: str
    name: str
    kind: Kind
    creator: str
    created: int
    members: set[str] = msgspec.field(default_factory=set)
    messages: list[Message] = msgspec.field(default_factory=list)
    is_archived: bool = False

    def add(self, message: Message) -> None:
        """Append a message, and forget the oldest where there are too many."""
        self.messages.append(message)
        del self.messages[:-_KEPT]

    def find(self, ts: str) -> Message | None:
        """The message, or the answer, of this name."""
        place = bisect.bisect_left(self.messages, ts, key=lambda one: one.ts)
        if place < len(self.messages) and self.messages[place].ts == ts:
            return self.messages[place]
        return next((one for each in self.messages for one in each.answers if one.ts == ts), None)

    def shown(self, viewer: str) -> Json:
        """As `users.conversations` has it."""
        if self.kind == "im":
            other = next(iter(self.members - {viewer}), viewer)
            return {
                "id": self.id,
                "created": self.created,
                "is_im": True,
                "is_org_shared": False,
                "is_archived": self.is_archived,
                "user": other,
                "is_user_deleted": False,
            }
        is_private = self.kind == "group"
        return {
            "id": self.id,
            "name": self.name,
            "name_normalized": self.name,
            "is_channel": True,
            "is_group": is_private,
            "is_im": False,
            "is_mpim": False,
            "is_private": is_private,
            "created": self.created,
            "creator": self.creator,
            "is_archived": self.is_archived,
            "is_general": self.name == "general",
            "is_shared": False,
            "topic": {"value": "", "creator": "", "last_set": 0},
            "purpose": {"value": "", "creator": "", "last_set": 0},
        }


class Workspace:
    """All conversations. Everybody is in `general`; each four people share a channel, each three a private one.

    Attributes:
        now: Slack's clock.

    Args:
        people: Everybody.
        public_url: Where their pictures are.
        now: Slack's clock.
    """

    def __init__(self, people: People, public_url: str, now: Callable[[], datetime]) -> None:
        self._people = people
        self._public_url = public_url
        self.now = now
        self._last_micros = 0
        self._conversations: dict[str, Conversation] = {}
        self._serial = 0
        self._settled = 0
        self.settle()

    def __iter__(self) -> Iterator[Conversation]:
        return iter(self._conversations.values())

    def settle(self) -> None:
        """Let newcomers in."""
        for person in list(self._people)[self._settled :]:
            user = user_of(person)
            self._home("general", "C0GENERAL", "channel").members.add(user)
            crew, board = person.number // _CREW, person.number // _BOARD
            self._home(f"crew-{crew}", f"C0CREW{crew:05d}", "channel").members.add(user)
            self._home(f"board-{board}", f"G0BOARD{board:05d}", "group").members.add(user)
            self._settled += 1

    def _home(self, name: str, identity: str, kind: Kind) -> Conversation:
        found = self._conversations.get(identity)
        if found is None:
            created = int(self.now().timestamp())
            creator = user_of(next(iter(self._people)))
            found = self._conversations[identity] = Conversation(identity, name, kind, creator, created)
        return found

    def ts(self) -> str:
        """A new `ts`: now, and later than any before."""
        micros = max(round(self.now().timestamp() * 1e6), self._last_micros + 1)
        self._last_micros = micros
        return f"{micros // 1_000_000}.{micros % 1_000_000:06d}"

    def get(self, identity: str) -> Conversation | None:
        """The conversation of this id."""
        return self._conversations.get(identity)

    def named(self, name: str) -> Conversation | None:
        """The channel of this name, or of this id."""
        by_name = (one for one in self if one.name == name and one.kind != "im")
        return self._conversations.get(name) or next(by_name, None)

    def of(self, user: str) -> list[Conversation]:
        """The conversations that somebody is a member of."""
        return [one for one in self if user in one.members]

    def create(self, name: str, creator: str, kind: Kind = "channel") -> Conversation:
        """A new conversation, with its creator as only member."""
        self._serial += 1
        now = self.now()
        # Numbered by the clock too: a restarted sandbox must not use an id again that tidings has seen.
        identity = f"{'D' if kind == 'im' else 'C'}0{int(now.timestamp()):X}{self._serial:03d}"
        found = Conversation(identity, name, kind, creator, int(now.timestamp()), {creator})
        self._conversations[identity] = found
        return found

    def direct(self, one: str, other: str) -> tuple[Conversation, bool]:
        """What two people say to each other, and whether they begin to just now."""
        for conversation in self:
            if conversation.kind == "im" and conversation.members == {one, other}:
                return conversation, False
        made = self.create("", one, "im")
        made.members.add(other)
        return made, True

    def person(self, user: str) -> Person | None:
        """Whose this id is; None for nobody, or the bot."""
        return next((one for one in self._people if user_of(one) == user), None)

    def users(self) -> list[Json]:
        """Everybody, and the bot, as `users.list` has them."""
        return [*(self._user(one) for one in self._people), _bot()]

    def user(self, identity: str) -> Json | None:
        """Somebody as `users.info` has them."""
        if identity == BOT_USER:
            return _bot()
        person = self.person(identity)
        return None if person is None else self._user(person)

    def _user(self, person: Person) -> Json:
        image = f"{self._public_url}{person.face_path}"
        return {
            "id": user_of(person),
            "team_id": TEAM,
            "name": person.key,
            "deleted": False,
            "real_name": person.name,
            "is_bot": False,
            "profile": {
                "real_name": person.name,
                "display_name": person.name.partition(" ")[0],
                "image_48": image,
                "image_72": image,
                "team": TEAM,
            },
        }


def user_of(person: Person) -> str:
    """Somebody's id at Slack."""
    return f"U0SANDBOX{person.number:05d}"


def _bot() -> Json:
    return {
        "id": BOT_USER,
        "team_id": TEAM,
        "name": "tidings",
        "deleted": False,
        "real_name": "tidings",
        "is_bot": True,
        "profile": {"real_name": "tidings", "display_name": "", "bot_id": BOT, "team": TEAM},
    }
