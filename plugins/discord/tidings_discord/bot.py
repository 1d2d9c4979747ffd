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
from tidings.fields import Object, as_object, as_objects, obj
from tidings_discord.fields import snowflake
from tidings_discord.limits import RouteLimits, is_refused_client, is_shut_out, pause, wait_seconds

#: How many messages a call gives at most.
PAGE: Final = 100

# What decides who may see a channel is believed for so long, so that many accounts cost few calls.
_BELIEVED_SECONDS: Final = 60.0
# What the bot may not see is not asked for again sooner: refusals are counted (see `limits`).
_HIDDEN_SECONDS: Final = 600.0
_REFUSED_SECONDS: Final = 3600.0
_LONGEST_WAIT_SECONDS: Final = 10.0
_TRIES: Final = 3
_MOST_REMEMBERED: Final = 10_000


class Looked(msgspec.Struct, frozen=True):
    """What was found, None for nothing that the bot may see, and until when that is believed."""

    found: Object | None
    until: float


class Bot:
    """Reads by Discord's HTTP API as a bot.

    One call at a time: so a bot in one process stays below the fifty calls a second that Discord allows.

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
        self._looked: dict[str, Looked] = {}
        self._guild_of: dict[str, str] = {}
        self._limits = RouteLimits()
        self._refused_until = 0.0
        self._told: set[str] = set()

    async def channel(self, channel_id: str) -> Object | None:
        """A channel; None where the bot may not see it.

        Raises:
            Unavailable, Rejected: As all of these: see `_get`.
        """
        found = await self._look(f"/channels/{channel_id}", f"channel/{channel_id}")
        if found is not None:
            self._guild_of[channel_id] = snowflake(found, "guild_id")
        return found

    def guild_of(self, channel_id: str) -> str:
        """The server of a channel that was looked at before, "" for none; a channel stays where it is."""
        return self._guild_of.get(channel_id, "")

    async def guild(self, guild_id: str) -> Object | None:
        """A server with its roles; None where the bot is not in it."""
        return await self._look(f"/guilds/{guild_id}", f"guild/{guild_id}")

    async def member(self, guild_id: str, user_id: str) -> Object:
        """Who somebody is in a server; {} for no member, or where the bot is none."""
        answer = await self._get(f"/guilds/{guild_id}/members/{user_id}", f"member/{guild_id}")
        if answer.status != 200:
            return {}
        found = as_object(answer.json())
        _check(obj(found, "user"), user_id)
        return found

    async def messages(self, channel_id: str, after: str = "", limit: int = PAGE) -> Sequence[Object]:
        """The oldest messages after an id, or the newest where `after` is ""; in no order that can be relied upon."""
        query = f"limit={limit}" + (f"&after={after}" if after else "")
        answer = await self._get(f"/channels/{channel_id}/messages?{query}", f"messages/{channel_id}")
        if answer.status != 200:
            self._tell_hidden(f"/channels/{channel_id}/messages", answer.status)
            return []
        return as_objects(answer.json())

    async def _look(self, path: str, route: str) -> Object | None:
        now = self._clock.monotonic()
        looked = self._looked.get(path)
        if looked is not None and looked.until > now:
            return looked.found
        answer = await self._get(path, route)
        found: Object | None = None
        if answer.status == 200:
            found = as_object(answer.json())
            _check(found, path.rpartition("/")[2])
        else:
            self._tell_hidden(path, answer.status)
        if len(self._looked) >= _MOST_REMEMBERED:
            self._looked.clear()
        seconds = _HIDDEN_SECONDS if found is None else _BELIEVED_SECONDS
        self._looked[path] = Looked(found, self._clock.monotonic() + seconds)
        return found

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
        if self._clock.monotonic() < self._refused_until:
            raise _refused()
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
