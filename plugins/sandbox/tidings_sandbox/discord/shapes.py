"""What Discord's API shows of people, servers, channels and members."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from tidings_sandbox.discord.servers import Channel, Json, Member, Server, user_id
from tidings_sandbox.people import Person

_VIEW_CHANNEL: Final = 1 << 10
_SEND_MESSAGES: Final = 1 << 11
_READ_MESSAGE_HISTORY: Final = 1 << 16
_USUAL: Final = str(_VIEW_CHANNEL | _SEND_MESSAGES | _READ_MESSAGE_HISTORY)
_TEXT_CHANNEL: Final = 0
_STRANGER: Final = "800999999999999999"


def user(person: Person, global_name: str) -> Json:
    """A user object."""
    return {
        "id": user_id(person),
        "username": person.key.replace("-", "_"),
        "discriminator": "0",
        "global_name": global_name,
        "avatar": f"{person.number:032x}",
        "public_flags": 0,
    }


def partial_guild(server: Server, person: Person) -> Json:
    """An element of the list of one's own servers."""
    return {
        "id": server.id,
        "name": server.name,
        "icon": None,
        "banner": None,
        "owner": server.owner is person,
        "permissions": _USUAL,
        "features": [],
    }


def guild(server: Server) -> Json:
    """A server as the bot sees it."""
    owner = _STRANGER if server.owner is None else user_id(server.owner)
    return {
        "id": server.id,
        "name": server.name,
        "icon": None,
        "owner_id": owner,
        "roles": roles(server),
        "features": [],
        "verification_level": 0,
        "nsfw_level": 0,
    }


def roles(server: Server) -> list[Json]:
    """A server's roles; the first is everybody's."""
    everyone = _role(server.id, "@everyone", _USUAL, 0)
    others = [_role(one.id, one.name, "0", place) for place, one in enumerate(server.roles.values(), start=1)]
    return [everyone, *others]


def channel(shown: Channel) -> Json:
    """A text channel with its rules."""
    rules: list[Json] = []
    if shown.role is not None:
        rules = [
            {"id": shown.server.id, "type": 0, "allow": "0", "deny": str(_VIEW_CHANNEL)},
            {"id": shown.role.id, "type": 0, "allow": str(_VIEW_CHANNEL), "deny": "0"},
        ]
    return {
        "id": shown.id,
        "type": _TEXT_CHANNEL,
        "guild_id": shown.server.id,
        "name": shown.name,
        "nsfw": False,
        "parent_id": None,
        "last_message_id": shown.last_id or None,
        "permission_overwrites": rules,
    }


def member(shown: Member, global_name: str) -> Json:
    """A member with their roles."""
    return {
        "user": user(shown.person, global_name),
        "nick": None,
        "roles": list(shown.roles),
        "joined_at": iso(shown.joined_at),
        "deaf": False,
        "mute": False,
        "flags": 0,
    }


def message(identity: str, place: Channel, author: Json, text: str, at: datetime) -> Json:
    """A message."""
    return {
        "id": identity,
        "type": 0,
        "channel_id": place.id,
        "content": text,
        "author": author,
        "timestamp": iso(at),
        "edited_timestamp": None,
        "tts": False,
        "mention_everyone": False,
        "mentions": [],
        "mention_roles": [],
        "attachments": [],
        "embeds": [],
        "pinned": False,
    }


def without_content(shown: Json) -> Json:
    """A message as an app without the Message Content intent gets it."""
    empty: dict[str, Any] = {"content": "", "embeds": [], "attachments": [], "components": []}
    return {**shown, **empty}


def iso(instant: datetime) -> str:
    """An instant with its offset, as in messages and members."""
    return f"{instant:%Y-%m-%dT%H:%M:%S.%f}+00:00"


def naive(instant: datetime) -> str:
    """An instant in UTC without an offset, as in webhook events."""
    return f"{instant:%Y-%m-%dT%H:%M:%S.%f}"


def _role(identity: str, name: str, permissions: str, position: int) -> Json:
    return {
        "id": identity,
        "name": name,
        "color": 0,
        "hoist": False,
        "position": position,
        "permissions": permissions,
        "managed": False,
        "mentionable": False,
    }
