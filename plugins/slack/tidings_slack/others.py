"""Reactions and new channels as events; both come by push alone.

https://docs.slack.dev/reference/events/reaction_added, …/channel_created. A history shows who reacted but not when, and
no list of channels says which of them are new to whom.
"""

from __future__ import annotations

from typing import Final

from tidings.fields import TITLE_LENGTH, Object, clip, obj, raw, word
from tidings_slack.card import CHANNEL, IM, Place, Told, actor_of, told
from tidings_slack.fields import identity
from tidings_slack.names import Names
from tidings_slack.stamps import stamp

_MESSAGE: Final = "message"


def tell_reaction(names: Names, team: str, event: Object) -> Told | None:
    """A reaction that was given to a message or taken back; None where it is to something else."""
    item = obj(event, "item")
    channel, to, at = identity(item, "channel"), stamp(item, "ts"), stamp(event, "event_ts")
    user, reaction = identity(event, "user"), word(event, "reaction")
    if raw(item, "type") != _MESSAGE or not (channel and to and at and user and reaction):
        return None
    place = Place(names, team, channel, IM if channel.startswith("D") else CHANNEL)
    is_back = raw(event, "type") == "reaction_removed"
    kind = "reaction_removed" if is_back else "reaction_added"
    actor = actor_of(place, user, {})
    did = f"took :{reaction}: back" if is_back else f"reacted with :{reaction}:"
    return told(
        place,
        f"{to}:{kind}:{user}:{_word(reaction)}:{at}",
        kind,
        doer=user,
        stamp=at,
        title=place.title("Reaction taken back" if is_back else "Reaction"),
        text=f"{actor['name']} {did}",
        url=place.url(to),
        actor=actor,
        more={"reaction": reaction, "ts": to, "item_user": identity(event, "item_user")},
    )


def tell_created(names: Names, team: str, event: Object) -> Told | None:
    """A public channel that was made; None where the event names none."""
    channel = obj(event, "channel")
    found, creator = identity(channel, "id"), identity(channel, "creator")
    if not found:
        return None
    place = Place(names, team, found, CHANNEL)
    name, at = word(channel, "name"), stamp(event, "event_ts")
    actor = actor_of(place, creator, {})
    return told(
        place,
        "created",
        "channel_created",
        doer=creator,
        stamp=at,
        title=clip(f"New channel #{name}" if name else "New channel", TITLE_LENGTH),
        text=f"{actor['name']} made it" if creator else "",
        url=place.url(),
        actor=actor,
        more={"name": name},
    )


def _word(reaction: str) -> str:
    """A reaction's name within an id: `thumbsup::skin-tone-2` has colons, and ids are ASCII."""
    kept = "".join(
        char if char.isascii() and (char.isalnum() or char in "_-+'") else "." for char in reaction
    )
    return kept[:100]
