"""A Google Calendar, from the consent to its end: pushed, asked for, renewed, listed anew, once each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from connecting import SANDBOX, Browser, browser, events, world
from tidings.testing.clock import FakeClock
from tidings.testing.server import LiveServer, live_server
from tidings_sandbox.calendar import GoogleCalendar
from tidings_sandbox.faults import Fault
from tidings_sandbox.google import GoogleAccounts

CALENDAR = SANDBOX.replace("github: {}, spotify: {}", "calendar: {}")
BRISK = CALENDAR.replace("calendar: {}", "calendar: {poll_every: 5m}")
POLLING = CALENDAR.replace("  transports:", "  strategies: {polling: {}}\n  transports:")
ADA = "ottilie-otterbourne"
NEWS = "com.google.calendar.*"
DAY = 86_400.0


class Scene:
    """A connected account, its platform, and time that stands still."""

    def __init__(self, server: LiveServer, viewer: Browser, clock: FakeClock, connection: str) -> None:
        self.server = server
        self.viewer = viewer
        self.clock = clock
        self.path = f"/api/connections/{connection}"
        self.world = world(server)
        self.google = self.world.one(GoogleCalendar)

    async def until(self, is_so: Any, *, step_seconds: float = 5.0) -> Any:
        return await self.viewer.until(self.path, is_so, clock=self.clock, step_seconds=step_seconds)

    async def until_told(self, *ids: str, step_seconds: float = 5.0) -> list[dict[str, Any]]:
        """Wait until all of these are told; returns all of the calendar's news."""
        await self.viewer.until(
            f"/api/events?types={NEWS}&limit=500",
            lambda page: set(ids) <= {event["id"] for event in page["events"]},
            clock=self.clock,
            step_seconds=step_seconds,
        )
        return await events(self.viewer, NEWS)

    async def told(self) -> list[str]:
        return [event["id"] for event in await events(self.viewer, NEWS)]

    def happen(self, kind: str = "event_created", **details: Any) -> str:
        """Make something happen; returns the id of the event that tells it."""
        return self.world.act("calendar", kind, ADA, **{"calendar": "primary", **details}).key

    def channels(self) -> list[str]:
        return [one.id for one in self.google.channels]

    async def ask(self) -> None:
        """Have it asked at once, and wait until it was."""
        await self.clock.advance(5)
        at = self.clock.now().isoformat()
        assert (await self.viewer.send("POST", f"{self.path}/sync")).status_code == 202
        await self.until(lambda one: (one["last_checked_at"] or "") >= at)


@asynccontextmanager
async def scene(
    folder: Path, config: str = CALENDAR, strategy: str = "webhook", *, channel_seconds: float = 7 * DAY
) -> AsyncIterator[Scene]:
    clock = FakeClock()
    async with (
        live_server(folder, config, clock=clock) as server,
        browser(server, await server.add_user("ann")) as viewer,
    ):
        world(server).one(GoogleCalendar).channels.life_seconds = channel_seconds
        found = Scene(server, viewer, clock, await viewer.connect("calendar", ADA))
        await found.until(lambda one: one["strategy"] == strategy and one["last_checked_at"])
        yield found


async def test_what_happens_is_told_within_moments_and_history_is_not(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        shown = await ada.until(lambda one: all(row["verified_at"] for row in one["registrations"]))
        assert {row["state"] for row in shown["registrations"]} == {"active"}
        assert len(shown["registrations"]) == len(ada.channels()) == 2
        assert await ada.told() == []
        before = ada.clock.now()
        keys = [ada.happen("event_created"), ada.happen("event_moved"), ada.happen("series_edited")]
        await ada.until_told(*keys, step_seconds=1)
        assert (ada.clock.now() - before).total_seconds() < 60
        assert sorted(await ada.told()) == sorted(keys)


async def test_where_nothing_is_pushed_it_is_asked(tmp_path: Path) -> None:
    async with scene(tmp_path, POLLING, "polling") as ada:
        assert ada.channels() == []
        keys = [ada.happen(kind) for kind in ("event_created", "event_cancelled", "answered")]
        told = await ada.until_told(*keys, step_seconds=1800)
        assert sorted(event["id"] for event in told) == sorted(keys)
        assert {event["via"] for event in told} == {"polling"}


async def test_pushed_and_asked_for_at_once_it_is_one_event(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        ada.google.faults.duplicate_webhooks = 1.0
        key = ada.happen("event_created")
        await ada.ask()
        await ada.clock.advance(60)
        await ada.ask()
        assert await ada.told() == [key]


async def test_channels_are_replaced_at_half_their_life_without_a_gap(tmp_path: Path) -> None:
    async with scene(tmp_path, channel_seconds=7200) as ada:
        await ada.until(lambda one: all(row["verified_at"] for row in one["registrations"]))
        began, first = ada.clock.now(), ada.channels()
        counts = {len(first)}

        def are_others(shown: Any) -> bool:
            counts.add(len(ada.channels()))
            return not set(first) & set(ada.channels()) and shown["strategy"] == "webhook"

        renewed = await ada.until(are_others, step_seconds=60)
        assert 3500 < (ada.clock.now() - began).total_seconds() < 3900
        assert min(counts) == len(ada.channels()) == 2  # at no time there was one too few
        ends = [datetime.fromisoformat(row["expires_at"]) for row in renewed["registrations"]]
        assert min(ends) > ada.clock.now()
        before, key = ada.clock.now(), ada.happen()
        await ada.until_told(key, step_seconds=1)
        assert (ada.clock.now() - before).total_seconds() < 60
        assert await ada.told() == [key]
        changes = await events(ada.viewer, "org.tidings.connection.strategy_changed")
        assert [one["data"]["strategy"] for one in changes] == ["webhook"]


async def test_channels_that_die_without_a_word_are_noticed_and_nothing_is_lost(tmp_path: Path) -> None:
    async with scene(tmp_path, BRISK, channel_seconds=7200) as ada:
        await ada.until(lambda one: all(row["verified_at"] for row in one["registrations"]))
        for hook in ada.google.hooks():
            ada.google.change_hook(hook["id"], "delete")
        key = ada.happen()
        await ada.until_told(key, step_seconds=60)
        await ada.until(lambda _: bool(ada.channels()), step_seconds=60)
        assert await ada.told() == [key]


async def test_after_a_dead_sync_token_deletions_are_told_and_nothing_twice(tmp_path: Path) -> None:
    async with scene(tmp_path, POLLING, "polling") as ada:
        kept = ada.happen("event_created", title="Ferry")
        await ada.ask()
        gone = ada.happen("event_cancelled")
        moved = ada.happen("event_moved")
        ada.google.forget_tokens()
        await ada.ask()
        assert sorted(await ada.told()) == sorted([kept, gone, moved])
        ada.google.forget_tokens()
        await ada.ask()
        assert len(await ada.told()) == 3


async def test_a_consent_that_was_taken_back_is_said_so_and_channels_are_thanked(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        await ada.until(lambda one: all(row["verified_at"] for row in one["registrations"]))
        key = ada.happen()
        await ada.until_told(key, step_seconds=1)
        ada.world.stage.part(GoogleAccounts).consents.revoke(person=ADA)
        ada.happen()
        await ada.until(lambda one: one["state"] == "needs_reauth", step_seconds=60)
        assert (await ada.viewer.send("DELETE", ada.path)).status_code == 202
        await ada.viewer.until(
            "/api/connections", lambda page: page["connections"] == [], clock=ada.clock, step_seconds=60
        )
        assert ada.channels()  # nobody can stop them any more; they end by themselves
        ada.happen()
        await ada.clock.advance(60)
        assert {hook["last_status"] for hook in ada.google.hooks()} == {200}


async def test_disconnecting_stops_the_channels(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        assert ada.channels()
        assert (await ada.viewer.send("DELETE", ada.path)).status_code == 202
        await ada.viewer.until(
            "/api/connections", lambda page: page["connections"] == [], clock=ada.clock, step_seconds=1
        )
        assert ada.channels() == []


async def test_what_was_notified_while_googles_api_was_down_is_asked_for_once_it_is_back(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as ada:
        await ada.until(lambda one: all(row["verified_at"] for row in one["registrations"]))
        ada.google.faults.add(Fault("error", status=503, path="/v3"))
        key = ada.happen()
        await ada.clock.advance(60)
        assert await ada.told() == []
        ada.google.faults.clear()
        await ada.until_told(key, step_seconds=60)
        assert await ada.told() == [key]


async def test_choosing_calendars_takes_the_other_channels_away(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        wish = {"settings": {"calendars": ["Family"], "remind_minutes": 10}}
        assert (await ada.viewer.send("PATCH", ada.path, wish)).status_code == 200
        shown = await ada.until(lambda one: len(one["registrations"]) == 1, step_seconds=10)
        assert [row["state"] for row in shown["registrations"]] == ["active"]
        assert len(ada.channels()) == 1
        await ada.ask()
        made = ada.happen(calendar="Family", title="Ferry", in_seconds=1800)
        await ada.until_told(made, step_seconds=1)
        ada.happen(calendar="primary")
        before = ada.clock.now()
        said = await ada.viewer.until(
            f"/api/events?types={NEWS}",
            lambda page: len(page["events"]) > 1,
            clock=ada.clock,
            step_seconds=30,
        )
        (starting,) = [one for one in said["events"] if one["id"] != made]
        assert starting["data"]["title"] == "In 10 minutes: Ferry"
        assert 1100 < (ada.clock.now() - before).total_seconds() < 1800
