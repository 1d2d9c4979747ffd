"""A Discord account, from the consent to its end: changes told once, messages to those who may read them alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connecting import SANDBOX, Browser, browser, events, world
from discord_exchanges import sign
from tidings.accounts import User
from tidings.testing.clock import FakeClock
from tidings.testing.server import LiveServer, live_server
from tidings_sandbox.discord import Discord
from tidings_sandbox.discord.service import CLIENT_ID
from tidings_sandbox.discord.webhooks import DISABLED, ON

CONFIG = SANDBOX.replace("github: {}, spotify: {}", "discord: {}")
OTTILIE, BRAM, JUNO = "ottilie-otterbourne", "bram-quillfeather", "juno-larkspur"  # Juno is not of the crew
HOOK = "/api/webhooks/discord"


class Scene:
    """A server with an emulated Discord, and time that stands still."""

    def __init__(self, server: LiveServer, clock: FakeClock) -> None:
        self.server = server
        self.clock = clock
        self.world = world(server)

    @property
    def discord(self) -> Discord:
        return self.world.one(Discord)

    def happen(self, kind: str, person: str = OTTILIE, **details: Any) -> str:
        """Make something happen; returns the key of the happening."""
        return self.world.act("discord", kind, person, **details).key

    async def settle(self, seconds: float, until: Callable[[], bool]) -> None:
        """Let time pass and what was sent arrive, until it is so: the server works in its own time."""
        await self.clock.advance(seconds)
        async with asyncio.timeout(60):
            while not until():
                await self.world.settle()
                await asyncio.sleep(0.01)

    def sent(self, name: str) -> list[list[int]]:
        """How the events of this name were answered, each try; the newest first."""
        return [one.statuses for one in self.discord.webhooks.deliveries() if one.name == name]

    async def post(self, body: bytes, **headers: str) -> int:
        sent = {"content-type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
        return (await self.server.client.post(HOOK, content=body, headers=sent)).status_code


class Account:
    """A user with a connected account."""

    def __init__(self, scene: Scene, viewer: Browser, person: str, connection: str) -> None:
        self.scene = scene
        self.viewer = viewer
        self.person = person
        self.path = f"/api/connections/{connection}"

    async def told(self) -> list[dict[str, Any]]:
        """What was told of servers, roles, profile and messages."""
        found = await events(self.viewer, "com.discord.*")
        return [one for one in found if "application" not in one["type"]]

    async def poll(self) -> Sequence[str]:
        """Have everything asked now; returns the keys of all that was told so far."""
        await self.scene.clock.advance(61)  # what the bot has seen is believed for a minute
        before = (await self.viewer.get(self.path))["last_checked_at"]
        answer = await self.viewer.send("POST", f"{self.path}/sync")
        assert answer.status_code == 202, answer.text
        await self.until(lambda one: one["last_checked_at"] != before)
        return [self.scene.discord.told_by(one) for one in await self.told()]

    async def until(self, is_so: Any, *, step_seconds: float = 1.0) -> Any:
        return await self.viewer.until(
            self.path, is_so, clock=self.scene.clock, step_seconds=step_seconds, patience_seconds=60
        )


@asynccontextmanager
async def staged(folder: Path, config: str = CONFIG) -> AsyncIterator[Scene]:
    clock = FakeClock()
    async with live_server(folder, config, clock=clock) as server:
        yield Scene(server, clock)


@asynccontextmanager
async def connected(scene: Scene, person: str = OTTILIE, user: User | None = None) -> AsyncIterator[Account]:
    """A user whose account is connected, and was looked at for the first time."""
    user = user or await scene.server.add_user(f"user-of-{person.partition('-')[0]}")
    async with browser(scene.server, user) as viewer:
        account = Account(scene, viewer, person, await viewer.connect("discord", person))
        await account.until(lambda one: one["strategy"] and one["last_checked_at"])
        yield account


async def test_before_connecting_the_page_says_what_discord_shows_nobody(tmp_path: Path) -> None:
    async with (
        staged(tmp_path) as scene,
        browser(scene.server, await scene.server.add_user("ann")) as viewer,
    ):
        (platform,) = (await viewer.get("/api/platforms"))["platforms"]
        assert (platform["id"], platform["ready"]) == ("discord", True)
        assert "no app your messages" in platform["unseen"]


async def test_changes_are_told_once_and_history_is_not(tmp_path: Path) -> None:
    async with staged(tmp_path) as scene, connected(scene) as account:
        shown = await account.viewer.get(account.path)
        assert shown["strategy"] == "polling"
        assert "only what becomes of the consent" in shown["strategy_reason"]
        assert await account.told() == []
        happened = [
            scene.happen("server_joined"),
            scene.happen("server_renamed", server="The Lantern", name="The Beacon"),
            scene.happen("role_given", role="Lamplighter"),
            scene.happen("profile_renamed", name="Tilly"),
            scene.happen("message", channel="talk", text="Good evening"),
        ]
        assert sorted(await account.poll()) == sorted(happened)
        assert sorted(await account.poll()) == sorted(happened)
        by_type = {one["type"]: one["data"] for one in await account.told()}
        assert by_type["com.discord.role_added"]["role"]["name"] == "Lamplighter"
        message = by_type["com.discord.message"]
        assert (message["text"], message["actor"]["name"]) == ("Good evening", "Tilly")
        assert message["title"] == "Tilly in #talk, The Beacon"


async def test_a_second_joining_and_a_second_leaving_are_told_too(tmp_path: Path) -> None:
    async with staged(tmp_path) as scene, connected(scene) as account:
        scene.happen("server_joined", name="The Reading Room")
        server = next(one for one in scene.discord.servers.of(scene.world.person(OTTILIE)) if not one.owner)
        for _ in range(2):
            await account.poll()
            scene.happen("server_left", server=server.id)
            await account.poll()
            scene.happen("server_joined", server=server.id)
        await account.poll()
        told = await account.told()
        assert [one["type"].rpartition("_")[2] for one in told] == [
            "joined",
            "left",
            "joined",
            "left",
            "joined",
        ]
        assert len({one["id"] for one in told}) == 5


async def test_by_itself_it_is_asked_every_few_hours(tmp_path: Path) -> None:
    async with staged(tmp_path) as scene, connected(scene) as account:
        joined = scene.happen("server_joined")
        await scene.clock.advance(1.9 * 3600)
        assert await account.told() == []
        await account.viewer.until(
            "/api/events?types=com.discord.*",
            lambda page: joined in [scene.discord.told_by(one) for one in page["events"]],
            clock=scene.clock,
            step_seconds=300,
        )
        (event,) = await account.told()
        assert event["via"] == "polling"


async def test_messages_reach_those_alone_who_may_read_them(tmp_path: Path) -> None:
    async with (
        staged(tmp_path) as scene,
        connected(scene, OTTILIE) as ottilie,
        connected(scene, BRAM) as bram,
        connected(scene, JUNO) as juno,
    ):
        for_all = scene.happen("message", BRAM, channel="talk")
        for_crew = scene.happen("message", BRAM, channel="crew")
        scene.happen("message", BRAM, channel="notes")  # which the operator did not choose
        assert await ottilie.poll() == [for_all, for_crew]  # she owns the server
        assert await bram.poll() == [for_all, for_crew]
        assert await juno.poll() == [for_all]
        scene.happen("role_given", JUNO, role="Crew")
        scene.happen("role_taken", BRAM, role="Crew")
        await juno.poll()
        hidden = scene.happen("message", OTTILIE, channel="crew")
        scene.happen("server_left", OTTILIE, server="The Lantern")
        among_others = scene.happen("message", JUNO, channel="talk")
        assert hidden in await juno.poll()
        told = await bram.poll()
        assert hidden not in told
        assert among_others in told
        told = await ottilie.poll()
        assert not {hidden, among_others} & set(told)


async def test_a_channel_s_backlog_is_told_whole_and_in_order(tmp_path: Path) -> None:
    async with staged(tmp_path) as scene, connected(scene) as account:
        said = [scene.happen("message", BRAM, channel="talk", text=str(number)) for number in range(1234)]
        await account.viewer.send("POST", f"{account.path}/sync")
        await account.viewer.until(
            "/api/events?types=com.discord.message&after=0&limit=1",
            lambda page: scene.discord.told_by(page["events"][0]) == said[0] if page["events"] else False,
            clock=scene.clock,
        )
        while len(told := await account.told()) < len(said):
            await scene.clock.advance(5)
        assert [one["id"] for one in told] == said


async def test_limits_are_kept_to_and_a_used_up_one_is_waited_for(tmp_path: Path) -> None:
    async with staged(tmp_path) as scene, connected(scene) as account:
        scene.discord.rates.of["channel"] = (1, 5.0)
        scene.discord.rates.of["messages"] = (1, 5.0)
        said = [scene.happen("message", BRAM, channel=one) for one in ("talk", "crew", "talk")]
        assert sorted(await account.poll()) == sorted(said)


async def test_without_the_message_content_intent_a_message_says_so(tmp_path: Path) -> None:
    async with staged(tmp_path) as scene, connected(scene) as account:
        scene.discord.api.has_message_content = False
        said = scene.happen("message", BRAM, channel="talk", text="secret")
        assert await account.poll() == [said]
        (event,) = await account.told()
        assert "Message Content intent" in event["data"]["text"]


@pytest.mark.parametrize("hidden", ["is_hidden", "is_past_hidden"])
async def test_a_bot_that_is_kept_out_of_a_channel_says_so_in_the_log_and_the_rest_goes_on(
    tmp_path: Path, hidden: str
) -> None:
    async with staged(tmp_path) as scene, connected(scene) as account:
        server = scene.discord.servers.circle(scene.world.person(OTTILIE))
        setattr(server.channels[0], hidden, True)
        scene.happen("message", BRAM, channel="talk")
        said = scene.happen("message", BRAM, channel="crew")
        assert await account.poll() == [said]


# --- webhook events ---


async def test_discord_s_checks_of_the_address_are_passed(tmp_path: Path) -> None:
    async with staged(tmp_path) as scene:
        scene.discord.change_hook(1, "enable")
        await scene.settle(1, lambda: all(scene.sent("PING")))
        assert scene.discord.webhooks.status == ON
        taken = {one.is_genuine: one.statuses for one in scene.discord.webhooks.deliveries()}
        assert taken == {True: [204], False: [401]}


async def test_forgeries_are_refused_and_change_nothing(tmp_path: Path) -> None:
    async with staged(tmp_path) as scene, connected(scene) as account:
        body = b'{"version":1,"application_id":"%b","type":1,"event":{"type":"APPLICATION_DEAUTHORIZED",' % (
            CLIENT_ID.encode()
        )
        body += b'"timestamp":"2026-11-01T00:00:00.000000","data":{"user":{"id":"800000000000000000"}}}}'
        now = str(int(scene.clock.now().timestamp()))
        assert await scene.post(body) == 401
        assert await scene.post(body, x_signature_timestamp=now, x_signature_ed25519="0" * 128) == 401
        forged = sign(now.encode() + body)  # by another app's key
        assert await scene.post(body, x_signature_timestamp=now, x_signature_ed25519=forged) == 401
        assert (await account.viewer.get(account.path))["state"] == "connected"
        assert await events(account.viewer, "com.discord.*") == []


async def test_an_old_delivery_that_is_sent_again_is_refused(tmp_path: Path) -> None:
    async with staged(tmp_path) as scene, connected(scene):
        await scene.settle(3, lambda: scene.sent("APPLICATION_AUTHORIZED") == [[204]])
        (told,) = [one for one in scene.discord.webhooks.deliveries() if one.name != "PING"]
        headers = {name.lower().replace("-", "_"): value for name, value in told.headers.items()}
        del headers["user_agent"]
        assert await scene.post(told.body, **headers) == 204
        await scene.clock.advance(3600)
        assert await scene.post(told.body, **headers) == 401


async def test_who_takes_the_access_back_is_told_once_and_connects_again(tmp_path: Path) -> None:
    async with staged(tmp_path) as scene, connected(scene) as account:
        key = scene.happen("deauthorised")
        shown = await account.until(lambda one: one["state"] == "needs_reauth")
        assert "took its consent back" in shown["reason"]
        for delivery in scene.discord.deliveries():
            scene.discord.redeliver(delivery["id"])
        await scene.settle(30, lambda: scene.sent("APPLICATION_DEAUTHORIZED") == [[204], [204]])
        told = await events(account.viewer)
        assert [one["id"] for one in told].count(key) == 1
        assert len([one for one in told if one["type"] == "org.tidings.connection.needs_reauth"]) == 1
        await account.viewer.connect("discord", OTTILIE, account.path.rpartition("/")[2])
        await account.until(lambda one: one["state"] == "connected")
        joined = scene.happen("server_joined")
        assert joined in await account.poll()


async def test_what_ended_an_earlier_consent_does_not_end_the_present_one(tmp_path: Path) -> None:
    """Discord's events come late and in no order; and disconnecting causes one, too."""
    async with staged(tmp_path) as scene, connected(scene) as account:
        scene.discord.faults.lose_webhooks = 1.0
        scene.happen("deauthorised")
        await scene.settle(2, lambda: scene.sent("APPLICATION_DEAUTHORIZED") == [[0]])
        scene.discord.faults.lose_webhooks = 0.0
        await account.viewer.connect("discord", OTTILIE, account.path.rpartition("/")[2])
        await scene.settle(10, lambda: scene.sent("APPLICATION_DEAUTHORIZED") == [[0, 204]])
        assert (await account.viewer.get(account.path))["state"] == "connected"
        joined = scene.happen("server_joined")
        assert joined in await account.poll()


async def test_without_the_event_a_dead_consent_is_noticed_by_asking(tmp_path: Path) -> None:
    async with staged(tmp_path) as scene, connected(scene) as account:
        scene.discord.faults.lose_webhooks = 1.0
        scene.happen("deauthorised")
        await account.viewer.send("POST", f"{account.path}/sync")
        shown = await account.until(lambda one: one["state"] == "needs_reauth", step_seconds=10)
        assert "invalid_grant" in shown["reason"]


async def test_events_that_fail_are_tried_again_and_too_many_failures_turn_them_off(tmp_path: Path) -> None:
    async with staged(tmp_path) as scene, connected(scene) as account:
        scene.discord.faults.lose_webhooks = 1.0
        for _ in range(5):
            scene.discord.webhooks.tell("APPLICATION_AUTHORIZED", {"user": {"id": "5"}}, scene.clock.now())
        for _ in range(12):
            await scene.settle(60, lambda: True)
        await scene.settle(60, lambda: scene.discord.webhooks.status == DISABLED)
        assert (await account.viewer.get(account.path))["state"] == "connected"


# --- tokens ---


async def test_each_refresh_token_is_redeemed_once_and_the_account_lives_on(tmp_path: Path) -> None:
    async with staged(tmp_path) as scene:
        scene.discord.consents.dialect.access_seconds = 900  # instead of seven days
        redemptions = scene.discord.consents.redemptions
        async with connected(scene) as account:
            for _ in range(3):
                before = redemptions.total
                await scene.settle(900, lambda before=before: redemptions.total > before)  # before it ends
                scene.discord.consents.expire_access()  # and once more when it is refused
                joined = scene.happen("server_joined")
                assert joined in await account.poll()
            assert redemptions.total >= 6
            assert (redemptions.accepted_twice, redemptions.after_answer) == (0, 0)
            assert (await account.viewer.get(account.path))["state"] == "connected"


async def test_a_disconnect_ends_the_consent_there_with_its_last_user_alone(tmp_path: Path) -> None:
    async with staged(tmp_path) as scene:
        ann, ben = await scene.server.add_user("ann"), await scene.server.add_user("ben")
        async with connected(scene, OTTILIE, ann) as first, connected(scene, OTTILIE, ben) as second:

            async def leave(account: Account) -> None:
                await account.viewer.send("DELETE", account.path)
                await account.viewer.until(
                    "/api/connections", lambda page: not page["connections"], clock=scene.clock
                )

            await leave(first)
            assert scene.discord.consents.living(OTTILIE)
            joined = scene.happen("server_joined")
            assert joined in await second.poll()
            await leave(second)
            assert not scene.discord.consents.living(OTTILIE)


async def test_a_refused_user_agent_is_explained_on_the_page(tmp_path: Path) -> None:
    async with staged(tmp_path) as scene, connected(scene) as account:
        answer = await scene.server.client.get(
            "/sandbox/discord/api/v10/users/@me", headers={"user-agent": "Python-urllib/3.11"}
        )
        assert (answer.status_code, answer.text) == (403, "error code: 1010")
        joined = scene.happen("server_joined")
        assert joined in await account.poll()  # ours is taken


async def test_a_secret_of_the_app_or_its_bot_never_leaves(tmp_path: Path) -> None:
    async with staged(tmp_path) as scene, connected(scene) as account:
        options = Discord.options(f"{scene.server.url}/sandbox/discord", 1, lively=False)
        scene.discord.api.bot_token = "another"
        scene.happen("message", BRAM, channel="talk")
        await scene.clock.advance(61)
        await account.viewer.send("POST", f"{account.path}/sync")
        shown = await account.until(lambda one: "bot_token" in str(one["attempts"]))
        for secret in (options["bot_token"], options["client_secret"]):
            assert secret not in str(shown)
            assert secret not in str([*scene.server.logged])
        joined = scene.happen("server_joined")
        await scene.clock.advance(timedelta(hours=2).total_seconds())
        assert joined in [scene.discord.told_by(one) for one in await account.told()]
