"""What a platform sent to its common address and did not arrive is fetched from its log, for all whom it names."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from common_log import MINUTE, scene
from scripted import DAY, HOUR
from tidings.addressing import request_reach
from tidings.commoncomparison import compare, recall_compared
from tidings.contracts import AddressedDelivery, Api, Parsed, WebhookRequest
from tidings.errors import Rejected, Unavailable
from tidings.watching import recall

pytestmark = pytest.mark.usefixtures("every_database")


async def test_lost_deliveries_reach_everybody_whom_they_name_in_their_order_once(tmp_path: Path) -> None:
    async with scene(tmp_path) as one:
        ann, ben, cem = [
            await one.connect(*who)
            for who in (
                ("ann", "1", "installation:5"),
                ("ben", "2", "installation:5"),
                ("cem", "3", "installation:6"),
            )
        ]
        arrived = await one.send("installation:5", loses=False)
        lost = [await one.send("installation:5") for _ in range(3)]
        other = await one.send("installation:6")
        await one.compare_now()
        await one.compare_now()
        expected = [(arrived, "webhook"), *[(each, "recovery") for each in lost]]
        assert await one.told(ann) == expected
        assert await one.told(ben) == expected
        assert await one.told(cem) == [(other, "recovery")]
        assert len(one.fetched) == 4


async def test_what_reached_one_user_and_not_the_other_is_fetched_for_the_other(tmp_path: Path) -> None:
    async with scene(tmp_path) as one:
        ann, ben = [await one.connect(*who) for who in (("ann", "1", "i:5"), ("ben", "2"))]
        arrived = await one.send("i:5", loses=False)
        one.connector.addresses["2"] = ("i:5",)
        await one.store.write(lambda sql: request_reach(sql, one.find(sql, ben), one.store.clock.now()))
        await one.compare_now()
        assert await one.told(ann) == [(arrived, "webhook")]
        assert await one.told(ben) == [(arrived, "recovery")]


async def test_who_connected_later_has_nothing_from_before(tmp_path: Path) -> None:
    async with scene(tmp_path) as one:
        await one.send("installation:5")
        await one.pass_seconds(HOUR)
        ann = await one.connect("ann", "1", "installation:5")
        later = await one.send("installation:5")
        await one.compare_now()
        assert await one.told(ann) == [(later, "recovery")]
        assert len(one.fetched) == 1


async def test_a_line_that_names_nobody_is_asked_whom_it_is_for_until_it_is_too_old(tmp_path: Path) -> None:
    async with scene(tmp_path) as one:
        ann = await one.connect("ann", "1", "user:1", "installation:5")
        mine = await one.send("user:1", named=False)
        await one.send("user:9", named=False)  # a stranger
        for _ in range(9):
            await one.compare_now()
        assert await one.told(ann) == [(mine, "recovery")]
        assert one.fetched.count("fetch d1") == 2  # whom it is for, and then itself
        assert one.fetched.count("fetch d2") < 8


async def test_comparing_backs_off_from_fifteen_minutes_to_six_hours_and_returns_after_a_loss(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as one:
        ann = await one.connect("ann", "1", "installation:5")
        await one.store.write(one.recovery.request_all)
        await one.pass_seconds(1)
        assert 800 < (await one.due)["common_log"] < 1000
        await one.pass_seconds(2 * DAY)
        assert (await one.store.read(lambda sql: recall_compared(sql, "scripted"))).seconds == 6 * HOUR
        lost = await one.send("installation:5")
        await one.pass_seconds(7 * HOUR)
        assert await one.told(ann) == [(lost, "recovery")]
        connection = await one.store.read(lambda sql: one.find(sql, ann))
        assert recall(connection).missed == 1
        assert (await one.store.read(lambda sql: recall_compared(sql, "scripted"))).seconds < 6 * HOUR


async def test_after_a_delivery_that_could_not_be_taken_the_log_is_compared_in_a_minute(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as one:
        ann = await one.connect("ann", "1", "installation:5")
        lost = await one.send("installation:5")
        one.arrivals.failed_common("scripted")
        await one.pass_seconds(2 * MINUTE)
        assert await one.told(ann) == [(lost, "recovery")]


async def test_a_failure_noted_while_the_database_is_away_is_not_forgotten(tmp_path: Path) -> None:
    async with scene(tmp_path) as one:
        await one.connect("ann", "1", "installation:5")
        one.arrivals.failed_common("scripted")
        broken = one.store.writer.run_unit
        one.store.writer.run_unit = _away  # type: ignore[method-assign]  # the disk is full, say
        await one.arrivals.flush()
        one.store.writer.run_unit = broken  # type: ignore[method-assign]  # and has room again
        await one.arrivals.flush()
        assert "common_log" in await one.due


async def test_an_outage_in_the_middle_keeps_what_was_had_and_goes_on(tmp_path: Path) -> None:
    async with scene(tmp_path) as one:
        ann = await one.connect("ann", "1", "installation:5")
        lost = [await one.send("installation:5") for _ in range(2)]
        fetch = one.connector.fetch_common_delivery

        async def breaking(api: Api, logged: AddressedDelivery) -> WebhookRequest:
            one.remote.is_down = logged.delivery_id == "d2"
            return await fetch(api, logged)

        one.connector.fetch_common_delivery = breaking  # type: ignore[method-assign]  # this platform breaks down
        await one.compare_now()
        assert await one.told(ann) == [(lost[0], "recovery")]
        one.connector.fetch_common_delivery = fetch  # type: ignore[method-assign]  # and is back
        one.remote.is_down = False
        await one.pass_seconds(HOUR)
        assert await one.told(ann) == [(each, "recovery") for each in lost]


async def test_a_delivery_that_the_log_no_longer_shows_becomes_a_visible_gap_once(tmp_path: Path) -> None:
    async with scene(tmp_path) as one:
        ann = await one.connect("ann", "1", "installation:5")
        await one.send("installation:5")
        one.remote.log_forgets.add("d1")
        await one.compare_now()
        await one.compare_now()
        (told,) = await one.entries(ann, "connection.gap")
        assert b"no longer shows" in bytes(told.data)
        assert len(one.fetched) == 1


async def test_longer_away_than_the_log_reaches_is_told_to_those_who_were_here(tmp_path: Path) -> None:
    async with scene(tmp_path) as one:
        ann = await one.connect("ann", "1", "installation:5")
        await one.compare_now()
        await one.scheduler.stop()
        await one.store.clock.advance(5 * DAY)
        ben = await one.connect("ben", "2", "installation:5")
        job = cast("Any", type("Due", (), {"key": "scripted"})())
        await one.recovery.handle(job)
        (told,) = await one.entries(ann, "connection.gap")
        assert "the log reaches back 3d" in json.loads(bytes(told.data))["text"]
        assert await one.entries(ben, "connection.gap") == []


async def test_a_key_that_is_not_believed_is_told_to_the_operator_until_it_is(tmp_path: Path) -> None:
    async with scene(tmp_path) as one:
        await one.connect("ann", "1", "installation:5")
        one.connector.refusal = Rejected("Nobody knows this key.", status=401)
        await one.compare_now()
        component = one.health.component("deliveries/scripted")
        assert "Nobody knows this key." in component.reason
        assert (await one.due)["common_log"] > 5 * HOUR
        one.connector.refusal = None
        await one.compare_now()
        assert component.reason == ""


async def test_an_application_without_a_log_is_left_alone(tmp_path: Path) -> None:
    async with scene(tmp_path) as one:
        await one.connect("ann", "1", "installation:5")
        one.connector.has_log = False
        await one.compare_now()
        assert one.remote.calls == []
        one.connector.has_log, one.connector.refusal = True, Rejected("There is no webhook.", status=404)
        await one.compare_now()
        assert one.health.component("deliveries/scripted").reason == ""


async def test_a_connector_s_defect_costs_that_delivery_alone(tmp_path: Path) -> None:
    async with scene(tmp_path) as one:
        ann = await one.connect("ann", "1", "installation:5")
        parse = one.connector.parse

        def clumsy(request: WebhookRequest) -> Parsed:
            number = json.loads(request.body)["number"]
            if number == 1:
                raise ZeroDivisionError("a defect")
            if number == 2:
                raise Rejected("Nobody can read that.", status=400)
            return parse(request)

        one.connector.parse = clumsy  # type: ignore[method-assign]  # this connector has it
        lost = [await one.send("installation:5") for _ in range(3)]
        await one.compare_now()
        assert await one.told(ann) == [(lost[2], "recovery")]


async def test_a_comparison_counts_what_was_sent_to_somebody_here_and_what_is_held(tmp_path: Path) -> None:
    async with scene(tmp_path) as one:
        await one.connect("ann", "1", "installation:5")
        await one.send("installation:5", loses=False)
        await one.send("installation:5")
        await one.send("installation:9")  # of strangers
        now, nothing = one.store.clock.now(), cast("Any", None)
        found = await compare(
            one.connector,
            one.connector,
            nothing,
            "scripted",
            now - timedelta(days=1),
            now,
            one.store.database,
        )
        assert (found.sent, found.held) == (2, 1)


async def _away(_work: Any) -> Any:
    raise Unavailable("The database is away.")
