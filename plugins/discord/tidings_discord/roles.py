"""Roles that were given or taken: where the bot reads they decide at each poll who hears of what; elsewhere, seldom."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from tidings.contracts import Api
from tidings.errors import AuthExpired, Rejected, TidingsError, Unavailable
from tidings.event import Event
from tidings.fields import Object, as_object, number, objs, word
from tidings_discord.account import read_member
from tidings_discord.bot import Bot
from tidings_discord.cards import Teller
from tidings_discord.fields import snowflake, snowflakes

# Each costs a call of a route that Discord limits strictly.
_AT_ONCE: Final = 5
_AT_ONCE_IF_URGENT: Final = 15
# Intervals vary a little; a look that is this near to its time is one.
_NEARLY: Final = 0.9
_NAMES_BELIEVED_SECONDS: Final = 3600.0


class Member(msgspec.Struct, frozen=True):
    """Who an account was in a server at the instant `at`, in seconds since 1970."""

    shown: Object
    at: int


class Roles:
    """The roles of one account, as they were seen last.

    Attributes:
        seen: By server: `held`, the ids of the roles, and `at`, when that was so, in seconds since 1970.
        members: Who the account is in the servers that were looked at just now, by their ids.

    Args:
        before: `seen`, as a checkpoint has it.
        guilds: The servers that the account is in; others are forgotten.
        now: In seconds since 1970.
    """

    def __init__(self, before: Mapping[str, Any], guilds: Mapping[str, str], now: int) -> None:
        self._guilds = guilds
        self._now = now
        self.members: dict[str, Member] = {}
        self.seen: dict[str, Any] = {
            guild_id: as_object(one) for guild_id, one in before.items() if guild_id in guilds
        }

    async def look(
        self, api: Api, always: Mapping[str, Member | None], every_seconds: float, *, is_urgent: bool
    ) -> tuple[Mapping[str, Sequence[str]], TidingsError | None]:
        """Look at some servers. What is seen for the first time is no news.

        Args:
            api: The account's.
            always: The servers to look at each time, with what the bot has seen there, if anything. What was known here
                after that is not believed: else what had changed would seem to change back.
            every_seconds: How long the others are left alone.
            is_urgent: Whether its user asked for it just now: then those are not left alone.

        Returns:
            The roles held before, by server, where they are others now; and the failure that broke the look off, as
            `Api.request` raised it, None for none.
        """
        changed: dict[str, Sequence[str]] = {}
        for guild_id in self._next(always, 0.0 if is_urgent else every_seconds, is_urgent=is_urgent):
            member = always.get(guild_id)
            if member is None or member.at < self._at(guild_id):
                try:
                    shown = await read_member(api, guild_id)
                except LookupError:
                    break
                except (AuthExpired, Unavailable, Rejected) as failure:
                    return changed, failure
                if shown is None:  # left a moment ago
                    continue
                member = Member(shown, self._now)
            held = snowflakes(member.shown, "roles")
            if held is None:
                continue
            self.members[guild_id] = member
            before = snowflakes(as_object(self.seen.get(guild_id)), "held")
            self.seen[guild_id] = {"held": sorted(held, key=int), "at": member.at}
            if before is not None and set(before) != set(held):
                changed[guild_id] = before
        return changed, None

    def _at(self, guild_id: str) -> int:
        return number(as_object(self.seen.get(guild_id)), "at") or 0

    async def tell(
        self, changed: Mapping[str, Sequence[str]], teller: Teller, bot: Bot | None
    ) -> list[Event]:
        """What `look` has found, as events."""
        found: list[Event] = []
        for guild_id, before in changed.items():
            held = snowflakes(self.seen[guild_id], "held") or []
            names = await _names(bot, guild_id, {*before} ^ {*held})
            found += _changes(teller, guild_id, self._guilds[guild_id], before, held, names)
        return found

    def _next(
        self, always: Mapping[str, Member | None], every_seconds: float, *, is_urgent: bool
    ) -> Sequence[str]:
        """Those to look at each time, and of the others those that are due and were looked at longest ago."""
        at = {one: self._at(one) for one in self._guilds}
        due = [
            one
            for one in self._guilds
            if one not in always and not 0 <= self._now - at[one] < every_seconds * _NEARLY
        ]
        others = sorted(due, key=lambda one: (at[one], int(one)))
        return [
            *sorted(set(always) & self._guilds.keys(), key=int),
            *others[: _AT_ONCE_IF_URGENT if is_urgent else _AT_ONCE],
        ]


def _changes(
    teller: Teller,
    guild_id: str,
    guild_name: str,
    before: Sequence[str],
    held: Sequence[str],
    names: Mapping[str, str],
) -> list[Event]:
    given, taken = sorted({*held} - {*before}, key=int), sorted({*before} - {*held}, key=int)
    found = [(kind, one) for kind, some in (("role_added", given), ("role_removed", taken)) for one in some]
    return [teller.role(kind, guild_id, guild_name, one, names.get(one, "")) for kind, one in found]


async def _names(bot: Bot | None, guild_id: str, wanted: Collection[str]) -> Mapping[str, str]:
    """The names of a server's roles, where the bot can see them."""
    names: dict[str, str] = {}
    if bot is None:
        return names
    for believed_seconds in (_NAMES_BELIEVED_SECONDS, 0.0):  # a new role has a name since a moment ago
        try:
            seen = await bot.guild(guild_id, believed_seconds)
        except (Unavailable, Rejected):  # a role without its name is still news
            return names
        if seen.found is None:
            return names
        names = {snowflake(role, "id"): word(role, "name") for role in objs(seen.found, "roles")}
        if names.keys() >= {*wanted}:
            return names
    return names
