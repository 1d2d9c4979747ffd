"""Subscriptions as they are kept: sealed, one for each browser, and moved on only from where they stood."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from stores import Store, opened
from tidings.accounts import User, remove_user
from tidings.contracts import JobRequest
from tidings.devices import Admitted, Fate, Pushed
from tidings.errors import NotFound, Rejected
from tidings.event import Cursor
from tidings.jobs import request_job
from tidings.keys import KeyRing
from tidings.push_subscriptions import (
    PUSH,
    PushSubscription,
    find_subscription,
    list_subscriptions,
    move_cursor,
    note_push,
    open_device,
    put_subscription,
    remove_made_by,
    remove_subscription,
)
from tidings.schema import jobs, push_subscriptions, to_stored
from tidings.vault import Vault, VaultError

pytestmark = pytest.mark.usefixtures("every_database")

VAULT = Vault(KeyRing({"k": b"k" * 32}))
START = Cursor("e", 5)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(tmp_path) as opened_store:
        yield opened_store


async def put(
    store: Store, user: User, endpoint: str = "https://push.example.org/1", **more: Any
) -> PushSubscription:
    given = {
        "made_by": "token:1",
        "admitted": Admitted({"endpoint": endpoint, "auth": "a" * 22}, endpoint, "push.example.org"),
        "key_id": "k",
        "label": "",
        "cursor": START,
        "most": 2,
        "now": store.clock.now(),
    }
    subscription, _ = await store.write(
        partial(put_subscription, vault=VAULT, user_id=user.id, **given | more)
    )
    return subscription


async def found(store: Store, subscription: PushSubscription) -> PushSubscription:
    return await store.read(
        partial(find_subscription, subscription_id=subscription.id, user_id=subscription.user_id)
    )


async def note(store: Store, subscription: PushSubscription, fate: Fate, **more: Any) -> None:
    given: dict[str, Any] = {"cursor": None, "pause_seconds": None, "now": store.clock.now()}
    pushed = Pushed(fate, 201 if fate is Fate.TAKEN else 500, "" if fate is Fate.TAKEN else "It fails.")
    await store.write(partial(note_push, subscription=subscription, pushed=pushed, **given | more))


async def test_an_address_is_sealed_for_its_row_alone(store: Store) -> None:
    alice = await store.add_user("alice")
    one, two = await put(store, alice), await put(store, alice, "https://push.example.org/2")
    assert open_device(VAULT, one).address["endpoint"] == "https://push.example.org/1"
    rows = await store.read(lambda sql: sql.execute(select(push_subscriptions)).all())
    assert "example.org/1" not in repr(rows)
    assert "example.org/1" not in repr(one)
    await store.write(
        lambda sql: sql.execute(
            push_subscriptions.update().where(push_subscriptions.c.id == two.id).values(address=one.sealed)
        )
    )
    with pytest.raises(VaultError, match="moved there from another row"):
        open_device(VAULT, await found(store, two))


async def test_whoever_has_run_meanwhile_has_the_last_word(store: Store) -> None:
    subscription = await put(store, await store.add_user("alice"))
    await note(store, subscription, Fate.TAKEN, cursor=Cursor("e", 9))
    # A run whose lease had lapsed comes late, with what it knew.
    await note(store, subscription, Fate.TAKEN, cursor=Cursor("e", 7))
    await note(store, subscription, Fate.LATER, pause_seconds=60.0)
    await store.write(partial(move_cursor, subscription=subscription, cursor=Cursor("e", 6)))
    after = await found(store, subscription)
    assert (after.cursor, after.state, after.paused_until) == (Cursor("e", 9), "ok", None)


async def test_health_says_what_became_of_pushes(store: Store) -> None:
    subscription = await put(store, await store.add_user("alice"))
    began = store.clock.now()
    assert (subscription.state, subscription.pushed_at) == ("new", None)
    await note(store, subscription, Fate.LATER, pause_seconds=60.0)
    await store.clock.advance(60)
    await note(store, subscription, Fate.LATER, pause_seconds=120.0)
    failing = await found(store, subscription)
    assert (failing.state, failing.failures, failing.failing_since) == ("failing", 2, began)
    assert failing.problem == "It fails."
    assert failing.paused_until is not None
    assert (failing.paused_until - store.clock.now()).total_seconds() == 120
    await note(store, subscription, Fate.BLOCKED)  # a test that fails too
    blocked = await found(store, subscription)
    assert (blocked.paused_until, blocked.failing_since) == (failing.paused_until, None)
    await note(store, subscription, Fate.TAKEN, cursor=Cursor("e", 6))
    well = await found(store, subscription)
    assert (well.state, well.failures, well.failing_since, well.paused_until) == ("ok", 0, None, None)
    assert well.pushed_at == well.tried_at == store.clock.now()


async def test_what_is_refused_is_passed_by(store: Store) -> None:
    subscription = await put(store, await store.add_user("alice"))
    await note(store, subscription, Fate.LATER, pause_seconds=60.0)
    await note(store, subscription, Fate.REFUSED, cursor=Cursor("e", 6))
    after = await found(store, subscription)
    assert (after.cursor, after.paused_until, after.state) == (Cursor("e", 6), None, "failing")


async def test_a_known_browser_keeps_its_place_whatever_is_told_of_it_anew(store: Store) -> None:
    alice = await store.add_user("alice")
    first = await put(store, alice, label="Phone")
    again = await put(store, alice, made_by="token:2", key_id="n", cursor=Cursor("e", 99))
    assert (again.id, again.cursor, again.label, again.key_id) == (first.id, START, "Phone", "n")
    await put(store, alice, "https://push.example.org/2")
    await put(store, alice)  # known: it is no third
    with pytest.raises(Rejected) as refused:
        await put(store, alice, "https://push.example.org/3")
    assert refused.value.status == 409


async def test_a_browser_is_whose_who_subscribed_it_last(store: Store) -> None:
    alice, bob = await store.add_user("alice"), await store.add_user("bob")
    first = await put(store, alice)
    second = await put(store, bob)
    assert second.id != first.id
    with pytest.raises(NotFound):
        await found(store, first)
    assert [one.user_id for one in await store.read(list_subscriptions)] == [bob.id]


async def test_removing_takes_the_job_too_and_is_for_its_owner_alone(store: Store) -> None:
    alice, bob = await store.add_user("alice"), await store.add_user("bob")
    subscription = await put(store, alice)
    now = to_stored(store.clock.now())
    await store.write(lambda sql: request_job(sql, alice.id, JobRequest(PUSH, subscription.id), now))
    remove = partial(remove_subscription, subscription_id=subscription.id)
    assert not await store.write(partial(remove, user_id=bob.id))
    assert await store.write(partial(remove, user_id=alice.id))
    assert not await store.write(partial(remove, user_id=alice.id))
    assert await store.read(lambda sql: sql.execute(select(jobs)).all()) == []


async def test_a_right_takes_with_it_what_was_subscribed_by_it(store: Store) -> None:
    alice = await store.add_user("alice")
    kept = await put(store, alice, made_by="token:12")
    await put(store, alice, "https://push.example.org/2", made_by="token:1")
    await store.write(partial(remove_made_by, key="token:1"))
    assert [one.id for one in await store.read(list_subscriptions)] == [kept.id]


async def test_a_removed_user_leaves_nothing(store: Store) -> None:
    alice, bob = await store.add_user("alice"), await store.add_user("bob")
    await put(store, alice)
    bobs = await put(store, bob, "https://push.example.org/2")
    await store.write(partial(remove_user, user_id=alice.id))
    assert [one.id for one in await store.read(list_subscriptions)] == [bobs.id]
    assert await store.read(partial(list_subscriptions, users=[alice.id])) == []
