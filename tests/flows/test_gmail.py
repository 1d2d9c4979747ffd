"""A Gmail account, from the consent to its end: pushed, pulled, asked for, renewed, found again, once each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from connecting import SANDBOX, Browser, browser, events, world
from tidings.testing.clock import FakeClock
from tidings.testing.server import LiveServer, live_server
from tidings_sandbox.faults import Fault
from tidings_sandbox.gmail import PULL_SUBSCRIPTION, TOPIC, Gmail

GMAIL = SANDBOX.replace("github: {}, spotify: {}", "gmail: {}")
POLLING = GMAIL.replace("  transports:", "  strategies: {polling: {}}\n  transports:")
PULLING = GMAIL.replace("gmail: {}", f"gmail: {{subscription: {PULL_SUBSCRIPTION}}}")
ADA = "ottilie-otterbourne"
NEWS = "com.google.gmail.*"
HOUR = 3600.0


class Scene:
    """A connected account, its platform, and time that stands still."""

    def __init__(self, server: LiveServer, viewer: Browser, clock: FakeClock, connection: str = "") -> None:
        self.server = server
        self.viewer = viewer
        self.clock = clock
        self.path = f"/api/connections/{connection}"
        self.world = world(server)
        self.gmail = self.world.one(Gmail)
        self.mailbox = self.gmail.mailbox(self.world.person(ADA))

    async def until(self, is_so: Any, *, step_seconds: float = 5.0) -> Any:
        return await self.viewer.until(self.path, is_so, clock=self.clock, step_seconds=step_seconds)

    async def until_told(self, *ids: str, step_seconds: float = 1.0) -> dict[str, dict[str, Any]]:
        """Wait until all of these are told; returns all mails that were, by id, each of which came once."""
        await self.viewer.until(
            f"/api/events?types={NEWS}&limit=500",
            lambda page: set(ids) <= {event["id"] for event in page["events"]},
            clock=self.clock,
            step_seconds=step_seconds,
        )
        return await self.told()

    async def told(self) -> dict[str, dict[str, Any]]:
        found = await events(self.viewer, NEWS)
        by_id = {event["id"]: event for event in found}
        assert len(by_id) == len(found)
        return by_id

    async def own_news(self, kind: str) -> list[dict[str, Any]]:
        return await events(self.viewer, f"org.tidings.connection.{kind}")

    async def happen(self, kind: str = "mail", **details: Any) -> str:
        """Make something happen, not within a second of what was before; returns the id of the event that tells it."""
        await self.clock.advance(1)
        return self.world.act("gmail", kind, ADA, **details).key

    async def ask(self) -> None:
        """Have the mailbox asked at once, and wait until it was."""
        await self.clock.advance(5)
        at = self.clock.now().isoformat()
        assert (await self.viewer.send("POST", f"{self.path}/sync")).status_code == 202
        await self.until(lambda one: (one["last_checked_at"] or "") >= at)

    async def settle(self, seconds: float = 60.0) -> None:
        """Let some time pass, in steps that leave the server time to work."""
        for _ in range(12):
            await self.clock.advance(seconds / 12)
            await self.viewer.get(self.path)

    async def disconnect(self) -> None:
        assert (await self.viewer.send("DELETE", self.path)).status_code == 202
        await self.viewer.until(
            "/api/connections", lambda page: page["connections"] == [], clock=self.clock, step_seconds=1
        )


@asynccontextmanager
async def unconnected(folder: Path, config: str = GMAIL) -> AsyncIterator[Scene]:
    clock = FakeClock()
    async with (
        live_server(folder, config, clock=clock) as server,
        browser(server, await server.add_user("ann")) as viewer,
    ):
        yield Scene(server, viewer, clock)


@asynccontextmanager
async def scene(
    folder: Path,
    config: str = GMAIL,
    strategy: str = "webhook",
    *,
    watch_life: timedelta = timedelta(days=7),
) -> AsyncIterator[Scene]:
    async with unconnected(folder, config) as ada:
        ada.gmail.watches.life = watch_life
        ada.path += await ada.viewer.connect("gmail", ADA)
        await ada.until(lambda one: one["strategy"] == strategy and one["last_checked_at"])
        await ada.settle(12)
        yield ada


# --- ways to learn of news ---


async def test_a_mail_is_told_within_moments_and_history_is_not(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        shown = await ada.until(lambda one: one["registrations"])
        assert [(row["state"], row["problem"]) for row in shown["registrations"]] == [("active", "")]
        assert await ada.told() == {}
        before = ada.clock.now()
        key = await ada.happen(subject="Grüße & küsse", sender="Bo <bo@b.example>", text="It's <late>")
        told = await ada.until_told(key)
        assert (ada.clock.now() - before).total_seconds() < 30
        event = told[key]
        assert event["via"] == "webhook"
        assert (event["data"]["title"], event["data"]["text"]) == ("Grüße & küsse", "It's <late>")
        assert event["data"]["actor"]["name"] == "Bo"
        assert ada.gmail.describe()["messages_waiting"] == 0


async def test_only_what_comes_in_is_told(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        for kind in ("send", "draft", "read", "archive", "delete"):
            await ada.happen(kind)
        await ada.happen(labels=["SPAM"])
        key = await ada.happen()
        assert set(await ada.until_told(key)) == {key}
        await ada.settle()
        await ada.ask()
        assert set(await ada.told()) == {key}


async def test_where_nothing_is_pushed_it_is_asked(tmp_path: Path) -> None:
    async with scene(tmp_path, POLLING, "polling") as ada:
        assert ada.gmail.hooks() == []
        keys = [await ada.happen() for _ in range(3)]
        told = await ada.until_told(*keys, step_seconds=600)
        assert {event["via"] for event in told.values()} == {"polling"}
        assert set(told) == set(keys)


async def test_pushed_twice_and_asked_for_at_once_it_is_one_event(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        ada.gmail.faults.duplicate_webhooks = 1.0
        keys = [await ada.happen() for _ in range(3)]
        await ada.ask()
        await ada.settle()
        await ada.ask()
        assert set(await ada.told()) == set(keys)


async def test_what_google_does_not_tell_in_time_is_found_by_asking(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        ada.gmail.faults.lose_webhooks = 1.0
        lost = await ada.happen()
        ada.gmail.faults.lose_webhooks = 0.0
        told = await ada.until_told(lost, step_seconds=600)
        assert told[lost]["via"] == "polling"
        # Within a second of another, a change is not told of at all; the push of the first one brings both.
        first, second = [ada.world.act("gmail", "mail", ADA).key for _ in range(2)]
        await ada.until_told(first, second, step_seconds=60)
        assert ada.gmail.watches.dropped == 1


async def test_what_can_not_be_pushed_is_pulled_and_acknowledged(tmp_path: Path) -> None:
    async with unconnected(tmp_path, PULLING) as ada:
        ada.gmail.subscription.push = None
        ada.path += await ada.viewer.connect("gmail", ADA)
        await ada.until(lambda one: one["strategy"] == "webhook" and one["last_checked_at"])
        before = ada.clock.now()
        keys = [await ada.happen() for _ in range(3)]
        told = await ada.until_told(*keys)
        assert (ada.clock.now() - before).total_seconds() < 60
        assert set(told) == set(keys)
        queue = ada.gmail.pubsub.subscriptions[PULL_SUBSCRIPTION].waiting
        await ada.until(lambda _: not queue, step_seconds=1)
        # An account whose token has ended, and a queue that is away for a while.
        ada.gmail.accounts.service_accounts.expire()
        key = await ada.happen()
        await ada.until_told(key, step_seconds=5)
        ada.gmail.faults.add(Fault("error", status=503, path="/v1/projects", remaining=3))
        key = await ada.happen()
        await ada.until_told(key, step_seconds=5)


# --- watches ---


async def test_a_watch_is_renewed_at_half_its_life_without_a_gap(tmp_path: Path) -> None:
    async with scene(tmp_path, watch_life=timedelta(hours=2)) as ada:
        began, first = ada.clock.now(), ada.gmail.watches.of(ada.mailbox)
        assert first is not None

        def is_renewed(_shown: Any) -> bool:
            now = ada.gmail.watches.of(ada.mailbox)
            assert now is not None, "at no time there was none"
            return now.expires_at > first.expires_at

        shown = await ada.until(is_renewed, step_seconds=60)
        assert 0.9 * HOUR < (ada.clock.now() - began).total_seconds() < 1.2 * HOUR
        assert shown["strategy"] == "webhook"
        shown = await ada.until(
            lambda one: datetime.fromisoformat(one["registrations"][0]["expires_at"]) > first.expires_at
        )
        key = await ada.happen()
        await ada.until_told(key)
        assert [one["data"]["strategy"] for one in await ada.own_news("strategy_changed")] == ["webhook"]


async def test_a_watch_that_lapses_without_a_word_loses_nothing_and_comes_back(tmp_path: Path) -> None:
    async with scene(tmp_path, watch_life=timedelta(hours=2)) as ada:
        ada.gmail.change_hook(1, "disable")
        key = await ada.happen()
        told = await ada.until_told(key, step_seconds=300)
        assert set(told) == {key}
        await ada.until(lambda _: ada.gmail.watches.of(ada.mailbox) is not None, step_seconds=300)
        key = await ada.happen()
        await ada.until_told(key)


async def test_a_watch_for_another_topic_is_taken_over(tmp_path: Path) -> None:
    async with unconnected(tmp_path) as ada:
        other = TOPIC.replace("gmail", "before")
        ada.gmail.pubsub.publishers.add(other)
        ada.gmail.watches.begin(ada.mailbox, other, frozenset(), excludes=False)
        ada.path += await ada.viewer.connect("gmail", ADA)
        await ada.until(lambda one: one["strategy"] == "webhook" and one["registrations"])
        watch = ada.gmail.watches.of(ada.mailbox)
        assert watch is not None
        assert watch.topic == TOPIC


async def test_a_topic_that_gmail_may_not_publish_to_is_said_to_the_operator(tmp_path: Path) -> None:
    async with unconnected(tmp_path) as ada:
        ada.gmail.pubsub.publishers.clear()
        ada.path += await ada.viewer.connect("gmail", ADA)
        shown = await ada.until(lambda one: one["last_checked_at"] and "Pub/Sub" in one["strategy_reason"])
        assert (shown["state"], shown["strategy"]) == ("connected", "polling")
        key = await ada.happen()
        await ada.until_told(key, step_seconds=600)


async def test_two_users_with_one_mailbox_share_its_watch(tmp_path: Path) -> None:
    async with (
        scene(tmp_path) as ada,
        browser(ada.server, await ada.server.add_user("bob")) as bob,
    ):
        other = Scene(ada.server, bob, ada.clock, await bob.connect("gmail", ADA))
        await other.until(lambda one: one["strategy"] == "webhook" and one["last_checked_at"])
        key = await ada.happen()
        for viewer in (ada, other):
            assert set(await viewer.until_told(key)) == {key}
        await ada.disconnect()
        assert ada.gmail.watches.of(ada.mailbox) is not None
        key = await other.happen()
        await other.until_told(key)
        await other.disconnect()
        assert ada.gmail.watches.of(ada.mailbox) is None


# --- what goes wrong ---


async def test_a_history_that_is_lost_becomes_a_visible_gap_and_the_newest_mails_are_told(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path, POLLING, "polling") as ada:
        known = await ada.happen()
        await ada.ask()
        assert set(await ada.told()) == {known}
        missed = [await ada.happen() for _ in range(3)]
        await ada.happen("archive")
        ada.mailbox.forget_history()
        await ada.ask()
        (gap,) = await ada.own_news("gap")
        assert "no longer shows" in gap["data"]["text"]
        assert set(await ada.told()) == {known, *missed[:2]}, (
            "what has left the inbox is missing, and said so"
        )
        key = await ada.happen()
        await ada.ask()
        assert set(await ada.told()) == {known, *missed[:2], key}
        assert len(await ada.own_news("gap")) == 1


async def test_a_push_that_can_not_be_verified_yet_comes_again(tmp_path: Path) -> None:
    async with unconnected(tmp_path) as ada:
        ada.gmail.faults.add(Fault("error", status=503, path="/oauth2/v3/certs", remaining=2))
        ada.path += await ada.viewer.connect("gmail", ADA)
        await ada.until(lambda one: one["strategy"] == "webhook" and one["registrations"])
        key = await ada.happen()
        await ada.until_told(key, step_seconds=10)
        await ada.until(lambda _: not ada.gmail.subscription.waiting, step_seconds=30)


async def test_a_new_key_of_googles_is_learnt_with_the_first_push_that_it_signs(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        first = await ada.happen()
        await ada.until_told(first)
        await ada.settle(120)
        ada.gmail.accounts.keys.rotate(keep_old=False)
        key = await ada.happen()
        await ada.until_told(key)
        await ada.until(lambda _: not ada.gmail.subscription.waiting, step_seconds=10)
        assert ada.gmail.subscription.last_status in {200, 204}


async def test_while_gmail_is_down_the_hint_is_kept(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        ada.gmail.faults.add(Fault("error", status=503, path="/gmail/v1"))
        key = await ada.happen()
        await ada.settle()
        assert ada.gmail.subscription.waiting == {}, "the push was taken"
        assert await ada.told() == {}
        ada.gmail.faults.clear()
        assert set(await ada.until_told(key, step_seconds=60)) == {key}


async def test_more_mails_than_the_minute_allows_are_told_all_the_same(tmp_path: Path) -> None:
    async with scene(tmp_path, POLLING, "polling") as ada:
        ada.gmail.mail_api.units.limit = 1200  # the connector believes that there are 6,000
        keys = [ada.world.act("gmail", "mail", ADA).key for _ in range(120)]
        await ada.viewer.send("POST", f"{ada.path}/sync")
        assert set(await ada.until_told(*keys, step_seconds=30)) == set(keys)
        assert (await ada.viewer.get(ada.path))["state"] == "connected"


async def test_a_consent_that_was_taken_back_is_said_so_and_what_was_missed_is_told_later(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as ada:
        connection = ada.path.rpartition("/")[2]
        ada.gmail.consents.revoke(person=ADA)
        missed = await ada.happen()
        shown = await ada.until(lambda one: one["state"] == "needs_reauth", step_seconds=60)
        assert "invalid_grant" in shown["reason"]
        await ada.settle()
        assert ada.gmail.subscription.waiting == {}, "pushes are taken meanwhile"
        assert await ada.viewer.connect("gmail", ADA, connection) == connection
        assert set(await ada.until_told(missed, step_seconds=5)) == {missed}


async def test_disconnecting_ends_the_watch_and_gives_the_consent_back(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        assert ada.gmail.hooks()
        await ada.disconnect()
        assert ada.gmail.hooks() == []
        assert ada.gmail.agreed() == []
