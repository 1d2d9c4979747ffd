"""The people of a simulated year: they connect their accounts, live, and connect again when they are told to."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from random import Random
from urllib.parse import parse_qsl, urlsplit

import msgspec

from installation import Installation, ask
from tidings.accounts import add_user
from tidings.contracts import Principal
from tidings.errors import Rejected, TidingsError
from tidings.event import Entry, UserId
from tidings.services import Services
from tidings_sandbox.dialects import months_later
from tidings_sandbox.github import GitHub
from tidings_sandbox.happenings import plan_day
from tidings_sandbox.world import World
from virtual import VirtualClock

_PACE_SECONDS = 60.0  # between two consents on the first day
_AGAIN_SECONDS = 1800.0  # when a consent did not work out
_LEAST, _MORE, _LIVELY = 3, 3, 10  # happenings of a person at a platform and day
_LIVELY_ONES = 10  # each tenth
# What happens where it is not what happens to newcomers by itself.
_KINDS: Mapping[str, Sequence[str]] = {
    "github": tuple(GitHub.kinds),
    "spotify": ("play", "play", "play", "listen", "like"),
}
_RESOLVED = 3600.0  # who is told that a consent ends soon may wait a while


@dataclasses.dataclass(slots=True)
class Resident:
    """One person, and the user that they are here."""

    key: str
    principal: Principal
    connections: dict[str, str] = dataclasses.field(default_factory=dict)
    reconnecting: set[str] = dataclasses.field(default_factory=set)


class Residents:
    """All of them.

    Attributes:
        all: Each of them.
        told: How often tidings told of each sort of own news.
        ended: Consents that ended by the platform's rule, or were taken back, and of which tidings told.
        crash_lost: Consents whose refresh token was replaced by an answer that never arrived.
        lost: Connections that were given up though the platform had not ended them, and why, for people.
        lateness: How many seconds after it happened each event was stored, by platform and way.

    Args:
        world: The platforms.
        clock: The platforms' clock.
        installation: tidings.
        group: Runs what they do.
        seed: Of all chance.
    """

    def __init__(
        self,
        world: World,
        clock: VirtualClock,
        installation: Installation,
        group: asyncio.TaskGroup,
        seed: int,
    ) -> None:
        self._world = world
        self._clock = clock
        self._installation = installation
        self._group = group
        self._chance = Random(f"{seed}/residents")
        self._clicks: list[asyncio.Task[None]] = []
        self._by_connection: dict[str, tuple[Resident, str]] = {}
        self.all: list[Resident] = []
        self.told: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.crash_lost: Counter[str] = Counter()
        self.lost: list[str] = []
        self.lateness: defaultdict[tuple[str, str], list[float]] = defaultdict(list)

    # --- connecting ---

    async def settle_in(self) -> None:
        """Everybody becomes a user and connects an account at every platform."""
        for person in self._world.stage.people:
            services = await self._installation.parts()
            user = await services.writer.run_unit(
                partial(add_user, name=f"u{person.number}", is_admin=False, now=services.clock.now())
            )
            key = f"session:{person.number:064x}"
            resident = Resident(
                person.key, Principal(UserId(user.id), user.name, "session", key, frozenset({"read"}))
            )
            self.all.append(resident)
            for platform in self._world.emulators:
                await self._connect(resident, platform)
            await self._clock.sleep(_PACE_SECONDS)

    async def _connect(self, resident: Resident, platform: str) -> None:
        """Click Connect, agree at the platform, come back.

        Raises:
            TidingsError: It did not work out this time.
        """
        consent = (await self._installation.parts()).upkeep.consent
        known = resident.connections.get(platform, "")
        address = urlsplit(await consent.begin(resident.principal, platform, known))
        oauth = self._world.emulators[platform].oauth
        oauth.auto_accept = resident.key
        _, headers, _ = await ask(self._world.app, "GET", address.path, address.query, {}, b"")
        oauth.auto_accept = ""
        query = dict(parse_qsl(urlsplit(headers["location"]).query))
        consented = await consent.finish(resident.principal, platform, query)
        connection_id = consented.connection.id
        if known and (connection_id != known or consented.is_new):
            self._note_lost(resident, platform, "reconnecting made another connection")
        if consented.missing_scopes:
            self._note_lost(resident, platform, f"scopes are missing: {consented.missing_scopes}")
        resident.connections[platform] = connection_id
        self._by_connection[connection_id] = resident, platform

    async def _reconnect(self, resident: Resident, platform: str, in_seconds: float) -> None:
        """One click, some time after being told; again, if the platform is down just then."""
        await self._clock.sleep(in_seconds)
        while True:
            try:
                await self._connect(resident, platform)
                break
            except Rejected as error:
                if error.status == 409:
                    raise
                await self._clock.sleep(_AGAIN_SECONDS)
            except TidingsError:
                await self._clock.sleep(_AGAIN_SECONDS)
        resident.reconnecting.discard(platform)

    # --- what they are told ---

    def read(self, services: Services) -> None:
        """Read all that is new from now on."""
        services.journal.on_commit(self._read)

    def _read(self, entries: Sequence[Entry], _seconds: float) -> None:
        for entry in entries:
            if entry.platform != "tidings":
                if entry.time is not None:
                    seconds = (self._clock.now() - entry.time).total_seconds()
                    self.lateness[entry.platform, entry.via].append(seconds)
                continue
            kind = entry.type.rpartition(".")[2]
            self.told[f"{kind} {entry.subject}"] += 1
            found = self._by_connection.get(entry.connection_id)
            if found is None:
                continue
            if kind == "needs_reauth":
                self._judge(*found, msgspec.json.decode(entry.data)["text"])
                self._agree(*found, self._chance.uniform(60, 10 * 3600))
            elif kind == "reauthorize_soon" and self._chance.random() < 0.3:
                self._agree(*found, self._chance.uniform(60, 20 * _RESOLVED))
            elif kind == "parked":
                self._note_lost(*found, f"parked: {msgspec.json.decode(entry.data)['text']}")

    def _agree(self, resident: Resident, platform: str, in_seconds: float) -> None:
        if platform not in resident.reconnecting:
            resident.reconnecting.add(platform)
            self._clicks.append(self._group.create_task(self._reconnect(resident, platform, in_seconds)))

    def leave(self) -> None:
        """Nobody clicks any more."""
        for click in self._clicks:
            click.cancel()

    def _judge(self, resident: Resident, platform: str, text: str) -> None:
        """Whether the platform truly ended a consent that tidings gave up."""
        consents = self._world.emulators[platform].consents
        living = consents.living(resident.key)
        months = consents.dialect.consent_months
        if not living or (
            months is not None and months_later(living[-1].consented_at, months) <= self._clock.now()
        ):
            self.ended[platform] += 1
        elif "never reached us" in text:
            self.crash_lost[platform] += 1
        else:
            self._note_lost(resident, platform, f"given up for dead while it lived: {text}")

    def _note_lost(self, resident: Resident, platform: str, what: str) -> None:
        self.lost.append(f"{self._clock.now():%Y-%m-%d %H:%M:%S} {resident.key} at {platform}: {what}")

    # --- living ---

    async def live(self, first: datetime, days: int) -> None:
        """Everything that happens to everybody from the first day on."""
        emulators = self._world.emulators.items()
        kinds = {name: list(_KINDS.get(name, emulator.small)) for name, emulator in emulators}
        for number in range(days):
            day = (first + timedelta(days=number)).date()
            lives: defaultdict[int, list[str]] = defaultdict(list)
            for place, resident in enumerate(self.all):
                is_lively = place % _LIVELY_ONES == 0
                lives[_LIVELY if is_lively else _LEAST + self._chance.randrange(_MORE)].append(resident.key)
            moments = [
                moment
                for each, people in lives.items()
                for moment in plan_day(day, people, kinds, each=each, chance=self._chance)
            ]
            for moment in sorted(moments, key=lambda moment: moment.at):
                await self._clock.until(moment.at)
                self._world.act(moment.platform, moment.kind, moment.person)
