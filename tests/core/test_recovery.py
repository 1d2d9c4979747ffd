"""What a platform sent and we did not get is fetched from its log, once."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from scripted import DAY, HOUR, Logging, Watch, watching
from tidings.errors import Rejected
from tidings.jobs import Job
from tidings.recovery import compare
from tidings.watching import RECOVER, request

pytestmark = pytest.mark.usefixtures("every_database")
MINUTE = 60.0


async def recover_now(watch: Watch) -> None:
    """Run the job `recover` once, two minutes from now."""
    await watch.pass_seconds(2 * MINUTE)
    connection = await watch.connection
    await watch.store.write(lambda sql: request(sql, connection, RECOVER, watch.clock.now()))
    await watch.pass_seconds(1)


async def test_lost_deliveries_are_found_in_their_order_and_each_is_one_event(tmp_path: Path) -> None:
    async with watching(tmp_path) as watch:
        await watch.happen()
        watch.remote.loses = True
        for _ in range(3):
            await watch.happen()
            await watch.pass_seconds(1)
        watch.remote.loses = False
        await watch.happen()
        await recover_now(watch)
        await recover_now(watch)
        told = [(one.id.rpartition(":")[2], one.via) for one in await watch.entries(".thing")]
        assert told == [("0", "webhook"), ("4", "webhook"), *[(n, "recovery") for n in "123"]]


async def test_what_was_sent_again_is_one_event(tmp_path: Path) -> None:
    async with watching(tmp_path) as watch:
        watch.remote.loses = True
        await watch.happen()
        line, hook_id, body = watch.remote.log[0]
        watch.remote.log.append((line, hook_id, body))
        await recover_now(watch)
        assert len(await watch.entries(".thing")) == 1
        assert len([call for call in watch.remote.calls if call.startswith("fetch")]) == 1


async def test_comparing_backs_off_from_fifteen_minutes_to_six_hours_and_returns_after_a_loss(
    tmp_path: Path,
) -> None:
    async with watching(tmp_path) as watch:
        assert 700 < (await watch.due)["recover"] <= 990
        await watch.pass_seconds(2 * DAY)
        assert (await watch.memory).recover_seconds == 6 * HOUR
        watch.remote.loses = True
        await watch.happen()
        for _ in range(7 * 12):
            if await watch.entries(".thing"):
                break
            await watch.pass_seconds(5 * MINUTE)
        assert len(await watch.entries(".thing")) == 1
        assert (await watch.memory).recover_seconds <= HOUR / 2


async def test_a_delivery_that_may_still_be_on_its_way_is_left_alone(tmp_path: Path) -> None:
    async with watching(tmp_path) as watch:
        watch.remote.loses = True
        await watch.happen()
        connection = await watch.connection
        await watch.store.write(lambda sql: request(sql, connection, RECOVER, watch.clock.now()))
        await watch.pass_seconds(1)
        assert await watch.entries(".thing") == []
        await recover_now(watch)
        assert len(await watch.entries(".thing")) == 1


async def test_an_outage_in_the_middle_keeps_what_was_had_and_goes_on(tmp_path: Path) -> None:
    class Breaking(Logging):
        async def fetch_delivery(self, api, upstream, logged):
            request = await super().fetch_delivery(api, upstream, logged)
            if len([call for call in self.remote.calls if call.startswith("fetch")]) == 2:
                self.remote.is_down = True
                self.remote.call("broken")
            return request

    async with watching(tmp_path, Breaking) as watch:
        watch.remote.loses = True
        for _ in range(4):
            await watch.happen()
        await recover_now(watch)
        assert len(await watch.entries(".thing")) == 1
        watch.remote.is_down = False
        await watch.pass_seconds(HOUR)
        assert len(await watch.entries(".thing")) == 4


async def test_a_delivery_that_the_log_no_longer_shows_becomes_a_visible_gap_once(tmp_path: Path) -> None:
    async with watching(tmp_path) as watch:
        watch.remote.loses = True
        await watch.happen()
        watch.remote.log_forgets.add(watch.remote.log[0][0].delivery_id)
        await recover_now(watch)
        await recover_now(watch)
        (told,) = await watch.entries("connection.gap")
        assert b"no longer shows" in bytes(told.data)


async def test_longer_away_than_the_log_reaches_is_told_and_everything_is_asked_for(tmp_path: Path) -> None:
    async with watching(tmp_path) as watch:
        await watch.scheduler.stop()
        watch.remote.loses = True
        await watch.happen()
        await watch.clock.advance(5 * DAY)
        job = Job((await watch.connection).user_id, "recover", watch.connection_id, {}, "lease")
        await watch.recovery.handle(job)
        assert (await watch.memory).is_push is False
        (told,) = await watch.entries("connection.gap")
        assert "the log reaches back 3d" in json.loads(bytes(told.data))["text"]
        assert (await watch.due)["sync"] <= 0


async def test_a_log_that_is_gone_with_its_webhook_has_the_webhook_made_again(tmp_path: Path) -> None:
    async with watching(tmp_path) as watch:
        watch.remote.hooks.clear()
        await recover_now(watch)
        assert len(watch.remote.hooks) == 1


async def test_a_connector_s_defect_costs_that_delivery_alone(tmp_path: Path) -> None:
    class Clumsy(Logging):
        def parse(self, request):
            said = json.loads(request.body)
            if said["number"] == 0:
                raise ZeroDivisionError("a defect")
            if said["number"] == 1:
                raise Rejected("Nobody can read that.", status=400)
            return super().parse(request)

    async with watching(tmp_path, Clumsy) as watch:
        watch.remote.loses = True
        for _ in range(3):
            await watch.happen()
        await recover_now(watch)
        assert [one.id for one in await watch.entries(".thing")] == ["scripted:thing:2"]


async def test_an_audit_counts_what_was_sent_and_what_is_held(tmp_path: Path) -> None:
    async with watching(tmp_path) as watch:
        await watch.happen()
        watch.remote.loses = True
        await watch.happen()
        await watch.happen()
        (row,) = await watch.rows
        now = watch.clock.now()
        since = now - datetime.timedelta(days=1)
        compared = await compare(watch.connector, None, row, since, now, watch.store.database)  # type: ignore[arg-type] - the script needs no API
        assert (compared.sent, compared.held, len(compared.missing)) == (3, 1, 2)
        earlier = now - datetime.timedelta(hours=1)
        compared = await compare(watch.connector, None, row, since, earlier, watch.store.database)  # type: ignore[arg-type] - the same
        assert (compared.sent, compared.held) == (0, 0)


@pytest.mark.parametrize("signal", ["verified", "removed", "revoked", "", "unheard of"])
async def test_what_a_delivery_says_about_the_webhook_itself_is_acted_upon(
    tmp_path: Path, signal: str
) -> None:
    async with watching(tmp_path) as watch:
        await watch.pass_seconds(HOUR)
        if signal == "removed":
            await watch.happen(signal="verified")
            (hook,) = watch.remote.hooks.values()
            watch.remote.hooks.clear()
            await watch.deliver(hook, signal=signal)
            await watch.pass_seconds(1)
            assert len(watch.remote.hooks) == 1  # made again at once
            assert await watch.changes() == [("", "webhook")]
            return
        await watch.happen(signal=signal)
        (row,) = await watch.rows
        assert (row.verified_at == watch.clock.now()) is (signal == "verified")
        assert [grant for grant, _ in watch.parked] == (["grt"] if signal == "revoked" else [])


async def test_that_a_webhook_delivers_is_written_down_now_and_then(tmp_path: Path) -> None:
    async with watching(tmp_path) as watch:
        await watch.happen()
        (row,) = await watch.rows
        assert row.last_delivery_at is None
        await watch.arrivals.flush()
        (row,) = await watch.rows
        assert row.last_delivery_at == watch.clock.now()
        assert (await watch.connection).last_event_at == watch.clock.now()


async def test_a_delivery_that_could_not_be_taken_is_looked_for_soon(tmp_path: Path) -> None:
    async with watching(tmp_path) as watch:
        await watch.pass_seconds(2 * DAY)
        watch.remote.loses = True
        await watch.happen()
        watch.arrivals.failed((await watch.connection).user_id, watch.connection_id)
        await watch.arrivals.flush()
        await watch.pass_seconds(2 * MINUTE)
        assert len(await watch.entries(".thing")) == 1
