"""What is asked of Discord: profile, servers and roles with the account's consent, messages with the operator's bot."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from tidings.contracts import Api, Asked, Polled
from tidings.errors import TidingsError
from tidings.fields import Object, number, obj
from tidings_discord.account import read_guilds, read_own_profile, tell_guilds, tell_profile
from tidings_discord.bot import Bot
from tidings_discord.cards import Serial, Teller, profile_of
from tidings_discord.channels import Reading
from tidings_discord.roles import Roles
from tidings_discord.settings import chosen
from tidings_discord.site import Site

# What waits in a channel beyond what one poll takes is asked for so soon.
_SOON_SECONDS: Final = 60.0


async def poll(
    api: Api, asked: Asked, *, roles: bool, bot: Bot | None, channels: Sequence[str], site: Site
) -> AsyncIterator[Polled]:
    """Ask for all of it, one piece of news after the other; what fails keeps nothing of the rest.

    The checkpoint: `serial` (the last number given to a change), `profile`, `guilds` (names by id), `roles` (see
    `Roles.seen`) and `channels` (positions by id). What is seen for the first time is no news.

    Args:
        api: The account's.
        asked: What core knows.
        roles: Whether roles are looked at.
        bot: The operator's; None for none.
        channels: Those that the bot reads.
        site: For addresses.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request` and `Bot`. What was yielded stays.
    """
    before = asked.checkpoint
    user = await read_own_profile(api)
    guilds = await read_guilds(api)
    serial = Serial(number(before, "serial") or 0, asked.now)
    teller = Teller(api.account_key, user, serial, site)
    checkpoint: dict[str, Any] = {**before, "profile": profile_of(user)}
    events = tell_profile(teller, obj(before, "profile"), user)
    if guilds is not None:
        if "guilds" in before:
            events += tell_guilds(teller, obj(before, "guilds"), guilds)
        checkpoint["guilds"] = {**guilds}
    checkpoint["serial"] = serial.last
    yield Polled(events=events, checkpoint={**checkpoint})
    failure: TidingsError | None = None
    if roles and guilds is not None:
        seen = Roles(obj(before, "roles"), guilds)
        events, failure = await seen.look(api, teller, bot, is_urgent=asked.is_urgent)
        checkpoint |= {"roles": {**seen.seen}, "serial": serial.last}
        yield Polled(events=events, checkpoint={**checkpoint})
    if bot is not None:
        reading = Reading(bot, api.account_key, guilds, site)
        async for piece in _messages(reading, asked, channels, checkpoint):
            yield piece
    if failure is not None:
        raise failure


async def _messages(
    reading: Reading, asked: Asked, channels: Sequence[str], checkpoint: Object
) -> AsyncIterator[Polled]:
    wanted = chosen(asked.settings, channels)
    has_more = False
    before = obj(checkpoint, "channels")
    positions: dict[str, Any] = {one: before[one] for one in wanted if one in before}
    async for piece in reading.read(wanted, before, is_urgent=asked.is_urgent):
        positions = {**piece.positions}
        has_more = has_more or piece.has_more
        yield Polled(events=piece.events, checkpoint={**checkpoint, "channels": positions})
    yield Polled(
        checkpoint={**checkpoint, "channels": positions},
        next_in_seconds=_SOON_SECONDS if has_more else None,
    )
