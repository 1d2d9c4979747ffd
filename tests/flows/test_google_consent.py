"""One Google account behind several connections: one grant that grows, dies and heals for all of them together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection as Sql
from sqlalchemy import func, select, update

from connecting import SANDBOX, Browser, browser, events, world
from tidings.schema import grants
from tidings.testing.clock import FakeClock
from tidings.testing.server import LiveServer, live_server
from tidings_sandbox.google import SCOPE, GoogleAccounts
from tidings_sandbox.tokens import Consent

PLATFORMS = ("gmail", "calendar", "youtube")
GOOGLE = SANDBOX.replace("github: {}, spotify: {}", ", ".join(f"{name}: {{}}" for name in PLATFORMS))
TESTING = GOOGLE.replace("{}", "{testing: true}", len(PLATFORMS))
ADA = "ottilie-otterbourne"
HOUR = 3600.0


class Scene:
    """Somebody with a Google account, and time that stands still."""

    def __init__(self, server: LiveServer, viewer: Browser, clock: FakeClock) -> None:
        self.server = server
        self.viewer = viewer
        self.clock = clock
        self.google = world(server).stage.part(GoogleAccounts)
        self.paths: dict[str, str] = {}

    async def connect(self, *platforms: str) -> None:
        """Connect these, or connect them again, and wait until each was asked for news."""
        for platform in platforms:
            known = self.paths.get(platform, "").rpartition("/")[2]
            connection = await self.viewer.connect(platform, ADA, known)
            assert known in {"", connection}
            self.paths[platform] = f"/api/connections/{connection}"
        await self.checked(*platforms)

    async def checked(self, *platforms: str) -> None:
        """Have these asked for news, and see that they are."""
        for platform in platforms:
            await self.clock.advance(5)
            at = self.clock.now().isoformat()
            await self.viewer.send("POST", f"{self.paths[platform]}/sync")
            await self.until(platform, lambda one, at=at: (one["last_checked_at"] or "") >= at)

    async def until(self, platform: str, is_so: Any, *, step_seconds: float = 5.0) -> Any:
        return await self.viewer.until(
            self.paths[platform], is_so, clock=self.clock, step_seconds=step_seconds, patience_seconds=40
        )

    async def pass_hours(self, hours: int) -> None:
        """Let time pass, in steps that leave the server time to work."""
        for _ in range(4 * hours):
            await self.clock.advance(HOUR / 4)
            await self.viewer.get("/api/connections")

    async def age(self, by: timedelta) -> None:
        """As if so much time had passed in which everything went well: consents are so much older, here and there."""
        microseconds = round(by.total_seconds() * 1e6)

        def work(sql: Sql) -> None:
            older = {
                "authorized_at": grants.c.authorized_at - microseconds,
                "reauthorize_by": grants.c.reauthorize_by - microseconds,
            }
            sql.execute(update(grants).values(older))

        await self.server.services.writer.run_unit(work)
        for consent in self.living():
            consent.consented_at -= by

    async def shown(self, platform: str) -> Any:
        return await self.viewer.get(self.paths[platform])

    async def states(self) -> dict[str, str]:
        return {platform: (await self.shown(platform))["state"] for platform in self.paths}

    async def until_states(self, state: str, *platforms: str, step_seconds: float = 60.0) -> None:
        for platform in platforms:
            await self.until(platform, lambda one: one["state"] == state, step_seconds=step_seconds)

    async def disconnect(self, platform: str) -> None:
        path = self.paths.pop(platform)
        assert (await self.viewer.send("DELETE", path)).status_code == 202
        await self.viewer.until(
            "/api/connections",
            lambda page: all(not path.endswith(one["id"]) for one in page["connections"]),
            clock=self.clock,
            step_seconds=1,
        )

    async def told(self, kind: str) -> list[str]:
        """Whom tidings' own news of this kind was about."""
        return [one["subject"] for one in await events(self.viewer, f"org.tidings.connection.{kind}")]

    async def grants(self) -> int:
        def count(sql: Sql) -> int:
            return int(sql.execute(select(func.count()).select_from(grants)).scalar_one())

        return await self.server.services.database.read(count)

    def living(self) -> Sequence[Consent]:
        """What is given at Google."""
        return self.google.consents.living(ADA)


@asynccontextmanager
async def scene(folder: Path, config: str = GOOGLE) -> AsyncIterator[Scene]:
    clock = FakeClock()
    async with (
        live_server(folder, config, clock=clock) as server,
        browser(server, await server.add_user("ann")) as viewer,
    ):
        yield Scene(server, viewer, clock)


# --- it grows ---


async def test_each_connection_adds_its_scopes_to_one_grant(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        seen: set[str] = set()
        for platform in PLATFORMS:
            await ada.connect(platform)
            grant = (await ada.shown(platform))["grant"]
            assert grant["missing_scopes"] == []
            assert seen < set(grant["scopes"])
            seen = set(grant["scopes"])
        assert await ada.grants() == 1
        await ada.checked(*PLATFORMS)
        for platform in PLATFORMS:
            shown = await ada.shown(platform)
            assert (shown["state"], shown["grant"]["missing_scopes"]) == ("connected", [])


async def test_its_token_is_refreshed_once_for_all(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        await ada.connect(*PLATFORMS)
        redemptions = ada.google.consents.redemptions
        for hours in (1, 2, 3):
            await ada.clock.advance(HOUR)
            await ada.checked(*PLATFORMS)
            assert redemptions.total == hours
        ada.google.consents.expire_access(ADA)
        await ada.checked(*PLATFORMS)
        assert redemptions.total == 4


async def test_a_scope_that_was_not_ticked_is_said_and_the_others_go_on(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        await ada.connect("calendar")
        consent_url = await ada.viewer.leave("gmail")
        (scope,) = [one for one in _asked(consent_url) if one.startswith(f"{SCOPE}gmail.")]
        answer = await ada.viewer.client.post(
            consent_url, data={"person": ADA, "decision": "accept", f"scope:{scope}": "off"}
        )
        answer = await ada.viewer.client.get(answer.headers["location"])
        ada.paths["gmail"] = f"/api/connections/{answer.headers['location'].rpartition('/')[2]}"
        assert (await ada.shown("gmail"))["grant"]["missing_scopes"] == [scope]
        await ada.checked("calendar")
        assert (await ada.shown("calendar"))["grant"]["missing_scopes"] == []
        await ada.connect("gmail")
        assert (await ada.shown("gmail"))["grant"]["missing_scopes"] == []
        assert await ada.grants() == 1


async def test_what_can_not_be_refreshed_is_refused_with_the_reason(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        consent_url = (await ada.viewer.leave("calendar")).replace(
            "access_type=offline", "access_type=online"
        )
        answer = await ada.viewer.client.get(await ada.viewer.decide(consent_url, ADA))
        assert answer.status_code == 409
        assert "refresh" in answer.text
        assert (await ada.viewer.get("/api/connections"))["connections"] == []
        assert await ada.grants() == 0
        await ada.connect("calendar")


# --- it ends ---


@pytest.mark.parametrize("order", [PLATFORMS, PLATFORMS[::-1]])
async def test_only_the_last_disconnection_gives_the_consent_back(
    tmp_path: Path, order: Sequence[str]
) -> None:
    async with scene(tmp_path) as ada:
        await ada.connect(*PLATFORMS)
        *others, last = order
        for platform in others:
            await ada.disconnect(platform)
            assert ada.living()
            ada.google.consents.expire_access(ADA)
            await ada.checked(*ada.paths)
        assert list((await ada.states()).values()) == ["connected"]
        await ada.disconnect(last)
        assert ada.living() == []
        assert await ada.grants() == 0


async def test_another_user_with_the_same_account_keeps_it(tmp_path: Path) -> None:
    async with (
        scene(tmp_path) as ada,
        browser(ada.server, await ada.server.add_user("bob")) as bob,
    ):
        await ada.connect("gmail", "calendar")
        other = Scene(ada.server, bob, ada.clock)
        await other.connect("calendar")
        await ada.disconnect("gmail")
        await ada.disconnect("calendar")
        assert ada.living()
        await other.checked("calendar")
        await other.disconnect("calendar")
        assert ada.living() == []


async def test_who_takes_it_back_at_google_is_told_of_each_connection_once(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        await ada.connect(*PLATFORMS)
        ada.google.consents.revoke(person=ADA)
        await ada.until_states("needs_reauth", *PLATFORMS)
        await ada.clock.advance(HOUR)
        assert sorted(await ada.told("needs_reauth")) == sorted(PLATFORMS)
        reason = (await ada.shown("calendar"))["reason"]
        assert "invalid_grant" in reason
        # What was taken back is not given again with one service's consent: each is asked for by itself.
        for count, platform in enumerate(PLATFORMS, 1):
            await ada.connect(platform)
            assert list((await ada.states()).values()).count("connected") == count


async def test_where_tokens_alone_have_died_one_click_heals_all(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        await ada.connect(*PLATFORMS)
        ada.google.consents.expire_refresh(ADA)
        ada.google.consents.expire_access(ADA)
        await ada.until_states("needs_reauth", *PLATFORMS)
        await ada.connect("calendar")
        assert set((await ada.states()).values()) == {"connected"}
        assert sorted(await ada.told("healed")) == sorted({*PLATFORMS} - {"calendar"})
        await ada.checked(*PLATFORMS)


# --- a project in testing ---


async def test_the_end_after_seven_days_is_foretold_and_comes(tmp_path: Path) -> None:
    async with scene(tmp_path, TESTING) as ada:
        ada.google.testing = True
        began = ada.clock.now()
        await ada.connect(*PLATFORMS)
        for platform in PLATFORMS:
            by = datetime.fromisoformat((await ada.shown(platform))["reauthorize_by"])
            assert timedelta(days=7) <= by - began < timedelta(days=7, minutes=5)
        await ada.pass_hours(1)
        await ada.age(timedelta(days=3, hours=21))
        await ada.pass_hours(1)
        assert await ada.told("reauthorize_soon") == []
        await ada.pass_hours(3)
        assert sorted(await ada.told("reauthorize_soon")) == sorted(PLATFORMS)
        await ada.age(timedelta(days=2, hours=20))
        await ada.checked(*PLATFORMS)
        assert set((await ada.states()).values()) == {"connected"}
        await ada.pass_hours(3)
        await ada.until_states("needs_reauth", *PLATFORMS)
        assert sorted(await ada.told("reauthorize_soon")) == sorted(PLATFORMS)
        assert sorted(await ada.told("needs_reauth")) == sorted(PLATFORMS)
        await ada.connect(*PLATFORMS)


async def test_a_consent_in_time_puts_the_end_off_for_all(tmp_path: Path) -> None:
    async with scene(tmp_path, TESTING) as ada:
        ada.google.testing = True
        await ada.connect(*PLATFORMS)
        await ada.age(timedelta(days=6))
        await ada.connect("calendar")
        await ada.age(timedelta(days=6))
        await ada.checked(*PLATFORMS)
        await ada.pass_hours(3)
        assert set((await ada.states()).values()) == {"connected"}
        assert await ada.told("needs_reauth") == []
        by = {(await ada.shown(platform))["reauthorize_by"] for platform in PLATFORMS}
        assert len(by) == 1


def _asked(consent_url: str) -> list[str]:
    """The scopes that a consent page asks for."""
    return httpx.URL(consent_url).params["scope"].split()
