"""Who may read a channel: pure, and whatever is unknown means no.

The rules are Discord's (https://docs.discord.com/developers/topics/permissions, "Permission Overwrites", 2026).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tidings.fields import Object, number, obj, objs
from tidings_discord.fields import bits, snowflake, snowflakes

_ADMINISTRATOR: Final = 1 << 3
_VIEW_CHANNEL: Final = 1 << 10
_READ_MESSAGE_HISTORY: Final = 1 << 16
_CONNECT: Final = 1 << 20
# tidings tells of a message some time after it was written, so it is history.
_READING: Final = _VIEW_CHANNEL | _READ_MESSAGE_HISTORY

# https://docs.discord.com/developers/resources/channel, "Channel Types".
_TEXT, _VOICE, _NEWS, _NEWS_THREAD, _THREAD, _STAGE, _FORUM, _MEDIA = 0, 2, 5, 10, 11, 13, 15, 16
# The kinds of channel in which messages stand that a server's members share. A private thread is for those in it alone,
# and direct messages are nobody's here.
_CHANNELS: Final = frozenset({_TEXT, _VOICE, _NEWS, _STAGE})
_THREADS: Final = frozenset({_NEWS_THREAD, _THREAD})
_ABOVE_THREADS: Final = frozenset({_TEXT, _NEWS, _FORUM, _MEDIA})
# Who may not join a voice channel may not read it either ("Implicit Permissions").
_SPOKEN: Final = frozenset({_VOICE, _STAGE})
_ROLE, _MEMBER = 0, 1


def is_thread(channel: Object) -> bool:
    """Whether a channel is a thread, which has its permissions from the channel that it is in."""
    return number(channel, "type") in _THREADS


def may_read(user_id: str, guild: Object, channel: Object, above: Object, member: Object) -> bool:
    """Whether somebody may read the messages of a channel.

    Args:
        user_id: Who.
        guild: The server with its roles.
        channel: The channel.
        above: Where the channel is a thread, the one that it is in; else whatever.
        member: Who they are in that server; {} for no member.
    """
    guild_id = snowflake(guild, "id")
    held = snowflakes(member, "roles")
    if not user_id or not guild_id or held is None or snowflake(obj(member, "user"), "id") != user_id:
        return False
    place = above if is_thread(channel) else channel
    kinds = _ABOVE_THREADS if is_thread(channel) else _CHANNELS
    if number(place, "type") not in kinds:
        return False
    if not snowflake(channel, "guild_id") == snowflake(place, "guild_id") == guild_id:
        return False
    if place.get("nsfw") is True:  # nobody but Discord knows who is old enough
        return False
    allowed = _allowed(user_id, guild, place, held)
    needed = _READING | _CONNECT if number(place, "type") in _SPOKEN else _READING
    return allowed is not None and allowed & needed == needed


def _allowed(user_id: str, guild: Object, channel: Object, held: Sequence[str]) -> int | None:
    """What somebody may do in a channel; None where that can't be told."""
    guild_id = snowflake(guild, "id")
    everything = ~0
    if snowflake(guild, "owner_id") == user_id:
        return everything
    roles = {snowflake(role, "id"): bits(role, "permissions") for role in objs(guild, "roles")}
    base = roles.get(guild_id)  # the role @everyone has the id of its server
    if base is None:
        return None
    for role_id in held:
        base |= roles.get(role_id) or 0
    if base & _ADMINISTRATOR:
        return everything
    return _overwritten(base, user_id, guild_id, channel, held)


def _overwritten(base: int, user_id: str, guild_id: str, channel: Object, held: Sequence[str]) -> int | None:
    """`base` with the channel's own rules applied, in Discord's order; None where one of them can't be read."""
    listed = channel.get("permission_overwrites")
    if not isinstance(listed, list):
        return None
    everyone, by_roles, own = (0, 0), (0, 0), (0, 0)
    for overwrite in listed:
        if not isinstance(overwrite, dict):
            return None
        identity, kind = snowflake(overwrite, "id"), number(overwrite, "type")
        deny, allow = bits(overwrite, "deny"), bits(overwrite, "allow")
        if not identity or kind not in {_ROLE, _MEMBER} or deny is None or allow is None:
            return None
        if kind == _MEMBER:
            own = (deny, allow) if identity == user_id else own
        elif identity == guild_id:
            everyone = (deny, allow)
        elif identity in held:
            by_roles = (by_roles[0] | deny, by_roles[1] | allow)
    for deny, allow in (everyone, by_roles, own):
        base = base & ~deny | allow
    return base
