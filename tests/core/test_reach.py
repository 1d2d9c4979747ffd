"""By which addresses a platform's deliveries name an account is asked again, and at once where a delivery says so."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from common_log import MINUTE, scene
from scripted import HOUR
from tidings.addressing import reached, request_reach
from tidings.commoncomparison import recall_compared
from tidings.connections import set_state
from tidings.contracts import Account, Api
from tidings.reach import request_all

pytestmark = pytest.mark.usefixtures("every_database")


async def test_what_was_learnt_to_be_somebody_s_meanwhile_is_compared_again(tmp_path: Path) -> None:
    async with scene(tmp_path) as one:
        ann = await one.connect("ann", "1", "user:1")
        await one.pass_seconds(HOUR)
        ignored = await one.send("installation:9", loses=False)
        for _ in range(10):
            await one.compare_now()
        assert await one.told(ann) == []
        one.connector.addresses["1"] = ("user:1", "installation:9")
        created = await one.send("user:1", "installation:9", named=False, signal="reach")
        await one.compare_now()
        await one.pass_seconds(1)
        assert await one.told(ann) == [(created, "recovery"), (ignored, "recovery")]
        assert (await one.store.read(lambda sql: recall_compared(sql, "scripted"))).again_since is None


async def test_a_delivery_says_that_the_reach_has_changed_and_the_addresses_follow(tmp_path: Path) -> None:
    async with scene(tmp_path) as one:
        ann = await one.connect("ann", "1", "user:1", "installation:5")
        one.connector.addresses["1"] = ("user:1", "installation:6")
        await one.send("user:1", loses=False, signal="reach")
        await one.pass_seconds(1)
        known = await one.store.read(lambda sql: reached(sql, "scripted"))
        assert {address: [each.connection_id for each in ones] for address, ones in known.items()} == {
            "user:1": [ann],
            "installation:6": [ann],
        }
        assert 5 * HOUR < (await one.due)["reach"] < 7 * HOUR


async def test_after_a_start_every_account_is_asked_for_its_addresses(tmp_path: Path) -> None:
    async with scene(tmp_path) as one:
        await one.connect("ann", "1", "user:1")
        await one.connect("ben", "2")  # has none, so none will come by a signal either
        await one.store.write(lambda sql: request_all(sql, one.store.clock.now()))
        await one.pass_seconds(MINUTE)
        assert one.remote.calls.count("identify") == 1


async def test_it_is_asked_again_every_six_hours_for_as_long_as_the_account_works(tmp_path: Path) -> None:
    async with scene(tmp_path) as one:
        ann = await one.connect("ann", "1", "user:1")
        await one.store.write(lambda sql: request_all(sql, one.store.clock.now()))
        await one.pass_seconds(26.5 * HOUR)  # a tenth sooner or later each time
        assert one.remote.calls.count("identify") == 5
        end = partial(set_state, state="needs_reauth", reason="It ended.", user_id=one.owners[ann])
        await one.store.write(lambda sql: end(sql, ann))
        await one.pass_seconds(25 * HOUR)
        assert one.remote.calls.count("identify") == 5
        assert "reach" not in await one.due or (await one.due)["reach"] > 1e9


async def test_what_another_account_reaches_is_not_for_this_one(tmp_path: Path) -> None:
    async with scene(tmp_path) as one:
        ann = await one.connect("ann", "1", "user:1")

        async def somebody_else(api: Api) -> Account:
            return Account("2", "other", addresses=("user:2",))

        one.connector.identify = somebody_else  # type: ignore[method-assign]  # the token is another's
        await one.store.write(lambda sql: request_reach(sql, one.find(sql, ann), one.store.clock.now()))
        await one.pass_seconds(MINUTE)
        assert list(await one.store.read(lambda sql: reached(sql, "scripted"))) == ["user:1"]
