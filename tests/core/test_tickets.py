import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import structlog
from sqlalchemy import select

from stores import Store, opened
from tidings.accounts import remove_user
from tidings.api_tokens import add_token, find_tokens, revoke_token
from tidings.contracts import Principal
from tidings.errors import Denied
from tidings.event import UserId
from tidings.retention import Policy, Retention
from tidings.schema import tickets
from tidings.sessions import digest, end_session
from tidings.tickets import (
    TicketPrincipal,
    bind_ticket,
    extend_tickets,
    find_ticket,
    issue_ticket,
)

pytestmark = pytest.mark.usefixtures("every_database")

HOME, OTHER = "/api/sse/stream", "/api/sse/stream?types=com.github.*"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(tmp_path) as store:
        yield store


async def by_token(store: Store, *, expires_at: datetime | None = None) -> Principal:
    anna = await store.add_user("anna", is_admin=True)
    now = store.clock.now()
    _, text = await store.write(
        lambda c: add_token(c, anna, scopes=("admin",), now=now, expires_at=expires_at)
    )
    return (await store.read(lambda c: find_tokens(c, [digest(text)])))[digest(text)]


async def issue(store: Store, principal: Principal) -> str:
    now = store.clock.now()
    return await store.write(lambda c: issue_ticket(c, principal, now=now))


async def find(store: Store, ticket: str, stream: str = HOME) -> TicketPrincipal:
    now = store.clock.now()
    return await store.read(lambda c: find_ticket(c, ticket, stream=stream, now=now))


async def use(store: Store, ticket: str, stream: str = HOME) -> TicketPrincipal:
    principal, now = await find(store, ticket, stream), store.clock.now()
    assert await store.write(lambda c: bind_ticket(c, principal, stream=stream, now=now))
    return principal


async def extend(store: Store, *principals: Principal) -> None:
    now = store.clock.now()
    await store.write(lambda c: extend_tickets(c, principals, now=now))


async def test_a_ticket_lends_the_right_to_read_and_no_other(store: Store):
    expires_at = store.clock.now() + timedelta(hours=1)
    owner = await by_token(store, expires_at=expires_at)
    principal = await use(store, await issue(store, owner))
    assert principal.kind == "ticket"
    assert (principal.user_id, principal.user_name) == (owner.user_id, "anna")
    assert (principal.key, principal.expires_at) == (owner.key, expires_at)
    assert principal.scopes == {"read"}


async def test_a_ticket_is_stored_as_a_hash(store: Store):
    ticket = await issue(store, await by_token(store))
    assert digest(ticket) in await store.stored()
    assert ticket[:16].encode() not in await store.stored()


async def test_a_ticket_must_be_used_within_thirty_seconds(store: Store):
    owner = await by_token(store)
    ticket, late = await issue(store, owner), await issue(store, owner)
    await store.clock.advance(29)
    await use(store, ticket)
    await store.clock.advance(1)
    with pytest.raises(Denied, match="within 30 seconds"):
        await find(store, late)


async def test_a_ticket_serves_only_the_stream_of_its_first_use(store: Store):
    ticket = await issue(store, await by_token(store))
    await use(store, ticket)
    await use(store, ticket)
    with pytest.raises(Denied, match="another stream"):
        await find(store, ticket, OTHER)


async def test_of_two_streams_at_once_one_gets_the_ticket(store: Store):
    ticket = await issue(store, await by_token(store))
    principal, now = await find(store, ticket), store.clock.now()
    streams = [f"{HOME}?platforms={number}" for number in range(20)]
    won = await asyncio.gather(
        *(store.write(lambda c, s=stream: bind_ticket(c, principal, stream=s, now=now)) for stream in streams)
    )
    assert won.count(True) == 1


async def test_reconnects_are_served_until_fifteen_minutes_after_the_last_disconnect(store: Store):
    ticket = await issue(store, await by_token(store))
    principal = await use(store, ticket)
    for _ in range(60):  # open for an hour
        await store.clock.advance(60)
        await extend(store, principal)
    await store.clock.advance(15 * 60 - 1)
    await use(store, ticket)
    await store.clock.advance(30)
    await extend(store, principal)  # the disconnect
    await store.clock.advance(15 * 60)
    with pytest.raises(Denied):
        await find(store, ticket)


async def test_a_ticket_that_was_found_in_time_but_bound_too_late_does_not_count(store: Store):
    ticket = await issue(store, await by_token(store))
    principal = await find(store, ticket)
    late = store.clock.now() + timedelta(seconds=30)
    assert not await store.write(lambda c: bind_ticket(c, principal, stream=HOME, now=late))


async def test_extending_touches_only_tickets_that_are_given(store: Store):
    owner = await by_token(store)
    used, unused = await issue(store, owner), await issue(store, owner)
    principal = await use(store, used)
    await extend(store, owner)
    await extend(store, owner, principal)
    await store.clock.advance(31)
    await use(store, used)
    with pytest.raises(Denied):
        await find(store, unused)


@pytest.mark.parametrize("ticket", ["", "x", "\udcff", "ä" * 100])
async def test_an_invented_ticket_is_refused(store: Store, ticket: str):
    await issue(store, await by_token(store))
    with pytest.raises(Denied):
        await find(store, ticket)


async def test_a_ticket_ends_with_its_token(store: Store):
    owner = await by_token(store)
    ticket = await issue(store, owner)
    await use(store, ticket)
    await store.write(lambda c: revoke_token(c, int(owner.key.removeprefix("token:"))))
    with pytest.raises(Denied, match="has ended"):
        await find(store, ticket)


async def test_a_ticket_ends_with_its_user(store: Store):
    owner = await by_token(store)
    ticket = await issue(store, owner)
    await store.write(lambda c: remove_user(c, owner.user_id))
    with pytest.raises(Denied):
        await find(store, ticket)


async def test_a_ticket_ends_when_its_right_expires(store: Store):
    owner = await by_token(store, expires_at=store.clock.now() + timedelta(seconds=10))
    ticket = await issue(store, owner)
    await use(store, ticket)
    await store.clock.advance(10)
    with pytest.raises(Denied, match="has ended"):
        await find(store, ticket)


async def test_a_ticket_ends_with_its_session(store: Store):
    anna = await store.add_user("anna")
    gone = Principal(anna.id, "anna", "session", f"session:{'00' * 32}", frozenset({"read"}))
    ticket = await issue(store, gone)
    await store.write(lambda c: end_session(c, gone))
    with pytest.raises(Denied, match="has ended"):
        await find(store, ticket)


async def test_a_ticket_of_a_jwt_lives_until_the_jwt_expires(store: Store):
    anna = await store.add_user("anna")
    ends = store.clock.now() + timedelta(seconds=20)
    jwt = Principal(UserId(anna.id), "anna", "jwt", "jwt:0a", frozenset({"read", "send"}), ends)
    ticket = await issue(store, jwt)
    await use(store, ticket)
    await store.clock.advance(20)
    with pytest.raises(Denied, match="has ended"):
        await find(store, ticket)


async def test_tickets_that_serve_nothing_are_removed(store: Store):
    owner = await by_token(store)
    used = await issue(store, owner)
    await issue(store, owner)
    await use(store, used)
    await store.clock.advance(31)
    await Retention(store.writer, store.clock, structlog.get_logger(), Policy(None, None)).cut()
    rows = await store.read(lambda c: list(c.execute(select(tickets.c.ticket_hash)).scalars()))
    assert rows == [digest(used)]
