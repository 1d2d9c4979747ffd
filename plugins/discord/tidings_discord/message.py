"""A message in a channel as an event."""

from __future__ import annotations

import re
from typing import Final

from tidings.event import Event
from tidings.fields import (
    TEXT_LENGTH,
    TITLE_LENGTH,
    Object,
    clean,
    clip,
    instant,
    line,
    number,
    obj,
    objs,
    raw,
    word,
)
from tidings_discord.fields import made_at, snowflake
from tidings_discord.parse import PLATFORM
from tidings_discord.site import Site, name_of

# Ordinary messages, replies, and answers to commands; all other types are Discord's own notes
# (https://docs.discord.com/developers/resources/message, "Message Types").
_SPOKEN: Final = frozenset({0, 19, 20, 23})
_NOTES: Final = {
    4: "changed the name of the channel.",
    6: "pinned a message.",
    7: "joined the server.",
    8: "boosted the server.",
    9: "boosted the server.",
    10: "boosted the server.",
    11: "boosted the server.",
    18: "started a thread.",
    27: "began a stage.",
    46: "ended a poll.",
}
_UNSAID: Final = (
    "Discord shows the bot no text of this message. If that is so with all of them, the app lacks the Message Content "
    "intent."
)
_MENTION: Final = re.compile(r"<@!?([0-9]{1,20})>", re.ASCII)
_EMOJI: Final = re.compile(r"<a?(:[A-Za-z0-9_]{1,64}:)[0-9]{1,20}>", re.ASCII)


def message_event(message: Object, channel: Object, guild: Object, site: Site) -> Event | None:
    """A message as the API shows it; None where it has no id.

    The id of the event is that of the message alone: everybody who may see it hears of the same one.

    Args:
        message: An element of `GET /channels/{id}/messages`.
        channel: Where it stands.
        guild: The server of that.
        site: For addresses.
    """
    identity, channel_id = snowflake(message, "id"), snowflake(channel, "id")
    if not identity or not channel_id:
        return None
    guild_id, author = snowflake(guild, "id"), obj(message, "author")
    place = {"id": channel_id, "name": word(channel, "name")}
    where = f"#{place['name'] or channel_id}"
    server = {"id": guild_id, "name": word(guild, "name")}
    files = [word(one, "filename") for one in objs(message, "attachments")][:20]
    return Event(
        id=f"{PLATFORM}:message:{channel_id}:{identity}",
        type="com.discord.message",
        source=f"//discord.com/channels/{guild_id}/{channel_id}",
        subject=identity,
        time=instant(message, "timestamp", is_utc=True) or made_at(identity),
        platform=PLATFORM,
        data={
            "title": clip(f"{name_of(author) or 'Somebody'} in {where}, {server['name']}", TITLE_LENGTH),
            "text": _text(message, files),
            "url": site.message_url(guild_id, channel_id, identity),
            "actor": site.actor(author),
            "channel": place,
            "server": server,
            "attachments": files,
            "is_bot": author.get("bot") is True,
        },
    )


def _text(message: Object, files: list[str]) -> str:
    kind = number(message, "type") or 0
    said = _readable(message)
    if said:
        return clip(said, TEXT_LENGTH)
    if kind not in _SPOKEN:
        return _NOTES.get(kind, "A note of Discord's own.")
    stickers = [word(one, "name") for one in objs(message, "sticker_items")]
    shown = [
        f"Files: {', '.join(files)}." if files else "",
        f"Stickers: {', '.join(stickers[:5])}." if stickers else "",
        _embedded(message),
        "A poll." if obj(message, "poll") else "",
    ]
    return clip(" ".join(one for one in shown if one) or _UNSAID, TEXT_LENGTH)


def _readable(message: Object) -> str:
    """What was written, with names for the numbers of people and emoji."""
    names = {snowflake(one, "id"): name_of(one) for one in objs(message, "mentions")}
    text = clean(raw(message, "content")[: 4 * TEXT_LENGTH]).strip()
    text = _MENTION.sub(lambda found: f"@{names.get(found[1]) or found[1]}", text)
    return _EMOJI.sub(r"\1", text)


def _embedded(message: Object) -> str:
    """The first words of what is embedded: bots often write nothing else."""
    for embed in objs(message, "embeds"):
        found = line(embed, "title", TITLE_LENGTH) or line(embed, "description", TITLE_LENGTH)
        if found:
            return found
    return ""
