import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import LargeBinary, Table, insert, select

from stores import Store, opened
from tidings import schema
from tidings.accounts import (
    effective_scopes,
    find_user,
    list_users,
    remove_user,
    resolve_user,
    user_name,
)
from tidings.errors import Conflict, NotFound, Rejected
from tidings.event import UserId
from tidings.facts import REGISTRATIONS_CHANGED, RIGHTS_CHANGED, counted
from tidings.sessions import (
    SessionCookie,
    add_login_link,
    csrf_token,
    digest,
    end_session,
    find_sessions,
    sign_in,
)

pytestmark = pytest.mark.usefixtures("every_database")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(tmp_path) as store:
        yield store


async def link_for(store: Store, user_id: UserId) -> str:
    now = store.clock.now()
    return await store.write(lambda connection: add_login_link(connection, user_id, now=now))


async def signed_in(store: Store, link: str):
    now = store.clock.now()
    return await store.write(lambda connection: sign_in(connection, link, now=now))


# --- users --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "anna", "a1", "1a", "anna.b_c@example.org+x-y", "a" * 64])
def test_a_name_may_look_like_an_address(name: str):
    assert user_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "7", "123", "-a", "a-", "a b", "a" * 65, "ä", "a\n", "a/b", "\u212aim", "\u0661"]
)
def test_other_names_are_refused(name: str):
    with pytest.raises(Rejected) as caught:
        user_name(name)
    assert caught.value.status == 400


@given(st.text(max_size=80))
def test_a_name_is_always_stored_lower_and_never_an_id(text: str):
    try:
        name = user_name(text)
    except Rejected:
        return
    assert name == name.lower() == user_name(name)
    assert not name.isdigit()


async def test_a_user_is_found_by_id_and_by_name_in_any_case(store: Store):
    anna = await store.add_user("Anna")
    assert anna.name == "anna"
    for ref in (str(anna.id), "anna", "ANNA"):
        assert await store.read(lambda connection, ref=ref: resolve_user(connection, ref)) == anna
    for ref in ("", "0", "2", "ann", "anna ", "9" * 18, "9" * 40, "ä", "\0"):
        assert await store.read(lambda connection, ref=ref: find_user(connection, ref)) is None


async def test_a_near_miss_is_suggested_only_to_those_who_may_see_all_users(store: Store):
    await store.add_user("anna")
    with pytest.raises(NotFound, match=r"no user 'amna'\. Did you mean 'anna'\?"):
        await store.read(lambda connection: resolve_user(connection, "amna", suggest=True))
    with pytest.raises(NotFound) as caught:
        await store.read(lambda connection: resolve_user(connection, "amna"))
    assert "anna" not in str(caught.value)


async def test_a_name_is_given_once_in_whatever_case(store: Store):
    await store.add_user("anna")
    with pytest.raises(Conflict):
        await store.add_user("ANNA")


async def test_a_user_has_a_journal_from_the_start(store: Store):
    anna, bert = await store.add_user("anna"), await store.add_user("bert")
    rows = await store.read(lambda connection: connection.execute(select(schema.journals)).all())
    assert [(row.user_id, row.head, row.floor) for row in rows] == [(anna.id, 0, 0), (bert.id, 0, 0)]
    assert all(len(row.epoch) == 8 and row.epoch.isalnum() for row in rows)
    assert rows[0].epoch != rows[1].epoch


async def test_an_id_is_never_given_again(store: Store):
    ids = []
    for _ in range(3):
        user = await store.add_user("anna")
        ids.append(user.id)
        await store.write(lambda connection, user=user: remove_user(connection, user.id))
    assert ids == [1, 2, 3]
    assert await store.read(list_users) == []


def row_of(table: Table, user_id: int, number: int) -> dict[str, Any]:
    def value(column: Any) -> Any:
        if column.name == "user_id":
            return user_id
        if isinstance(column.type, LargeBinary):
            return bytes([number]) * 32
        return f"{table.name}{number}" if column.type.python_type is str else number

    return {column.name: value(column) for column in table.c}


async def test_removing_a_user_leaves_no_row_of_theirs_and_touches_nobody_elses(store: Store):
    anna, bert = await store.add_user("anna"), await store.add_user("bert")
    owned = [table for table in schema.metadata.sorted_tables if "user_id" in table.c]

    def fill(connection: Any) -> None:
        for table in owned:
            if table.name != "journals":
                connection.execute(insert(table), [row_of(table, user.id, user.id) for user in (anna, bert)])

    await store.write(fill)
    await store.write(lambda connection: remove_user(connection, anna.id))

    def owners(connection: Any) -> dict[str, list[int]]:
        return {t.name: list(connection.execute(select(t.c.user_id)).scalars()) for t in owned}

    left = await store.read(owners)
    assert len(left) >= 12
    assert left == {table.name: [bert.id] for table in owned}
    assert [user.name for user in await store.read(list_users)] == ["bert"]
    with pytest.raises(NotFound):
        await store.write(lambda connection: remove_user(connection, anna.id))


async def test_adding_and_removing_users_is_announced(store: Store):
    anna = await store.add_user("anna")
    before = await store.read(lambda connection: counted(connection, RIGHTS_CHANGED))
    registrations = await store.read(lambda connection: counted(connection, REGISTRATIONS_CHANGED))
    await store.write(lambda connection: remove_user(connection, anna.id))
    assert await store.read(lambda connection: counted(connection, RIGHTS_CHANGED)) == before + 1
    assert (
        await store.read(lambda connection: counted(connection, REGISTRATIONS_CHANGED)) == registrations + 1
    )


@pytest.mark.parametrize(
    ("asked", "is_admin", "effective"),
    [
        ("read", False, "read"),
        ("read send", False, "read send"),
        ("admin", True, "admin read send"),
        ("admin", False, ""),
        ("admin read", False, "read"),
        ("openid profile read", True, "read"),
        ("", True, ""),
    ],
)
def test_admin_implies_the_rest_and_is_void_for_others(asked: str, is_admin: bool, effective: str):
    assert effective_scopes(asked.split(), is_admin=is_admin) == frozenset(effective.split())


# --- login links and sessions -------------------------------------------------------------------------------


async def test_a_login_link_used_twenty_times_at_once_logs_in_once(store: Store):
    anna = await store.add_user("anna")
    link = await link_for(store, anna.id)
    results = await asyncio.gather(*(signed_in(store, link) for _ in range(20)))
    assert sum(result is not None for result in results) == 1
    rows = await store.read(lambda connection: connection.execute(select(schema.sessions)).all())
    assert len(rows) == 1


async def test_a_login_link_lasts_a_day(store: Store):
    anna = await store.add_user("anna")
    early, late = await link_for(store, anna.id), await link_for(store, anna.id)
    await store.clock.advance(timedelta(hours=24).total_seconds() - 1)
    assert await signed_in(store, early) is not None
    await store.clock.advance(1)
    assert await signed_in(store, late) is None


@pytest.mark.parametrize("link", ["", "x", "\ud800", "ä" * 500])
async def test_an_invented_link_logs_nobody_in(store: Store, link: str):
    await link_for(store, (await store.add_user("anna")).id)
    assert await signed_in(store, link) is None


async def test_nothing_that_logs_in_is_stored(store: Store):
    anna = await store.add_user("anna")
    spent, unspent = await link_for(store, anna.id), await link_for(store, anna.id)
    session = await signed_in(store, spent)
    content = await store.stored()
    assert digest(unspent) in content
    assert digest(session.value) in content
    for secret in (spent, unspent, session.value):
        assert len(secret) == 43
        assert secret[:16].encode() not in content
        assert secret not in repr(session)


async def test_a_session_has_all_rights_of_its_user(store: Store):
    anna, root = await store.add_user("anna"), await store.add_user("root", is_admin=True)
    for user, scopes in ((anna, {"read", "send"}), (root, {"read", "send", "admin"})):
        session = await signed_in(store, await link_for(store, user.id))
        hashed = digest(session.value)
        found = await store.read(lambda connection, hashed=hashed: find_sessions(connection, [hashed]))
        principal = found[hashed]
        assert (principal.user_id, principal.kind, principal.scopes) == (user.id, "session", scopes)
        assert principal.expires_at == session.expires_at == store.clock.now() + timedelta(days=30)


async def test_signing_out_ends_one_session_and_announces_it_once(store: Store):
    anna = await store.add_user("anna")
    hashes = [digest((await signed_in(store, await link_for(store, anna.id))).value) for _ in range(2)]
    found = await store.read(lambda connection: find_sessions(connection, hashes))
    for _ in range(2):
        await store.write(lambda connection: end_session(connection, found[hashes[0]]))
    left = await store.read(lambda connection: find_sessions(connection, hashes))
    assert list(left) == [hashes[1]]
    assert await store.read(lambda connection: counted(connection, RIGHTS_CHANGED)) == 1


def test_the_cookie_is_kept_from_scripts_and_bound_to_the_host_under_https():
    plain, secure = SessionCookie(secure=False), SessionCookie(secure=True)
    assert plain.set("v") == "tidings_session=v; Max-Age=2592000; Path=/; HttpOnly; SameSite=Lax"
    assert plain.clear() == "tidings_session=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"
    assert secure.set("v") == (
        "__Host-tidings_session=v; Max-Age=2592000; Path=/; HttpOnly; SameSite=Lax; Secure"
    )


def test_each_session_and_each_installation_has_its_own_csrf_token():
    tokens = {csrf_token(key, session) for key in (b"a" * 32, b"b" * 32) for session in (b"1", b"2")}
    assert len(tokens) == 4
    assert csrf_token(b"a" * 32, b"1") in tokens
