from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, update

from refreshes import CLIENT, KEYS, OAUTH, Told, saved
from stores import Store, opened, stored_bytes
from tidings.connecting import OAuth, TokenSet
from tidings.errors import NotFound
from tidings.event import UserId
from tidings.grants import (
    NEEDS_REAUTH,
    Grant,
    announce_horizons,
    find_grant,
    open_tokens,
    overdue_refreshes,
    save_grant,
)
from tidings.jobs import drop_jobs
from tidings.keys import KeyRing
from tidings.schema import grants, jobs, to_stored
from tidings.vault import Vault

pytestmark = pytest.mark.usefixtures("every_database")

VAULT = Vault(KEYS)
DAY = 86_400.0
FIRST = TokenSet("planted-access", "planted-refresh", 3600.0)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(tmp_path) as opened_store:
        yield opened_store


@pytest.fixture
async def user_id(store: Store) -> UserId:
    return (await store.add_user("alice")).id


async def consented(store: Store, user_id: UserId, tokens: TokenSet = FIRST, oauth: OAuth = OAUTH) -> Grant:
    return await store.write(lambda sql: saved(sql, user_id, tokens, store.clock, oauth))


async def found(store: Store, grant: Grant) -> Grant:
    return await store.read(lambda sql: find_grant(sql, grant.id, user_id=grant.user_id))


async def changed(store: Store, grant: Grant, **values: Any) -> None:
    await store.write(lambda sql: sql.execute(update(grants).where(grants.c.id == grant.id).values(**values)))


# --- consents ---------------------------------------------------------------------------------------------------


async def test_a_consent_becomes_a_grant_whose_tokens_open(store: Store, user_id: UserId):
    grant = await consented(store, user_id)
    assert (grant.version, grant.state, grant.client_id) == (1, "ok", CLIENT.id)
    assert grant.scopes == ("read", "offline")  # as asked for: the answer did not say
    assert grant.expires_at == store.clock.now() + timedelta(hours=1)
    assert open_tokens(VAULT, await found(store, grant)) == FIRST


async def test_no_token_lies_on_disk_or_shows(store: Store, user_id: UserId, tmp_path: Path):
    grant = await consented(store, user_id)
    assert b"planted" not in stored_bytes(tmp_path)
    assert grant.sealed not in repr(grant)


async def test_a_new_consent_of_the_same_account_keeps_the_id_and_heals(store: Store, user_id: UserId):
    grant = await consented(store, user_id)
    await changed(
        store,
        grant,
        state=NEEDS_REAUTH,
        reason="revoked",
        refused_at=1,
        lease="x",
        refresh_attempts=3,
        announced_days=3,
    )
    await store.clock.advance(DAY)
    again = await consented(store, user_id, TokenSet("a2", "r2", 3600.0, scopes=("read",)))
    assert (again.id, again.version, again.state, again.reason) == (grant.id, 2, "ok", "")
    assert (again.scopes, again.authorized_at, again.announced_days) == (("read",), store.clock.now(), None)
    row = await store.read(lambda sql: sql.execute(select(grants)).one())
    assert (row.refused_at, row.lease, row.refresh_attempts) == (None, None, 0)


async def test_another_account_or_user_or_provider_never_shares_a_grant(store: Store, user_id: UserId):
    bob = await store.add_user("bob")

    def save(user: UserId, account: str, oauth: OAuth = OAUTH) -> Any:
        return lambda sql: save_grant(
            sql, VAULT, user_id=user, account_key=account, client_id="c", tokens=FIRST, oauth=oauth,
            now=store.clock.now(),
        )  # fmt: skip

    other = msgspec.structs.replace(OAUTH, provider="other")
    works = [save(user_id, "a"), save(user_id, "b"), save(bob.id, "a"), save(user_id, "a", other)]
    assert len({(await store.write(work)).id for work in works}) == 4


async def test_a_consent_that_brings_no_refresh_token_keeps_the_one_of_the_same_client(
    store: Store, user_id: UserId
):
    grant = await consented(store, user_id)
    again = await consented(store, user_id, TokenSet("a2", "", 3600.0))
    assert open_tokens(VAULT, again).refresh_token == "planted-refresh"
    await changed(store, grant, client_id="another")
    assert open_tokens(VAULT, await consented(store, user_id, TokenSet("a3", "", 3600.0))).refresh_token == ""


async def test_a_token_that_never_ends_needs_no_old_refresh_token(store: Store, user_id: UserId):
    await consented(store, user_id)
    again = await consented(store, user_id, TokenSet("a2"))
    assert (open_tokens(VAULT, again).refresh_token, again.expires_at, again.refresh_at) == ("", None, None)


async def test_a_consent_heals_a_grant_whose_key_is_lost(store: Store, user_id: UserId):
    grant = await consented(store, user_id)
    new = Vault(KeyRing({"k2": b"2" * 32}))
    again = await store.write(
        lambda sql: save_grant(
            sql, new, user_id=user_id, account_key="account-1", client_id=CLIENT.id,
            tokens=TokenSet("a2", "r2", 60.0), oauth=OAUTH, now=store.clock.now(),
        )
    )  # fmt: skip
    assert again.id == grant.id
    assert open_tokens(new, again).access_token == "a2"


async def test_a_grant_that_is_gone_is_said_to_be(store: Store, user_id: UserId):
    with pytest.raises(NotFound, match="disconnected"):
        await store.read(lambda sql: find_grant(sql, "grtnone", user_id=user_id))


# --- when it is refreshed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("life", "ahead"),
    [(8 * 3600.0, 600.0), (3600.0, 600.0), (3000.0, 600.0), (2999.0, 599.8), (1800.0, 360.0), (60.0, 12.0)],
)
async def test_it_is_refreshed_ten_minutes_ahead_and_later_in_a_short_life(
    store: Store, user_id: UserId, life: float, ahead: float
):
    grant = await consented(store, user_id, TokenSet("a", "r", life))
    assert grant.refresh_at == store.clock.now() + timedelta(seconds=life - ahead)
    due = await store.read(lambda sql: sql.execute(select(jobs.c.key, jobs.c.due_at)).one())
    assert due == (grant.id, to_stored(grant.refresh_at))


async def test_what_can_not_be_refreshed_has_no_job(store: Store, user_id: UserId):
    grant = await consented(store, user_id, TokenSet("a", "", 3600.0))
    assert grant.refresh_at is None
    assert await store.read(lambda sql: sql.execute(select(jobs)).all()) == []


async def overdue(store: Store) -> list[str]:
    return [grant.id for grant in await store.read(lambda sql: overdue_refreshes(sql, store.clock.now()))]


async def test_a_refresh_whose_job_is_missing_or_late_is_found(store: Store, user_id: UserId):
    grant = await consented(store, user_id)
    assert await overdue(store) == []
    await store.write(lambda sql: sql.execute(update(jobs).values(due_at=jobs.c.due_at + 3600 * 10**6)))
    assert await overdue(store) == [grant.id]
    await store.write(lambda sql: sql.execute(update(jobs).values(lease_until=1)))
    assert await overdue(store) == []  # it runs just now
    await store.write(lambda sql: sql.execute(update(jobs).values(lease_until=None, attempts=1)))
    assert await overdue(store) == []  # it failed, and rests
    await store.write(lambda sql: drop_jobs(sql, user_id, grant.id, ["refresh"]))
    assert await overdue(store) == [grant.id]
    await changed(store, grant, state=NEEDS_REAUTH)
    assert await overdue(store) == []


# --- terms --------------------------------------------------------------------------------------------------------


SPOTIFY = msgspec.structs.replace(OAUTH, consent_seconds=180 * DAY)
TESTING = msgspec.structs.replace(OAUTH, consent_seconds=7 * DAY)


async def announced(store: Store) -> list[int]:
    told = Told()
    now = store.clock.now()
    await store.write(lambda sql: announce_horizons(sql, now, told))
    return told.horizons


async def test_the_end_of_a_consent_is_announced_30_14_and_3_days_ahead_once_each(
    store: Store, user_id: UserId
):
    grant = await consented(store, user_id, oauth=SPOTIFY)
    assert grant.reauthorize_by == store.clock.now() + timedelta(days=180)
    told: dict[int, list[int]] = {}
    for day in range(190):
        if (heard := await announced(store)) or await announced(store):
            told[180 - day] = heard
        await store.clock.advance(DAY)
    assert told == {30: [30], 14: [14], 3: [3]}


async def test_a_consent_of_a_week_is_announced_three_days_ahead_alone(store: Store, user_id: UserId):
    await consented(store, user_id, oauth=TESTING)
    told: dict[int, list[int]] = {}
    for day in range(8):
        if heard := await announced(store):
            told[7 - day] = heard
        await store.clock.advance(DAY)
    assert told == {3: [3]}


async def test_after_a_long_downtime_the_nearest_alone_is_told(store: Store, user_id: UserId):
    await consented(store, user_id, oauth=SPOTIFY)
    await store.clock.advance(170 * DAY)
    assert await announced(store) == [14]


async def test_a_new_consent_begins_a_new_term(store: Store, user_id: UserId):
    await consented(store, user_id, oauth=SPOTIFY)
    await store.clock.advance(178 * DAY)
    assert await announced(store) == [3]
    again = await consented(store, user_id, oauth=SPOTIFY)
    assert again.reauthorize_by == store.clock.now() + timedelta(days=180)
    assert await announced(store) == []
    await store.clock.advance(178 * DAY)
    assert await announced(store) == [3]


async def test_the_sooner_of_two_terms_counts(store: Store, user_id: UserId):
    tokens = TokenSet("a", "r", 3600.0, refresh_expires_in_seconds=10 * DAY)
    assert (await consented(store, user_id, tokens)).reauthorize_by == store.clock.now() + timedelta(days=10)
    both = await consented(store, user_id, tokens, TESTING)
    assert both.reauthorize_by == store.clock.now() + timedelta(days=7)
    assert (await consented(store, user_id)).reauthorize_by is None


async def test_a_parked_grant_is_announced_no_more(store: Store, user_id: UserId):
    grant = await consented(store, user_id, oauth=SPOTIFY)
    await changed(store, grant, state=NEEDS_REAUTH)
    await store.clock.advance(179 * DAY)
    assert await announced(store) == []
