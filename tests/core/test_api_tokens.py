from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from stores import Store, opened
from tidings.accounts import User
from tidings.api_tokens import add_token, find_tokens, list_tokens, revoke_token
from tidings.errors import Denied, NotFound, Rejected
from tidings.facts import RIGHTS_CHANGED, counted
from tidings.sessions import digest


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(tmp_path) as store:
        yield store


async def make(store: Store, user: User, *scopes: str, **options: Any) -> tuple[int, str]:
    now = store.clock.now()
    return await store.write(
        lambda connection: add_token(connection, user, scopes=scopes, now=now, **options)
    )


async def find(store: Store, text: str):
    return (await store.read(lambda connection: find_tokens(connection, [digest(text)]))).get(digest(text))


async def test_a_token_brings_its_owner_and_scopes(store: Store):
    anna = await store.add_user("anna")
    expires_at = store.clock.now() + timedelta(days=1)
    token_id, text = await make(store, anna, "read", "send", expires_at=expires_at)
    assert text.startswith("tdg_")
    assert len(text) == 47
    principal = await find(store, text)
    assert principal is not None
    assert (principal.user_id, principal.user_name, principal.kind) == (anna.id, "anna", "token")
    assert (principal.key, principal.scopes) == (f"token:{token_id}", {"read", "send"})
    assert principal.expires_at == expires_at


async def test_a_tokens_text_is_not_stored(store: Store):
    _, text = await make(store, await store.add_user("anna"), "read")
    content = await store.stored()
    assert digest(text) in content
    assert text[4:20].encode() not in content


async def test_only_an_admin_can_have_an_admin_token_and_it_implies_the_rest(store: Store):
    anna, root = await store.add_user("anna"), await store.add_user("root", is_admin=True)
    with pytest.raises(Denied) as caught:
        await make(store, anna, "admin")
    assert caught.value.status == 403
    _, text = await make(store, root, "admin")
    principal = await find(store, text)
    assert principal is not None
    assert principal.scopes == {"read", "send", "admin"}


async def test_an_admins_ordinary_token_is_ordinary(store: Store):
    _, text = await make(store, await store.add_user("root", is_admin=True), "read")
    principal = await find(store, text)
    assert principal is not None
    assert principal.scopes == {"read"}


@pytest.mark.parametrize(
    ("scopes", "options"),
    [
        ((), {}),
        (("write",), {}),
        (("read", "READ"), {}),
        (("read",), {"label": "x" * 101}),
        (("read",), {"label": "two\nlines"}),
        (("read",), {"expires_in": timedelta()}),
    ],
)
async def test_a_token_that_makes_no_sense_is_refused(
    store: Store, scopes: tuple[str, ...], options: dict[str, Any]
):
    anna = await store.add_user("anna")
    if "expires_in" in options:
        options = {"expires_at": store.clock.now() + options["expires_in"]}
    with pytest.raises(Rejected) as caught:
        await make(store, anna, *scopes, **options)
    assert caught.value.status == 400
    assert await store.read(list_tokens) == []


async def test_tokens_are_listed_by_owner(store: Store):
    anna, bert = await store.add_user("anna"), await store.add_user("bert")
    await make(store, anna, "read", label="laptop")
    await make(store, bert, "send", "read")
    both = await store.read(list_tokens)
    assert [(t.id, t.user_name, t.label, set(t.scopes), t.expires_at) for t in both] == [
        (1, "anna", "laptop", {"read"}, None),
        (2, "bert", "", {"read", "send"}, None),
    ]
    assert await store.read(lambda connection: list_tokens(connection, bert.id)) == both[1:]


async def test_a_revoked_token_is_gone_announced_and_its_id_never_given_again(store: Store):
    anna = await store.add_user("anna")
    token_id, text = await make(store, anna, "read")
    await store.write(lambda connection: revoke_token(connection, token_id))
    assert await find(store, text) is None
    assert await store.read(lambda connection: counted(connection, RIGHTS_CHANGED)) == 1
    again, _ = await make(store, anna, "read")
    assert again == token_id + 1


async def test_nobody_revokes_the_token_of_another(store: Store):
    anna, bert = await store.add_user("anna"), await store.add_user("bert")
    token_id, text = await make(store, anna, "read")
    with pytest.raises(NotFound):
        await store.write(lambda connection: revoke_token(connection, token_id, user_id=bert.id))
    assert await find(store, text) is not None
    await store.write(lambda connection: revoke_token(connection, token_id, user_id=anna.id))
    with pytest.raises(NotFound):
        await store.write(lambda connection: revoke_token(connection, token_id, user_id=anna.id))
