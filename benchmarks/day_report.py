"""What a simulated day came to: calls, what was missed, and how late the rest was told."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from comparison import compare, read_events, told_by
from day_life import RARER, default_interval
from residents import Residents
from tidings.app import build
from tidings.services import Services
from tidings_sandbox.world import World

#: At most so late are those told that a platform pushes.
_PUSHED_SECONDS = {"gmail": 5.0}
_MOST_CALLS, _MOST_SHARE = 9000, 0.05
_MOST_STRETCH = 4.0
_ACTIVE = timedelta(hours=2)
_TOLERANCE_SECONDS = 60.0  # jobs of a hundred people are spread a little
_SHOWN = 10


@dataclasses.dataclass
class Day:
    """One way's day.

    Attributes:
        calls: By platform, to its API.
        beside: By what they were about, the requests that are not to the API.
        late: Seconds from each happening to its event, by platform and way.
        overdue: What was told later than the interval in force allows, for people.
    """

    calls: Counter[str]
    beside: Counter[str]
    missed: list[str]
    surplus: list[str]
    late: dict[tuple[str, str], list[float]]
    overdue: list[str]
    errors: Sequence[str]

    @classmethod
    async def of(
        cls,
        services: Services,
        residents: Residents,
        world: World,
        calls: Counter[tuple[str, str]],
        first: datetime,
        errors: Sequence[str],
    ) -> Day:
        """Compare what happened with what is told."""
        day = cls(Counter(), Counter(), [], [], defaultdict(list), [], errors)
        for (platform, sort), count in calls.items():
            if sort == "api":
                day.calls[platform] += count
            else:
                day.beside[sort] += count
        app = build(services)
        for resident in residents.all:
            happened = world.happenings(resident.key)
            events = await read_events(services, app, resident)
            missed, surplus = compare(world, happened, events)
            day.missed += [f"{one.at:%d %H:%M} {one.person} {one.platform} {one.key}" for one in missed]
            day.surplus += [f"{resident.key} {event['id']} via {event['via']}" for event in surplus]
            day._time(world, happened, events, first)
        return day

    def _time(self, world: World, happened: Sequence[Any], events: Sequence[Any], first: datetime) -> None:
        at = {f"{one.platform}/{one.key}": one.at for one in happened}
        known: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)  # when told, and when it was
        for event in events:
            recorded = datetime.fromisoformat(event["recordedtime"])
            then = at.get(told_by(world, event))
            if then is None:
                continue
            platform, late = event["platform"], (recorded - then).total_seconds()
            if then >= first:
                self.late[platform, event["via"]].append(late)
                active = max((one for told, one in known[platform] if told <= then), default=None)
                longest = self._longest(platform, event["via"], then, active)
                if late > longest:
                    self.overdue.append(
                        f"{then:%d %H:%M:%S} {event['id']} via {event['via']}: {late:.0f} s, not {longest:.0f} s"
                    )
            known[platform].append((recorded, then))

    def _longest(self, platform: str, via: str, then: datetime, active: datetime | None) -> float:
        if via == "webhook":
            return _PUSHED_SECONDS.get(platform, 1.0)
        is_active = active is not None and timedelta() <= then - active < _ACTIVE
        return default_interval(platform) * (1.0 if is_active else _MOST_STRETCH) + _TOLERANCE_SECONDS

    def spell(self) -> str:
        """In a line."""
        ways = [f"{name} {' '.join(_quantiles(late))}" for name, late in self._ways()]
        beside = ", ".join(f"{sort} {count}" for sort, count in sorted(self.beside.items()))
        return (
            f"{sum(self.calls.values())} calls ({_spell(self.calls)}; beside: {beside}); missed {len(self.missed)}, "
            f"told twice {len(self.surplus)}; seconds late: {'; '.join(ways)}"
        )

    def _ways(self) -> list[tuple[str, list[float]]]:
        return [
            (f"{platform} by {via} ({len(late)})", late)
            for (platform, via), late in sorted(self.late.items())
        ]


class Verdict:
    """What the ways come to beside one another.

    Attributes:
        lines: For people.
        wrongs: What is not as it should be; the last of the lines.
        summary: The last line.
    """

    def __init__(self, users: int, days: Mapping[str, Day]) -> None:
        tidings, rarer = days["tidings"], days["tidings_rarer"]
        calls = {name: sum(day.calls.values()) for name, day in days.items() if name != "tidings_rarer"}
        share = calls["tidings"] / calls["polling_5m"]
        rare = sum(rarer.calls.values())
        self.wrongs = [
            *[f"missed: {one}" for one in tidings.missed[:_SHOWN]],
            *[f"told without need: {one}" for one in tidings.surplus[:_SHOWN]],
            *[f"late: {one}" for one in tidings.overdue[:_SHOWN]],
            *[f"a defect: {one}" for one in tidings.errors[:_SHOWN]],
        ]
        if calls["tidings"] > _MOST_CALLS * users / 100:
            self.wrongs.append(f"{calls['tidings']} calls are more than {_MOST_CALLS * users / 100:.0f}")
        if share > _MOST_SHARE:
            self.wrongs.append(f"tidings makes {share:.1%} of the calls of asking every five minutes")
        self.lines = [
            f"tidings makes {share:.2%} of the calls of asking every five minutes",
            f"with every interval {RARER:g} times as long: {rare} calls; {rarer.spell()}",
            *self.wrongs,
        ]
        self.summary = {
            "users": users,
            "calls": calls,
            "token_calls": tidings.beside["token"],
            "calls_by_platform": dict(sorted(tidings.calls.items())),
            "missed": len(tidings.missed),
            "duplicated": len(tidings.surplus),
            "latency_s": {
                platform: dict(zip(("p50", "p99"), _shares(late), strict=True))
                for platform, late in _by_platform(tidings).items()
            },
        }


def _by_platform(day: Day) -> Mapping[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for (platform, _), late in sorted(day.late.items()):
        found[platform] += late
    return found


def _shares(late: list[float]) -> list[float]:
    ordered = sorted(late)
    return [round(ordered[int((len(ordered) - 1) * share)], 3) for share in (0.5, 0.99)]


def _quantiles(late: list[float]) -> list[str]:
    return [f"{name} {value:.3g}" for name, value in zip(("p50", "p99"), _shares(late), strict=True)]


def _spell(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))
