"""What a simulated year came to: what happened compared with what tidings tells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from comparison import compare, read_events
from misfortune import Misfortunes
from residents import Residents
from tidings.app import build
from tidings.connections import list_connections
from tidings.services import Services
from tidings_sandbox.happenings import Happening
from tidings_sandbox.redemptions import Redemptions
from tidings_sandbox.world import World

_MOST_SHOWN = 10
# A platform that is down is no defect of ours.
_EXPECTED = "'event': 'component_down'"


class Year:
    """How a year went.

    Attributes:
        happened: How many things happened.
        missed: Those of them that no event tells, and whom it should have been told.
        surplus: Events that tell what another has told already, or what never happened, and to whom.
        lost: Connections that were given up though the platform had not ended them.
        wrongs: What must not be, each with enough to find out why; complete after `conclude`.
        notes: More, for people; likewise.
        summary: The last line; likewise.
    """

    def __init__(self, residents: Residents, world: World, misfortunes: Misfortunes) -> None:
        self.happened = 0
        self.missed: list[Happening] = []
        self.surplus: list[tuple[str, dict[str, Any]]] = []
        self.lost = list(residents.lost)
        self.wrongs: list[str] = []
        self.notes: list[str] = []
        self.summary: dict[str, Any] = {}
        self._residents = residents
        self._world = world
        self._misfortunes = misfortunes

    def conclude(
        self,
        *,
        days: int,
        users: int,
        seed: int,
        calls: Counter[tuple[str, str]],
        jobs: Counter[tuple[str, str]],
        errors: Sequence[str],
        seconds: float,
        cpu_seconds: float,
    ) -> None:
        """Sum it up."""
        residents, done = self._residents, sum(jobs.values())
        doubled = self._double_redemptions()
        defects = [line for line in errors if _EXPECTED not in line]
        self.notes = [
            f"seed {seed}; {seconds:.1f} s, of them {cpu_seconds:.1f} s at work; {done} jobs: {_spell(jobs)}",
            f"calls: {_spell(calls)}",
            f"consents that ended: {_spell(residents.ended)}; lost in a crash: {_spell(residents.crash_lost)}",
            f"own news: {_spell(residents.told)}",
            *[_lateness(" ".join(way), late) for way, late in sorted(residents.lateness.items())],
        ]
        self._find_wrongs(seed, doubled, defects)
        self.summary = {
            "days": days,
            "users": users,
            "events_happened": self.happened,
            "missed": len(self.missed),
            "duplicated": len(self.surplus),
            "connections_lost": len(self.lost),
            "crash_lost": sum(residents.crash_lost.values()),
            "double_redemptions": doubled,
            "jobs": done,
            "ms_per_job": round(seconds * 1000 / max(1, done), 3),
            "api_calls_per_user_day": {
                platform: round(calls[platform, "api"] / users / days, 1)
                for platform in self._world.emulators
            },
        }

    def _double_redemptions(self) -> int:
        return sum(one.accepted_twice + one.after_answer for one in self._redemptions())

    def _redemptions(self) -> Iterable[Redemptions]:
        """Of each authorization server, of which several platforms may share one."""
        kept = [emulator.consents.redemptions for emulator in self._world.emulators.values()]
        return {id(one): one for one in kept}.values()

    def _find_wrongs(self, seed: int, doubled: int, defects: Sequence[str]) -> None:
        for one in self.missed[:_MOST_SHOWN]:
            self._blame(f"missed by {one.person}: {one.platform} {one.key} ({one.title})", one.at)
        for person, event in self.surplus[:_MOST_SHOWN]:
            what = f"told {person} without need: {event['id']} via {event['via']} at {event['recordedtime']}"
            self._blame(what, datetime.fromisoformat(event.get("time") or event["recordedtime"]))
        lost_answers = sum(one.lost_answers for one in self._redemptions())
        if sum(self._residents.crash_lost.values()) > lost_answers:
            self.wrongs.append(
                f"more consents were lost in a crash than the {lost_answers} answers that were"
            )
        if doubled:
            self.wrongs.append(f"{doubled} refresh tokens were redeemed twice")
        self.wrongs += [f"lost: {one}" for one in self.lost[:_MOST_SHOWN]]
        self.wrongs += [f"a defect: {one}" for one in defects[:_MOST_SHOWN]]
        if self.wrongs:
            self.wrongs.append(f"to see it again: --seed {seed}, and the same days and users")

    def _blame(self, what: str, at: datetime) -> None:
        self.wrongs.append(f"{at:%Y-%m-%d %H:%M:%S} {what}")
        self.wrongs += [f"    {one}" for one in self._misfortunes.around(at)]


async def compare_all(
    services: Services, residents: Residents, world: World, misfortunes: Misfortunes
) -> Year:
    """Compare the emulators' own record with what `/api/events` returns to everybody."""
    year = Year(residents, world, misfortunes)
    app = build(services)
    for resident in residents.all:
        happened = world.happenings(resident.key)
        missed, surplus = compare(world, happened, await read_events(services, app, resident))
        year.happened += len(happened)
        year.missed += missed
        year.surplus += [(resident.key, event) for event in surplus]
    for one in await services.database.read(list_connections):
        if not one.is_working:
            year.lost.append(f"{one.account_name} at {one.platform} is {one.state} at the end: {one.reason}")
    return year


def _lateness(name: str, seconds: list[float]) -> str:
    ordered = sorted(seconds)
    shares = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
    late = [f"{name} {ordered[int((len(ordered) - 1) * share)]:.0f} s" for name, share in shares]
    return f"{name}: {len(ordered)} told, late by {', '.join(late)}, most {ordered[-1]:.0f} s"


def _spell(counter: Counter[Any]) -> str:
    return ", ".join(
        f"{' '.join(name) if isinstance(name, tuple) else name} {count}"
        for name, count in sorted(counter.items())
    )
