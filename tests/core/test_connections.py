"""Connections in the database: who has which account, and what becomes of it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection as Sql
from sqlalchemy import insert, select, update

from stores import Store, opened
from tidings import connections as storage
from tidings.accounts import remove_user
from tidings.connecting import Account
from tidings.connections import (
    CONNECTED,
    NEEDS_REAUTH,
    Check,
    change_monitor,
    find_connection,
    list_connections,
    note_checks,
    note_events,
    read_checkpoint,
    remove_connection,
    save_connection,
    set_settings,
    set_state,
    set_strategy,
)
from tidings.errors import NotFound
from tidings.event import UserId
from tidings.schema import (
    attempts,
    checkpoints,
    connection_addresses,
    connections,
    grants,
    jobs,
    platform_webhooks,
    to_stored,
)
from tidings.watching import pace

pytestmark = pytest.mark.usefixtures("every_database")

OCTO = Account("583231", "octo", "https://img.example/1", "https://p.example/octo", ("installation:5",))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(tmp_path) as store:
        yield store


async def connect(
    store: Store, user_id: UserId, account: Account = OCTO, *, platform: str = "github", grant: str = "gr1"
) -> tuple[str, bool]:
    work = partial(
        save_connection,
        user_id=user_id,
        platform=platform,
        grant_id=grant,
        account=account,
        now=store.clock.now(),
    )
    return await store.write(work)


async def test_a_connection_is_found_by_its_id(store: Store) -> None:
    user = await store.add_user("ann")
    connection_id, is_new = await connect(store, user.id)
    found = await store.read(partial(find_connection, connection_id=connection_id, user_id=user.id))
    assert is_new
    assert (found.user_id, found.platform, found.account_key, found.account_name) == (
        user.id,
        "github",
        "583231",
        "octo",
    )
    assert (found.state, found.strategy, found.is_working) == (CONNECTED, "", True)
    assert found.created_at == store.clock.now()


async def test_it_says_how_new_its_grant_is(store: Store) -> None:
    user = await store.add_user("ann")
    connection_id, _ = await connect(store, user.id)

    async def version() -> set[int]:
        found = await store.read(partial(find_connection, connection_id=connection_id, user_id=user.id))
        listed = await store.read(partial(list_connections, user_id=user.id))
        return {found.grant_version, *(one.grant_version for one in listed)}

    assert await version() == {0}  # its grant is not there
    await store.write(partial(_plant_grant, user_id=user.id))
    assert await version() == {1}
    await store.write(lambda sql: sql.execute(update(grants).values(version=7)))
    assert await version() == {7}


async def test_connecting_again_keeps_id_settings_checkpoint_and_history(store: Store) -> None:
    user = await store.add_user("ann")
    first, _ = await connect(store, user.id)
    await store.write(
        partial(set_settings, user_id=user.id, connection_id=first, settings={"repositories": ["octo/a"]})
    )
    await store.write(
        partial(set_state, connection_id=first, state=NEEDS_REAUTH, reason="dead", user_id=user.id)
    )
    await store.write(partial(_plant, user_id=user.id, connection_id=first))
    renamed = Account("583231", "octo-renamed", addresses=("installation:6",))
    second, is_new = await connect(store, user.id, renamed, grant="gr2")
    found = await store.read(partial(find_connection, connection_id=second, user_id=user.id))
    assert (second, is_new) == (first, False)
    assert (found.account_name, found.state, found.reason, found.grant_id) == (
        "octo-renamed",
        CONNECTED,
        "",
        "gr2",
    )
    assert found.settings == {"repositories": ["octo/a"]}
    assert await store.read(partial(read_checkpoint, connection=found)) == {"etag": "x"}
    assert await store.read(_addresses) == ["installation:6"]


async def test_another_account_is_another_connection(store: Store) -> None:
    user = await store.add_user("ann")
    first, _ = await connect(store, user.id)
    second, is_new = await connect(store, user.id, Account("2", "other"))
    assert is_new
    assert first != second
    found = await store.read(partial(list_connections, user_id=user.id))
    assert {one.id: one.account_key for one in found} == {first: "583231", second: "2"}


async def test_two_users_can_have_one_account_each_by_itself(store: Store) -> None:
    ann, bob = await store.add_user("ann"), await store.add_user("bob")
    first, _ = await connect(store, ann.id)
    second, _ = await connect(store, bob.id, grant="gr2")
    assert first != second
    with pytest.raises(NotFound):
        await store.read(partial(find_connection, connection_id=first, user_id=bob.id))
    assert [one.id for one in await store.read(partial(list_connections, user_id=bob.id))] == [second]
    assert [one.id for one in await store.read(partial(list_connections, grant_id="gr1"))] == [first]


async def test_state_changes_are_told_once(store: Store) -> None:
    user = await store.add_user("ann")
    connection_id, _ = await connect(store, user.id)
    park = partial(set_state, connection_id=connection_id, state=NEEDS_REAUTH, reason="dead", user_id=user.id)
    assert await store.write(park)
    assert not await store.write(park)
    found = await store.read(partial(find_connection, connection_id=connection_id, user_id=user.id))
    assert (found.state, found.reason, found.is_working) == (NEEDS_REAUTH, "dead", False)


async def test_an_account_is_active_from_when_something_happened_not_from_when_that_was_found(
    store: Store,
) -> None:
    """For two hours it is asked no later than usual, however much its pauses had grown."""
    user = await store.add_user("ann")
    connection_id, _ = await connect(store, user.id)
    now = store.clock.now()

    async def paces(*, found: float, happened: float | None, pushed: float | None = None) -> list[float]:
        """Now, and two hours after the last thing that counts; all in hours ago."""
        at = None if happened is None else now - timedelta(hours=happened)
        check = Check(now, now - timedelta(hours=found), pace=4.0, happened_at=at)
        await store.write(partial(note_checks, checks={(user.id, connection_id): check}))
        if pushed is not None:
            events_at = {(user.id, connection_id): now - timedelta(hours=pushed)}
            await store.write(partial(note_events, events_at=events_at))
        connection = await store.read(partial(find_connection, connection_id=connection_id, user_id=user.id))
        return [pace(connection, now), pace(connection, now + timedelta(minutes=31))]

    assert await paces(found=0.0, happened=1.5) == [1.0, 4.0]
    assert await paces(found=0.5, happened=2.5) == [4.0, 4.0]
    assert await paces(found=1.5, happened=None) == [1.0, 4.0]  # where the platform does not say
    assert await paces(found=1.9, happened=3.0, pushed=1.5) == [1.0, 4.0]


async def test_memory_and_strategy_are_kept(store: Store) -> None:
    user = await store.add_user("ann")
    connection_id, _ = await connect(store, user.id)
    await store.write(
        partial(change_monitor, user_id=user.id, connection_id=connection_id, missed=2, is_push=True)
    )
    await store.write(partial(change_monitor, user_id=user.id, connection_id=connection_id, missed=3))
    later = store.clock.now() + timedelta(minutes=1)
    await store.write(
        partial(
            set_strategy,
            user_id=user.id,
            connection_id=connection_id,
            strategy="webhook",
            reason="hooks are there",
            now=later,
        )
    )
    check = Check(later, later + timedelta(seconds=1), pace=0.5)
    await store.write(
        partial(note_checks, checks={(user.id, connection_id): check, (user.id, "con-gone"): check})
    )
    found = await store.read(partial(find_connection, connection_id=connection_id, user_id=user.id))
    assert found.monitor == {"missed": 3, "is_push": True, "pace": 0.5}
    assert (found.strategy, found.strategy_reason, found.strategy_since) == (
        "webhook",
        "hooks are there",
        later,
    )
    assert (found.last_checked_at, found.last_event_at) == (later, later + timedelta(seconds=1))


async def test_removing_the_last_connection_removes_its_grant_and_all_traces(store: Store) -> None:
    user = await store.add_user("ann")
    mail, _ = await connect(store, user.id, platform="gmail")
    calendar, _ = await connect(store, user.id, platform="calendar")
    for connection_id in (mail, calendar):
        await store.write(partial(_plant, user_id=user.id, connection_id=connection_id))
    await store.write(partial(_plant_grant, user_id=user.id))
    await store.write(partial(remove_connection, user_id=user.id, connection_id=mail))
    assert await store.read(_traces) == {calendar}
    assert await store.read(_grants) == ["gr1"]
    await store.write(partial(remove_connection, user_id=user.id, connection_id=calendar))
    assert await store.read(_traces) == set()
    assert await store.read(_grants) == []
    await store.write(partial(remove_connection, user_id=user.id, connection_id=calendar))


async def test_with_its_user_everything_goes(store: Store) -> None:
    user = await store.add_user("ann")
    connection_id, _ = await connect(store, user.id)
    await store.write(partial(_plant, user_id=user.id, connection_id=connection_id))
    await store.write(partial(_plant_grant, user_id=user.id))
    await store.write(lambda sql: remove_user(sql, user.id))
    assert await store.read(_traces) == set()
    assert await store.read(_grants) == []
    assert await store.read(list_connections) == []


def _plant(sql: Sql, *, user_id: int, connection_id: str) -> None:
    sql.execute(
        insert(checkpoints).values(
            user_id=user_id, connection_id=connection_id, value='{"etag":"x"}', updated_at=1
        )
    )
    sql.execute(
        insert(attempts).values(
            user_id=user_id, connection_id=connection_id, at=1, kind="sync", outcome="done", detail="", ms=1
        )
    )
    sql.execute(
        insert(platform_webhooks).values(
            user_id=user_id,
            id=f"whk-{connection_id}",
            platform="github",
            connection_id=connection_id,
            secret="sealed",
            created_at=to_stored(storage.from_stored(0)),
        )
    )
    sql.execute(
        insert(jobs).values(
            user_id=user_id,
            kind="sync",
            key=connection_id,
            payload="{}",
            due_at=1,
            wanted=1,
            claimed=0,
            attempts=0,
        )
    )


def _plant_grant(sql: Sql, *, user_id: int) -> None:
    sql.execute(
        insert(grants).values(
            user_id=user_id,
            id="gr1",
            provider="github",
            account_key="583231",
            client_id="c",
            scopes="",
            tokens="sealed",
            version=1,
            state="ok",
            reason="",
            authorized_at=1,
            refresh_attempts=0,
        )
    )


def _traces(sql: Sql) -> set[str]:
    found: set[str] = set()
    for table in (checkpoints, attempts, platform_webhooks, connection_addresses):
        found |= set(sql.execute(select(table.c.connection_id)).scalars())
    found |= set(sql.execute(select(jobs.c.key).where(jobs.c.kind == "sync")).scalars())
    return found | set(sql.execute(select(connections.c.id)).scalars())


def _grants(sql: Sql) -> list[str]:
    return list(sql.execute(select(grants.c.id)).scalars())


def _addresses(sql: Sql) -> list[str]:
    return list(sql.execute(select(connection_addresses.c.address)).scalars())
