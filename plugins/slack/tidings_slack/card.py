"""What a happening at Slack is told as: where it was, who did it, and the event of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from tidings.event import Event
from tidings.fields import TITLE_LENGTH, Object, clip, flag, link, obj, raw, word
from tidings_slack.fields import identity
from tidings_slack.mrkdwn import mentioned
from tidings_slack.names import Names, Person
from tidings_slack.stamps import instant_of

CHANNEL: Final = "channel"
GROUP: Final = "group"
IM: Final = "im"
MPIM: Final = "mpim"
_KINDS: Final = frozenset({CHANNEL, GROUP, IM, MPIM})


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A conversation, and what is known of names in its workspace.

    Attributes:
        kind: `channel` (public), `group` (private), `im` (of two people) or `mpim` (of several).
    """

    names: Names
    team: str
    channel: str
    kind: str

    @property
    def name(self) -> str:
        """The channel's name; "" for conversations that have none, or where it is unknown."""
        return self.names.channel(self.team, self.channel) if self.kind in {CHANNEL, GROUP} else ""

    @property
    def is_unnamed(self) -> bool:
        """Whether it has a name that nobody here knows."""
        return self.kind in {CHANNEL, GROUP} and not self.name

    def title(self, what: str) -> str:
        """`what in #name`."""
        if self.kind == IM and what == "Message":
            return "Direct message"
        if self.kind == IM:
            where = "in a direct message"
        elif self.kind == MPIM:
            where = "in a group of people"
        else:
            where = f"in #{self.name}" if self.name else "in a channel"
        return clip(f"{what} {where}", TITLE_LENGTH)

    def url(self, stamp: str = "", thread: str = "") -> str:
        """The page of a message, or of the conversation."""
        home = self.names.url(self.team)
        if not home:
            return f"https://app.slack.com/client/{self.team}/{self.channel}"
        address = f"{home}archives/{self.channel}"
        if stamp:
            whole, _, part = stamp.partition(".")
            address += f"/p{whole}{(part + '000000')[:6]}"
        return f"{address}?thread_ts={thread}&cid={self.channel}" if thread else address


class Told(NamedTuple):
    """An event, and about whom it is.

    Attributes:
        doer: Who did it, by id; "" where Slack does not say.
        people: All whose names it shows.
    """

    event: Event
    doer: str
    people: tuple[str, ...]


def kind_of(message: Object, channel: str) -> str:
    """What kind of conversation a pushed message is from."""
    said = raw(message, "channel_type")
    if said in _KINDS:
        return said
    return IM if channel.startswith("D") else CHANNEL


def told(
    place: Place,
    identity_: str,
    kind: str,
    *,
    doer: str,
    stamp: str,
    title: str,
    text: str,
    url: str,
    actor: Mapping[str, str],
    source_text: str = "",
    more: Mapping[str, Any] | None = None,
) -> Told:
    """The event of a happening in a conversation.

    Args:
        place: Where.
        identity_: What follows workspace and conversation in its id.
        kind: The last part of its type.
        doer: Who did it; "" for nobody known.
        stamp: When, as `ts`.
        title: On one line.
        text: As people read it.
        url: The page of it.
        actor: Who is shown.
        source_text: Slack's markup, of which the people named are to be looked up.
        more: Slack's own fields.
    """
    event = Event(
        id=f"slack:{place.team}:{place.channel}:{identity_}",
        type=f"com.slack.{kind}",
        source=f"//slack.com/{place.team}/{place.channel}",
        subject=identity_.partition(":")[0] if identity_[0].isdigit() else place.channel,
        time=instant_of(stamp) if stamp else None,
        platform="slack",
        data={
            "title": title,
            "text": text,
            "url": url,
            "actor": actor,
            "channel": {"id": place.channel, "name": place.name, "kind": place.kind},
            "team": place.team,
            **(more or {}),
        },
    )
    people = (doer, *mentioned(source_text)) if doer else tuple(mentioned(source_text))
    return Told(event, doer, people)


def actor_of(place: Place, user: str, message: Object) -> Mapping[str, str]:
    """Who wrote it: by what is known, else by what the message says of them, else by id."""
    known = place.names.person(place.team, user) if user else None
    if known is None or not known.name:
        known = person_in(message)
    bot = obj(message, "bot_profile")
    name = known.name or word(message, "username") or word(bot, "name") or user or "A bot"
    return {
        "name": name,
        "avatar_url": known.avatar_url or link(obj(bot, "icons"), "image_72"),
        "id": user or identity(message, "bot_id"),
    }


def person_in(message: Object) -> Person:
    """What a message says of who wrote it; Slack adds that where it crosses workspaces."""
    profile = obj(message, "user_profile")
    return Person(word(profile, "display_name") or word(profile, "real_name"), link(profile, "image_72"))


def person_of(user: Object) -> Person:
    """Somebody as `users.info` and `users.list` have them."""
    profile = obj(user, "profile")
    name = (
        word(profile, "display_name")
        or word(profile, "real_name")
        or word(user, "real_name")
        or word(user, "name")
    )
    return Person(name, link(profile, "image_72") or link(profile, "image_48"))


def kind_of_conversation(conversation: Object) -> str:
    """What kind of conversation a conversation object is."""
    if flag(conversation, "is_im"):
        return IM
    if flag(conversation, "is_mpim"):
        return MPIM
    if flag(conversation, "is_private") or flag(conversation, "is_group"):
        return GROUP
    return CHANNEL
