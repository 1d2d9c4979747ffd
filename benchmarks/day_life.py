"""How a day is lived, and the ways in which its news is asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

from installation import options_at
from tidings_sandbox.discord.servers import CIRCLE
from tidings_sandbox.slack.workspace import user_of
from tidings_sandbox.world import World
from virtual import VirtualClock

#: What happens to each person in a day: how often, and which of what an emulator can make happen.
LIFE: Final[Mapping[str, tuple[tuple[int, tuple[str, ...]], ...]]] = {
    "github": ((6, ("push", "issue_opened", "issue_commented", "pull_request_opened", "star")),),
    "gmail": ((8, ("mail",)),),
    "slack": ((30, ("message",)),),  # in whichever of their three channels
    "calendar": ((2, ("event_created", "event_moved", "event_cancelled", "answered")),),
    "youtube": ((4, ("upload",)), (3, ("like",))),
    "discord": ((2, ("message",)), (1, ("server_joined",)), (1, ("role_given",))),
    "spotify": ((15, ("play",)),),  # five after one another
}
# Of what is said in a channel that the operator did not choose nobody is told.
_WHERE: Final[Mapping[tuple[str, str], Mapping[str, str]]] = {("discord", "message"): {"channel": "talk"}}
_FIRST_HOUR, _LAST_HOUR = 7, 23
_AT_ONCE = {"spotify": 5}
_SLOT_SECONDS = 240  # between two happenings of one person at one platform
_FIVE_MINUTES = 300
_SUBSCRIPTIONS_EACH = 20  # at YouTube
_DESK = 5  # people who share the third channel of each at Slack
_LONGEST_STRETCH = 4
_DAY_SECONDS = 86_400.0
#: By how much all intervals grow where somewhat more than 5,000 calls a day are made for a hundred people.
RARER: Final = 6.0


@dataclasses.dataclass(frozen=True)
class Regime:
    """A way to learn of news.

    Attributes:
        every_seconds: The interval at all platforms; 0 for the default of each.
        stretch: By how much each default interval is longer.
        strategies: As in the configuration.
        is_limited: Whether the platforms' daily limits are in force.
    """

    name: str
    every_seconds: int = 0
    stretch: float = 1.0
    strategies: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    is_limited: bool = True

    @property
    def longest_wait_seconds(self) -> float:
        """After so long all that happened is told."""
        return _DAY_SECONDS * 1.5 * max(1.0, self.stretch) if not self.every_seconds else 3.0 * _FIVE_MINUTES


def regimes() -> list[Regime]:
    """The ways that are compared."""
    steady = {"polling": {"steady": True}}
    return [
        Regime("polling_default", strategies=steady, is_limited=False),
        Regime("polling_5m", every_seconds=_FIVE_MINUTES, strategies=steady, is_limited=False),
        Regime("tidings"),
        Regime("tidings_rarer", stretch=RARER),
    ]


def options_in(regime: Regime, world: World, seed: int, users: int) -> Mapping[str, Mapping[str, Any]]:
    """The connectors' options."""
    made = options_at(world.emulators, seed, users)
    if "discord" in made:
        made["discord"]["channels"] = sorted(world.discord.watched)
    for name, options in made.items():
        for key, default in _INTERVALS[name].items():
            seconds = regime.every_seconds or default * regime.stretch
            if seconds != default:
                options[key] = f"{seconds:.0f}s"
        if not regime.is_limited:
            options.update(_UNLIMITED.get(name, {}))
    return made


_HOUR: Final = 3600
#: The options that say how often to ask, with their defaults in seconds.
_INTERVALS: Final[Mapping[str, Mapping[str, float]]] = {
    "github": {"poll_every": 6 * _HOUR},
    "gmail": {"poll_every": _HOUR},
    "slack": {"poll_every": 4 * _HOUR},
    "calendar": {"poll_every": 2 * _HOUR},
    "youtube": {
        "poll_every": 2 * _HOUR,
        "likes_every": 2 * _HOUR,
        "subscriptions_every": 24 * _HOUR,
        "playlists_every": 24 * _HOUR,
    },
    "discord": {"poll_every": 4 * _HOUR, "roles_every": 24 * _HOUR},
    "spotify": {"poll_every": 0.5 * _HOUR, "saved_every": 4 * _HOUR},
}
#: What lifts a limit that tidings keeps to by itself.
_UNLIMITED: Final[Mapping[str, Mapping[str, Any]]] = {
    "spotify": {"daily_budget": 10_000_000},
    "youtube": {"daily_budget": 10_000_000},
    "slack": {"calls_per_minute": 10_000},
}


def default_interval(platform: str) -> float:
    """How often a platform is asked where nothing pushes and nothing is known, in seconds."""
    return _INTERVALS[platform]["poll_every"]


def prepare(world: World, users: int, *, is_pushed: bool) -> None:
    """Let there be what people's lives need, before anybody has connected.

    Args:
        world: The platforms.
        users: How many people there are.
        is_pushed: Whether platforms may push. Most do so where asked to, but Slack's and Discord's apps have one
            address for all, entered there by their operator.
    """
    if "youtube" in world.emulators:
        youtube = world.youtube.place
        youtube.subscriptions_each = youtube.channels_each = (
            _SUBSCRIPTIONS_EACH  # nobody hears of another's four
        )
    if "slack" in world.emulators:
        people = [user_of(person) for person in world.stage.people]
        for place in range(0, users, _DESK):
            desk = world.slack.workspace.create(f"desk-{place // _DESK}", people[place])
            desk.members |= {*people[place : place + _DESK]}
        if not is_pushed:
            world.slack.change_hook(1, "disable")
    if "discord" in world.emulators:
        world.discord.watch(-(-users // CIRCLE))


async def live(world: World, clock: VirtualClock, day: datetime, chance: Random) -> None:
    """Everything that happens to everybody on a day; returns at its end."""
    moments = []
    for person in world.stage.people:
        for platform in world.emulators:
            for count, kinds in LIFE[platform]:
                moments += [
                    (second, platform, chance.choice(kinds), person.key)
                    for second in _instants(count, _AT_ONCE.get(platform, 1), chance)
                ]
    for second, platform, kind, key in sorted(moments):
        await clock.until(day + timedelta(seconds=second))
        world.act(platform, kind, key, **_WHERE.get((platform, kind), {}))
    await clock.until(day + timedelta(days=1))


def _instants(count: int, at_once: int, chance: Random) -> list[float]:
    """Seconds of the day at which something happens, `at_once` times after one another."""
    length = at_once * _SLOT_SECONDS
    begins = chance.sample(range(_FIRST_HOUR * 3600, _LAST_HOUR * 3600, length), count // at_once)
    return [
        begin + number * _SLOT_SECONDS + chance.uniform(0, _SLOT_SECONDS / 4)
        for begin in begins
        for number in range(at_once)
    ]
