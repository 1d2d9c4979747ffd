"""A YouTube account, from the consent to the last repair: pushed, polled, lost, leased, out of units; once each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from connecting import SANDBOX, Browser, browser, events, world
from tidings.accounts import User, find_users
from tidings.testing.clock import FakeClock
from tidings.testing.server import LiveServer, live_server
from tidings_sandbox.youtube import YouTube

OPTIONS = "poll_every: 4m, likes_every: 2m, subscriptions_every: 4m, playlists_every: 4m"
YOUTUBE = SANDBOX.replace("{github: {}, spotify: {}}", f"{{youtube: {{{OPTIONS}}}}}")
ADA = "ottilie-otterbourne"
BRAM = "bram-quillfeather"
NEWS = "com.youtube.*"
HOUR = 3600.0


class Scene:
    """A connected account, its platform, and time that stands still."""

    def __init__(self, server: LiveServer, viewer: Browser, clock: FakeClock, connection: str) -> None:
        self.server = server
        self.viewer = viewer
        self.clock = clock
        self.path = f"/api/connections/{connection}"
        self.youtube: YouTube = world(server).youtube

    async def until(self, is_so: Any, *, step_seconds: float = 5.0) -> Any:
        return await self.viewer.until(
            self.path, is_so, clock=self.clock, step_seconds=step_seconds, patience_seconds=40
        )

    async def until_told(self, *ids: str, step_seconds: float = 5.0) -> dict[str, dict[str, Any]]:
        """Wait until all of these are told; returns all of YouTube's news by id, each of which came once."""
        await self.viewer.until(
            f"/api/events?types={NEWS}&limit=500",
            lambda page: set(ids) <= {event["id"] for event in page["events"]},
            clock=self.clock,
            step_seconds=step_seconds,
            patience_seconds=40,
        )
        return await self.told()

    async def told(self) -> dict[str, dict[str, Any]]:
        found = await events(self.viewer, NEWS)
        by_id = {event["id"]: event for event in found}
        assert len(by_id) == len(found)
        return by_id

    def happen(self, kind: str = "upload", **details: Any) -> str:
        """Make something happen; returns the id of the event that tells it."""
        return world(self.server).act("youtube", kind, ADA, **details).key

    async def until_pushed(self) -> Any:
        return await self.until(
            lambda one: (
                one["strategy"] == "webhook" and all(row["verified_at"] for row in one["registrations"])
            )
        )

    async def choose(self, **settings: Any) -> None:
        """Change what is watched, upon which everything is looked at anew."""
        answer = await self.viewer.send("PATCH", self.path, {"settings": settings})
        assert answer.status_code == 200, answer.text

    async def sync(self) -> None:
        assert (await self.viewer.send("POST", f"{self.path}/sync")).status_code == 202
        await self.clock.advance(1)


@asynccontextmanager
async def scene(folder: Path, config: str = YOUTUBE) -> AsyncIterator[Scene]:
    clock = FakeClock()
    async with (
        live_server(folder, config, clock=clock) as server,
        browser(server, await server.add_user("ann")) as viewer,
    ):
        found = Scene(server, viewer, clock, await viewer.connect("youtube", ADA))
        yield found


async def test_connecting_subscribes_every_channel_and_uploads_are_live(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        shown = await ada.until_pushed()
        assert {row["state"] for row in shown["registrations"]} == {"active"}
        assert len(shown["registrations"]) == len(list(ada.youtube.hub)) == 7
        assert shown["account"]["name"] == "Ottilie Otterbourne"
        lasts = [datetime.fromisoformat(row["expires_at"]) for row in shown["registrations"]]
        assert min(lasts) > ada.clock.now() + timedelta(days=9.9)
        told = await ada.until_told(ada.happen("upload", title="Knots & <splices>"), ada.happen("own_upload"))
        assert {event["via"] for event in told.values()} == {"webhook"}
        assert len(told) == 2  # nothing of what was there before
        assert "Knots & <splices>" in {event["data"]["title"] for event in told.values()}


async def test_edits_are_not_uploads_and_deletions_are_told(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        await ada.until_pushed()
        upload = ada.happen("upload")
        await ada.until_told(upload)
        video = upload.rpartition(":")[2]
        ada.happen("edit", video=video)
        ada.happen("edit", video="sbx000000o0")  # of last year
        await ada.clock.advance(5)
        told = await ada.until_told(ada.happen("delete", video=video))
        assert set(told) == {upload, f"youtube:video_deleted:{video}"}


async def test_likes_and_subscriptions_are_found_by_asking(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        await ada.until_pushed()
        await ada.clock.advance(60)
        new = ada.happen("subscribe")
        told = await ada.until_told(ada.happen("like"), new, step_seconds=60)
        assert {event["via"] for event in told.values()} == {"polling"}
        gone = ada.happen("unsubscribe", channel="UCsandboxChannel00000003")
        assert gone in await ada.until_told(gone, step_seconds=120)
        await ada.choose()
        channel = new.split(":")[3]
        shown = await ada.until(
            lambda one: f"channel:{channel}" in {row["target"] for row in one["registrations"]}
        )
        await ada.until_pushed()
        assert "channel:UCsandboxChannel00000003" not in {row["target"] for row in shown["registrations"]}
        upload = ada.happen("upload", channel=channel)
        assert (await ada.until_told(upload))[upload]["via"] == "webhook"


async def test_what_becomes_of_ones_own_playlists_is_found_by_asking(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        await ada.until_pushed()
        made = ada.happen("playlist_made", title="Rain")
        added = [ada.happen("playlist_added"), ada.happen("playlist_added")]
        told = await ada.until_told(made, *added, step_seconds=120)
        assert set(told) == {made, *added}
        assert told[added[0]]["data"]["playlist"]["title"] == "Rain"
        gone = ada.happen("playlist_deleted")
        assert set(await ada.until_told(gone, step_seconds=120)) == {made, *added, gone}


async def test_without_an_address_that_the_hub_reaches_everything_is_polled(tmp_path: Path) -> None:
    hub = "hub_url: https://pubsubhubbub.appspot.com/subscribe"
    async with scene(tmp_path, YOUTUBE.replace(OPTIONS, f"{OPTIONS}, {hub}")) as ada:
        shown = await ada.until(lambda one: one["strategy"] == "polling" and one["last_checked_at"])
        assert "can't reach" in shown["strategy_reason"]
        told = await ada.until_told(ada.happen("upload"), ada.happen("own_upload"), step_seconds=60)
        assert {event["via"] for event in told.values()} == {"polling"}
        assert all(event["data"]["video"]["duration_seconds"] for event in told.values())


async def test_pushed_and_polled_at_once_a_video_is_one_event(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        await ada.until_pushed()
        ada.youtube.faults.delay_webhooks_seconds = 1800
        ada.youtube.faults.duplicate_webhooks = 1.0
        upload = ada.happen("upload")
        await ada.sync()
        told = await ada.until_told(upload)
        assert told[upload]["via"] == "polling"
        await ada.until(lambda _: ada.youtube.deliveries(), step_seconds=60)
        delivered = len(ada.youtube.deliveries())
        for delivery in ada.youtube.deliveries():
            ada.youtube.redeliver(delivery["id"])
        await ada.until(lambda _: len(ada.youtube.deliveries()) >= 2 * delivered, step_seconds=60)
        assert ada.youtube.deliveries()[0]["status_code"] == 200
        assert set(await ada.told()) == {upload}


async def test_while_the_hub_is_down_channels_are_polled_and_then_pushed_again(tmp_path: Path) -> None:
    clock = FakeClock()
    async with (
        live_server(tmp_path, YOUTUBE, clock=clock) as server,
        browser(server, await server.add_user("ann")) as viewer,
    ):
        world(server).youtube.hub.is_down = True
        ada = Scene(server, viewer, clock, await viewer.connect("youtube", ADA))
        shown = await ada.until(lambda one: one["strategy"] == "polling" and one["last_checked_at"])
        assert "YouTube's hub can't be asked for subscriptions now" in shown["strategy_reason"]
        upload = ada.happen("upload")
        assert (await ada.until_told(upload, step_seconds=60))[upload]["via"] == "polling"
        ada.youtube.hub.is_down = False
        await ada.until(lambda one: one["strategy"] == "webhook", step_seconds=60)
        upload = ada.happen("upload")
        assert (await ada.until_told(upload))[upload]["via"] == "webhook"


async def test_leases_are_renewed_at_half_their_life_and_outlive_an_outage(tmp_path: Path) -> None:
    async with scene(tmp_path, YOUTUBE.replace(OPTIONS, "lease: 1h")) as ada:
        first = {row["id"]: row["expires_at"] for row in (await ada.until_pushed())["registrations"]}
        ada.youtube.hub.is_down = True
        shown = await ada.until(lambda one: "can't be asked" in str(one["attempts"]), step_seconds=300)
        assert shown["strategy"] == "webhook"
        upload = ada.happen("upload")  # what stands goes on
        assert (await ada.until_told(upload))[upload]["via"] == "webhook"
        ada.youtube.hub.is_down = False
        await ada.until(
            lambda one: all(row["expires_at"] > first[row["id"]] for row in one["registrations"]),
            step_seconds=60,
        )
        assert len(list(ada.youtube.hub)) == 7
        await ada.clock.advance(HOUR / 2)  # beyond the first lease
        upload = ada.happen("upload")
        assert (await ada.until_told(upload))[upload]["via"] == "webhook"


async def test_what_the_hub_lost_is_found_by_asking_and_it_is_asked_again(tmp_path: Path) -> None:
    async with scene(tmp_path, YOUTUBE.replace(OPTIONS, "poll_every: 30m, likes_every: 1h")) as ada:
        await ada.until_pushed()
        for hook in ada.youtube.hooks():
            ada.youtube.change_hook(hook["id"], "delete")
        for _ in range(2):
            upload = ada.happen("upload")  # what is younger than ten minutes may only be late
            assert (await ada.until_told(upload, step_seconds=300))[upload]["via"] == "polling"
        await ada.until(
            lambda one: one["strategy"] == "webhook" and len(list(ada.youtube.hub)) == 7, step_seconds=60
        )
        upload = ada.happen("upload")
        assert (await ada.until_told(upload))[upload]["via"] == "webhook"


async def test_what_the_hub_denies_is_polled_with_its_reason(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        await ada.until_pushed()
        denied, *_ = ada.youtube.hub
        ada.youtube.hub.deny(denied, "topic over quota")
        shown = await ada.until(lambda one: any(row["problem"] for row in one["registrations"]))
        assert "topic over quota" in str(shown["registrations"])
        upload = ada.happen(
            "upload" if "Channel" in denied.channel_id else "own_upload", channel=denied.channel_id
        )
        assert (await ada.until_told(upload, step_seconds=60))[upload]["via"] == "polling"


async def test_used_up_units_pause_everybody_until_midnight_in_california_over_a_restart(
    tmp_path: Path,
) -> None:
    midnight = datetime.fromisoformat("2026-01-02T08:00:00+00:00")
    clock = FakeClock(midnight - timedelta(minutes=10))
    async with (
        live_server(tmp_path, YOUTUBE, clock=clock) as server,
        browser(server, await server.add_user("ann")) as viewer,
    ):
        ada = Scene(server, viewer, clock, await viewer.connect("youtube", ADA))
        await ada.until_pushed()
        ada.youtube.api.units.limit = 0
        await ada.sync()
        shown = await ada.until(lambda one: one["limits"]["paused_until"])
        assert datetime.fromisoformat(shown["limits"]["paused_until"]) == midnight
        assert "quotaExceeded" in shown["limits"]["reason"]
        upload = ada.happen("upload")  # what is pushed costs nothing
        assert (await ada.until_told(upload))[upload]["via"] == "webhook"
    async with (
        live_server(tmp_path, YOUTUBE, clock=clock) as server,
        browser(server, await _user(server, "ann")) as viewer,
    ):
        ada = Scene(server, viewer, clock, ada.path.rpartition("/")[2])
        shown = await ada.until(lambda one: one["limits"]["paused_until"])
        assert datetime.fromisoformat(shown["limits"]["paused_until"]) == midnight
        await ada.sync()
        like = ada.happen("like")
        await clock.advance((midnight - clock.now()).total_seconds() - 10)
        assert ada.youtube.api.units.used(clock.now()) == 0  # of this world, in which nothing was paused
        assert like in await ada.until_told(like, step_seconds=10)


async def test_a_revoked_consent_asks_to_connect_again_and_nothing_is_lost(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        await ada.until_pushed()
        ada.youtube.consents.revoke(person=ADA)
        await ada.sync()
        await ada.until(lambda one: one["state"] == "needs_reauth", step_seconds=60)
        upload, like = ada.happen("upload"), ada.happen("like")
        assert (await ada.until_told(upload))[upload]["via"] == "webhook"  # it needs no consent
        connection = ada.path.rpartition("/")[2]
        assert await ada.viewer.connect("youtube", ADA, connection) == connection
        told = await ada.until_told(like, step_seconds=300)
        assert set(told) == {upload, like}


async def test_disconnecting_unsubscribes_every_channel(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        await ada.until_pushed()
        assert (await ada.viewer.send("DELETE", ada.path)).status_code == 202
        await ada.viewer.until(
            "/api/connections", lambda page: page["connections"] == [], clock=ada.clock, step_seconds=1
        )
        await ada.clock.advance(5)
        assert list(ada.youtube.hub) == []
        assert ada.youtube.consents.living(ADA) == []


async def test_a_forged_delivery_is_taken_and_thrown_away(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        shown = await ada.until_pushed()
        path = f"/api/webhooks/youtube/{shown['registrations'][0]['id']}"
        for headers in ({}, {"x-hub-signature": f"sha1={'0' * 40}"}):
            answer = await ada.server.client.post(path, content=b"<feed/>", headers=headers)
            assert answer.status_code == 202
        assert (await ada.server.client.post(f"{path}x", content=b"")).status_code == 410
        assert (await ada.server.client.get(f"{path}?hub.mode=subscribe")).status_code == 404
        assert await ada.told() == {}


async def test_choosing_channels_takes_the_other_subscriptions_away(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        await ada.until_pushed()
        chosen = next(one for one in ada.youtube.place.member(world(ada.server).person(ADA)).subscriptions)
        await ada.choose(channels=[chosen], own=False)
        shown = await ada.until(lambda one: len(one["registrations"]) == 1, step_seconds=10)
        await ada.clock.advance(5)
        assert [one.channel_id for one in ada.youtube.hub] == [chosen]
        assert [row["state"] for row in shown["registrations"]] == ["active"]


async def test_two_people_hear_of_one_upload_once_each(tmp_path: Path) -> None:
    async with scene(tmp_path) as ada:
        await ada.until_pushed()
        async with browser(ada.server, await ada.server.add_user("bo")) as viewer:
            bram = Scene(ada.server, viewer, ada.clock, await viewer.connect("youtube", BRAM))
            await bram.until_pushed()
            place = ada.youtube.place
            for person in (ADA, BRAM):
                place.member(world(ada.server).person(person)).subscriptions.setdefault(
                    "UCsandboxChannel00000030", ada.clock.now()
                )
            for one in (ada, bram):
                await one.choose()
                await one.until(lambda shown: len(shown["registrations"]) == 8)
                await one.until_pushed()
            upload = ada.happen("upload", channel="UCsandboxChannel00000030")
            for one in (ada, bram):
                assert upload in await one.until_told(upload)


async def _user(server: LiveServer, name: str) -> User:
    found = await server.services.database.read(partial(find_users, refs=[name]))
    return found[name]
