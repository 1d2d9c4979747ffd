"""The operator's bot at Discord's API: reads channels and what decides who may see them.

Its token opens far more than anybody's consent does. It goes to `api_url` alone, below which every path is built here
from numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import anyio
import msgspec
from structlog.typing import FilteringBoundLogger

from tidings.contracts import Answer, Clock, Http
from tidings.errors import Rejected, Unavailable
from tidings.fields import Object, as_object, as_objects, number, obj
from tidings_discord.fields import snowflake
from tidings_discord.limits import RouteLimits, is_refused_client, is_shut_out, pause, wait_seconds

#: How many messages a call gives at most.
PAGE: Final = 100
#: How many members.
CROWD: Final = 1000

# What the bot may not see is not asked for again sooner: refusals are counted (see `limits`).
_HIDDEN_SECONDS: Final = 600.0
_REFUSED_SECONDS: Final = 3600.0
_UNLISTED_SECONDS: Final = 6 * 3600.0
_LONGEST_WAIT_SECONDS: Final = 10.0
_TRIES: Final = 3
_MOST_REMEMBERED: Final = 10_000
# Discord's own code for a server that the bot is not in (Opcodes and Status Codes, "JSON Error Codes").
_UNKNOWN_GUILD: Final = 10004


class Seen(msgspec.Struct, frozen=True):
    """What was found, by this process's clock at the instant `at`; None for nothing that the bot may see."""

    found: Object | None
    at: float


class Heard(msgspec.Struct, frozen=True):
    """All messages of a channel after the id `after` that there were at the instant `at`."""

    messages: Sequence[Object]
    after: int
    at: float


class Crowd(msgspec.Struct, frozen=True):
    """All members of a server by their ids at the instant `at`; None where they can't be had in one call."""

    members: Mapping[str, Object] | None
    at: float


class _Place:
    """What is remembered under a path. Who comes while another asks for it waits, and then has the same answer."""

    __slots__ = ("crowd", "heard", "lock", "seen")

    def __init__(self) -> None:
        self.lock = anyio.Lock()
        self.seen: Seen | None = None
        self.heard: Heard | None = None
        self.crowd: Crowd | None = None


class Bot:
    """Reads by Discord's HTTP API as a bot.

    One call at a time: so a bot in one process stays below the fifty calls a second that Discord allows. What it has
    learnt serves all accounts: each says how old an answer may be that it believes.

    Args:
        http: The one HTTP client.
        clock: All time.
        log: Told of what the bot may not see, once for each.
        api_url: The API.
        token: The bot's.
        headers: Sent with every call.
    """

    def __init__(
        self,
        http: Http,
        clock: Clock,
        log: FilteringBoundLogger,
        *,
        api_url: str,
        token: str,
        headers: Mapping[str, str],
    ) -> None:
        self._http = http
        self._clock = clock
        self._log = log
        self._api_url = api_url
        self._headers = {**headers, "authorization": f"Bot {token}"}
        self._lock = anyio.Lock()
        self._places: dict[str, _Place] = {}
        self._guild_of: dict[str, str] = {}
        self._limits = RouteLimits()
        self._refused_until = 0.0
        self._told: set[str] = set()

    def check(self) -> None:
        """Nothing, unless Discord refused the token within the last hour.

        Raises:
            Rejected: It did; says what to do.
        """
        if self._clock.monotonic() < self._refused_until:
            raise _refused()

    def age_seconds(self, seen: Seen | Heard | Crowd) -> float:
        """How long ago an answer was given."""
        return self._clock.monotonic() - seen.at

    async def channel(self, channel_id: str, believed_seconds: float = 0.0) -> Seen:
        """A channel; None where the bot may not see it.

        Args:
            channel_id: Which.
            believed_seconds: How old what is known of it may be.

        Raises:
            Unavailable, Rejected: As all of these: see `_get`.
        """
        known, alone = self._guild_of.get(channel_id), self._place(f"/channels/{channel_id}").seen
        if known and (alone is None or not self._is_believed(alone, believed_seconds)):
            listed = await self._channels(known, believed_seconds)
            if listed.found is not None and channel_id in listed.found:
                return Seen(obj(listed.found, channel_id), listed.at)
        seen = await self._look(f"/channels/{channel_id}", f"channel/{channel_id}", believed_seconds)
        if seen.found is not None:
            self._guild_of[channel_id] = snowflake(seen.found, "guild_id")
        return seen

    async def _channels(self, guild_id: str, believed_seconds: float) -> Seen:
        """The channels of a server that were looked at before, by their ids: without threads, all of them in one call.

        (https://docs.discord.com/developers/resources/guild, "Get Guild Channels", 2026.)
        """
        place = self._place(f"/guilds/{guild_id}/channels")
        async with place.lock:
            if place.seen is not None and self._is_believed(place.seen, believed_seconds):
                return place.seen
            answer = await self._get(f"/guilds/{guild_id}/channels", f"channels/{guild_id}")
            found: Object | None = None
            if answer.status == 200:
                listed = {snowflake(one, "id"): one for one in as_objects(answer.json())}
                found = {key: one for key, one in listed.items() if key in self._guild_of}
            place.seen = Seen(found, self._clock.monotonic())
            return place.seen

    def _is_believed(self, seen: Seen, believed_seconds: float) -> bool:
        usual = believed_seconds if seen.found is not None else _HIDDEN_SECONDS
        return self.age_seconds(seen) <= usual

    def guild_of(self, channel_id: str) -> str:
        """The server of a channel that was looked at before, "" for none; a channel stays where it is."""
        return self._guild_of.get(channel_id, "")

    async def guild(self, guild_id: str, believed_seconds: float = 0.0) -> Seen:
        """A server with its roles; None where the bot is not in it."""
        return await self._look(f"/guilds/{guild_id}", f"guild/{guild_id}", believed_seconds)

    async def member(self, guild_id: str, user_id: str) -> Object | None:
        """Who somebody is in a server; {} for no member, None where the bot can't tell."""
        answer = await self._get(f"/guilds/{guild_id}/members/{user_id}", f"member/{guild_id}")
        if answer.status == 404 and number(as_object(answer.json()), "code") != _UNKNOWN_GUILD:
            return {}
        if answer.status != 200:
            return None
        found = as_object(answer.json())
        _check(obj(found, "user"), user_id)
        return found

    async def crowd(self, guild_id: str, believed_seconds: float) -> Crowd:
        """All members of a server, so that they need not be asked for one by one.

        Discord lists them for apps with the Server Members Intent alone, a thousand at a time
        (https://docs.discord.com/developers/resources/guild, "List Guild Members", 2026). A server that has more than
        one list holds is for its accounts to ask about, each for itself.
        """
        place = self._place(f"/guilds/{guild_id}/members")
        async with place.lock:
            crowd = place.crowd
            if crowd is not None:
                usual = believed_seconds if crowd.members is not None else _UNLISTED_SECONDS
                if self.age_seconds(crowd) <= usual:
                    return crowd
            answer = await self._get(f"/guilds/{guild_id}/members?limit={CROWD}", f"members/{guild_id}")
            found = None
            if answer.status == 200:
                listed = as_objects(answer.json())
                found = {snowflake(obj(one, "user"), "id"): one for one in listed}
            members = found if found is not None and len(found) < CROWD else None
            place.crowd = Crowd(members, self._clock.monotonic())
            return place.crowd

    async def messages(self, channel_id: str, after: str = "", limit: int = PAGE) -> Sequence[Object] | None:
        """The oldest messages after an id, or the newest where `after` is ""; in no order that can be relied upon.

        None where the bot may not read the channel.
        """
        query = f"limit={limit}" + (f"&after={after}" if after else "")
        answer = await self._get(f"/channels/{channel_id}/messages?{query}", f"messages/{channel_id}")
        if answer.status != 200:
            self._tell_hidden(f"/channels/{channel_id}/messages", answer.status)
            return None
        return as_objects(answer.json())

    async def hear(self, channel_id: str, after: str, believed_seconds: float) -> Heard | None:
        """The oldest messages after an id, at most `PAGE`, as another account may have had them; None as `messages`."""
        place, low = self._place(f"/channels/{channel_id}/messages"), int(after)
        async with place.lock:
            heard = place.heard
            if heard is not None and heard.after <= low and self.age_seconds(heard) <= believed_seconds:
                return heard
            listed = await self.messages(channel_id, after)
            if listed is None:
                return None
            heard = Heard(listed, low, self._clock.monotonic())
            if len(listed) < PAGE:  # else there may be more
                place.heard = heard
            return heard

    async def _look(self, path: str, route: str, believed_seconds: float) -> Seen:
        place = self._place(path)
        async with place.lock:
            if place.seen is not None and self._is_believed(place.seen, believed_seconds):
                return place.seen
            answer = await self._get(path, route)
            found: Object | None = None
            if answer.status == 200:
                found = as_object(answer.json())
                _check(found, path.rpartition("/")[2])
            else:
                self._tell_hidden(path, answer.status)
            place.seen = Seen(found, self._clock.monotonic())
            return place.seen

    def _place(self, path: str) -> _Place:
        if path not in self._places and len(self._places) >= _MOST_REMEMBERED:
            self._places.clear()
        return self._places.setdefault(path, _Place())

    async def _get(self, path: str, route: str) -> Answer:
        """Ask, within the limits; the answer is a 200, or a 4xx about the thing asked for.

        Args:
            path: Below the API.
            route: What its limit is counted under.

        Raises:
            Unavailable: Discord is down, or wants more patience than a poll has.
            Rejected: The bot's token is refused; it is not shown again for an hour.
        """
        for _ in range(_TRIES):
            await self._wait(route)
            async with self._lock:
                answer = await self._send(path)
            self._limits.learn(route, answer, self._clock.monotonic())
            if answer.status != 429:
                return self._judged(answer)
            self._check_shut_out(answer)
        raise Unavailable(
            "Discord's rate limit for the bot is reached.", retry_after_seconds=wait_seconds(answer)
        )

    async def _send(self, path: str) -> Answer:
        self.check()
        return await self._http.send("GET", f"{self._api_url}{path}", headers=self._headers)

    async def _wait(self, route: str) -> None:
        while (seconds := self._limits.wait_seconds(route, self._clock.monotonic())) > 0:
            if seconds > _LONGEST_WAIT_SECONDS:
                raise Unavailable("Discord's rate limit for the bot is reached.", retry_after_seconds=seconds)
            await self._clock.sleep(seconds)

    def _judged(self, answer: Answer) -> Answer:
        if answer.status == 401:
            self._refused_until = self._clock.monotonic() + _REFUSED_SECONDS
            raise _refused()
        if answer.status == 403 and is_refused_client(answer):
            self._check_shut_out(answer)
        if answer.status >= 500 or answer.status == 408 or 300 <= answer.status < 400:
            raise Unavailable(f"Discord answers the bot {answer.status}.")
        return answer

    def _check_shut_out(self, answer: Answer) -> None:
        """Give up at once where it is not Discord that refuses, but its doorkeeper: more calls make it worse."""
        found = pause(answer)
        if found is not None and (answer.status == 403 or is_shut_out(answer)):
            self._limits.rest(self._clock.monotonic() + found.seconds)
            raise Unavailable(found.reason, retry_after_seconds=found.seconds)

    def _tell_hidden(self, path: str, status: int) -> None:
        if path not in self._told:
            self._told.add(path)
            self._log.warning("bot_may_not_see", path=path, status=status)


def _check(found: Object, identity: str) -> None:
    """Take for no answer what shows something else: it must not look as if somebody might read a channel no more.

    Raises:
        Unavailable: It does.
    """
    if snowflake(found, "id") != identity:
        raise Unavailable("Discord answers the bot with something else than it asked for.")


def _refused() -> Rejected:
    return Rejected(
        "Discord refuses the token of this server's bot. Whoever runs it must put the one that the app's page Bot "
        "gives into plugins.connectors.discord.bot_token."
    )
