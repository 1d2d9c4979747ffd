"""What is made to go wrong goes wrong, as often as was said and no more."""

from datetime import timedelta

import anyio
import httpx
import pytest

from tidings_sandbox.faults import Fault

OTTILIE = "ottilie-otterbourne"
ME = "/sandbox/spotify/v1/me"


@pytest.fixture
async def me(http, spotify):
    """Calls `/v1/me`."""
    tokens = await spotify.connect()
    headers = {"authorization": f"Bearer {tokens['access_token']}"}

    async def call() -> httpx.Response:
        return await http.get(ME, headers=headers)

    return call


@pytest.mark.parametrize("status", [429, 500, 502])
async def test_an_error_hits_as_many_requests_as_was_said(world, me, status):
    world.spotify.faults.add(Fault("error", status=status, remaining=2, retry_after_seconds=7))
    answers = [await me() for _ in range(3)]
    assert [answer.status_code for answer in answers] == [status, status, 200]
    assert answers[0].headers["retry-after"] == "7"


async def test_a_fault_ends_at_its_instant(world, clock, me):
    world.spotify.faults.add(Fault("error", until=clock.now() + timedelta(seconds=60)))
    await clock.advance(59)
    assert (await me()).status_code == 500
    await clock.advance(1)
    assert (await me()).status_code == 200
    assert world.spotify.faults.active() == []


async def test_a_share_of_requests_is_hit(world, me):
    world.spotify.calls_per_window = world.spotify.calls_per_day = 10**6
    world.spotify.faults.add(Fault("error", probability=0.3))
    hits = [(await me()).status_code == 500 for _ in range(400)]
    assert 80 < sum(hits) < 160


async def test_a_fault_can_be_meant_for_one_path(world, me, spotify):
    tokens = await spotify.connect()
    world.spotify.faults.add(Fault("error", status=503, path="/api/token"))
    assert (await me()).status_code == 200
    assert (await spotify.refresh(tokens["refresh_token"])).status_code == 503


async def test_a_fault_can_be_meant_for_what_a_request_is_about(world, me, spotify):
    tokens = await spotify.connect()
    world.spotify.faults.add(Fault("error", status=503, sort="api"))
    assert (await me()).status_code == 503
    assert (await spotify.refresh(tokens["refresh_token"])).status_code == 200


async def test_garbage_is_a_page_that_pretends_to_be_well(world, me):
    world.spotify.faults.add(Fault("garbage"))
    answer = await me()
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")


async def test_a_time_out_holds_the_answer_in_the_clocks_time(world, clock, me):
    world.spotify.faults.add(Fault("timeout", remaining=1, hold_seconds=30))
    answers = []

    async def ask() -> None:
        answers.append(await me())

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await clock.advance(29)
        assert answers == []
        await clock.advance(1)
    assert answers[0].status_code == 504


async def test_before_means_that_nothing_took_effect(world, github):
    tokens = await github.connect()
    world.github.faults.add(Fault("error", remaining=1, when="before"))
    assert (await github.refresh(tokens["refresh_token"])).status_code == 500
    assert "access_token" in (await github.refresh(tokens["refresh_token"])).json()
    assert world.github.consents.redemptions.total == 1


async def test_after_means_that_it_took_effect_and_only_the_answer_is_lost(world, github):
    tokens = await github.connect()
    world.github.faults.add(Fault("error", remaining=1, when="after"))
    assert (await github.refresh(tokens["refresh_token"])).status_code == 500
    assert (await github.refresh(tokens["refresh_token"])).json()["error"] == "bad_refresh_token"
    redemptions = world.github.consents.redemptions
    assert [(one.accepted, one.answered) for one in redemptions] == [(True, False), (False, True)]
    assert (redemptions.accepted_twice, redemptions.after_answer) == (0, 0)


async def test_a_lost_answer_is_healed_by_one_retry_where_the_platform_gives_grace(world, github):
    world.github.consents.dialect.grace_seconds = 60
    tokens = await github.connect()
    world.github.faults.add(Fault("error", remaining=1, when="after"))
    await github.refresh(tokens["refresh_token"])
    healed = (await github.refresh(tokens["refresh_token"])).json()
    assert world.github.consents.check(healed["access_token"]) is not None
    assert (await github.refresh(healed["refresh_token"])).status_code == 200


async def test_the_consent_page_never_fails(world, spotify):
    world.spotify.faults.add(Fault("error"))
    assert "code" in await spotify.consent(OTTILIE)


async def test_one_platform_s_faults_are_not_the_other_s(world, github, me):
    world.spotify.faults.add(Fault("error"))
    assert "access_token" in await github.connect()
    assert (await me()).status_code == 500


async def test_a_wrong_clock_is_wrong_for_that_platform_alone(world, clock, spotify, github):
    tokens = {"spotify": await spotify.connect(), "github": await github.connect()}
    world.spotify.faults.clock_offset_seconds = 3600
    assert world.spotify.now() - clock.now() == timedelta(hours=1)
    assert world.github.now() == clock.now()
    assert world.spotify.consents.check(tokens["spotify"]["access_token"]) is None
    assert world.github.consents.check(tokens["github"]["access_token"]) is not None


async def test_all_is_well_after_clear(world, me):
    faults = world.spotify.faults
    faults.add(Fault("garbage"))
    faults.lose_webhooks = faults.duplicate_webhooks = faults.delay_webhooks_seconds = 1
    faults.clear()
    assert (await me()).json()["type"] == "user"
    assert (faults.loses(), faults.duplicates(), faults.delay_webhooks_seconds) == (False, False, 0)
