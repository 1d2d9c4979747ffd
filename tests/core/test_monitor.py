"""How a connection is watched, and why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import delete

from scripted import DAY, HOUR, POLL_SECONDS, Logging, Pollable, Pushing, Watch, watching
from tidings.contracts import Keys, Receives
from tidings.schema import jobs
from tidings.watching import HOOKS, request
from tidings_strategies.polling import Polling

pytestmark = pytest.mark.usefixtures("every_database")
MINUTE = 60.0


async def test_the_best_strategy_that_works_is_chosen_and_told_once_with_its_reason(tmp_path: Path) -> None:
    async with watching(tmp_path) as watch:
        connection = await watch.connection
        assert connection.strategy == "webhook"
        assert connection.strategy_reason == "A webhook watches it."
        (told,) = await watch.entries("strategy_changed")
        data = json.loads(bytes(told.data))
        assert (data["before"], data["strategy"], data["reason"]) == ("", "webhook", "A webhook watches it.")
        assert data["title"] == "Scripted: octo is now watched by webhook"
        assert told.connection_id == watch.connection_id
        assert set(await watch.due) == {"monitor", "hooks", "recover", "sync"}


async def test_a_platform_that_pushes_nothing_is_asked(tmp_path: Path) -> None:
    async with watching(tmp_path, Pollable) as watch:
        connection = await watch.connection
        assert connection.strategy == "polling"
        assert (
            connection.strategy_reason == "It is asked every 6h. Not by webhook: Scripted sends no webhooks."
        )
        assert set(await watch.due) == {"monitor", "sync"}


async def test_an_address_that_the_platform_cannot_reach_is_asked_for_nothing(tmp_path: Path) -> None:
    async with watching(tmp_path, public_url="http://127.0.0.1:8080") as watch:
        connection = await watch.connection
        assert connection.strategy == "polling"
        assert "can't reach http://127.0.0.1:8080/api/webhooks/scripted" in connection.strategy_reason
        assert watch.remote.hooks == {}


async def test_where_no_webhook_may_be_made_it_is_asked_and_the_reason_says_so(tmp_path: Path) -> None:
    async with watching(tmp_path, refuses={"a"}) as watch:
        connection = await watch.connection
        assert connection.strategy == "polling"
        assert connection.strategy_reason == (
            "It is asked every 6h. Not by webhook: Thing a: You are no admin there."
        )
        assert await watch.changes() == [("", "polling")]


async def test_a_way_that_opens_later_is_found_within_the_back_off(tmp_path: Path) -> None:
    async with watching(tmp_path, refuses={"a"}) as watch:
        await watch.pass_seconds(2 * DAY)
        tries = watch.remote.calls.count("register a")
        assert 11 <= tries <= 20  # 5, 10, 20, … minutes, then every 6 hours
        watch.remote.refuses.clear()
        await watch.pass_seconds(6 * HOUR)
        assert (await watch.connection).strategy == "webhook"
        assert await watch.changes() == [("", "polling"), ("polling", "webhook")]


async def test_a_new_consent_has_everything_tried_at_once(tmp_path: Path) -> None:
    async with watching(tmp_path, refuses={"a"}) as watch:
        await watch.pass_seconds(2 * DAY)
        watch.remote.refuses.clear()
        await watch.heal()
        await watch.pass_seconds(1)
        assert (await watch.connection).strategy == "webhook"


async def test_what_has_no_webhook_is_asked_for_at_the_polling_cadence(tmp_path: Path) -> None:
    async with watching(tmp_path, targets=["a", "b", "c"], refuses={"b"}) as watch:
        connection = await watch.connection
        assert connection.strategy == "webhook"
        assert connection.strategy_reason == (
            "A webhook watches 2 of 3; the others are asked. Thing b: You are no admin there."
        )
        await watch.pass_seconds(3 * DAY)
        assert (await watch.memory).sync_seconds == POLL_SECONDS
        assert len(await watch.changes()) == 1


async def test_under_a_webhook_that_misses_nothing_asking_backs_off_to_once_a_day(tmp_path: Path) -> None:
    async with watching(tmp_path, Pushing) as watch:
        assert (await watch.memory).sync_seconds == POLL_SECONDS
        await watch.pass_seconds(3 * DAY)
        assert (await watch.memory).sync_seconds == DAY
        polls = watch.remote.calls.count("poll")
        await watch.pass_seconds(4 * DAY)
        assert watch.remote.calls.count("poll") - polls in {3, 4, 5}


async def test_deliveries_that_stop_while_asking_finds_news_make_it_fall_back(tmp_path: Path) -> None:
    async with watching(tmp_path, Pushing) as watch:
        await watch.happen()
        watch.remote.loses = True
        for _ in range(30):
            await watch.pass_seconds(HOUR)
            await watch.happen()
        assert (await watch.changes())[:2] == [("", "webhook"), ("webhook", "polling")]
        told = json.loads(bytes((await watch.entries("strategy_changed"))[1].data))
        assert "Nothing is delivered any more" in told["reason"]


async def test_a_webhook_that_delivers_again_is_trusted_at_once(tmp_path: Path) -> None:
    async with watching(tmp_path, Pushing) as watch:
        await fall(watch)
        watch.remote.loses = False
        await watch.happen()
        await watch.pass_seconds(MINUTE)
        assert (await watch.connection).strategy == "webhook"


async def test_falling_again_and_again_is_told_ever_more_rarely(tmp_path: Path) -> None:
    async with watching(tmp_path) as watch:
        watch.remote.loses = True
        for _ in range(4 * 24):
            await watch.pass_seconds(HOUR)
            await watch.happen()
        assert len(await watch.changes()) < 40
        everything = {one.id for one in await watch.entries(".thing")}
        await watch.pass_seconds(6 * HOUR)
        everything = {one.id for one in await watch.entries(".thing")}
        assert len(everything) == 4 * 24  # nothing was lost meanwhile


async def test_one_outage_of_ours_changes_nothing(tmp_path: Path) -> None:
    async with watching(tmp_path) as watch:
        watch.remote.loses = True
        for _ in range(5):
            await watch.happen()
        watch.remote.loses = False
        await watch.pass_seconds(DAY)
        assert len(await watch.entries(".thing")) == 5
        assert await watch.changes() == [("", "webhook")]


async def fall(watch: Watch) -> None:
    """Lose deliveries until polling is in force."""
    watch.remote.loses = True
    while (await watch.connection).strategy == "webhook":
        await watch.happen()
        await watch.pass_seconds(HOUR)


@pytest.mark.parametrize("damage", ["deleted", "disabled"])
async def test_a_webhook_that_somebody_removed_or_disabled_is_repaired_without_a_change(
    tmp_path: Path, damage: str
) -> None:
    async with watching(tmp_path) as watch:
        if damage == "deleted":
            watch.remote.hooks.clear()
        else:
            next(iter(watch.remote.hooks.values())).is_enabled = False
        await watch.pass_seconds(7 * HOUR)
        (hook,) = watch.remote.hooks.values()
        assert hook.is_enabled
        await watch.happen()
        assert len(await watch.entries(".thing")) == 1
        assert await watch.changes() == [("", "webhook")]


async def test_a_webhook_that_can_not_be_repaired_makes_it_fall_back(tmp_path: Path) -> None:
    async with watching(tmp_path) as watch:
        watch.remote.hooks.clear()
        watch.remote.refuses.add("a")
        await watch.pass_seconds(7 * HOUR)
        assert await watch.changes() == [("", "webhook"), ("webhook", "polling")]
        assert "Thing a: You are no admin there." in (await watch.connection).strategy_reason


async def test_a_lease_that_lapses_is_warned_of_once_and_makes_it_fall_back(tmp_path: Path) -> None:
    async with watching(tmp_path, lease_seconds=DAY) as watch:
        watch.remote.is_down = True
        await watch.pass_seconds(20 * HOUR)
        (told,) = await watch.entries("connection.attention")
        assert b"Thing a" in bytes(told.data)
        assert await watch.changes() == [("", "webhook")]
        await watch.pass_seconds(5 * HOUR)
        assert await watch.changes() == [("", "webhook"), ("webhook", "polling")]
        watch.remote.is_down = False
        await watch.pass_seconds(6 * HOUR)
        assert (await watch.connection).strategy == "webhook"
        assert len(await watch.entries("connection.attention")) == 1


async def test_a_source_quiet_beyond_its_rhythm_is_told_once_and_asked_more_often(tmp_path: Path) -> None:
    async with watching(tmp_path, Pushing) as watch:
        for _ in range(10):
            await watch.happen()
            await watch.pass_seconds(12 * HOUR)
        await watch.pass_seconds(22 * HOUR)
        assert await watch.entries("connection.quiet") == []
        assert (await watch.memory).sync_seconds > POLL_SECONDS
        await watch.pass_seconds(2 * DAY)
        assert len(await watch.entries("connection.quiet")) == 1
        assert (await watch.memory).sync_seconds == POLL_SECONDS
        await watch.pass_seconds(10 * DAY)
        assert len(await watch.entries("connection.quiet")) == 1
        await watch.happen()
        await watch.pass_seconds(10 * DAY)
        assert len(await watch.entries("connection.quiet")) == 2


async def test_a_source_without_a_rhythm_is_never_called_quiet(tmp_path: Path) -> None:
    async with watching(tmp_path) as watch:
        await watch.happen()
        await watch.pass_seconds(10 * DAY)
        assert await watch.entries("connection.quiet") == []


async def test_a_strategy_taken_out_of_the_configuration_takes_its_webhooks_along(tmp_path: Path) -> None:
    async with watching(tmp_path) as watch:
        assert watch.remote.hooks
        watch.monitor._strategies = [Polling()]
        await watch.pass_seconds(14 * HOUR)
        assert watch.remote.hooks == {}
        assert await watch.rows == []
        assert set(await watch.due) == {"monitor", "sync"}
        assert (await watch.changes())[-1] == ("webhook", "polling")


async def test_without_any_strategy_the_connection_says_so(tmp_path: Path) -> None:
    async with watching(tmp_path, strategies=[]) as watch:
        connection = await watch.connection
        assert (connection.strategy, await watch.changes()) == ("", [])
        assert connection.strategy_reason.startswith("No strategy is loaded.")


async def test_a_strategy_with_a_defect_leaves_the_others_to_work(tmp_path: Path) -> None:
    class Broken(Polling):
        name = "broken"
        priority = 99

        def health(self, state, now):
            raise RuntimeError("a defect")

    async with watching(tmp_path, Pollable, [Broken(), Polling()]) as watch:
        connection = await watch.connection
        assert connection.strategy == "polling"
        assert "Not by broken: It fails (RuntimeError); the log has it." in connection.strategy_reason


async def test_a_connection_that_needs_consent_is_left_alone_until_it_is_healed(tmp_path: Path) -> None:
    async with watching(tmp_path) as watch:
        await watch.park()
        await watch.pass_seconds(2 * DAY)
        assert await watch.due == {}
        await watch.heal()
        await watch.pass_seconds(1)
        assert set(await watch.due) == {"monitor", "hooks", "recover", "sync"}
        assert await watch.changes() == [("", "webhook")]


async def test_a_start_of_the_server_looks_at_everything_and_brings_back_lost_jobs(tmp_path: Path) -> None:
    async with watching(tmp_path, Logging) as watch:
        watch.remote.loses = True
        await watch.happen()
        await watch.store.write(lambda sql: sql.execute(delete(jobs)))
        await watch.clock.advance(HOUR)
        await watch.monitor.start()
        await watch.pass_seconds(1)
        assert set(await watch.due) == {"monitor", "hooks", "recover", "sync"}
        assert len(await watch.entries(".thing")) == 1


async def test_while_a_new_connection_s_platform_is_down_it_is_polled_and_not_decided_for_long(
    tmp_path: Path,
) -> None:
    async with watching(tmp_path, is_down=True) as watch:
        assert (await watch.connection).strategy == ""
        assert "sync" in await watch.due
        await watch.pass_seconds(5 * MINUTE)
        assert await watch.changes() == [("", "polling")]
        watch.remote.is_down = False
        await watch.pass_seconds(HOUR)
        assert await watch.changes() == [("", "polling"), ("polling", "webhook")]


async def test_what_fell_a_moment_ago_is_not_trusted_at_once_though_it_seems_to_work(tmp_path: Path) -> None:
    async with watching(tmp_path) as watch:
        watch.remote.refuses.add("a")
        watch.remote.hooks.clear()
        await check_hooks(watch)
        assert (await watch.connection).strategy == "polling"
        watch.remote.refuses.clear()
        await check_hooks(watch)
        assert len(watch.remote.hooks) == 1
        connection = await watch.connection
        assert connection.strategy == "polling"
        assert "webhook must prove itself" in connection.strategy_reason
        await watch.pass_seconds(5 * MINUTE)
        assert (await watch.connection).strategy == "webhook"


async def check_hooks(watch: Watch) -> None:
    connection = await watch.connection
    await watch.store.write(lambda sql: request(sql, connection, HOOKS, watch.clock.now()))
    await watch.pass_seconds(1)


class Addressing(Pollable, Receives):
    """A connector whose platform sends to one address for all its accounts."""

    shared_keys = Keys((b"secret",))
    verify = Pushing.verify
    parse = Pushing.parse
    sample = Pushing.sample


async def test_a_common_address_is_relied_on_once_it_delivers(tmp_path: Path) -> None:
    async with watching(tmp_path, Addressing) as watch:
        assert (await watch.connection).strategy == "polling"
        await watch.pass_seconds(HOUR)
        user_id = (await watch.connection).user_id
        watch.arrivals.delivered(user_id, watch.connection_id, "", watch.clock.now(), has_news=True)
        await watch.pass_seconds(1)
        connection = await watch.connection
        assert connection.strategy == "webhook"
        assert connection.strategy_reason == "Scripted sends its news to the common address."
        assert set(await watch.due) == {"monitor", "sync"}


async def test_after_a_start_what_the_common_address_brings_is_asked_for_if_there_is_no_log_of_it(
    tmp_path: Path,
) -> None:
    async with watching(tmp_path, Addressing) as watch:
        user_id = (await watch.connection).user_id
        watch.arrivals.delivered(user_id, watch.connection_id, "", watch.clock.now(), has_news=True)
        await watch.pass_seconds(HOUR)
        assert (await watch.memory).is_push
        asked = watch.remote.calls.count("poll")
        await watch.monitor.start()
        await watch.pass_seconds(MINUTE)
        assert watch.remote.calls.count("poll") == asked + 1


async def test_after_a_start_what_stands_in_a_log_is_not_asked_for_besides(tmp_path: Path) -> None:
    async with watching(tmp_path, Logging) as watch:
        await watch.pass_seconds(HOUR)
        asked = watch.remote.calls.count("poll")
        await watch.monitor.start()
        await watch.pass_seconds(MINUTE)
        assert watch.remote.calls.count("poll") == asked
