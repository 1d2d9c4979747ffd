"""Webhooks at the platform are as they are wanted: made, renewed, repaired, moved, removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripted import DAY, HOUR, PUBLIC_URL, Pushing, Watch, watching
from tidings.connections import set_settings
from tidings.errors import AuthExpired, Unavailable
from tidings.watching import HOOKS, request

pytestmark = pytest.mark.usefixtures("every_database")


async def check_now(watch: Watch) -> None:
    """Run the job `hooks` once."""
    connection = await watch.connection
    await watch.store.write(lambda sql: request(sql, connection, HOOKS, watch.clock.now()))
    await watch.pass_seconds(1)


async def test_each_target_gets_a_webhook_with_an_address_and_a_sealed_secret_of_its_own(
    tmp_path: Path,
) -> None:
    async with watching(tmp_path, targets=["a", "b"]) as watch:
        rows = await watch.rows
        assert sorted((row.target, row.state, row.problem) for row in rows) == [
            ("a", "active", ""),
            ("b", "active", ""),
        ]
        hooks = watch.remote.hooks.values()
        assert {hook.url for hook in hooks} == {
            f"{PUBLIC_URL}/api/webhooks/scripted/{row.id}" for row in rows
        }
        secrets = {hook.secret for hook in hooks}
        assert len(secrets) == 2
        stored = await watch.store.stored()
        assert not [secret for secret in secrets if secret.encode() in stored]


async def test_what_stands_is_checked_and_left_as_it_is_ever_more_rarely_down_to_once_a_day(
    tmp_path: Path,
) -> None:
    async with watching(tmp_path) as watch:
        await watch.pass_seconds(2 * DAY)
        assert watch.remote.calls.count("register a") == 1
        assert watch.remote.calls.count("check a") in {3, 4}
        await watch.pass_seconds(4 * DAY)
        assert watch.remote.calls.count("check a") in {7, 8}


async def test_what_fell_is_looked_after_every_six_hours_again(tmp_path: Path) -> None:
    async with watching(tmp_path) as watch:
        await watch.pass_seconds(4 * DAY)
        next(iter(watch.remote.hooks.values())).is_enabled = False
        for _ in range(30):
            if watch.remote.calls.count("register a") == 2:
                break
            await watch.pass_seconds(HOUR)
        before = watch.remote.calls.count("check a")
        await watch.pass_seconds(22 * HOUR)
        assert watch.remote.calls.count("check a") - before >= 2


async def test_a_crash_after_the_platform_made_the_webhook_leaves_one_with_a_known_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crashing(Pushing):
        crashes = True

        async def register(self, api, target, callback_url, secret):
            upstream = await super().register(api, target, callback_url, secret)
            if self.crashes:
                raise Unavailable("The process died before the answer.")
            return upstream

    async with watching(tmp_path, Crashing) as watch:
        (row,) = await watch.rows
        assert row.state == "wanted"
        Crashing.crashes = False
        await watch.pass_seconds(HOUR)
        (row,) = await watch.rows
        (hook,) = watch.remote.hooks.values()
        assert (row.state, row.upstream.id) == ("active", hook.id)
        await watch.happen()  # checks the secret
        assert len(await watch.entries(".thing")) == 1


async def test_a_lease_is_renewed_at_half_its_life(tmp_path: Path) -> None:
    async with watching(tmp_path, lease_seconds=DAY) as watch:
        await watch.pass_seconds(10 * DAY)
        assert 19 <= watch.remote.calls.count("register a") <= 24
        assert len(watch.remote.hooks) == 1
        assert await watch.changes() == [("", "webhook")]


async def test_where_a_webhook_can_not_last_longer_another_one_takes_over_without_a_gap(
    tmp_path: Path,
) -> None:
    class Replacing(Pushing):
        async def register(self, api, target, callback_url, secret):
            remote = self.remote
            before = dict(remote.hooks)
            remote.hooks.clear()
            made = await super().register(api, target, callback_url, secret)
            remote.hooks.update(before)
            return made

        async def renew(self, api, target, callback_url, secret, former):
            assert former.id in self.remote.hooks
            made = await self.register(api, target, callback_url, secret)
            await self.unregister(api, former)
            return made

    async with watching(tmp_path, Replacing, lease_seconds=DAY) as watch:
        (first,) = watch.remote.hooks
        await watch.pass_seconds(0.6 * DAY)
        (second,) = watch.remote.hooks
        (row,) = await watch.rows
        assert (first != second, row.upstream.id) == (True, second)
        await watch.happen()
        assert len(await watch.entries(".thing")) == 1
        assert await watch.changes() == [("", "webhook")]


async def test_one_that_is_gone_is_made_and_not_renewed(tmp_path: Path) -> None:
    class Strict(Pushing):
        async def renew(self, api, target, callback_url, secret, former):
            raise AssertionError("there is nothing to renew")

    async with watching(tmp_path, Strict) as watch:
        watch.remote.hooks.clear()
        await check_now(watch)
        assert len(watch.remote.hooks) == 1


async def test_a_target_that_is_no_longer_chosen_loses_its_webhook(tmp_path: Path) -> None:
    async with watching(tmp_path, targets=["a", "b"]) as watch:
        user_id = (await watch.connection).user_id
        await watch.store.write(lambda sql: set_settings(sql, user_id, watch.connection_id, {"only": ["b"]}))
        await check_now(watch)
        assert [row.target for row in await watch.rows] == ["b"]
        assert [hook.target for hook in watch.remote.hooks.values()] == ["b"]


async def test_an_outage_while_removing_is_made_up_for(tmp_path: Path) -> None:
    async with watching(tmp_path, targets=["a", "b"]) as watch:
        user_id = (await watch.connection).user_id
        await watch.store.write(lambda sql: set_settings(sql, user_id, watch.connection_id, {"only": ["b"]}))
        watch.remote.is_down = True
        await check_now(watch)
        assert len(watch.remote.hooks) == 2
        watch.remote.is_down = False
        await watch.pass_seconds(HOUR)
        assert [hook.target for hook in watch.remote.hooks.values()] == ["b"]


async def test_a_new_public_url_takes_the_webhooks_along(tmp_path: Path) -> None:
    async with watching(tmp_path) as watch:
        watch.hooking.public_url = "https://other.example.org"
        await check_now(watch)
        (hook,) = watch.remote.hooks.values()
        (row,) = await watch.rows
        assert hook.url == f"https://other.example.org/api/webhooks/scripted/{row.id}"
        await check_now(watch)
        assert watch.remote.calls[-1] == "check a"


async def test_a_webhook_that_the_platform_keeps_disabled_counts_as_none(tmp_path: Path) -> None:
    async with watching(tmp_path, disables=True) as watch:
        (row,) = await watch.rows
        assert row.problem == "The platform has disabled it."
        connection = await watch.connection
        assert connection.strategy == "polling"
        assert "Thing a: The platform has disabled it." in connection.strategy_reason


async def test_one_thing_that_fails_holds_up_none_of_the_others(tmp_path: Path) -> None:
    class Flaky(Pushing):
        async def register(self, api, target, callback_url, secret):
            if target.key == "a":
                raise Unavailable("The platform answers 500.")
            return await super().register(api, target, callback_url, secret)

    async with watching(tmp_path, Flaky, targets=["a", "b", "c"]) as watch:
        assert sorted(hook.target for hook in watch.remote.hooks.values()) == ["b", "c"]
        reason = (await watch.connection).strategy_reason
        assert reason == "A webhook watches 2 of 3; the others are asked. Thing a: The platform answers 500."


async def test_a_platform_that_asks_for_patience_is_left_alone(tmp_path: Path) -> None:
    class Patient(Pushing):
        asked = 0

        async def register(self, api, target, callback_url, secret):
            Patient.asked += 1
            raise Unavailable("Too many calls.", retry_after_seconds=600)

    async with watching(tmp_path, Patient, targets=list("abcdef")) as watch:
        await watch.pass_seconds(300)
        assert Patient.asked == 1
        assert len(watch.remote.hooks) == 0


async def test_disconnecting_removes_all_of_them(tmp_path: Path) -> None:
    async with watching(tmp_path, targets=["a", "b"]) as watch:
        await watch.hooking.unregister_all(await watch.connection)
        assert watch.remote.hooks == {}
        assert await watch.rows == []


async def test_disconnecting_with_a_dead_token_says_so_and_forgets_nothing(tmp_path: Path) -> None:
    class Dead(Pushing):
        async def unregister(self, api, upstream):
            raise AuthExpired("The token is dead.")

    async with watching(tmp_path, Dead) as watch:
        with pytest.raises(AuthExpired):
            await watch.hooking.unregister_all(await watch.connection)
        assert [row.state for row in await watch.rows] == ["removing"]


async def test_a_webhook_whose_making_was_broken_off_is_found_and_removed(tmp_path: Path) -> None:
    class Crashing(Pushing):
        crashes = True

        async def register(self, api, target, callback_url, secret):
            upstream = await super().register(api, target, callback_url, secret)
            if self.crashes:
                raise Unavailable("The process died before the answer.")
            return upstream

    async with watching(tmp_path, Crashing) as watch:
        assert len(watch.remote.hooks) == 1
        Crashing.crashes = False
        await watch.hooking.unregister_all(await watch.connection)
        assert watch.remote.hooks == {}
