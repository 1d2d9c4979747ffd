"""A GitHub account, from the consent to the last repair: pushed, lost, found, deleted, healed, once each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from connecting import SANDBOX, Browser, browser, events, world
from tidings.testing.clock import FakeClock
from tidings.testing.server import LiveServer, live_server
from tidings_sandbox.world import World

GITHUB = SANDBOX.replace(", spotify: {}", "")
ADA = "ottilie-otterbourne"
NEWS = "com.github.*"


class Scene:
    """A connected account, its platform, and time that stands still."""

    def __init__(self, server: LiveServer, viewer: Browser, clock: FakeClock, connection: str) -> None:
        self.server = server
        self.viewer = viewer
        self.clock = clock
        self.path = f"/api/connections/{connection}"
        self.world: World = world(server)

    async def until(self, is_so: Any, *, step_seconds: float = 5.0) -> Any:
        return await self.viewer.until(
            self.path, is_so, clock=self.clock, step_seconds=step_seconds, patience_seconds=60
        )

    async def until_told(self, *ids: str, step_seconds: float = 30.0) -> list[dict[str, Any]]:
        """Wait until all of these are told; returns all of GitHub's news."""
        await self.viewer.until(
            f"/api/events?types={NEWS}&limit=500",
            lambda page: set(ids) <= {event["id"] for event in page["events"]},
            clock=self.clock,
            step_seconds=step_seconds,
            patience_seconds=60,
        )
        return await events(self.viewer, NEWS)

    def happen(self, kind: str = "push") -> str:
        """Make something happen; returns the id of the event that tells it."""
        return self.world.act("github", kind, ADA).key


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    clock = FakeClock()
    async with (
        live_server(folder, GITHUB, clock=clock) as server,
        browser(server, await server.add_user("ann")) as viewer,
    ):
        found = Scene(server, viewer, clock, await viewer.connect("github", ADA))
        await found.until(lambda one: one["strategy"] == "webhook" and one["registrations"])
        yield found


async def test_connecting_registers_verified_webhooks_and_news_is_live(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        shown = await ada.until(lambda one: all(row["verified_at"] for row in one["registrations"]))
        assert {row["state"] for row in shown["registrations"]} == {"active"}
        assert len(shown["registrations"]) == len(ada.world.github.hooks())
        told = await ada.until_told(ada.happen("push"), ada.happen("star"), ada.happen("issue_opened"))
        assert {event["via"] for event in told} == {"webhook"}
        assert {event["connection"] for event in told} == {ada.path.rpartition("/")[2]}


async def test_a_lost_webhook_is_found_in_the_log_and_told_once(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        ada.world.github.faults.lose_webhooks = 1.0
        lost = [ada.happen(kind) for kind in ("push", "issue_opened", "star")]
        await ada.clock.advance(60)
        ada.world.github.faults.lose_webhooks = 0.0
        told = await ada.until_told(*lost, step_seconds=300)
        by_id = {event["id"]: event for event in told}
        assert {by_id[one]["via"] for one in lost} == {"recovery"}
        assert len(told) == len(by_id)


async def test_what_was_found_in_the_log_is_not_told_again_when_it_is_redelivered(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        ada.world.github.faults.lose_webhooks = 1.0
        lost = ada.happen("push")
        await ada.clock.advance(60)
        ada.world.github.faults.lose_webhooks = 0.0
        before = await ada.until_told(lost, step_seconds=300)
        for delivery in ada.world.github.deliveries():
            ada.world.github.redeliver(delivery["id"])
        await ada.clock.advance(60)
        after = await ada.until_told(ada.happen("star"))
        assert len(after) == len(before) + 1


async def test_news_while_the_server_was_down_is_told_after_its_start(tmp_path: Path) -> None:
    clock = FakeClock()
    async with (
        live_server(tmp_path, GITHUB, clock=clock) as server,
        browser(server, await server.add_user("ann")) as viewer,
    ):
        ada = Scene(server, viewer, clock, await viewer.connect("github", ADA))
        await ada.until(lambda one: one["strategy"] == "webhook")
        arrivals = server.services.webhooks
        assert arrivals is not None
        # Nothing listens: every webhook fails, as it does while a server is down.
        ada.world.github.faults.lose_webhooks = 1.0
        missed = ada.happen("push")
        await clock.advance(30)
        ada.world.github.faults.lose_webhooks = 0.0
        await server.services.upkeep.monitor.start()  # what a start does
        (event,) = [one for one in await ada.until_told(missed) if one["id"] == missed]
        assert event["via"] == "recovery"


@pytest.mark.parametrize("change", ["delete", "disable"])
async def test_a_webhook_that_is_deleted_or_disabled_there_is_healed(tmp_path: Path, change: str) -> None:
    async with scene(tmp_path) as ada:
        for hook in list(ada.world.github.hooks()):
            ada.world.github.change_hook(hook["id"], change)
        missed = ada.happen("push")
        told = await ada.until_told(missed, step_seconds=1800)
        healthy = await ada.until(
            lambda one: (
                one["strategy"] == "webhook"
                and all(row["state"] == "active" and not row["problem"] for row in one["registrations"])
            ),
            step_seconds=1800,
        )
        assert len(ada.world.github.hooks()) == len(healthy["registrations"])
        before = ada.clock.now().isoformat()
        told = await ada.until_told(ada.happen("push"))
        # Polls ask for everything for some hours, so one of them may have been first; the webhook came all the same.
        await ada.until(
            lambda one: any((row["last_delivery_at"] or "") >= before for row in one["registrations"])
        )
        assert len(told) == len({event["id"] for event in told})


async def test_a_token_that_ends_in_the_middle_is_refreshed_and_nobody_notices(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        redemptions = ada.world.github.consents.redemptions
        for count in range(1, 4):
            ada.world.github.consents.expire_access(ADA)
            assert (await ada.viewer.send("POST", f"{ada.path}/sync")).status_code == 202
            checked = ada.clock.now().isoformat()
            # A poll that was under way may end in the same instant.
            await ada.until(
                lambda one, at=checked, count=count: (
                    one["last_checked_at"] >= at and redemptions.total >= count
                )
            )
        assert (await ada.viewer.get(ada.path))["state"] == "connected"
        assert (redemptions.total, redemptions.accepted_twice, redemptions.after_answer) == (3, 0, 0)


async def test_disconnecting_removes_the_webhooks_and_gives_the_consent_back(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        assert ada.world.github.hooks()
        assert (await ada.viewer.send("DELETE", ada.path)).status_code == 202
        await ada.viewer.until(
            "/api/connections", lambda page: page["connections"] == [], clock=ada.clock, step_seconds=1
        )
        assert ada.world.github.hooks() == []
        kinds = [event["type"] for event in await events(ada.viewer)]
        assert kinds[-1] == "org.tidings.connection.disconnected"


async def test_choosing_repositories_takes_the_other_webhooks_away(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        wish = {"settings": {"repositories": [f"{ADA}/garden"], "organizations": []}}
        assert (await ada.viewer.send("PATCH", ada.path, wish)).status_code == 200
        shown = await ada.until(lambda one: len(one["registrations"]) == 1, step_seconds=10)
        assert [row["state"] for row in shown["registrations"]] == ["active"]
        assert len(ada.world.github.hooks()) == 1
