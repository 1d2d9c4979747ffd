"""A GitHub App watches: what its one webhook lost is found in GitHub's log, and new installations are learnt."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from connecting import SANDBOX, Browser, browser, events, world
from tidings.testing.clock import FakeClock
from tidings.testing.server import LiveServer, live_server
from tidings_sandbox.github.accounts import Account
from tidings_sandbox.github.apps import App
from tidings_sandbox.github.site import Site
from tidings_sandbox.stage import HttpSend
from tidings_sandbox.world import World

CONFIG = """\
database: sqlite+aiosqlite:///tidings.db
limits: {{api: unlimited, sessions: unlimited}}
plugins:
  connectors:
    github:
      authorize_url: {github}/login/oauth/authorize
      token_url: {github}/login/oauth/access_token
      api_url: {github}/api
  transports: {{sse: {{}}}}
"""
ADA, BEA = "ottilie-otterbourne", "bram-quillfeather"
NEWS = "com.github.*"


@dataclasses.dataclass
class Scene:
    """A GitHub, an installation at home whose GitHub App was made on a click, and time that stands still for both."""

    home: LiveServer
    world: World
    clock: FakeClock
    ann: Browser
    app: App

    @property
    def site(self) -> Site:
        return self.world.github.site

    def account(self, person: str) -> Account:
        found = self.site.accounts.get(person)
        assert found is not None
        return found

    def happen(self, kind: str, repository: str, person: str = ADA) -> str:
        """Make something happen; returns the id of the event that tells it."""
        return self.world.act("github", kind, person, repository=repository).key

    async def arrive(self) -> None:
        """Let what was sent arrive, or get lost."""
        await self.clock.advance(60)
        await self.world.settle()

    async def until_told(self, *ids: str, viewer: Browser | None = None, step_seconds: float = 30.0) -> Any:
        """Wait until all of these are told; returns all of GitHub's news, by id."""
        viewer = viewer or self.ann
        await viewer.until(
            f"/api/events?types={NEWS}&limit=500",
            lambda page: set(ids) <= {event["id"] for event in page["events"]},
            clock=self.clock,
            step_seconds=step_seconds,
            patience_seconds=60,
        )
        told = await events(viewer, NEWS)
        by_id = {event["id"]: event for event in told}
        assert len(told) == len(by_id)
        return by_id


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    for name in ("github", "home"):
        (tmp_path / name).mkdir()
    clock = FakeClock()
    async with live_server(tmp_path / "github", SANDBOX, clock=clock) as other:
        github = f"{other.url}/sandbox/github"
        async with (
            live_server(tmp_path / "home", CONFIG.format(github=github), clock=clock) as home,
            browser(home, await home.add_user("ann", is_admin=True)) as ann,
        ):
            form = await ann.get("/api/platforms/github/manifest")
            async with httpx.AsyncClient(trust_env=False, verify=False) as client:
                made = await client.post(form["url"], data=form["fields"])
            assert (await ann.client.get(made.headers["location"])).status_code == 303
            found = world(other)
            found.stage.send = sender = HttpSend(home.url)  # not to its own server, as it would
            (app,) = found.github.site.apps
            scene = Scene(home, found, clock, ann, app)
            scene.site.install_app(app, scene.account(ADA))
            await scene.arrive()
            yield scene
            await sender.close()


async def test_what_the_app_s_webhook_lost_is_found_in_its_log_and_told_to_everybody_once(
    scene: Scene,
) -> None:
    async with browser(scene.home, await scene.home.add_user("ben")) as ben:
        for viewer in (scene.ann, ben):
            await viewer.connect("github", ADA)
        pushed = scene.happen("push", f"{ADA}/garden")
        assert (await scene.until_told(pushed, step_seconds=1))[pushed]["via"] == "webhook"
        scene.world.github.faults.lose_webhooks = 1.0
        lost = [scene.happen(kind, f"{ADA}/garden") for kind in ("push", "issue_opened", "star")]
        await scene.arrive()
        scene.world.github.faults.lose_webhooks = 0.0
        for viewer in (scene.ann, ben):
            told = await scene.until_told(*lost, viewer=viewer, step_seconds=300)
            assert {told[one]["via"] for one in lost} == {"recovery"}
        for delivery in scene.world.github.deliveries():
            if delivery["event"] not in {"ping", "installation"}:  # these were before anybody connected
                scene.world.github.redeliver(delivery["id"])
        await scene.arrive()
        later = scene.happen("push", f"{ADA}/garden")
        for viewer in (scene.ann, ben):
            assert len(await scene.until_told(later, viewer=viewer)) == 5


async def test_news_while_the_server_was_down_is_found_at_its_start(scene: Scene) -> None:
    await scene.ann.connect("github", ADA)
    scene.world.github.faults.lose_webhooks = 1.0
    lost = scene.happen("push", f"{ADA}/garden")
    await scene.arrive()
    scene.world.github.faults.lose_webhooks = 0.0
    await scene.clock.advance(60)
    await scene.home.services.upkeep.start()
    assert (await scene.until_told(lost, step_seconds=1))[lost]["via"] == "recovery"


async def test_a_new_installation_is_learnt_from_its_webhook_and_its_deliveries_arrive(scene: Scene) -> None:
    await scene.ann.connect("github", ADA)
    lantern = scene.account("lantern-works")
    scene.site.install_app(scene.app, lantern, by=scene.account(ADA))
    await scene.arrive()
    pushed = scene.happen("push", "lantern-works/lighthouse")
    assert (await scene.until_told(pushed, step_seconds=1))[pushed]["via"] == "webhook"
    scene.site.uninstall_app(scene.app, lantern, by=scene.account(ADA))
    await scene.arrive()
    (mine,) = scene.app.installations
    found = await scene.home.services.writer.database.read(
        lambda sql: sql.exec_driver_sql("SELECT address FROM connection_addresses").scalars().all()
    )
    assert set(found) == {f"user:{scene.account(ADA).id}", f"installation:{mine.id}"}


async def test_an_installation_whose_webhook_was_lost_is_learnt_with_all_that_came_of_it(
    scene: Scene,
) -> None:
    await scene.ann.connect("github", ADA)
    scene.world.github.faults.lose_webhooks = 1.0
    scene.site.install_app(scene.app, scene.account("lantern-works"), by=scene.account(ADA))
    await scene.arrive()
    scene.world.github.faults.lose_webhooks = 0.0
    ignored = scene.happen("push", "lantern-works/lighthouse")  # arrives, and names nobody that is known
    await scene.arrive()
    told = await scene.until_told(ignored, step_seconds=300)
    assert told[ignored]["via"] == "recovery"


async def test_an_installation_by_somebody_else_is_learnt_at_the_next_start(scene: Scene) -> None:
    await scene.ann.connect("github", ADA)
    scene.site.install_app(scene.app, scene.account("lantern-works"), by=scene.account(BEA))
    await scene.arrive()
    ignored = scene.happen("push", "lantern-works/lighthouse", BEA)
    await scene.arrive()
    await scene.clock.advance(60)
    await scene.home.services.upkeep.start()
    # From the log, unless a poll that was due just then was faster.
    assert (await scene.until_told(ignored, step_seconds=1))[ignored]["via"] in {"recovery", "polling"}
    pushed = scene.happen("push", "lantern-works/lighthouse", BEA)
    assert (await scene.until_told(pushed, step_seconds=1))[pushed]["via"] == "webhook"
