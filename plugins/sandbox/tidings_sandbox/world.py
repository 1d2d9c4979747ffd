"""Everything that the emulators know, and the one ASGI application that answers for them.

world = World(clock, seed=1, public_url="http://127.0.0.1:8080", send=send)
world.app                                           # ASGI: /sandbox/github/…, /sandbox/spotify/…
world.act("github", "push", "ottilie-otterbourne")  # something happens, and is recorded
await world.settle()                                # webhooks that are due are sent
world.happenings("ottilie-otterbourne")             # what tidings is expected to have told her
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any, Final, TypeVar

import anyio
from starlette.types import Receive, Scope
from starlette.types import Send as SendMessage

from tidings.contracts import Clock
from tidings_sandbox.assets import asset
from tidings_sandbox.calendar import GoogleCalendar
from tidings_sandbox.discord import Discord
from tidings_sandbox.emulator import Emulator
from tidings_sandbox.github import GitHub
from tidings_sandbox.gmail import Gmail
from tidings_sandbox.happenings import Happening, Moment, plan_day
from tidings_sandbox.people import Person
from tidings_sandbox.slack import Slack
from tidings_sandbox.spotify import Spotify
from tidings_sandbox.stage import Ask, HttpSend, Send, Stage
from tidings_sandbox.wire import Answer, json_answer, read_call, write_answer
from tidings_sandbox.youtube import YouTube

PREFIX: Final = "/sandbox/"
#: Every platform that is emulated.
EMULATORS: Final[tuple[type[Emulator], ...]] = (
    GitHub,
    Gmail,
    Slack,
    GoogleCalendar,
    YouTube,
    Discord,
    Spotify,
)

OneEmulator = TypeVar("OneEmulator", bound=Emulator)


class World:
    """The emulated platforms and their people, all in memory.

    Args:
        clock: All time.
        seed: The same seed at the same first instant gives the same world.
        public_url: Where the installation is whose consents may come here.
        send: Sends webhooks; None for HTTP, to `public_url` alone.
        ask: Asks addresses whether they want some; None likewise.
        people: How many people there are.
        keep_happenings: How many happenings are remembered; None for all.
        platforms: Which there are; None for all.

    Attributes:
        stage: What the emulators share.
        emulators: One of each platform, by name.
        calls: How many requests each has had.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        seed: int = 1,
        public_url: str = "http://127.0.0.1:8080",
        send: Send | None = None,
        ask: Ask | None = None,
        people: int = 5,
        keep_happenings: int | None = None,
        platforms: Collection[str] | None = None,
    ) -> None:
        self._http = HttpSend(public_url)
        self._clock = clock
        self.stage = Stage(
            clock,
            seed=seed,
            public_url=public_url,
            send=send or self._http,
            ask=ask or self._http.ask,
            people=people,
            keep_happenings=keep_happenings,
        )
        self._kinds = [kind for kind in EMULATORS if platforms is None or kind.name in platforms]
        self._raise_emulators()

    def become_lively(self) -> None:
        """Let every platform show things soon to somebody who tries it out."""
        for emulator in self.emulators.values():
            emulator.become_lively()

    def reset(self) -> None:
        """Begin anew, as after a restart: everything is forgotten, but tokens that live are recognised again."""
        self.stage.clear()
        self._raise_emulators()

    def _raise_emulators(self) -> None:
        self.calls: Counter[str] = Counter()
        self.emulators: dict[str, Emulator] = {kind.name: kind(self.stage) for kind in self._kinds}

    @property
    def github(self) -> GitHub:
        """The emulated GitHub."""
        return self.one(GitHub)

    @property
    def spotify(self) -> Spotify:
        """The emulated Spotify."""
        return self.one(Spotify)

    @property
    def slack(self) -> Slack:
        """The emulated Slack."""
        return self.one(Slack)

    @property
    def youtube(self) -> YouTube:
        """The emulated YouTube."""
        return self.one(YouTube)

    @property
    def discord(self) -> Discord:
        """The emulated Discord."""
        return self.one(Discord)

    def one(self, kind: type[OneEmulator]) -> OneEmulator:
        """The emulator of this kind."""
        emulator = self.emulators[kind.name]
        assert isinstance(emulator, kind)
        return emulator

    # --- what happens ---

    def act(self, platform: str, kind: str, person: str, /, **details: Any) -> Happening:
        """Make something happen now.

        Args:
            platform: Its id: `github`.
            kind: One of the emulator's `kinds`.
            person: Key of the person who does it.
            details: What shall be special about it; see the emulator's `act`.

        Raises:
            LookupError: There is no such platform, kind or person; says which.
        """
        emulator = self.emulators.get(platform)
        if emulator is None:
            raise LookupError(f"There is no platform {platform!r}. There are: {', '.join(self.emulators)}.")
        return emulator.act(kind, self.person(person), details)

    def person(self, key: str) -> Person:
        """The person of this key.

        Raises:
            LookupError: Nobody has it.
        """
        person = self.stage.people.get(key)
        if person is None:
            raise LookupError(f"There is no person {key!r}. GET /sandbox/api/state lists them.")
        return person

    def happenings(self, person: str = "", platform: str = "") -> list[Happening]:
        """What tidings is expected to have told, oldest first: to everybody or to one person."""
        if not person:
            return [one for one in self.stage.record if platform in {"", one.platform}]
        return self.stage.record.of(person, platform)

    async def settle(self) -> None:
        """Send every webhook that is due, and what follows from it."""
        await self.stage.agenda.settle()

    async def run(self, *, lively: bool = False, daily: int = 0) -> None:
        """Let time pass until cancelled: send webhooks, and let people live their lives.

        Args:
            lively: Every 20 to 40 seconds something small happens to somebody who agreed to an app.
            daily: So many things a day happen to each such person at each platform where they agreed.
        """
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self.stage.agenda.run)
                if lively:
                    group.start_soon(self._be_lively)
                if daily:
                    group.start_soon(self._live_daily, daily)
        finally:
            with anyio.CancelScope(shield=True):
                await self._http.close()

    async def _be_lively(self) -> None:
        chance = self.stage.chance("lively")
        while True:
            await self._clock.sleep(chance.uniform(20, 40))
            watched = sorted(
                {
                    (name, consent.person)
                    for name, emulator in self.emulators.items()
                    for consent in emulator.agreed()
                }
            )
            if watched:
                name, person = chance.choice(watched)
                self.act(name, chance.choice(self.emulators[name].small), person)

    async def _live_daily(self, each: int) -> None:
        chance = self.stage.chance("daily")
        day = self._clock.now().date()
        while True:
            for moment in self._plan(day, each, chance):
                await self._wait_until(moment.at)
                self.act(moment.platform, moment.kind, moment.person)
            day += timedelta(days=1)
            await self._wait_until(datetime.combine(day, time(), UTC))

    def _plan(self, day: date, each: int, chance: Random) -> list[Moment]:
        """What happens on the rest of a day."""
        now = self._clock.now()
        moments: list[Moment] = []
        for emulator in self.emulators.values():
            people = sorted({consent.person for consent in emulator.agreed()})
            moments += plan_day(day, people, {emulator.name: list(emulator.small)}, each=each, chance=chance)
        return sorted((moment for moment in moments if moment.at > now), key=lambda moment: moment.at)

    async def _wait_until(self, instant: datetime) -> None:
        while (seconds := (instant - self._clock.now()).total_seconds()) > 0:
            await self._clock.sleep(seconds)

    # --- the application ---

    async def app(self, scope: Scope, receive: Receive, send: SendMessage) -> None:
        """Plain ASGI for `/sandbox/{platform}/…` and `/sandbox/static/…`, mounted or alone."""
        if scope["type"] != "http":
            return
        name, _, rest = scope["path"].removeprefix(PREFIX).partition("/")
        emulator = self.emulators.get(name)
        if emulator is None:
            await write_answer(send, asset(rest) if name == "static" else _not_found(scope["path"]))
            return
        self.calls[name] += 1
        call = await read_call(scope, receive, f"/{rest}")
        if call is None:
            await write_answer(send, json_answer({"message": "The request is too large."}, 413))
            return
        # The consent page is for a person in a browser: what goes wrong, goes wrong between programs.
        is_page = call.path == emulator.consents.dialect.authorize_path
        fault = None if is_page else emulator.faults.draw(call.path, emulator.sort(call.path))
        if fault is None:
            await emulator.ready(call)
            answer = emulator.answer(call)
        else:
            answer = await emulator.faults.spoil(fault, call, emulator.answer)
        await write_answer(send, answer)


def _not_found(path: str) -> Answer:
    return json_answer({"message": f"The sandbox has nothing at {path}."}, 404)
