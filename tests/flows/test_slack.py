"""Slack accounts of one workspace, from the consent to the last repair: told to those who see it, once each."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from connecting import Browser, browser, events, world
from tidings.testing.clock import FakeClock
from tidings.testing.server import LiveServer, live_server
from tidings_sandbox.slack import Slack
from tidings_sandbox.world import World

CONFIG = """\
database: sqlite+aiosqlite:///tidings.db
limits: {api: unlimited, sessions: unlimited}
plugins:
  connectors: {slack: {poll_every: 10m}}
  transports: {sse: {}}
  extras: {sandbox: {lively: false}}
"""
# Ada and Bram share a public channel and a private one; Wren is in neither.
ADA, BRAM, JUNO, WREN = "ottilie-otterbourne", "bram-quillfeather", "juno-larkspur", "wren-thistledown"
NEWS = "com.slack.*"
MINUTE = 60.0


@dataclasses.dataclass
class Viewer:
    """A user of this installation, with an account at Slack."""

    browser: Browser
    person: str
    connection: str
    clock: FakeClock

    @property
    def path(self) -> str:
        return f"/api/connections/{self.connection}"

    async def told(self) -> dict[str, dict[str, Any]]:
        """Everything of Slack's that they were told, by id."""
        found = await events(self.browser, NEWS)
        by_id = {event["id"]: event for event in found}
        assert len(by_id) == len(found)
        return by_id

    async def until_told(self, *ids: str, step_seconds: float = 1.0) -> dict[str, dict[str, Any]]:
        await self.browser.until(
            f"/api/events?types={NEWS}&limit=500",
            lambda page: set(ids) <= {event["id"] for event in page["events"]},
            clock=self.clock,
            step_seconds=step_seconds,
        )
        return await self.told()

    async def until(self, is_so: Callable[[Any], bool], *, step_seconds: float = 5.0) -> Any:
        return await self.browser.until(self.path, is_so, clock=self.clock, step_seconds=step_seconds)

    async def sync(self) -> None:
        """Wish for a look, and wait for its end."""
        await self.clock.advance(1)  # the last one may have ended at this very instant
        since = self.clock.now().isoformat()
        assert (await self.browser.send("POST", f"{self.path}/sync")).status_code == 202
        await self.until(lambda one: one["last_checked_at"] >= since, step_seconds=1)

    async def kinds(self, part: str) -> list[str]:
        """The kinds of tidings' own news about connections that have this in their names."""
        return [one["type"] for one in await events(self.browser) if part in one["type"]]


class Scene:
    """An installation, a workspace, and time that stands still for both."""

    def __init__(self, server: LiveServer, clock: FakeClock, stack: AsyncExitStack) -> None:
        self.server = server
        self.clock = clock
        self.world: World = world(server)
        self._stack = stack
        self._names = iter(["ann", "ben", "cyd", "dan"])

    @property
    def slack(self) -> Slack:
        return self.world.slack

    async def join(self, person: str, *, is_admin: bool = False) -> Viewer:
        """Somebody becomes a user and connects their account."""
        user = await self.server.add_user(next(self._names), is_admin=is_admin)
        opened = await self._stack.enter_async_context(browser(self.server, user))
        viewer = Viewer(opened, person, await opened.connect("slack", person), self.clock)
        await viewer.until(lambda one: one["strategy"] and one["last_checked_at"], step_seconds=1)
        await self.clock.advance(60)
        return viewer

    def happen(self, kind: str, person: str, **details: Any) -> str:
        """Make something happen; returns the id of the event that tells it."""
        return self.world.act("slack", kind, person, **details).key

    async def lose(self, *wanted: Callable[[], str]) -> list[str]:
        """What happens meanwhile, no delivery tells, however often Slack tries."""
        self.slack.faults.lose_webhooks = 1.0
        lost = [one() for one in wanted]
        await self.clock.advance(400)  # the last try comes after six minutes
        self.slack.faults.lose_webhooks = 0.0
        return lost


@asynccontextmanager
async def scene(folder: Path, config: str = CONFIG) -> AsyncIterator[Scene]:
    clock = FakeClock()
    async with live_server(folder, config, clock=clock) as server, AsyncExitStack() as stack:
        yield Scene(server, clock, stack)
        defects = {"request_failed", "task_failed", "plugin_failed", "delivery_failed"}
        assert [line for line in server.logged if line["event"] in defects] == []


async def test_news_is_live_for_exactly_those_who_may_see_it(tmp_path: Path) -> None:
    async with scene(tmp_path) as slack:
        ada, bram, wren = [await slack.join(person) for person in (ADA, BRAM, WREN)]
        shared = slack.happen("message", JUNO, channel="crew-0", text="Lunch, &amp; soon?")
        private = slack.happen("message", JUNO, channel="board-0")
        everybody = slack.happen("message", JUNO, channel="general")
        own = slack.happen("message", ADA, channel="crew-0")
        direct = slack.happen("direct", ADA, to=BRAM)
        public = slack.happen("channel_created", JUNO, name="new-beds")
        reaction = slack.happen("reaction", JUNO, channel="crew-0", reaction="tada")
        to_ada = await ada.until_told(shared, private, everybody, public, reaction)
        to_bram = await bram.until_told(shared, private, everybody, own, direct, public, reaction)
        to_wren = await wren.until_told(everybody, public)
        assert set(to_ada) == {shared, private, everybody, public, reaction}
        assert set(to_bram) == {shared, private, everybody, own, direct, public, reaction}
        assert set(to_wren) == {everybody, public}
        del to_bram[direct]  # the first that the two say to each other: that they do prompts a look
        assert {event["via"] for told in (to_ada, to_bram, to_wren) for event in told.values()} == {"webhook"}
        again = slack.happen("direct", ADA, to=BRAM)
        assert (await bram.until_told(again))[again]["via"] == "webhook"
        assert to_ada[shared]["connection"] == ada.connection
        card = to_ada[shared]["data"]
        assert (card["title"], card["text"], card["actor"]["name"]) == (
            "Message in #crew-0",
            "Lunch, & soon?",
            "Juno",
        )
        assert card["url"].startswith("https://otter-works.slack.com/archives/C0CREW00000/p")
        shown = await ada.until(lambda one: one["strategy"] == "webhook")
        assert shown["strategy_reason"] == "Slack sends its news to the common address."
        for viewer in (ada, bram, wren):
            happened = {one.key for one in slack.world.happenings(viewer.person, "slack")}
            assert set(await viewer.told()) == happened


async def test_without_deliveries_polls_tell_and_nothing_of_the_past(tmp_path: Path) -> None:
    async with scene(tmp_path) as slack:
        slack.slack.change_hook(1, "disable")
        slack.happen("message", BRAM, channel="crew-0")
        await slack.clock.advance(60)
        ada = await slack.join(ADA)
        message = slack.happen("message", BRAM, channel="crew-0")
        answer = slack.happen("reply", JUNO, channel="crew-0", ts=message.split(":")[3])
        await slack.clock.advance(60)
        edited = slack.happen("edit", BRAM, channel="crew-0")
        direct = slack.happen("direct", BRAM, to=ADA)
        joined = slack.happen("join", WREN, channel="crew-0")
        told = await ada.until_told(message, answer, edited, direct, joined, step_seconds=2 * MINUTE)
        assert set(told) == {message, answer, edited, direct, joined}
        assert {event["via"] for event in told.values()} == {"polling"}
        assert (await ada.browser.get(ada.path))["strategy"] == "polling"


async def test_what_is_pushed_and_polled_is_one_event(tmp_path: Path) -> None:
    async with scene(tmp_path) as slack:
        ada = await slack.join(ADA)
        slack.slack.faults.duplicate_webhooks = 1.0
        happened = [slack.happen(kind, BRAM, channel="crew-0") for kind in ("message", "reply", "edit")]
        await ada.until_told(*happened)
        for _ in range(2):
            await ada.sync()
        told = await ada.told()
        assert set(told) == set(happened)
        assert {event["via"] for event in told.values()} == {"webhook"}


async def test_lost_deliveries_are_found_by_asking(tmp_path: Path) -> None:
    async with scene(tmp_path) as slack:
        ada = await slack.join(ADA)
        await ada.until_told(slack.happen("message", BRAM, channel="crew-0"))
        await ada.until(lambda one: one["strategy"] == "webhook")
        lost = await slack.lose(
            lambda: slack.happen("message", BRAM, channel="crew-0"),
            lambda: slack.happen("reply", JUNO, channel="crew-0"),
            lambda: slack.happen("direct", BRAM, to=ADA),
        )
        told = await ada.until_told(*lost, step_seconds=2 * MINUTE)
        assert {told[one]["via"] for one in lost} == {"polling"}


async def test_after_a_start_what_was_sent_meanwhile_is_asked_for(tmp_path: Path) -> None:
    async with scene(tmp_path, CONFIG.replace("poll_every: 10m", "")) as slack:
        ada = await slack.join(ADA)
        await ada.until_told(slack.happen("message", BRAM, channel="crew-0"))
        await ada.until(lambda one: one["strategy"] == "webhook")
        (lost,) = await slack.lose(lambda: slack.happen("message", BRAM, channel="crew-0"))
        assert lost not in await ada.told()
        await slack.server.services.upkeep.monitor.start()  # what a start does
        told = await ada.until_told(lost, step_seconds=10)
        assert told[lost]["via"] == "polling"


async def test_who_joins_a_channel_is_told_from_then_on_and_who_leaves_no_more(tmp_path: Path) -> None:
    async with scene(tmp_path) as slack:
        wren = await slack.join(WREN)
        before = slack.happen("message", BRAM, channel="crew-0")
        await slack.clock.advance(60)
        added = slack.happen("join", BRAM, channel="crew-0", to=WREN)
        await wren.until_told(added)
        live = slack.happen("message", BRAM, channel="crew-0")
        told = await wren.until_told(live)
        assert (told[live]["via"], before in told) == ("webhook", False)
        left = slack.happen("leave", WREN, channel="crew-0")
        for _ in range(10):
            await slack.clock.advance(1)
        after = slack.happen("message", BRAM, channel="crew-0")
        seen = await wren.until_told(slack.happen("message", BRAM, channel="general"))
        assert after not in seen
        assert left not in seen


async def test_names_are_learnt_when_somebody_unknown_turns_up(tmp_path: Path) -> None:
    async with scene(tmp_path) as slack:
        ada = await slack.join(ADA)
        connector: Any = slack.server.services.connectors[0]
        connector._names._people.clear()  # as after a start
        connector._names._channels.clear()
        first = slack.happen("message", BRAM, channel="crew-0")
        card = (await ada.until_told(first))[first]["data"]
        assert (card["title"], card["actor"]["name"]) == ("Message in a channel", card["actor"]["id"])
        for _ in range(20):
            await slack.clock.advance(1)
        second = slack.happen("message", BRAM, channel="crew-0")
        card = (await ada.until_told(second))[second]["data"]
        assert (card["title"], card["actor"]["name"]) == ("Message in #crew-0", "Bram")


async def test_tokens_that_end_are_refreshed_and_nobody_notices(tmp_path: Path) -> None:
    async with scene(tmp_path) as slack:
        slack.slack.consents.dialect.expires = "always"
        slack.slack.consents.dialect.access_seconds = 1200
        ada = await slack.join(ADA)
        grant = (await ada.browser.get(ada.path))["grant"]
        assert grant["token_expires_at"]
        assert grant["missing_scopes"] == []
        redemptions = slack.slack.consents.redemptions
        for count in range(1, 3):
            await ada.until(
                lambda one, before=grant["token_expires_at"]: one["grant"]["token_expires_at"] > before,
                step_seconds=2 * MINUTE,
            )
            grant = (await ada.browser.get(ada.path))["grant"]
            assert redemptions.total >= count
        slack.slack.consents.expire_access(ADA)
        await ada.sync()
        assert (await ada.browser.get(ada.path))["state"] == "connected"
        assert (redemptions.accepted_twice, redemptions.after_answer) == (0, 0)


async def test_a_revocation_asks_once_for_a_new_consent_and_then_all_goes_on(tmp_path: Path) -> None:
    async with scene(tmp_path) as slack:
        ada, bram = await slack.join(ADA), await slack.join(BRAM)
        first = slack.happen("message", JUNO, channel="crew-0")
        await ada.until_told(first)
        slack.slack.consents.revoke(person=ADA)
        shown = await ada.until(lambda one: one["state"] == "needs_reauth", step_seconds=1)
        assert shown["reason"] == "The account took its consent back at the platform."
        for _ in range(3):
            await slack.clock.advance(10 * MINUTE)
        assert len(await ada.kinds("needs_reauth")) == 1
        assert (await bram.browser.get(bram.path))["state"] == "connected"
        missed = slack.happen("message", JUNO, channel="crew-0")
        await slack.clock.advance(60)
        assert await ada.browser.connect("slack", ADA, ada.connection) == ada.connection
        told = await ada.until_told(missed, step_seconds=60)
        assert first in told
        ways = set()
        for _ in range(3):  # a poll that is due just then may be faster, once
            await slack.clock.advance(60)
            later = slack.happen("message", JUNO, channel="crew-0")
            ways.add((await ada.until_told(later))[later]["via"])
        assert "webhook" in ways


async def test_an_uninstalled_app_asks_everybody_once(tmp_path: Path) -> None:
    async with scene(tmp_path) as slack:
        viewers = [await slack.join(person) for person in (ADA, BRAM)]
        slack.slack.consents.revoke()  # tokens_revoked for each, and app_uninstalled
        for viewer in viewers:
            await viewer.until(lambda one: one["state"] == "needs_reauth", step_seconds=1)
            assert len(await viewer.kinds("needs_reauth")) == 1


async def test_a_revocation_that_no_delivery_tells_is_found_by_asking(tmp_path: Path) -> None:
    async with scene(tmp_path) as slack:
        ada = await slack.join(ADA)
        await slack.lose(lambda: str(slack.slack.consents.revoke(person=ADA)))
        await ada.until(lambda one: one["state"] == "needs_reauth", step_seconds=MINUTE)
        assert len(await ada.kinds("needs_reauth")) == 1


async def test_a_workspace_that_is_too_loud_is_asked_and_the_silence_is_told(tmp_path: Path) -> None:
    async with scene(tmp_path) as slack:
        ada = await slack.join(ADA)
        slack.slack.events.most_per_hour = 1
        heard = slack.happen("message", BRAM, channel="crew-0")
        unheard = slack.happen("message", BRAM, channel="crew-0")
        await ada.until_told(heard, unheard, step_seconds=30)
        (gap,) = [one for one in await events(ada.browser) if one["type"].endswith(".gap")]
        assert "for 1 minute it sent nothing" in gap["data"]["text"]


async def test_only_what_slack_signed_is_taken_and_a_challenge_is_answered(tmp_path: Path) -> None:
    async with scene(tmp_path) as slack:
        ada = await slack.join(ADA)
        slack.slack.change_hook(1, "disable")
        slack.slack.change_hook(1, "enable")
        for _ in range(20):
            await slack.clock.advance(1)
        assert slack.slack.hooks()[0]["active"] is True
        forged = json.dumps({"type": "url_verification", "challenge": "x"}).encode()
        answer = await slack.server.client.post("/api/webhooks/slack", content=forged)
        assert answer.status_code == 401
        slack.slack.events.signing_secret = "another-secret"
        slack.happen("message", BRAM, channel="crew-0")
        await slack.clock.advance(60)
        assert await ada.told() == {}


async def test_disconnecting_gives_the_token_back(tmp_path: Path) -> None:
    async with scene(tmp_path) as slack:
        ada, bram = await slack.join(ADA), await slack.join(BRAM)
        assert (await ada.browser.send("DELETE", ada.path)).status_code == 202
        await ada.browser.until(
            "/api/connections", lambda page: page["connections"] == [], clock=slack.clock, step_seconds=1
        )
        assert [one.person for one in slack.slack.consents.living()] == [BRAM]
        assert (await bram.browser.get(bram.path))["state"] == "connected"


@pytest.mark.parametrize("is_admin", [True, False])
async def test_an_admin_is_offered_the_app_to_paste_until_there_is_one(
    tmp_path: Path, is_admin: bool
) -> None:
    without = CONFIG.replace("  extras: {sandbox: {lively: false}}\n", "")
    async with (
        live_server(tmp_path, without) as server,
        browser(server, await server.add_user("ann", is_admin=is_admin)) as ann,
    ):
        (slack,) = (await ann.get("/api/platforms"))["platforms"]
        assert slack["ready"] is False
        assert slack.get("draft", "").startswith("https://api.slack.com/apps?new_app=1") is is_admin
