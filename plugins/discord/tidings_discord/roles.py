"""Roles that were given or taken: a few servers are looked at in each poll, those that were looked at longest ago."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tidings.contracts import Api
from tidings.errors import AuthExpired, Rejected, TidingsError, Unavailable
from tidings.event import Event
from tidings.fields import as_object, number, objs, word
from tidings_discord.account import read_roles
from tidings_discord.bot import Bot
from tidings_discord.cards import Teller
from tidings_discord.fields import snowflake, snowflakes

# Each costs a call of a route that Discord limits strictly.
_AT_ONCE: Final = 5
_AT_ONCE_IF_URGENT: Final = 15


class Roles:
    """The roles of one account, as they were seen last.

    Attributes:
        seen: By server: `held`, the ids of the roles, and `turn`, which look it was.

    Args:
        before: `seen`, as a checkpoint has it.
        guilds: The servers that the account is in; others are forgotten.
    """

    def __init__(self, before: Mapping[str, Any], guilds: Mapping[str, str]) -> None:
        self._guilds = guilds
        self.seen: dict[str, Any] = {
            guild_id: as_object(one) for guild_id, one in before.items() if guild_id in guilds
        }
        self._turn = max((number(one, "turn") or 0 for one in self.seen.values()), default=0)

    async def look(
        self, api: Api, teller: Teller, bot: Bot | None, *, is_urgent: bool
    ) -> tuple[list[Event], TidingsError | None]:
        """Look at those whose turn it is; what is seen for the first time is no news.

        Returns:
            What is new, and the failure at which it was broken off, as `Api.request` raised it; None for none.
        """
        found: list[Event] = []
        for guild_id in self._next(_AT_ONCE_IF_URGENT if is_urgent else _AT_ONCE):
            try:
                held = await read_roles(api, guild_id)
            except LookupError:
                break
            except (AuthExpired, Unavailable, Rejected) as error:
                return found, error
            self._turn += 1
            if held is None:  # left a moment ago
                continue
            before = snowflakes(as_object(self.seen.get(guild_id)), "held")
            self.seen[guild_id] = {"held": sorted(held, key=int), "turn": self._turn}
            if before is not None and set(before) != set(held):
                names = await _names(bot, guild_id)
                found += _changes(teller, guild_id, self._guilds[guild_id], before, held, names)
        return found, None

    def _next(self, count: int) -> Sequence[str]:
        def turn(guild_id: str) -> tuple[int, int]:
            return number(as_object(self.seen.get(guild_id)), "turn") or 0, int(guild_id)

        return sorted(self._guilds, key=turn)[:count]


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


async def _names(bot: Bot | None, guild_id: str) -> Mapping[str, str]:
    """The names of a server's roles, where the bot can see them."""
    if bot is None:
        return {}
    try:
        guild = await bot.guild(guild_id)
    except (Unavailable, Rejected):  # a role without its name is still news
        return {}
    return {snowflake(role, "id"): word(role, "name") for role in objs(guild or {}, "roles")}
