"""A day of a hundred people at every platform in virtual time: how many calls it takes, and how late its news is.

`python benchmarks/day.py [--users 100] [--seed 1] [--platforms github,spotify]`. The same day is lived three times:
asked for at the default intervals alone, asked for every five minutes alone, and as tidings does it; and once more with
every interval of tidings six times as long, to see what 5,000 calls would cost in freshness. Ends with 1 if anything
was missed or told twice, or too late. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from day_life import Regime, live, options_in, prepare, regimes
from day_report import Day, Verdict
from harness import report
from installation import PUBLIC_URL, DirectHttp, Installation, write_config
from residents import Residents
from tidings_sandbox.world import World
from virtual import VirtualClock, VirtualLoop, settle_chance

FIRST_DAY = datetime(2027, 3, 3, tzinfo=UTC)
# Before the day that counts: how long it is quiet, and then the days that are lived. Under push asking backs off
# towards once a day, and that takes more than a day from the first news on; what is asked for steadily is the same from
# the first hour in which everybody has connected.
_SETTLING, _DAYS_BEFORE = timedelta(hours=12), 2
_SETTLING_STEADILY, _DAYS_BEFORE_STEADY = timedelta(hours=3), 0


class Simulation:
    """The platforms, their people and tidings, without any misfortune."""

    def __init__(
        self,
        loop: VirtualLoop,
        folder: Path,
        regime: Regime,
        users: int,
        seed: int,
        group: asyncio.TaskGroup,
        platforms: frozenset[str],
    ) -> None:
        is_steady = bool(regime.strategies)
        self._before = timedelta(days=_DAYS_BEFORE_STEADY if is_steady else _DAYS_BEFORE)
        start = FIRST_DAY - self._before - (_SETTLING_STEADILY if is_steady else _SETTLING)
        self.clock = VirtualClock(loop, start)
        self.world = World(
            self.clock,
            seed=seed,
            public_url=PUBLIC_URL,
            people=users,
            send=self._send,
            ask=self._ask,
            platforms=platforms,
        )
        prepare(self.world, users, is_pushed=not is_steady)
        if not regime.is_limited:
            self.world.become_lively()
        self.http = DirectHttp(self.world)
        self.installation = Installation(
            write_config(folder, options_in(regime, self.world, seed, users), regime.strategies),
            self.http,
            VirtualClock(loop, start),
            Random(f"{seed}/jitter"),
        )
        self.residents = Residents(self.world, self.clock, self.installation, group, seed)
        self.installation.started = self.residents.read
        self._group = group
        self._regime = regime
        self._chance = Random(f"{seed}/life")

    async def _send(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        return await self.installation.deliver(url, headers, body)

    async def _ask(self, url: str) -> tuple[int, bytes]:
        return await self.installation.answer(url)

    async def pass_day(self) -> Day:
        """Let everybody connect, and some days pass, of which the last counts; then all of it is told."""
        working = self._group.create_task(self.installation.run())
        turning = self._group.create_task(self.world.run())
        await self.residents.settle_in()
        await self.clock.until(FIRST_DAY - self._before)
        gc.collect()
        gc.freeze()
        for days in range(self._before.days, 0, -1):
            await live(self.world, self.clock, FIRST_DAY - timedelta(days=days), self._chance)
        before = Counter(self.http.calls)
        await live(self.world, self.clock, FIRST_DAY, self._chance)
        calls = self.http.calls - before
        await self.clock.sleep(self._regime.longest_wait_seconds)
        services = await self.installation.parts()
        day = await Day.of(services, self.residents, self.world, calls, FIRST_DAY, self.installation.errors)
        self.residents.leave()
        self.installation.close()
        await working
        turning.cancel()
        return day


async def simulate(
    loop: VirtualLoop, folder: Path, regime: Regime, users: int, seed: int, platforms: frozenset[str]
) -> Day:
    async with asyncio.TaskGroup() as group:
        return await Simulation(loop, folder, regime, users, seed, group, platforms).pass_day()


def run(regime: Regime, *, users: int, seed: int, platforms: frozenset[str]) -> Day:
    """Simulate a day of so many people, on a throw-away database."""
    started = time.perf_counter()
    loop = VirtualLoop()
    with tempfile.TemporaryDirectory() as name, asyncio.Runner(loop_factory=lambda: loop) as runner:
        day = runner.run(simulate(loop, Path(name), regime, users, seed, platforms))
    print(f"{regime.name}: {time.perf_counter() - started:.0f} s; {day.spell()}", file=sys.stderr)
    return day


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--platforms", default=",".join(World(_Now()).emulators))
    parser.add_argument("--regimes", default="", help="only these, for a closer look; no verdict then")
    arguments = parser.parse_args()
    settle_chance(arguments.seed)
    gc.set_threshold(50_000, 20, 50)
    wanted = set(arguments.regimes.split(",")) - {""}
    days: dict[str, Day] = {}
    for regime in regimes():
        if not wanted or regime.name in wanted:
            days[regime.name] = run(
                regime,
                users=arguments.users,
                seed=arguments.seed,
                platforms=frozenset(arguments.platforms.split(",")),
            )
            gc.unfreeze()
            gc.collect()
    if wanted:
        return
    verdict = Verdict(arguments.users, days)
    for line in verdict.lines:
        print(line, file=sys.stderr)
    report(verdict.summary)
    if verdict.wrongs:
        raise SystemExit(1)


class _Now:
    """A clock that stands still, for a world that only says what there is."""

    def now(self) -> datetime:
        return FIRST_DAY

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> Any:
        raise AssertionError("nothing happens in this world")


if __name__ == "__main__":
    main()
