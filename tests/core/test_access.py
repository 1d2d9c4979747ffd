import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from stores import Store, opened
from tidings.access import Gate, denial_headers, owns
from tidings.accounts import User, list_users, remove_user
from tidings.api_tokens import add_token, revoke_token
from tidings.config import Jwt
from tidings.contracts import Principal
from tidings.errors import Denied
from tidings.event import UserId
from tidings.jwt import JwtVerifier
from tidings.keysets import KeySets
from tidings.origins import Origins
from tidings.outbound import Outbound
from tidings.sessions import add_login_link, sign_in
from tidings.tickets import issue_ticket

PUBLIC, FRIEND = "https://tidings.example.org", "https://app.example.org"
COOKIE = "__Host-tidings_session"
SECRET = "an embedding application's secret"
RULES = Jwt(secret=SECRET, issuer="app", audience="tidings")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(tmp_path) as store:
        yield store


def gate(store: Store, *, jwt: bool = True, create_users: bool = False) -> Gate:
    return Gate(
        store.database,
        store.writer,
        store.clock,
        origins=Origins(PUBLIC, (FRIEND,)),
        session_key=b"k" * 32,
        jwt=JwtVerifier(RULES, KeySets(Outbound(), store.clock)) if jwt else None,
        create_users=create_users,
    )


def asked(
    method: str = "GET",
    query: str = "",
    *,
    path: str = "/api/sse/stream",
    scope_type: str = "http",
    **headers: str,
) -> dict[str, Any]:
    pairs = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {"type": scope_type, "path": path, "query_string": query.encode(), "headers": pairs}
    return scope if scope_type == "websocket" else {**scope, "method": method}


async def token(store: Store, user: User, *scopes: str, **options: Any) -> str:
    now = store.clock.now()
    _, text = await store.write(lambda c: add_token(c, user, scopes=scopes, now=now, **options))
    return f"Bearer {text}"


async def session(store: Store, user: User) -> str:
    now = store.clock.now()
    link = await store.write(lambda c: add_login_link(c, user.id, now=now))
    signed = await store.write(lambda c: sign_in(c, link, now=now))
    assert signed is not None
    return f"theme=dark; {COOKIE}={signed.value}; other=1"


def jwt(store: Store, **changes: Any) -> str:
    claims = {"iss": "app", "aud": "tidings", "sub": "anna", "exp": store.clock.now().timestamp() + 60}

    def part(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    header = json.dumps({"alg": "HS256"}).encode()
    signed = f"{part(header)}.{part(json.dumps({**claims, **changes}).encode())}"
    return f"Bearer {signed}.{part(hmac.digest(SECRET.encode(), signed.encode(), 'sha256'))}"


async def denied(asking: Any) -> Denied:
    with pytest.raises(Denied) as caught:
        await asking
    return caught.value


# --- who ----------------------------------------------------------------------------------------------------


async def test_a_token_in_the_header_lets_in(store: Store):
    anna = await store.add_user("anna")
    header = await token(store, anna, "read")
    for written in (header, header.replace("Bearer", "bearer"), header.replace(" ", "   ")):
        principal = await gate(store).require(asked(authorization=written), "read")
        assert (principal.user_id, principal.kind) == (anna.id, "token")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer tdg_",
        "Bearer tdg_" + "x" * 43,
        "Bearer x",
        "Bearer \xff\x00",
        "Basic YW5uYTpwYXNz",
        "tdg_x",
        "Bearer " + "." * 100,
    ],
)
async def test_anything_else_is_answered_401_with_a_hint(store: Store, header: str):
    await token(store, await store.add_user("anna"), "read")
    for entrance in (gate(store), gate(store, jwt=False)):
        for error in (
            await denied(entrance.require(asked(authorization=header), "read")),
            await denied(entrance.enter_stream(asked(authorization=header))),
        ):
            assert (error.status, error.code) == (401, "unauthenticated")
            assert denial_headers(error) == {"WWW-Authenticate": 'Bearer realm="tidings"'}


async def test_nobody_is_answered_401(store: Store):
    assert (await denied(gate(store).require(asked(), "read"))).status == 401
    assert (await denied(gate(store).enter_stream(asked()))).status == 401


async def test_two_bearers_are_refused(store: Store):
    header = await token(store, await store.add_user("anna"), "read")
    scope = asked(authorization=header)
    scope["headers"] *= 2
    assert (await denied(gate(store).require(scope, "read"))).status == 401


async def test_the_header_wins_over_the_cookie_and_the_ticket(store: Store):
    anna, bert = await store.add_user("anna"), await store.add_user("bert")
    header, cookie = await token(store, anna, "read"), await session(store, bert)
    entrance = gate(store)
    assert (await entrance.require(asked(authorization=header, cookie=cookie), "read")).user_id == anna.id
    both = asked(query="ticket=x", authorization=header, cookie=cookie)
    assert (await entrance.enter_stream(both)).user_id == anna.id
    wrong = asked(authorization="Bearer tdg_wrong", cookie=cookie)
    assert (await denied(entrance.require(wrong, "read"))).status == 401


async def test_a_proxys_own_password_does_not_hide_the_cookie(store: Store):
    anna = await store.add_user("anna")
    scope = asked(authorization="Basic YW5uYTpwYXNz", cookie=await session(store, anna))
    assert (await gate(store).require(scope, "read")).user_id == anna.id


async def test_a_right_that_is_lacking_is_answered_403(store: Store):
    anna = await store.add_user("anna")
    reader, sender = await token(store, anna, "read"), await token(store, anna, "send")
    entrance = gate(store)
    for error in (
        await denied(entrance.require(asked(authorization=reader), "send")),
        await denied(entrance.require(asked(authorization=reader), "admin")),
        await denied(entrance.require(asked(authorization=sender), "read")),
        await denied(entrance.enter_stream(asked(authorization=sender))),
    ):
        assert (error.status, error.code) == (403, "forbidden")
        assert denial_headers(error) == {}


async def test_credentials_end_when_they_expire(store: Store):
    anna = await store.add_user("anna")
    header = await token(store, anna, "read", expires_at=store.clock.now() + timedelta(seconds=10))
    cookie, entrance = await session(store, anna), gate(store)
    await store.clock.advance(9)
    await entrance.require(asked(authorization=header), "read")
    await store.clock.advance(1)
    assert (await denied(entrance.require(asked(authorization=header), "read"))).status == 401
    await entrance.require(asked(cookie=cookie), "read")
    await store.clock.advance(timedelta(days=30).total_seconds())
    assert (await denied(entrance.require(asked(cookie=cookie), "read"))).status == 401


async def test_a_revoked_token_is_refused_at_once_though_many_ask(store: Store):
    header = await token(store, await store.add_user("anna"), "read")
    entrance = gate(store)

    async def ask() -> bool:
        try:
            await entrance.require(asked(authorization=header), "read")
        except Denied:
            return False
        return True

    early = [asyncio.create_task(ask()) for _ in range(200)]
    await asyncio.sleep(0)
    await store.write(lambda c: revoke_token(c, 1))
    late = await asyncio.gather(*(ask() for _ in range(200)))
    await asyncio.gather(*early)
    assert not any(late)


async def test_many_who_come_at_once_share_few_reads(store: Store):
    anna = await store.add_user("anna")
    headers = [await token(store, anna, "read") for _ in range(20)]
    entrance, reads, read = gate(store), [], store.database.read

    async def counting(work: Any) -> Any:
        reads.append(work)
        return await read(work)

    store.database.read = counting  # type: ignore[method-assign]  # counted, and done by the real one
    principals = await asyncio.gather(
        *(entrance.enter_stream(asked(authorization=headers[number % 20])) for number in range(1_000))
    )
    assert [p.key for p in principals] == [f"token:{number % 20 + 1}" for number in range(1_000)]
    assert len(reads) < 10


async def test_who_gives_up_waiting_disturbs_nobody(store: Store):
    header = await token(store, await store.add_user("anna"), "read")
    entrance = gate(store)
    leaving = asyncio.create_task(entrance.require(asked(authorization=header), "read"))
    staying = asyncio.create_task(entrance.require(asked(authorization=header), "read"))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).key == "token:1"


# --- JWTs ---------------------------------------------------------------------------------------------------


async def test_a_jwt_names_its_user_by_id_or_name(store: Store):
    anna = await store.add_user("anna")
    for subject in ("anna", "Anna", str(anna.id)):
        principal = await gate(store).require(asked(authorization=jwt(store, sub=subject)), "read")
        assert (principal.user_id, principal.user_name, principal.kind) == (anna.id, "anna", "jwt")
        assert principal.expires_at == store.clock.now() + timedelta(seconds=60)


async def test_a_jwt_never_makes_an_admin(store: Store):
    await store.add_user("anna")
    await store.add_user("root", is_admin=True)
    everything = "read send admin"
    entrance = gate(store)
    anna = await entrance.require(asked(authorization=jwt(store, scope=everything)), "send")
    root = await entrance.require(asked(authorization=jwt(store, sub="root", scope=everything)), "admin")
    assert (anna.scopes, root.scopes) == ({"read", "send"}, {"read", "send", "admin"})
    plain = await entrance.require(asked(authorization=jwt(store, sub="root")), "read")
    assert plain.scopes == {"read"}


async def test_an_unknown_subject_is_refused_unless_users_may_be_made(store: Store):
    header = jwt(store, sub="New.User@example.org")
    assert (await denied(gate(store).require(asked(authorization=header), "read"))).status == 401
    assert await store.read(list_users) == []
    entrance = gate(store, create_users=True)
    together = [entrance.require(asked(authorization=header), "read") for _ in range(20)]
    principals = await asyncio.gather(*together)
    assert {p.user_name for p in principals} == {"new.user@example.org"}
    assert [user.is_admin for user in await store.read(list_users)] == [False]


@pytest.mark.parametrize("subject", ["77", "no name", "a" * 65, "ä"])
async def test_a_subject_that_can_be_no_name_makes_no_user(store: Store, subject: str):
    entrance = gate(store, create_users=True)
    header = jwt(store, sub=subject)
    assert (await denied(entrance.require(asked(authorization=header), "read"))).status == 401
    assert await store.read(list_users) == []


async def test_two_jwts_are_two_rights(store: Store):
    await store.add_user("anna")
    headers = (jwt(store), jwt(store, jti="2"))
    keys = {(await gate(store).require(asked(authorization=header), "read")).key for header in headers}
    assert len(keys) == 2
    assert not any(header.removeprefix("Bearer ") in key for header in headers for key in keys)


# --- sessions -----------------------------------------------------------------------------------------------


async def test_a_session_reads_by_its_cookie_alone(store: Store):
    anna = await store.add_user("anna")
    principal = await gate(store).require(asked(cookie=await session(store, anna)), "read")
    assert (principal.user_id, principal.kind) == (anna.id, "session")


@pytest.mark.parametrize(
    "cookie", ["", COOKIE, f"{COOKIE}=", f"{COOKIE}=x", f"{COOKIE}=\xff", "tidings_session=x"]
)
async def test_a_cookie_that_is_no_session_is_nobody(store: Store, cookie: str):
    await session(store, await store.add_user("anna"))
    assert (await denied(gate(store).require(asked(cookie=cookie), "read"))).status == 401


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "get", "PROPFIND"])
async def test_a_session_changes_nothing_without_its_csrf_token(store: Store, method: str):
    anna = await store.add_user("anna")
    cookie, entrance = await session(store, anna), gate(store)
    good = entrance.csrf_token(await entrance.require(asked(cookie=cookie), "read"))
    other = entrance.csrf_token(await entrance.require(asked(cookie=await session(store, anna)), "read"))
    assert good is not None
    assert other is not None
    await entrance.require(asked(method, cookie=cookie, x_csrf_token=good), "send")
    for headers in ({}, {"x_csrf_token": ""}, {"x_csrf_token": other}, {"x_csrf_token": good + "\xe4"}):
        error = await denied(entrance.require(asked(method, cookie=cookie, **headers), "send"))
        assert (error.status, error.code) == (403, "csrf")


async def test_a_change_from_another_sites_page_is_refused_though_it_has_the_token(store: Store):
    cookie, entrance = await session(store, await store.add_user("anna")), gate(store)
    csrf = entrance.csrf_token(await entrance.require(asked(cookie=cookie), "read"))
    assert csrf is not None

    def change(**headers: str) -> dict[str, Any]:
        return asked("POST", cookie=cookie, x_csrf_token=csrf, **headers)

    for origin in (PUBLIC, FRIEND):
        await entrance.require(change(origin=origin), "send")
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec_fetch_site": "cross-site"}):
        error = await denied(entrance.require(change(**headers), "send"))
        assert (error.status, error.code) == (403, "csrf")


async def test_a_token_needs_no_csrf_token(store: Store):
    header = await token(store, await store.add_user("anna"), "send")
    principal = await gate(store).require(
        asked("POST", authorization=header, origin="https://evil.example"), "send"
    )
    assert gate(store).csrf_token(principal) is None


@pytest.mark.parametrize(
    ("headers", "enters"),
    [
        ({}, True),
        ({"sec_fetch_site": "same-origin"}, True),
        ({"origin": PUBLIC}, True),
        ({"origin": FRIEND, "sec_fetch_site": "cross-site"}, True),
        ({"origin": "https://evil.example"}, False),
        ({"sec_fetch_site": "cross-site"}, False),
        ({"sec_fetch_site": "same-site"}, False),
    ],
)
async def test_a_session_opens_streams_only_for_pages_we_trust(
    store: Store, headers: dict[str, str], enters: bool
):
    scope = asked(cookie=await session(store, await store.add_user("anna")), **headers)
    if enters:
        assert (await gate(store).enter_stream(scope)).kind == "session"
    else:
        assert (await denied(gate(store).enter_stream(scope))).status == 403


async def test_a_websocket_by_cookie_must_name_its_origin(store: Store):
    cookie, entrance = await session(store, await store.add_user("anna")), gate(store)
    assert (await denied(entrance.enter_stream(asked(scope_type="websocket", cookie=cookie)))).status == 403
    await entrance.enter_stream(asked(scope_type="websocket", cookie=cookie, origin=PUBLIC))


# --- streams ------------------------------------------------------------------------------------------------


async def test_user_id_must_be_ones_own(store: Store):
    anna, root = await store.add_user("anna"), await store.add_user("root", is_admin=True)
    header, entrance = await token(store, root, "admin"), gate(store)
    for query in ("userId=root", "userId=ROOT", f"userId={root.id}", "after=0&userId=root", ""):
        assert (await entrance.enter_stream(asked(query=query, authorization=header))).user_id == root.id
    for query in ("userId=anna", f"userId={anna.id}", "userId=", "userId=root&userId=anna", "userId=%61nna"):
        error = await denied(entrance.enter_stream(asked(query=query, authorization=header)))
        assert (error.status, error.code) == (403, "forbidden")


async def ticket(store: Store, entrance: Gate) -> str:
    anna = await store.add_user("anna")
    principal = await entrance.require(asked(authorization=await token(store, anna, "read")), "read")
    now = store.clock.now()
    return await store.write(lambda c: issue_ticket(c, principal, now=now))


async def test_a_ticket_opens_its_stream_again_from_another_position(store: Store):
    entrance = gate(store)
    text = await ticket(store, entrance)
    first = await entrance.enter_stream(asked(query=f"types=a&ticket={text}&platforms=b"))
    again = await entrance.enter_stream(asked(query=f"platforms=b&after=e-7&types=a&ticket={text}"))
    assert (first.kind, first.key) == ("ticket", "token:1")
    assert again == first
    for query in (f"ticket={text}", f"ticket={text}&types=a", f"ticket={text}&platforms=b&types=c"):
        assert (await denied(entrance.enter_stream(asked(query=query)))).status == 401
    elsewhere = asked(query=f"types=a&ticket={text}&platforms=b", path="/ws")
    assert (await denied(entrance.enter_stream(elsewhere))).status == 401


async def test_a_ticket_is_good_for_streams_alone(store: Store):
    entrance = gate(store)
    text = await ticket(store, entrance)
    assert (await denied(entrance.require(asked(query=f"ticket={text}"), "read"))).status == 401


async def test_two_tickets_are_refused_though_they_are_good(store: Store):
    entrance = gate(store)
    text = await ticket(store, entrance)
    assert (await denied(entrance.enter_stream(asked(query=f"ticket={text}&ticket={text}")))).status == 401


@pytest.mark.parametrize("query", ["ticket=", "ticket=x", "ticket=%ff%00", "ticket=x&ticket=y", "ticket"])
async def test_a_query_that_is_no_ticket_is_refused(store: Store, query: str):
    cookie = await session(store, await store.add_user("anna"))
    assert (await denied(gate(store).enter_stream(asked(query=query, cookie=cookie)))).status == 401


async def test_a_ticket_is_refused_once_its_user_is_gone(store: Store):
    entrance = gate(store)
    text = await ticket(store, entrance)
    await store.write(lambda c: remove_user(c, UserId(1)))
    assert (await denied(entrance.enter_stream(asked(query=f"ticket={text}")))).status == 401


def test_what_is_ones_own():
    anna = Principal(UserId(1), "anna", "token", "token:1", frozenset({"read"}))
    root = Principal(UserId(2), "root", "token", "token:2", frozenset({"read", "send", "admin"}))
    assert (owns(anna, UserId(1)), owns(anna, UserId(2)), owns(root, UserId(1))) == (True, False, True)
