"""A year of a hundred people in virtual time, against emulated platforms with everything that goes wrong.

`python benchmarks/year.py [--days 365] [--users 100] [--seed 1] [--platforms github,spotify]`; `--platforms all` is
every platform, and takes about four times as long. Ends with 1 if anything was missed, told twice or lost. The last
line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness import report
from installation import PUBLIC_URL, DirectHttp, Installation, options_at, write_config
from misfortune import Misfortunes
from residents import Residents
from tidings_sandbox.world import EMULATORS, World
from virtual import VirtualClock, VirtualLoop, settle_chance
from year_report import Year, compare_all

ALL = frozenset(kind.name for kind in EMULATORS)
FIRST_DAY = datetime(2027, 1, 1, tzinfo=UTC)
_SETTLING = timedelta(hours=12)
# What happened last is told by then: a hook that was deleted is noticed within hours, and what it lacked asked for.
_AFTERWARDS = timedelta(hours=36)
# Playlists are asked for once a day, and after long silence every fourth day.
_AFTERWARDS_WITH_PLAYLISTS = timedelta(days=4, hours=12)
_SUBSCRIPTIONS_EACH = 20  # at YouTube


class Simulation:
    """The platforms, their people and tidings.

    Attributes:
        calls: The requests of tidings to the platforms while the days passed.

    Args:
        loop: Whose time passes.
        folder: Where the installation lies.
        users: How many people.
        seed: Of all chance.
        group: Runs everything.
        platforms: Where they have accounts.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        folder: Path,
        users: int,
        seed: int,
        group: asyncio.TaskGroup,
        platforms: frozenset[str],
    ) -> None:
        self.clock = VirtualClock(loop, FIRST_DAY - _SETTLING)
        own_clock = VirtualClock(loop, FIRST_DAY - _SETTLING)
        self.world = World(
            self.clock,
            seed=seed,
            public_url=PUBLIC_URL,
            people=users,
            send=self._send,
            ask=self._ask,
            platforms=platforms,
        )
        if "youtube" in platforms:
            self.world.youtube.place.subscriptions_each = _SUBSCRIPTIONS_EACH
        if "slack" in platforms:
            rules = self.world.slack.consents.dialect
            # Within Slack's time of grace a lost answer is had once more by a second redemption, which is no fault;
            # without it every second one is.
            rules.expires, rules.grace_seconds = "always", 0.0
        self.http = DirectHttp(self.world)
        connectors = options_at(self.world.emulators, seed, users)
        if "github" in platforms:
            connectors["github"]["expiring_tokens"] = True
        self.installation = Installation(
            write_config(folder, connectors),
            self.http,
            own_clock,
            random.Random(f"{seed}/jitter"),
        )
        self.residents = Residents(self.world, self.clock, self.installation, group, seed)
        self.installation.started = self.residents.read
        self.installation.died = self._lose_answers
        self.misfortunes = Misfortunes(
            self.world, self.clock, self.installation, own_clock, self.http, group, seed
        )
        self.calls: Counter[tuple[str, str]] = Counter()
        self._group = group

    def _lose_answers(self, kept: Sequence[str]) -> None:
        """Whatever the platforms answered last to these tokens, a process that was killed did not keep."""
        for emulator in self.world.emulators.values():
            for hashed in kept:
                emulator.consents.redemptions.lose_answer(hashed)

    async def _send(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        return await self.installation.deliver(url, headers, body)

    async def _ask(self, url: str) -> tuple[int, bytes]:
        return await self.installation.answer(url)

    async def pass_days(self, days: int) -> Year:
        """Let everybody connect, so many days pass, and the rest be told; then see what it came to."""
        working = self._group.create_task(self.installation.run())
        turning = self._group.create_task(self.world.run())
        await self.residents.settle_in()
        await self.clock.until(FIRST_DAY)
        gc.collect()
        gc.freeze()
        before = Counter(self.http.calls)
        failing = self._group.create_task(self.misfortunes.befall(days))
        await self.residents.live(FIRST_DAY, days)
        await failing
        self.calls = self.http.calls - before
        self.misfortunes.end()
        with_playlists = "youtube" in self.world.emulators
        afterwards = _AFTERWARDS_WITH_PLAYLISTS if with_playlists else _AFTERWARDS
        await self.clock.sleep(afterwards.total_seconds())
        year = await compare_all(
            await self.installation.parts(), self.residents, self.world, self.misfortunes
        )
        self.residents.leave()
        self.installation.close()
        await working
        turning.cancel()
        return year


async def simulate(
    loop: VirtualLoop, folder: Path, *, days: int, users: int, seed: int, platforms: frozenset[str]
) -> Year:
    """Simulate so many days of so many people."""
    started, used = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        simulation = Simulation(loop, folder, users, seed, group, platforms)
        year = await simulation.pass_days(days)
    installation = simulation.installation
    year.conclude(
        days=days,
        users=users,
        seed=seed,
        calls=simulation.calls,
        jobs=installation.jobs,
        errors=installation.errors,
        seconds=time.perf_counter() - started,
        cpu_seconds=time.process_time() - used,
    )
    return year


def run(*, days: int, users: int, seed: int, platforms: frozenset[str] = ALL) -> Year:
    """Simulate so many days of so many people, on a throw-away database."""
    loop = VirtualLoop()
    with tempfile.TemporaryDirectory() as name, asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(simulate(loop, Path(name), days=days, users=users, seed=seed, platforms=platforms))


def _platforms(text: str) -> frozenset[str]:
    """Those that are named, between commas; `all` is every one.

    Raises:
        ArgumentTypeError: One of them is not emulated.
    """
    named = ALL if text == "all" else frozenset(text.split(","))
    if unknown := named - ALL:
        raise argparse.ArgumentTypeError(
            f"no {', '.join(sorted(unknown))}; there are {', '.join(sorted(ALL))}"
        )
    return named


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--platforms", type=_platforms, default=frozenset({"github", "spotify"}))
    arguments = parser.parse_args()
    settle_chance(arguments.seed)
    gc.set_threshold(50_000, 20, 50)
    year = run(
        days=arguments.days,
        users=arguments.users,
        seed=arguments.seed,
        platforms=arguments.platforms,
    )
    for line in (*year.notes, *year.wrongs):
        print(line, file=sys.stderr)
    report(year.summary)
    if year.wrongs:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
