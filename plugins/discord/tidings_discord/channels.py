"""The messages of the channels that the operator chose, for an account that may read them.

No consent of a person opens messages to an app; the operator's bot reads them, in servers that let it in. Who hears of
them is decided for each account and each poll by Discord's own rules (see `permissions`), and whatever is not known for
certain means that nothing is told.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from tidings.event import Event
from tidings.fields import Object
from tidings_discord.bot import PAGE, Bot, Seen
from tidings_discord.fields import as_snowflake, snowflake
from tidings_discord.message import message_event
from tidings_discord.permissions import is_thread, may_read
from tidings_discord.site import Site

# Of one channel in one poll. What lies behind them is asked for soon after, so nothing is left out.
_MOST_PAGES: Final = 10


class Piece(msgspec.Struct, frozen=True):
    """News of one channel.

    Attributes:
        positions: By channel, the id of the last message told; of all of them, after these events.
        has_more: Whether there are more messages than were asked for.
    """

    events: Sequence[Event]
    positions: Mapping[str, str]
    has_more: bool = False


class Reading:
    """One account's reading of the chosen channels in one poll.

    Attributes:
        age_seconds: How old the oldest answer was that this reading goes by.

    Args:
        bot: The operator's.
        user_id: The account.
        guilds: The servers that it is in, by its own consent; None where that is not known.
        members: Who it is in some of them, as its own consent has just shown, by their ids.
        site: For addresses.
        believed_seconds: How old what the bot has seen for another account may be.
    """

    def __init__(
        self,
        bot: Bot,
        user_id: str,
        guilds: Collection[str] | None,
        members: Mapping[str, Object],
        site: Site,
        believed_seconds: float,
    ) -> None:
        self.age_seconds = 0.0
        self._bot = bot
        self._user_id = user_id
        self._guilds = guilds
        self._site = site
        self._believed_seconds = believed_seconds
        self._members: dict[str, Object | None] = {**members}

    async def read(
        self, channels: Sequence[str], before: Mapping[str, Any], *, is_urgent: bool
    ) -> AsyncIterator[Piece]:
        """What is new in each of these channels, oldest first; what was there at first is no news.

        Args:
            channels: Their ids.
            before: The positions of a checkpoint; of channels that are not among these, or that the account may not
                read, they are forgotten. Where nobody can tell at the moment, they are kept.
            is_urgent: Whether to ask even where Discord says, as of a minute ago, that there is nothing new.

        Raises:
            Unavailable, Rejected: As `Bot`.
        """
        if channels:
            self._bot.check()  # also who is in none of the bot's servers is to see that it is refused
        positions = {one: as_snowflake(before[one]) or "0" for one in channels if one in before}
        for channel_id in channels:
            channel = await self._channel(channel_id)
            guild = await self._guild_to_read(channel) if channel else channel
            if guild is None:
                continue  # the bot may be let in again; what was said meanwhile is told then
            if not guild:
                if positions.pop(channel_id, None) is not None:
                    yield Piece((), {**positions})
                continue
            assert channel is not None, "its server was found by it"
            position = positions.get(channel_id)
            if position is None:
                newest = await self._newest(channel)
                if newest is not None:
                    positions[channel_id] = newest
                    yield Piece((), {**positions})
                continue
            newest = snowflake(channel, "last_message_id")
            if not is_urgent and newest and int(newest) <= int(position):
                continue
            async for messages, has_more in self._pages(channel_id, position):
                positions[channel_id] = snowflake(messages[-1], "id")
                events = [message_event(one, channel, guild, self._site) for one in messages]
                yield Piece([one for one in events if one is not None], {**positions}, has_more)

    async def _channel(self, channel_id: str) -> Object | None:
        """A channel, None where the bot may not see it; {} where it is known to be in none of the account's servers."""
        known = self._bot.guild_of(channel_id)
        if known and self._guilds is not None and known not in self._guilds:
            return {}
        return self._believe(await self._bot.channel(channel_id, self._believed_seconds))

    async def _guild_to_read(self, channel: Object) -> Object | None:
        """The server of a channel; {} where the account may not read the channel, None where nobody can tell."""
        guild_id = snowflake(channel, "guild_id")
        if not guild_id or (self._guilds is not None and guild_id not in self._guilds):
            return {}
        guild = self._believe(await self._bot.guild(guild_id, self._believed_seconds))
        if guild is None:
            return None
        above: Object | None = {}
        if is_thread(channel):
            parent_id = snowflake(channel, "parent_id") or "0"
            above = self._believe(await self._bot.channel(parent_id, self._believed_seconds))
        if guild_id not in self._members:
            self._members[guild_id] = await self._bot.member(guild_id, self._user_id)
        member = self._members[guild_id]
        if above is None or member is None:
            return None
        return guild if may_read(self._user_id, guild, channel, above, member) else {}

    def _believe(self, seen: Seen) -> Object | None:
        if seen.found is not None:
            self.age_seconds = max(self.age_seconds, self._bot.age_seconds(seen))
        return seen.found

    async def _newest(self, channel: Object) -> str | None:
        """The id of the last message, "0" in an empty channel; None where the bot may not read what is there."""
        newest = snowflake(channel, "last_message_id")
        if newest:
            return newest
        listed = await self._bot.messages(snowflake(channel, "id"), limit=1)
        if listed is None:
            return None
        found = _ordered(listed, "0")
        return snowflake(found[-1], "id") if found else "0"

    async def _pages(self, channel_id: str, position: str) -> AsyncIterator[tuple[list[Object], bool]]:
        """The messages after a position, page by page; with the last page, whether there are still more."""
        for number in range(_MOST_PAGES):
            heard = await self._bot.hear(channel_id, position, self._believed_seconds)
            if heard is None:
                return
            self.age_seconds = max(self.age_seconds, self._bot.age_seconds(heard))
            messages = _ordered(heard.messages, position)
            if not messages:
                return
            is_full = len(heard.messages) >= PAGE
            yield messages, is_full and number == _MOST_PAGES - 1
            if not is_full:
                return
            position = snowflake(messages[-1], "id")


def _ordered(messages: Sequence[Object], after: str) -> list[Object]:
    """Those with an id beyond `after`, oldest first: Discord lists the newest first."""
    found = [one for one in messages if snowflake(one, "id") and int(snowflake(one, "id")) > int(after)]
    return sorted(found, key=lambda one: int(snowflake(one, "id")))
