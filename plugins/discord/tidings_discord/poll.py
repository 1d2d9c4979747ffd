"""What is asked of Discord: profile, servers and roles with the account's consent, messages with the operator's bot."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any, Final

from tidings.contracts import Api, Asked, Polled
from tidings.errors import Rejected, TidingsError, Unavailable
from tidings.event import Event
from tidings.fields import Object, number, obj
from tidings_discord.account import read_guilds, read_own_profile, tell_guilds, tell_profile
from tidings_discord.bot import Bot
from tidings_discord.cards import Serial, Teller, profile_of
from tidings_discord.channels import Reading
from tidings_discord.fields import snowflake
from tidings_discord.roles import Member, Roles
from tidings_discord.settings import chosen
from tidings_discord.site import Site

# What waits in a channel beyond what one poll takes is asked for so soon.
_SOON_SECONDS: Final = 60.0
# What the bot saw for another account is believed for this part of the pause between two polls, but not for longer.
_BELIEVED_SHARE: Final = 1 / 8
_BELIEVED_SECONDS: Final = 3600.0
_BELIEVED_IF_URGENT_SECONDS: Final = 60.0


@dataclasses.dataclass(frozen=True, slots=True)
class Terms:
    """What a poll goes by, whoever's it is.

    Attributes:
        site: For addresses.
        bot: The operator's; None for none.
        channels: Those that the bot reads.
        roles: Whether roles are looked at.
        roles_seconds: How often, in servers where the bot reads nothing.
        poll_seconds: The cadence.
    """

    site: Site
    bot: Bot | None = None
    channels: Sequence[str] = ()
    roles: bool = True
    roles_seconds: float = 24 * 3600.0
    poll_seconds: float = 4 * 3600.0


async def poll(api: Api, asked: Asked, terms: Terms) -> AsyncIterator[Polled]:
    """Ask for all of it, one piece of news after the other; what fails keeps nothing of the rest.

    The checkpoint: `serial` (the last number given to a change), `profile` and `profile_at` (when it was so, in seconds
    since 1970), `guilds` (names by id), `roles` (see `Roles.seen`) and `channels` (positions by id). What is seen for
    the first time is no news.

    What another account has had the bot look at a moment ago is not asked for again. The next poll is due by so much
    sooner, so that nobody hears later for it, and the accounts of one server come to ask at the same time.

    Args:
        api: The account's.
        asked: What core knows.
        terms: What the operator wants.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request` and `Bot`. What was yielded stays.
    """
    run = _Run(api, asked, terms)
    async for piece in run.own():
        yield piece
    if terms.bot is not None:
        async for piece in run.messages(terms.bot):
            yield piece
    if run.failure is not None:
        raise run.failure


class _Run:
    """One poll, and the checkpoint as it grows.

    Attributes:
        failure: What kept some of the account's own news from being read; None for nothing.
    """

    def __init__(self, api: Api, asked: Asked, terms: Terms) -> None:
        self._api = api
        self._asked = asked
        self._terms = terms
        self._wanted = chosen(asked.settings, terms.channels) if terms.bot is not None else ()
        self.failure: TidingsError | None = None
        self._checkpoint: dict[str, Any] = {**asked.checkpoint}
        self._serial = Serial(number(asked.checkpoint, "serial") or 0, asked.now)
        self._guilds: Mapping[str, str] | None = None
        self._members: dict[str, Object] = {}
        self._has_just_met = False
        self._has_news = False
        self._now = int(asked.now.timestamp())
        self._age_seconds = 0.0
        self._believed_seconds = min(asked.every_seconds * _BELIEVED_SHARE, _BELIEVED_SECONDS)
        if asked.is_urgent:
            self._believed_seconds = _BELIEVED_IF_URGENT_SECONDS

    async def own(self) -> AsyncIterator[Polled]:
        """The account's servers, then its roles and its profile, which is shown with them."""
        before = obj(self._checkpoint, "profile")
        if before:
            user: Object = {"id": self._api.account_key, **before}
        else:
            user = self._see(await read_own_profile(self._api), self._now)
            self._has_just_met = True
        guilds = self._guilds = await read_guilds(self._api)
        events: list[Event] = []
        if guilds is not None:
            if "guilds" in self._checkpoint:
                events = tell_guilds(self._teller(user), obj(self._checkpoint, "guilds"), guilds)
            self._checkpoint["guilds"] = {**guilds}
        yield self._piece(events)
        roles = Roles(obj(self._checkpoint, "roles"), guilds or {}, self._now)
        known = await self._known_members()
        changed: Mapping[str, Sequence[str]] = {}
        if self._terms.roles:
            changed, self.failure = await roles.look(
                self._api, known, self._terms.roles_seconds, is_urgent=self._asked.is_urgent
            )
            self._checkpoint["roles"] = {**roles.seen}
        members = {key: one for key, one in known.items() if one is not None} | roles.members
        self._members = {key: one.shown for key, one in members.items()}
        user = await self._profile(members.values(), user)
        teller = self._teller(user)
        events = [*tell_profile(teller, before, user), *await roles.tell(changed, teller, self._terms.bot)]
        yield self._piece(events)

    async def _known_members(self) -> Mapping[str, Member | None]:
        """Who the account is in the servers in which the bot reads, as far as the bot can say without asking for it."""
        bot = self._terms.bot
        found: dict[str, Member | None] = {}
        if bot is None:
            return found
        for guild_id in sorted({bot.guild_of(one) for one in self._wanted} & {*(self._guilds or ())}):
            found[guild_id] = None
            try:
                crowd = await bot.crowd(guild_id, self._believed_seconds)
            except (Unavailable, Rejected):  # what the account sees itself is told all the same
                continue
            shown = (crowd.members or {}).get(self._api.account_key)
            if shown is not None:
                age_seconds = bot.age_seconds(crowd)
                self._age_seconds = max(self._age_seconds, age_seconds)
                found[guild_id] = Member(shown, int(self._now - age_seconds))
        return found

    async def _profile(self, members: Collection[Member], user: Object) -> Object:
        """The account's profile, as its memberships show it; `user`, what was known, if they are older than that."""
        shown = [(one.at, obj(one.shown, "user")) for one in members]
        shown = [one for one in shown if snowflake(one[1], "id") == self._api.account_key]
        if not shown and self.failure is not None:
            return user
        if not shown:
            fresh = user if self._has_just_met else await read_own_profile(self._api)
            return self._see(fresh, self._now)
        at, newest = max(shown, key=lambda one: one[0])
        return self._see(newest, at) if at >= self._profile_at else user

    @property
    def _profile_at(self) -> int:
        return number(self._checkpoint, "profile_at") or 0

    def _see(self, user: Object, at: int) -> Object:
        self._checkpoint |= {"profile": profile_of(user), "profile_at": at}
        return user

    async def messages(self, bot: Bot) -> AsyncIterator[Polled]:
        """What was said in the channels that the bot reads."""
        reading = Reading(
            bot,
            self._api.account_key,
            self._guilds,
            self._members,
            self._terms.site,
            self._believed_seconds,
        )
        has_more = False
        before = obj(self._checkpoint, "channels")
        self._checkpoint["channels"] = {one: before[one] for one in self._wanted if one in before}
        async for piece in reading.read(self._wanted, before, is_urgent=self._asked.is_urgent):
            self._checkpoint["channels"] = {**piece.positions}
            has_more = has_more or piece.has_more
            yield self._piece(piece.events)
        yield Polled(
            checkpoint={**self._checkpoint},
            next_in_seconds=_SOON_SECONDS
            if has_more
            else self._next_seconds(max(self._age_seconds, reading.age_seconds)),
        )

    def _next_seconds(self, age_seconds: float) -> float | None:
        """When to ask again, where what this poll goes by is so old; None for the cadence."""
        if age_seconds <= 0:
            return None
        usual = self._asked.every_seconds
        if self._has_news:
            usual = min(usual, self._terms.poll_seconds)
        return max(_SOON_SECONDS, usual - age_seconds)

    def _teller(self, user: Object) -> Teller:
        return Teller(self._api.account_key, user, self._serial, self._terms.site)

    def _piece(self, events: Sequence[Event]) -> Polled:
        self._has_news = self._has_news or bool(events)
        self._checkpoint["serial"] = self._serial.last
        return Polled(events=events, checkpoint={**self._checkpoint})
