from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from stores import Store, opened
from tidings.accounts import remove_user
from tidings.api_tokens import add_token, find_tokens, revoke_token
from tidings.contracts import Principal
from tidings.engines import open_database
from tidings.event import UserId
from tidings.rights import RightsWatch
from tidings.sessions import add_login_link, digest, end_session, find_sessions, sign_in

pytestmark = pytest.mark.usefixtures("every_database")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(tmp_path) as store:
        yield store


async def tokens(store: Store, count: int, **options: Any) -> list[Principal]:
    now = store.clock.now()
    anna = await store.add_user("anna")

    def make(connection: Any) -> list[bytes]:
        made = [add_token(connection, anna, scopes=("read",), now=now, **options) for _ in range(count)]
        return [digest(text) for _, text in made]

    hashes = await store.write(make)
    found = await store.read(lambda c: find_tokens(c, hashes))
    return [found[each] for each in hashes]


async def session(store: Store, name: str) -> Principal:
    user, now = await store.add_user(name), store.clock.now()
    link = await store.write(lambda c: add_login_link(c, user.id, now=now))
    signed = await store.write(lambda c: sign_in(c, link, now=now))
    assert signed is not None
    hashed = digest(signed.value)
    return (await store.read(lambda c: find_sessions(c, [hashed])))[hashed]


async def test_each_end_of_a_right_has_its_reason(store: Store):
    revoked, kept = await tokens(store, 2)
    out, gone = await session(store, "bert"), await session(store, "cleo")
    ends = store.clock.now() + timedelta(seconds=5)
    jwt = Principal(kept.user_id, "anna", "jwt", "jwt:1", frozenset({"read"}), ends)
    orphan = Principal(gone.user_id, "cleo", "jwt", "jwt:2", frozenset({"read"}), ends)
    everybody = [revoked, kept, out, gone, jwt, orphan]
    watch = RightsWatch(store.database, store.clock)
    assert await watch.ended(everybody) == {}
    await store.write(lambda c: revoke_token(c, int(revoked.key.removeprefix("token:"))))
    await store.write(lambda c: end_session(c, out))
    await store.write(lambda c: remove_user(c, gone.user_id))
    lost = {revoked.key: "revoked", out.key: "signed_out", gone.key: "user_removed", "jwt:2": "user_removed"}
    assert await watch.ended(everybody) == lost
    await store.clock.advance(5)
    assert await watch.ended([kept, jwt]) == {"jwt:1": "expired"}


async def test_what_another_process_revokes_is_found(store: Store):
    principal, *_ = await tokens(store, 1)
    watch = RightsWatch(store.database, store.clock)
    assert await watch.ended([principal]) == {}
    beside = open_database(store.database.url.render_as_string(hide_password=False))
    await beside.write(lambda c: revoke_token(c, 1))
    await beside.close()
    assert await watch.ended([principal]) == {principal.key: "revoked"}


async def test_who_was_let_in_just_before_the_right_ended_is_found(store: Store):
    early, late = await tokens(store, 2)
    watch = RightsWatch(store.database, store.clock)
    await store.write(lambda c: revoke_token(c, 2))
    assert await watch.ended([early]) == {}
    assert await watch.ended([early, late]) == {late.key: "revoked"}


async def test_what_has_ended_is_told_until_it_is_gone(store: Store):
    principal, *_ = await tokens(store, 1)
    watch = RightsWatch(store.database, store.clock)
    await store.write(lambda c: revoke_token(c, 1))
    for _ in range(3):
        assert await watch.ended([principal]) == {principal.key: "revoked"}
    assert await watch.ended([]) == {}


async def test_thousands_are_looked_up_in_chunks(store: Store):
    everybody = await tokens(store, 1_201)
    for token_id in (1, 500, 501, 1_201):
        await store.write(lambda c, token_id=token_id: revoke_token(c, token_id))
    ended = await RightsWatch(store.database, store.clock).ended(everybody)
    assert ended == dict.fromkeys(("token:1", "token:500", "token:501", "token:1201"), "revoked")


async def test_nothing_is_looked_up_while_nothing_changes(store: Store):
    everybody = await tokens(store, 10)
    watch = RightsWatch(store.database, store.clock)
    await watch.ended(everybody)
    statements: list[str] = []
    engine = store.database._reader.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    assert await watch.ended(everybody) == {}
    assert [statement for statement in statements if statement.startswith("SELECT")] == [
        statement for statement in statements if "settings" in statement
    ]


async def test_an_unknown_user_has_no_right(store: Store):
    ghost = Principal(UserId(99), "ghost", "jwt", "jwt:x", frozenset({"read"}))
    assert await RightsWatch(store.database, store.clock).ended([ghost]) == {"jwt:x": "user_removed"}
