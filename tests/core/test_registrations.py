from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import update

from stores import Store, opened
from tidings.accounts import remove_user
from tidings.contracts import Target as Octo
from tidings.contracts import Upstream
from tidings.errors import NotFound
from tidings.event import UserId
from tidings.facts import REGISTRATIONS_CHANGED, counted
from tidings.keys import KeyRing
from tidings.registrations import (
    Target,
    add_registration,
    find_target,
    list_registrations,
    remove_registration,
)
from tidings.schema import platform_webhooks
from tidings.sealed import secrets_exist
from tidings.upstreams import (
    PlatformRegistration,
    find_platform_registration,
    note_failure,
    note_upstream,
    platform_registrations,
    registered_connections,
)
from tidings.vault import Vault, VaultError

pytestmark = pytest.mark.usefixtures("every_database")

VAULT = Vault(KeyRing({"a": b"a" * 32}))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(tmp_path) as store:
        yield store


async def add(store: Store, user_id: UserId, platform: str = "github") -> tuple[str, str]:
    await store.clock.advance(1)
    now = store.clock.now()
    return await store.write(
        lambda connection: add_registration(connection, VAULT, user_id=user_id, platform=platform, now=now)
    )


async def find(store: Store, ref: str, platform: str = "github") -> Target:
    return await store.read(lambda connection: find_target(connection, VAULT, platform=platform, ref=ref))


async def test_a_registration_is_found_with_its_secret(store: Store):
    anna = await store.add_user("anna")
    registration_id, secret = await add(store, anna.id)
    assert registration_id.startswith("whk")
    assert len(registration_id) == 27
    assert len(secret) == 43
    assert await find(store, registration_id) == Target(anna.id, "anna", registration_id, (secret.encode(),))


async def test_a_secret_is_stored_sealed_and_never_shown(store: Store):
    registration_id, secret = await add(store, (await store.add_user("anna")).id)
    assert secret.encode() not in await store.stored()
    assert secret not in repr(await find(store, registration_id))
    assert secret not in repr(await store.read(list_registrations))


async def test_a_user_is_verified_by_any_of_their_own_secrets(store: Store):
    anna, bert = await store.add_user("anna"), await store.add_user("bert")
    _, first = await add(store, anna.id)
    _, second = await add(store, anna.id)
    await add(store, anna.id, "slack")
    await add(store, bert.id)
    for ref in ("anna", "ANNA", str(anna.id)):
        target = await find(store, ref)
        assert target == Target(anna.id, "anna", f"user:{anna.id}:github", (second.encode(), first.encode()))


async def test_a_user_without_a_registration_has_no_secret_of_their_own(store: Store):
    anna = await store.add_user("anna")
    await add(store, anna.id, "slack")
    assert await find(store, "anna") == Target(anna.id, "anna", "user:1:github", ())


async def test_a_registration_serves_no_other_platform(store: Store):
    registration_id, _ = await add(store, (await store.add_user("anna")).id)
    with pytest.raises(NotFound):
        await find(store, registration_id, "slack")


@pytest.mark.parametrize("ref", ["", "nobody", "99", "whk" + "a" * 24, "whk", "\0", "ä"])
async def test_an_unknown_address_is_not_found(store: Store, ref: str):
    await add(store, (await store.add_user("anna")).id)
    with pytest.raises(NotFound):
        await find(store, ref)


async def test_a_secret_moved_to_another_registration_does_not_open(store: Store):
    anna, mallory = await store.add_user("anna"), await store.add_user("mallory")
    victim, _ = await add(store, anna.id)
    attacker, _ = await add(store, mallory.id)

    def swap(connection) -> None:
        sealed = connection.execute(
            platform_webhooks.select().where(platform_webhooks.c.id == attacker)
        ).one()
        connection.execute(
            update(platform_webhooks).where(platform_webhooks.c.id == victim).values(secret=sealed.secret)
        )

    await store.write(swap)
    with pytest.raises(VaultError):
        await find(store, victim)


async def test_a_removed_registration_is_gone(store: Store):
    anna, bert = await store.add_user("anna"), await store.add_user("bert")
    registration_id, _ = await add(store, anna.id)
    assert await store.read(secrets_exist)
    with pytest.raises(NotFound):
        await store.write(lambda c: remove_registration(c, registration_id, user_id=bert.id))
    await store.write(lambda c: remove_registration(c, registration_id, user_id=anna.id))
    with pytest.raises(NotFound):
        await find(store, registration_id)
    with pytest.raises(NotFound):
        await store.write(lambda c: remove_registration(c, registration_id))
    assert not await store.read(secrets_exist)


async def test_registrations_are_listed_by_owner(store: Store):
    anna, bert = await store.add_user("anna"), await store.add_user("bert")
    first, _ = await add(store, anna.id)
    second, _ = await add(store, bert.id, "slack")
    both = await store.read(list_registrations)
    assert [(r.id, r.user_name, r.platform) for r in both] == [
        (first, "anna", "github"),
        (second, "bert", "slack"),
    ]
    assert await store.read(lambda c: list_registrations(c, bert.id)) == both[1:]


async def test_every_change_is_announced(store: Store):
    async def announced() -> int:
        return await store.read(lambda c: counted(c, REGISTRATIONS_CHANGED))

    counts = [await announced()]
    anna = await store.add_user("anna")
    counts.append(await announced())
    registration_id, _ = await add(store, anna.id)
    counts.append(await announced())
    await store.write(lambda c: remove_registration(c, registration_id))
    counts.append(await announced())
    await store.write(lambda c: remove_user(c, anna.id))
    counts.append(await announced())
    assert counts == [0, 1, 2, 3, 4]


async def test_a_connection_s_registration_is_for_its_own_address_alone(store: Store):
    anna = await store.add_user("anna")
    now = store.clock.now()
    registration_id, secret = await store.write(
        lambda connection: add_registration(
            connection,
            VAULT,
            user_id=anna.id,
            platform="github",
            now=now,
            connection_id="con1",
            target="repo:1",
        )
    )
    found = await find(store, registration_id)
    assert (found.connection_id, found.secrets) == ("con1", (secret.encode(),))
    assert await find(store, "anna") == Target(anna.id, "anna", "user:1:github", ())
    (row,) = await store.read(lambda connection: platform_registrations(connection, "con1"))
    assert (row.target, row.state, row.upstream, row.delivers(now)) == ("repo:1", "wanted", None, False)
    assert await store.read(registered_connections) == {"con1"}


async def test_how_a_registration_stands_at_the_platform_is_kept(store: Store):
    anna = await store.add_user("anna")
    now = store.clock.now()
    later = now + timedelta(days=1)
    upstream = Upstream(
        id="7",
        target=Octo("repo:1", "octo/hello"),
        kinds=frozenset({"push"}),
        expires_at=later,
        data={"x": 1},
    )

    def work(connection) -> str:
        values = {"user_id": anna.id, "platform": "github", "now": now}
        registration_id, _ = add_registration(
            connection, VAULT, connection_id="con1", target="repo:1", **values
        )
        note_upstream(connection, registration_id, upstream, renewed=True, now=now)
        return registration_id

    registration_id = await store.write(work)

    async def row():
        return (await store.read(lambda connection: platform_registrations(connection, "con1")))[0]

    first = await row()
    assert (first.upstream, first.renewed_at, first.checked_at) == (upstream, now, now)
    assert [first.delivers(now), first.delivers(later)] == [True, False]
    await store.write(lambda connection: note_failure(connection, registration_id, "No admin.", later))
    assert ((await row()).state, (await row()).problem, (await row()).upstream) == (
        "failed",
        "No admin.",
        None,
    )


async def test_what_the_platform_denied_while_it_was_asked_stays_denied(store: Store):
    anna = await store.add_user("anna")
    asked_at = store.clock.now()
    pending = Upstream(
        id="7", target=Octo("repo:1", "octo/hello"), kinds=frozenset({"push"}), is_pending=True
    )

    def work(connection, denied_at: datetime) -> PlatformRegistration:
        values = {"user_id": anna.id, "platform": "github", "now": asked_at}
        target = denied_at.isoformat()
        registration_id, _ = add_registration(
            connection, VAULT, connection_id="con1", target=target, **values
        )
        note_failure(connection, registration_id, "No.", denied_at)
        note_upstream(connection, registration_id, pending, renewed=True, now=asked_at)
        return find_platform_registration(connection, "github", registration_id)

    later = await store.write(partial(work, denied_at=asked_at + timedelta(seconds=1)))
    assert (later.state, later.problem) == ("failed", "No.")
    before = await store.write(partial(work, denied_at=asked_at - timedelta(seconds=1)))
    assert (before.state, before.problem) == ("wanted", "")
