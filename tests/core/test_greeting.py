"""Platforms that ask an address back before they deliver, on a real server; and registrations that accounts share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from scripted import HOUR, Pushing, Watch, watching
from tidings.connectors import Target, Upstream
from tidings.contracts import Api
from tidings.upstreams import (
    ACTIVE,
    REMOVING,
    WANTED,
    PlatformRegistration,
    find_platform_registration,
    note_failure,
    note_greeted,
    note_removing,
)
from tidings.watching import denied, greeted

pytestmark = pytest.mark.usefixtures("every_database")
LEASE = timedelta(days=10)


class Asking(Pushing):
    """A hub: what is asked of it is done once it has asked back."""

    async def register(self, api: Api, target: Target, callback_url: str, secret: str) -> Upstream:
        self.remote.call(f"register {target.key}")
        return Upstream(id=callback_url, target=target, kinds=frozenset({"thing"}), is_pending=True)

    async def check(self, api: Api, upstream: Upstream) -> Upstream:
        return upstream


class Sharing(Pushing):
    """One registration of a target serves all who asked for it."""

    shares_upstream = True


@pytest.fixture
async def watch(tmp_path: Path) -> AsyncIterator[Watch]:
    async with watching(tmp_path, Asking) as watch:
        yield watch


async def ask_back(watch: Watch, lease: timedelta = LEASE) -> None:
    (row,) = await watch.rows
    now = watch.clock.now()

    def work(sql: Any) -> None:
        note_greeted(sql, row.id, now + lease, now)
        greeted(sql, row, now)

    await watch.store.write(work)


def registered(watch: Watch) -> int:
    return watch.remote.calls.count("register a")


async def test_a_registration_works_once_the_platform_has_asked_back(watch: Watch) -> None:
    (row,) = await watch.rows
    assert (row.state, row.delivers(watch.clock.now())) == (WANTED, False)
    await watch.pass_seconds(300)
    assert (await watch.connection).strategy == "polling"
    assert "not confirmed" in (await watch.connection).strategy_reason
    await ask_back(watch)
    await watch.pass_seconds(60)
    (row,) = await watch.rows
    assert (row.state, row.delivers(watch.clock.now())) == (ACTIVE, True)
    assert (await watch.connection).strategy == "webhook"
    assert (await watch.memory).problem == ""


async def test_one_that_is_not_confirmed_is_asked_for_again_by_and_by(watch: Watch) -> None:
    await watch.pass_seconds(20 * 60)
    assert registered(watch) == 1
    await watch.pass_seconds(24 * HOUR)
    assert 2 <= registered(watch) <= 50


async def test_the_lease_is_the_one_that_was_granted_and_is_renewed_at_half_its_life(watch: Watch) -> None:
    await ask_back(watch)
    await watch.pass_seconds(HOUR)
    (row,) = await watch.rows
    assert row.expires_at == row.renewed_at + LEASE if row.renewed_at is not None else False
    await watch.pass_seconds(4.5 * 24 * HOUR)
    assert registered(watch) == 1
    await watch.pass_seconds(1 * 24 * HOUR)
    assert registered(watch) > 1
    (row,) = await watch.rows
    assert row.delivers(watch.clock.now())  # the old lease holds while the new one is not confirmed
    await ask_back(watch)
    before = registered(watch)
    await watch.pass_seconds(4 * 24 * HOUR)
    assert registered(watch) == before


async def test_a_renewal_that_is_never_confirmed_is_noticed_before_the_lease_ends(watch: Watch) -> None:
    await ask_back(watch)
    await watch.pass_seconds(9.5 * 24 * HOUR)
    assert await watch.entries("attention")
    await watch.pass_seconds(24 * HOUR)
    assert (await watch.connection).strategy == "polling"


async def test_one_that_is_denied_each_time_is_asked_for_again_by_and_by(watch: Watch) -> None:
    def deny(sql: Any, row: PlatformRegistration) -> None:
        note_failure(sql, row.id, "The hub says no.", watch.clock.now())
        denied(sql, row, watch.clock.now())

    await ask_back(watch)
    await watch.pass_seconds(HOUR)
    assert (await watch.connection).strategy == "webhook"
    before = registered(watch)
    for _ in range(12 * 12):
        (row,) = await watch.rows
        if row.upstream is not None:
            await watch.store.write(partial(deny, row=row))
        await watch.pass_seconds(300)
    assert 2 <= registered(watch) - before <= 30
    assert (await watch.connection).strategy == "polling"


async def live(watch: Watch, hours: int) -> None:
    """Let time pass, in which the hub asks back whenever it was asked."""
    for _ in range(hours * 20):
        (row,) = await watch.rows
        if row.checked_at is not None and (row.renewed_at is None or row.renewed_at < row.checked_at):
            await ask_back(watch)
        await watch.pass_seconds(180)


async def test_one_in_doubt_is_made_again_once_however_long_nothing_is_delivered(watch: Watch) -> None:
    await live(watch, hours=1)
    assert (await watch.connection).strategy == "webhook"
    before = registered(watch)
    await watch.happen()  # nothing delivers it
    await live(watch, hours=30)
    assert (await watch.memory).doubts == 1
    assert registered(watch) - before == 1


async def test_one_that_is_made_again_in_vain_is_left_in_peace_for_ever_longer(watch: Watch) -> None:
    await live(watch, hours=1)
    before = registered(watch)
    counts = []
    for _ in range(4):
        for _ in range(12):
            await watch.happen()
            await live(watch, hours=2)
        counts.append(registered(watch) - before)
        before = registered(watch)
    assert 2 <= counts[0] + counts[1] <= 8  # of 24 occasions
    assert counts[3] <= 2  # of 12


async def test_a_registration_is_found_for_its_own_platform_alone(watch: Watch) -> None:
    (row,) = await watch.rows

    async def find(platform: str, ref: str) -> PlatformRegistration | None:
        return await watch.store.read(lambda sql: find_platform_registration(sql, platform, ref))

    assert (found := await find("scripted", row.id)) is not None
    assert found.target == "a"
    assert await find("other", row.id) is None
    assert await find("scripted", "whkaaaaaaaaaaaaaaaaaaaaaaaa") is None
    await watch.store.write(lambda sql: note_removing(sql, row.id))
    assert (found := await find("scripted", row.id)) is not None
    assert found.state == REMOVING
    await watch.store.write(lambda sql: note_failure(sql, row.id, "denied", watch.clock.now()))


async def test_what_connections_share_at_the_platform_goes_with_the_last_of_them(tmp_path: Path) -> None:
    async with watching(tmp_path, Sharing) as watch:
        first = watch.connection_id, watch.user_id
        await watch.connect((await watch.store.add_user("bert")).id)
        await watch.pass_seconds(60)
        assert watch.remote.calls.count("register a") == 2
        second = await watch.connection
        await watch.hooking.unregister_all(second)
        assert "unregister a" not in watch.remote.calls
        watch.connection_id, watch.user_id = first
        await watch.hooking.unregister_all(await watch.connection)
        assert watch.remote.calls.count("unregister a") == 1
