import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import delete, select, update

import refreshes
from refreshes import CLIENT, OAUTH, Endpoint, Holder, Provider, answered, not_sent, saved
from stores import Store, opened
from tidings.connecting import Answer, OAuth, OAuthClient, TokenSet
from tidings.errors import AuthExpired, NotFound, Unavailable
from tidings.event import UserId
from tidings.grants import Grant, find_grant
from tidings.health import Health
from tidings.jobs import Job
from tidings.keys import KeyRing
from tidings.redemptions import LEASE_SECONDS, PATIENCE_SECONDS, give_up
from tidings.schema import grants, jobs, to_stored
from tidings.tokens import AccessToken
from tidings.vault import Vault
from tidings.writer import Writer

pytestmark = pytest.mark.usefixtures("every_database")

DAY = 86_400.0


@dataclasses.dataclass
class Case:
    """One grant, its platform, and a process that refreshes it."""

    store: Store
    endpoint: Endpoint
    user_id: UserId
    grant_id: str
    one: Holder

    def another(
        self, *connectors: Provider, writer: Writer | None = None, vault: Vault | None = None
    ) -> Holder:
        """Another process on the same database."""
        return refreshes.holder(
            writer or self.store.writer, self.store.clock, self.endpoint, *connectors, vault=vault
        )

    async def renew(self, than: int = 1, by: Holder | None = None) -> AccessToken:
        return await (by or self.one).tokens.renew(
            self.grant_id, than=than, because="401", user_id=self.user_id
        )

    async def consent(self, tokens: TokenSet | None = None, oauth: OAuth = OAUTH) -> Grant:
        tokens = tokens or self.endpoint.first()
        return await self.store.write(lambda sql: saved(sql, self.user_id, tokens, self.store.clock, oauth))

    async def row(self) -> Any:
        return await self.store.read(lambda sql: sql.execute(select(grants)).one())

    async def grant(self) -> Grant:
        return await self.store.read(lambda sql: find_grant(sql, self.grant_id, user_id=self.user_id))

    async def jobs(self) -> list[tuple[str, int]]:
        rows = await self.store.read(lambda sql: sql.execute(select(jobs.c.kind, jobs.c.due_at)).all())
        return [(row.kind, row.due_at) for row in rows]

    async def advance(self, seconds: float) -> None:
        await self.store.clock.advance(seconds)

    def job(self) -> Job:
        return Job(self.user_id, "refresh", self.grant_id, {}, "lease")

    def stall(self) -> asyncio.Event:
        """The next answer is on its way until the event is set."""
        gate = asyncio.Event()

        async def answer_late() -> Answer:
            answer = self.endpoint.handle(self.endpoint.sent[-1])
            await gate.wait()
            return answer

        self.endpoint.scripted.append(answer_late)
        return gate

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not done():
                await asyncio.sleep(0)

    async def crash(self, than: int = 1, *, redeemed: bool) -> None:
        """A process begins to redeem, and is gone before it has said what came of it."""
        writer = Writer(
            self.store.database, Health(self.store.clock, refreshes.quiet).component("x"), lambda: 0.0
        )
        victim = self.another(writer=writer)

        def die() -> Exception:
            writer.close()
            return self.endpoint.swallow() if redeemed else Unavailable("gone")

        self.endpoint.scripted.append(die)
        task = asyncio.create_task(self.renew(than, victim))
        await self.until(lambda: not self.endpoint.scripted)
        victim.refresher.finish()  # it does not wait for the database to come back
        with pytest.raises(Unavailable):
            await task


@pytest.fixture
async def case(tmp_path: Path) -> AsyncIterator[Case]:
    async with opened(tmp_path) as store:
        endpoint = Endpoint(store.clock)
        user = await store.add_user("alice")
        grant = await store.write(lambda sql: saved(sql, user.id, endpoint.first(), store.clock))
        one = refreshes.holder(store.writer, store.clock, endpoint)
        yield Case(store, endpoint, user.id, grant.id, one)


# --- tokens for calls -------------------------------------------------------------------------------------------


async def test_a_token_that_lasts_is_given_as_it_is(case: Case):
    assert await case.one.tokens.access(case.grant_id, user_id=case.user_id) == AccessToken(
        "access-1", 1, CLIENT.id
    )
    await case.advance(3539)
    assert (await case.one.tokens.access(case.grant_id, user_id=case.user_id)).version == 1
    assert case.endpoint.sent == []


async def test_a_token_that_ends_within_a_minute_is_refreshed_before_the_call(case: Case):
    await case.one.tokens.access(case.grant_id, user_id=case.user_id)
    await case.advance(3540)
    assert await case.one.tokens.access(case.grant_id, user_id=case.user_id) == AccessToken(
        "access-2", 2, CLIENT.id
    )
    assert case.endpoint.sent == ["refresh-1"]


async def test_the_last_seconds_of_a_token_are_used_while_the_platform_is_down(case: Case):
    await case.advance(3550)
    case.endpoint.scripted = [answered(503, b"")]
    assert (await case.one.tokens.access(case.grant_id, user_id=case.user_id)).text == "access-1"
    await case.advance(50)
    case.endpoint.scripted = [answered(503, b"")]
    with pytest.raises(Unavailable, match="503"):
        await case.one.tokens.access(case.grant_id, user_id=case.user_id)


async def test_a_token_that_never_ends_is_never_refreshed(case: Case):
    await case.consent(TokenSet("for-ever"))
    await case.advance(400 * DAY)
    assert (await case.one.tokens.access(case.grant_id, user_id=case.user_id)).text == "for-ever"


async def test_who_knows_of_a_newer_consent_does_not_get_the_token_from_before_it(case: Case):
    assert (await case.one.tokens.access(case.grant_id, user_id=case.user_id)).text == "access-1"
    await case.consent(TokenSet("with-more-scopes", expires_in_seconds=3600))
    assert (await case.one.tokens.access(case.grant_id, user_id=case.user_id, version=1)).text == "access-1"
    assert (
        await case.one.tokens.access(case.grant_id, user_id=case.user_id, version=2)
    ).text == "with-more-scopes"
    assert (
        await case.one.tokens.access(case.grant_id, user_id=case.user_id, version=1)
    ).text == "with-more-scopes"


async def test_no_token_shows(case: Case):
    assert "access-1" not in repr(await case.one.tokens.access(case.grant_id, user_id=case.user_id))


async def test_an_unknown_grant_is_said_to_be_gone(case: Case):
    with pytest.raises(NotFound):
        await case.one.tokens.access("grtnone", user_id=case.user_id)
    with pytest.raises(NotFound):
        await case.one.tokens.renew("grtnone", than=1, because="401", user_id=case.user_id)


# --- one redemption for all -------------------------------------------------------------------------------------


async def test_fifty_callers_share_one_redemption(case: Case):
    tokens = await asyncio.gather(*[case.renew() for _ in range(50)])
    assert {(token.text, token.version) for token in tokens} == {("access-2", 2)}
    assert case.endpoint.sent == ["refresh-1"]


async def test_a_newer_token_than_the_refused_one_needs_no_redemption(case: Case):
    await case.renew()
    for holder in (case.one, case.another()):  # one from memory, one from the database
        assert (await case.renew(1, holder)).version == 2
    assert case.endpoint.sent == ["refresh-1"]


async def test_a_caller_that_gives_up_takes_the_answer_from_nobody(case: Case):
    gate = case.stall()
    hasty, patient = asyncio.create_task(case.renew()), asyncio.create_task(case.renew())
    await case.until(lambda: not case.endpoint.scripted)
    hasty.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hasty
    gate.set()
    assert (await patient).text == "access-2"


async def test_an_answer_is_saved_though_every_caller_gave_up(case: Case):
    gate = case.stall()
    task = asyncio.create_task(case.renew())
    await case.until(lambda: not case.endpoint.scripted)
    task.cancel()
    gate.set()
    await case.until(lambda: bool(case.one.told.versions))
    assert (await case.grant()).version == 2


async def test_another_process_waits_for_the_one_that_redeems(case: Case):
    gate = case.stall()
    first = asyncio.create_task(case.renew())
    await case.until(lambda: not case.endpoint.scripted)
    second = asyncio.create_task(case.renew(1, case.another()))
    await case.advance(5)
    assert not second.done()
    gate.set()
    await first
    await case.advance(2)
    assert (await second).text == "access-2"
    assert case.endpoint.sent == ["refresh-1"]


async def test_new_tokens_are_on_disk_before_anybody_has_them(case: Case):
    seen: list[int] = []
    case.one.told.refreshed = lambda grant: seen.append(grant.version)  # type: ignore[method-assign]  # to look in
    waiting = asyncio.create_task(case.renew())
    await case.until(lambda: bool(seen))
    assert not waiting.done()
    assert (await case.grant()).version == 2
    await waiting


async def test_an_answer_without_a_refresh_token_keeps_the_old_one(case: Case):
    case.endpoint.rotates = False
    case.endpoint.more = {"scope": "read"}
    for version in range(1, 4):
        assert (await case.renew(version)).version == version + 1
    assert case.endpoint.sent == ["refresh-1"] * 3
    assert (await case.grant()).scopes == ("read",)


async def test_a_new_consent_overtakes_an_answer_under_way(case: Case):
    gate = case.stall()
    task = asyncio.create_task(case.renew())
    await case.until(lambda: not case.endpoint.scripted)
    await case.consent(TokenSet("consented", "refresh-new", 3600.0))
    gate.set()
    assert (await task).text == "consented"
    assert case.one.told.outcomes == ["overtaken"]


async def test_an_answer_is_dropped_when_its_grant_is_gone(case: Case):
    gate = case.stall()
    task = asyncio.create_task(case.renew())
    await case.until(lambda: not case.endpoint.scripted)
    await case.store.write(lambda sql: sql.execute(delete(grants)))
    gate.set()
    with pytest.raises(NotFound):
        await task


# --- answers that never come ------------------------------------------------------------------------------------


async def test_a_lost_answer_is_asked_for_once_more_at_once(case: Case):
    case.endpoint.scripted = [Unavailable("timed out")]
    assert (await case.renew()).text == "access-2"
    assert case.endpoint.sent == ["refresh-1", "refresh-1"]
    assert case.one.told.outcomes == ["lost", "done"]
    assert ((await case.row()).refresh_started_at, (await case.row()).refresh_attempts) == (None, 0)


async def test_where_the_platform_gives_grace_a_lost_answer_comes_again(case: Case):
    case.endpoint.grace_seconds = 30
    case.endpoint.scripted = [case.endpoint.swallow]
    assert (await case.renew()).text == "access-2"
    assert case.endpoint.redeemed == {"refresh-1": 1}


async def test_after_a_second_loss_further_tries_rest_ever_longer(case: Case):
    case.endpoint.scripted = [Unavailable("timed out")] * 3
    with pytest.raises(Unavailable, match="timed out"):
        await case.renew()
    assert len(case.endpoint.sent) == 2
    with pytest.raises(Unavailable, match="timed out"):
        await case.renew()
    assert len(case.endpoint.sent) == 2  # it rests
    await case.advance(10)
    with pytest.raises(Unavailable):
        await case.renew()
    await case.advance(19)
    with pytest.raises(Unavailable):
        await case.renew()
    assert len(case.endpoint.sent) == 3
    await case.advance(1)
    assert (await case.renew()).text == "access-2"


async def test_a_crash_before_the_answer_leads_to_one_prompt_retry_of_the_same_token(case: Case):
    await case.crash(redeemed=False)
    waiting = asyncio.create_task(case.renew())
    await case.advance(LEASE_SECONDS - 1)
    assert case.endpoint.sent == ["refresh-1"]  # for all we know it is at work
    await case.advance(2)
    assert (await waiting).text == "access-2"
    assert case.endpoint.sent == ["refresh-1", "refresh-1"]


async def test_while_the_platform_is_down_it_is_asked_ever_more_seldom_up_to_every_twenty_minutes(case: Case):
    rests = []
    for _ in range(11):
        case.endpoint.scripted = [answered(503, b"")]
        with pytest.raises(Unavailable) as caught:
            await case.renew()
        rests.append(caught.value.retry_after_seconds or 0)
        await case.advance(rests[-1])
    assert rests == [5, 10, 20, 40, 80, 160, 320, 640, 1200, 1200, 1200]
    assert len(case.endpoint.sent) == 11
    assert (await case.renew()).version == 2


async def test_one_crash_after_the_other_makes_further_tries_rest(case: Case):
    await case.crash(redeemed=False)
    await case.advance(LEASE_SECONDS)
    await case.crash(redeemed=False)
    await case.advance(LEASE_SECONDS)
    with pytest.raises(Unavailable):
        await case.renew()
    assert len(case.endpoint.sent) == 2
    await case.advance(20)
    assert (await case.renew()).text == "access-2"


async def test_a_crash_between_the_answer_and_our_commit_ends_in_needs_reauth_counted_apart(case: Case):
    await case.crash(redeemed=True)
    await case.advance(LEASE_SECONDS)
    with pytest.raises(Unavailable) as caught:
        await case.renew()
    assert caught.value.retry_after_seconds == PATIENCE_SECONDS
    await case.advance(PATIENCE_SECONDS)
    with pytest.raises(AuthExpired, match="never reached us"):
        await case.renew()
    assert case.endpoint.sent == ["refresh-1", "refresh-1"]
    assert case.one.told.outcomes == ["refused", "crash_lost"]
    assert b'outcome="crash_lost",provider="acme"} 1.0' in case.one.metrics.expose()
    assert b'outcome="parked"' not in case.one.metrics.expose()


async def test_a_crash_where_the_platform_gives_grace_costs_nothing(case: Case):
    case.endpoint.grace_seconds = 60
    await case.crash(redeemed=True)
    await case.advance(LEASE_SECONDS)
    assert (await case.renew()).text == "access-2"


# --- holders that stall -----------------------------------------------------------------------------------------


async def test_a_holder_that_stalls_past_its_lease_still_saves_its_good_answer(case: Case):
    gate = case.stall()
    stalled = asyncio.create_task(case.renew())
    await case.until(lambda: not case.endpoint.scripted)
    await case.advance(LEASE_SECONDS + 1)
    other = case.another()
    with pytest.raises(Unavailable):  # the token is used up, so the platform refuses it
        await case.renew(1, other)
    gate.set()
    assert (await stalled).text == "access-2"
    await case.advance(PATIENCE_SECONDS)
    assert (await case.renew(1, other)).text == "access-2"
    assert other.told.parks == []


async def test_an_answer_that_comes_after_parking_heals(case: Case):
    gate = case.stall()
    stalled = asyncio.create_task(case.renew())
    await case.until(lambda: not case.endpoint.scripted)
    await case.advance(LEASE_SECONDS + 1)
    other = case.another()
    with pytest.raises(Unavailable):
        await case.renew(1, other)
    await case.advance(PATIENCE_SECONDS)
    with pytest.raises(AuthExpired):
        await case.renew(1, other)
    gate.set()
    assert (await stalled).text == "access-2"
    assert case.one.told.heals == [case.grant_id]
    assert ((await case.grant()).state, (await case.grant()).reason) == ("ok", "")
    assert (await other.tokens.access(case.grant_id, user_id=case.user_id)).text == "access-2"


async def test_of_two_answers_that_rotate_nothing_the_longer_lived_stays(case: Case):
    case.endpoint.rotates = False
    gate = case.stall()
    stalled = asyncio.create_task(case.renew())
    await case.until(lambda: not case.endpoint.scripted)
    await case.advance(LEASE_SECONDS + 1)
    case.endpoint.life_seconds = 7200.0
    newer = await case.renew(1, case.another())
    gate.set()
    assert (await stalled, newer.version) == (newer, 2)


# --- refusals ---------------------------------------------------------------------------------------------------


async def test_a_revoked_grant_is_parked_after_a_while_and_told_of_once(case: Case):
    case.endpoint.revoke()
    for _ in range(2):
        with pytest.raises(Unavailable, match=r"invalid_grant \(Token revoked\)"):
            await case.renew()
    await case.advance(PATIENCE_SECONDS - 1)
    with pytest.raises(Unavailable) as caught:
        await case.renew()
    assert caught.value.retry_after_seconds == 1
    assert (await case.grant()).state == "ok"
    await case.advance(1)
    for _ in range(3):
        with pytest.raises(AuthExpired, match="invalid_grant"):
            await case.renew()
    with pytest.raises(AuthExpired):
        await case.one.tokens.access(case.grant_id, user_id=case.user_id)
    assert case.endpoint.sent == ["refresh-1"]
    assert [grant_id for grant_id, _ in case.one.told.parks] == [case.grant_id]
    assert case.one.told.outcomes == ["refused", "parked"]


@pytest.mark.parametrize(("ago_seconds", "state"), [(60, "ok"), (0, "needs_reauth"), (None, "needs_reauth")])
async def test_a_consent_is_given_up_only_for_what_was_taken_back_after_it(
    case: Case, ago_seconds: float | None, state: str
):
    at = None
    if ago_seconds is not None:  # before this consent was given
        at = (await case.grant()).authorized_at - timedelta(seconds=ago_seconds)
    for _ in range(2):  # it may be delivered twice
        await case.store.write(
            lambda sql: give_up(sql, case.one.told, case.user_id, case.grant_id, "It was taken back.", at)
        )
    assert (await case.grant()).state == state
    parks = [] if state == "ok" else [(case.grant_id, "It was taken back.")]
    assert case.one.told.parks == parks


async def test_a_parked_grant_keeps_its_tokens_sealed_and_loses_its_job(case: Case):
    sealed = (await case.grant()).sealed
    case.endpoint.revoke()
    with pytest.raises(Unavailable):
        await case.renew()
    assert len(await case.jobs()) == 1
    await case.advance(PATIENCE_SECONDS)
    with pytest.raises(AuthExpired):
        await case.one.tokens.refresh(case.job())
    assert (await case.grant()).sealed == sealed
    assert await case.jobs() == []


async def test_what_is_told_of_parking_is_committed_with_it_or_not_at_all(case: Case):
    def refuse(*_: object) -> None:
        raise RuntimeError("no room for the event")

    case.one.told.parked = refuse  # type: ignore[method-assign]  # a listener that fails
    case.endpoint.revoke()
    with pytest.raises(Unavailable):
        await case.renew()
    await case.advance(PATIENCE_SECONDS)
    with pytest.raises(RuntimeError):
        await case.renew()
    assert (await case.grant()).state == "ok"


async def test_a_new_consent_heals_a_parked_grant(case: Case):
    case.endpoint.revoke()
    with pytest.raises(Unavailable):
        await case.renew()
    await case.advance(PATIENCE_SECONDS)
    with pytest.raises(AuthExpired):
        await case.renew()
    grant = await case.consent()
    assert grant.id == case.grant_id
    case.one.tokens.forget(grant.id)
    assert (await case.one.tokens.access(case.grant_id, user_id=case.user_id)).version == 2
    assert [kind for kind, _ in await case.jobs()] == ["refresh"]


@pytest.mark.parametrize("step", [answered(503, b""), answered(429, {"error": "slow_down"}), not_sent()])
async def test_what_surely_failed_is_not_a_lost_answer(case: Case, step: Answer | Exception):
    case.endpoint.scripted = [step]
    with pytest.raises(Unavailable):
        await case.renew()
    assert len(case.endpoint.sent) == 1  # no prompt retry
    assert (await case.row()).refresh_started_at is None
    assert case.one.told.outcomes == ["failed"]
    await case.advance(5)
    case.endpoint.revoke()
    with pytest.raises(Unavailable):
        await case.renew()
    await case.advance(PATIENCE_SECONDS)
    with pytest.raises(AuthExpired):
        await case.renew()
    assert case.one.told.outcomes == ["failed", "refused", "parked"]  # and not `crash_lost`


async def test_a_failure_after_a_loss_does_not_forget_the_loss(case: Case):
    case.endpoint.scripted = [case.endpoint.swallow, answered(503, b"")]
    with pytest.raises(Unavailable):
        await case.renew()
    await case.advance(300)
    with pytest.raises(Unavailable):
        await case.renew()
    await case.advance(PATIENCE_SECONDS)
    with pytest.raises(AuthExpired, match="never reached us"):
        await case.renew()


async def test_the_platforms_word_on_when_to_come_again_holds_for_all(case: Case):
    case.endpoint.scripted = [answered(429, b"", retry_after="120")]
    with pytest.raises(Unavailable) as caught:
        await case.renew()
    assert caught.value.retry_after_seconds == 120
    await case.advance(119)
    with pytest.raises(Unavailable):
        await case.renew(1, case.another())
    assert len(case.endpoint.sent) == 1
    await case.advance(1)
    assert (await case.renew()).version == 2


async def test_a_token_without_a_refresh_token_is_parked_when_it_is_refused_again(case: Case):
    await case.consent(TokenSet("for-ever"))
    await case.advance(1)
    with pytest.raises(Unavailable) as caught:
        await case.renew(2)
    assert caught.value.retry_after_seconds == PATIENCE_SECONDS
    await case.advance(PATIENCE_SECONDS + 3)
    with pytest.raises(AuthExpired, match="none to refresh it with"):
        await case.renew(2)
    assert case.endpoint.sent == []
    assert len(case.one.told.parks) == 1


async def test_a_refusal_of_long_ago_does_not_count(case: Case):
    await case.consent(TokenSet("for-ever"))
    with pytest.raises(Unavailable):
        await case.renew(2)
    await case.advance(2 * 3600)
    with pytest.raises(Unavailable):
        await case.renew(2)
    assert (await case.grant()).state == "ok"


# --- what the operator must mend ----------------------------------------------------------------------------------


async def test_a_wrong_client_secret_parks_nothing_and_is_reported_until_it_is_mended(case: Case):
    wrong = answered(401, {"error": "invalid_client"})
    for _ in range(5):
        case.endpoint.scripted = [wrong]
        with pytest.raises(Unavailable, match="invalid_client"):
            await case.renew()
        assert case.one.health.report()["oauth/acme/client-1"]["status"] == "down"
        await case.advance(3600)
    assert (await case.renew()).version == 2
    assert case.one.health.report()["oauth/acme/client-1"]["status"] == "up"
    assert (await case.grant()).state == "ok"


async def test_a_client_that_is_no_longer_configured_is_named(case: Case):
    stranger = case.another(Provider(OAUTH, OAuthClient("client-2")))
    with pytest.raises(Unavailable, match="'client-1' of acme is configured"):
        await case.renew(1, stranger)
    assert case.endpoint.sent == []
    assert stranger.health.report()["oauth/acme/client-1"]["status"] == "down"


async def test_a_lost_key_parks_nothing(case: Case):
    keyless = case.another(vault=Vault(KeyRing({"k2": b"2" * 32})))
    with pytest.raises(Unavailable, match="sealed with the key k1"):
        await case.renew(1, keyless)
    assert ((await case.grant()).state, case.endpoint.sent) == ("ok", [])


async def test_siblings_of_one_provider_serve_each_others_grants(case: Case):
    siblings = [Provider(OAUTH, OAuthClient("client-2")), Provider(OAUTH, CLIENT)]
    assert (await case.renew(1, case.another(*siblings))).version == 2


# --- when the database is away --------------------------------------------------------------------------------------


class Flaky(Writer):
    """A writer whose disk is full now and then."""

    away = 0

    async def run_unit(self, work: Callable[..., Any]) -> Any:
        if self.away:
            self.away -= 1
            raise Unavailable("The disk is full.")
        return await super().run_unit(work)


async def test_a_good_answer_is_kept_until_it_can_be_saved(case: Case):
    writer = Flaky(case.store.database, Health(case.store.clock, refreshes.quiet).component("x"), lambda: 0.0)

    def fill_disk() -> None:
        writer.away = 5

    case.endpoint.scripted = [fill_disk]
    waiting = asyncio.create_task(case.renew(1, case.another(writer=writer)))
    await case.until(lambda: writer.away == 4)
    await case.advance(29)
    assert not waiting.done()
    await case.advance(10)
    assert (await waiting).text == "access-2"
    assert case.endpoint.sent == ["refresh-1"]


async def test_nothing_is_asked_while_the_intent_can_not_be_written(case: Case):
    writer = Flaky(case.store.database, Health(case.store.clock, refreshes.quiet).component("x"), lambda: 0.0)
    writer.away = 1
    with pytest.raises(Unavailable, match="disk"):
        await case.renew(1, case.another(writer=writer))
    assert case.endpoint.sent == []


async def test_a_stop_waits_for_answers_under_way(case: Case):
    gate = case.stall()
    task = asyncio.create_task(case.renew())
    await case.until(lambda: not case.endpoint.scripted)
    finishing = asyncio.create_task(case.one.tokens.finish())
    await asyncio.sleep(0)
    assert not finishing.done()
    gate.set()
    await finishing
    assert (await task).text == "access-2"
    with pytest.raises(Unavailable, match="shutting down"):
        await case.renew(2)


async def test_a_stop_does_not_wait_for_another_process(case: Case):
    gate = case.stall()
    holding = asyncio.create_task(case.renew())
    await case.until(lambda: not case.endpoint.scripted)
    other = case.another()
    waiting = asyncio.create_task(case.renew(1, other))
    await case.advance(1)
    await other.tokens.finish()
    with pytest.raises(Unavailable):
        await waiting
    gate.set()
    await holding


async def test_a_clock_that_was_set_back_holds_nobody_up(case: Case):
    await case.crash(redeemed=False)
    ahead = to_stored(case.store.clock.now() + timedelta(minutes=5))
    await case.store.write(lambda sql: sql.execute(update(grants).values(lease_until=ahead)))
    assert (await case.renew()).text == "access-2"


# --- the jobs ---------------------------------------------------------------------------------------------------


async def test_the_job_refreshes_ten_minutes_ahead_and_comes_again_for_the_next(case: Case):
    assert (await case.one.tokens.refresh(case.job())).again_seconds == 3000
    await case.advance(3000)
    assert (await case.one.tokens.refresh(case.job())).again_seconds == 3000
    assert case.endpoint.sent == ["refresh-1"]
    await case.advance(2000)
    await case.renew(2)  # on a 401 in between
    assert (await case.one.tokens.refresh(case.job())).again_seconds == 3000


async def test_the_job_ends_with_its_grant(case: Case):
    await case.consent(TokenSet("for-ever"))
    assert (await case.one.tokens.refresh(case.job())).again_seconds is None
    await case.store.write(lambda sql: sql.execute(delete(grants)))
    assert (await case.one.tokens.refresh(case.job())).again_seconds is None


async def test_the_sweep_brings_back_a_job_that_is_missing(case: Case):
    due = await case.jobs()
    await case.store.write(lambda sql: sql.execute(delete(jobs)))
    assert (await case.one.tokens.sweep(case.job())).again_seconds == 300
    assert await case.jobs() == due
    await case.one.tokens.sweep(case.job())
    assert await case.jobs() == due


async def test_the_sweep_announces_the_end_of_a_consent(case: Case):
    await case.consent(oauth=msgspec.structs.replace(OAUTH, consent_seconds=20 * DAY))
    await case.one.tokens.sweep(case.job())
    assert case.one.told.horizons == []
    await case.advance(6 * DAY)
    for _ in range(2):
        await case.one.tokens.sweep(case.job())
    assert case.one.told.horizons == [14]


async def test_a_refresh_never_moves_the_end_of_a_consent(case: Case):
    oauth = msgspec.structs.replace(OAUTH, consent_seconds=180 * DAY)
    by = (await case.consent(oauth=oauth)).reauthorize_by
    await case.advance(170 * DAY)
    holder = case.another(Provider(oauth))
    await holder.tokens.sweep(case.job())
    await case.renew(2, holder)
    await holder.tokens.sweep(case.job())
    assert (await case.grant()).reauthorize_by == by
    assert holder.told.horizons == [14]


async def test_a_refresh_token_with_a_life_of_its_own_begins_it_anew_each_time(case: Case):
    case.endpoint.more = {"refresh_token_expires_in": 10 * DAY}
    await case.renew()
    await case.advance(8 * DAY)
    await case.one.tokens.sweep(case.job())
    assert case.one.told.horizons == [3]
    await case.renew(2)
    assert (await case.grant()).reauthorize_by == case.store.clock.now() + timedelta(days=10)
    await case.advance(8 * DAY)
    await case.one.tokens.sweep(case.job())
    assert case.one.told.horizons == [3, 3]
