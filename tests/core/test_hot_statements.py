"""What is said to the database for each event, stream and poll names the user: users can be spread over shards."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

import deliveries
import refreshes
import stores
from common_log import scene
from connecting import SANDBOX, browser
from postgres_server import PostgresServer
from refreshes import Endpoint
from scripted import Logging, Pollable, watching
from tidings.addressing import REACH
from tidings.arrivals import REMOVED, REVOKED, VERIFIED
from tidings.contracts import JobRequest
from tidings.errors import AuthExpired, Unavailable
from tidings.event import UserId
from tidings.jobs import Job, request_job
from tidings.leases import Room, claim
from tidings.parking import Parking
from tidings.schema import metadata, to_stored
from tidings.testing.streams import open_stream

#: What lies with each user. Of the others a few rows say which user it is: whoever shards keeps them in one place, or
#: everywhere (users, tokens, sessions, tickets, webhooks' addresses, settings).
SHARDED = (
    *("events", "journals", "deliveries", "seen", "checkpoints", "hints", "attempts", "push_rules"),
    *("connections", "grants", "jobs", "readings"),
)
#: What an OAuth client or an account of a platform has from all users; asked at consents and when somebody leaves.
ACROSS = (
    *("count(DISTINCT grants.account_key)", "SELECT count(*) AS count_1 FROM grants"),
    *("grants.account_key = $", "connections.account_key = $"),
)
#: The queue is asked who has something due, whoever that is: on every shard by itself.
QUEUE = (
    "FOR UPDATE SKIP LOCKED",
    "SELECT (SELECT min(jobs.due_at)",
    "SELECT account FROM jobs WHERE lease_until IS NOT NULL",
)
_NAMES_A_USER = re.compile(
    r"(?:WHERE|AND|ON) \(?(?:\w+\.)?user_id = (?:\$\d+|k\d+|run\.user_id|connection_addresses\.user_id)"
    r"|user_id IN \(SELECT connection_addresses\.user_id|INSERT INTO \w+ \(user_id,"
)


def offences(statements: list[str]) -> list[str]:
    """The statements about users' tables that don't say whose."""
    found = []
    for statement in statements:
        line = " ".join(statement.split())
        touches = any(re.search(rf"\b(?:FROM|JOIN|INTO|UPDATE) {table}\b", line) for table in SHARDED)
        if touches and not _NAMES_A_USER.search(line) and not any(part in line for part in (*QUEUE, *ACROSS)):
            found.append(line)
    return found


@contextmanager
def noted(database: Any) -> Iterator[list[str]]:
    """What is said to PostgreSQL meanwhile."""
    said: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        said.append(statement)

    engines = [database._writer.sync_engine, database._reader.sync_engine, database._people.sync_engine]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield said
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)


@pytest.fixture(autouse=True)
def on_postgresql(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "server", postgres)


CONFIG = """\
database: sqlite+aiosqlite:///tidings.db
plugins:
  connectors: {github: {}}
  transports: {sse: {}}
  bus: {local: {}}
"""


async def test_an_event_from_its_webhook_to_its_readers(tmp_path: Path) -> None:
    async with stores.live(tmp_path, CONFIG) as server:
        alice = await server.add_user("alice")
        hook, token = await server.add_hook(alice, "github"), await server.add_token(alice)
        await server.services.scheduler.idle()  # what a start sets going goes through all users
        with noted(server.services.database) as said:
            async with open_stream(server.client, token, after="0") as stream:
                await deliveries.send(server.client, hook, deliveries.push(1))
                await stream.events(1)
            for query in ("after=0", "last=5", "types=com.github.*"):
                await server.client.get(f"/api/events?{query}", headers={"authorization": f"Bearer {token}"})
            await server.client.get("/api/connections", headers={"authorization": f"Bearer {token}"})
    assert sum("INSERT INTO events" in one for one in said) == 1
    assert sum("FROM events" in one for one in said) >= 3
    assert offences(said) == [], "\n".join(offences(said))


async def test_a_poll_from_its_claim_to_its_end(tmp_path: Path) -> None:
    async with watching(tmp_path, Pollable) as watch:
        await watch.scheduler.stop()  # what else would run
        await watch.happen()
        with noted(watch.store.database) as said:
            now = to_stored(watch.clock.now())
            ask = JobRequest("sync", watch.connection_id)
            await watch.store.write(partial(request_job, user_id=1, job=ask, at=now))
            room = Room(1, {"sync": 1}, {}, 1)
            claimed = await watch.store.writer.run_unit(
                partial(claim, room=room, token="t", now=now, lease_seconds=60.0), isolated=False
            )
            (job,) = claimed.jobs
            ended = await watch.syncing.handle(job)
            assert ended.is_committed
            await watch.syncing.flush()
    assert sum("SKIP LOCKED" in one for one in said) == 1
    assert sum("INSERT INTO events" in one for one in said) == 1
    assert any("UPDATE jobs SET lease = NULL" in one for one in said)
    assert offences(said) == []


async def test_the_jobs_that_watch_an_account_and_the_account_kept_of_its_deliveries(tmp_path: Path) -> None:
    async with watching(tmp_path, Logging) as watch:
        await watch.scheduler.stop()  # what else would run
        user_id = (await watch.connection).user_id
        handlers = {
            "monitor": watch.monitor.handle, "hooks": watch.hooking.handle, "recover": watch.recovery.handle
        }  # fmt: skip
        hook = next(iter(watch.remote.hooks))
        await watch.happen()
        with noted(watch.store.database) as said:
            watch.arrivals.failed(user_id, watch.connection_id)
            await watch.arrivals.flush()
            watch.arrivals.delivered(user_id, watch.connection_id, "", watch.clock.now(), has_news=True)
            await watch.arrivals.flush()
            for kind, handle in handlers.items():
                await handle(Job(user_id, kind, watch.connection_id, {}, "lease"))
            del watch.remote.hooks[hook]  # somebody removed it there
            for kind, handle in handlers.items():
                await handle(Job(user_id, kind, watch.connection_id, {}, "lease"))
    assert watch.remote.calls.count("check a") >= 2
    assert sum("UPDATE connections SET monitor" in one for one in said) >= 2
    assert sum("UPDATE connections SET last_event_at" in one for one in said) == 2
    assert offences(said) == [], "\n".join(offences(said))


async def test_the_token_for_a_call_and_its_refresh(tmp_path: Path) -> None:
    async with stores.opened(tmp_path) as store:
        user = await store.add_user("anna")
        endpoint = Endpoint(store.clock)
        parking = Parking(store.writer, store.clock, {}, tell=_tell_nobody)
        tokens = refreshes.holder(store.writer, store.clock, endpoint).tokens
        with noted(store.database) as said:
            save = partial(refreshes.saved, user_id=user.id, tokens=endpoint.first(), clock=store.clock)
            grant = await store.write(save)
            assert (await tokens.access(grant.id, user_id=user.id)).version == 1
            assert (await tokens.renew(grant.id, than=1, because="401", user_id=user.id)).version == 2
            await store.clock.advance(refreshes.HOUR)
            await tokens.refresh(Job(user.id, "refresh", grant.id, {}, "lease"))
            await parking._tell_refreshed(grant)
            endpoint.scripted.append(refreshes.not_sent())
            with pytest.raises(Unavailable):
                await tokens.renew(grant.id, than=3, because="401", user_id=user.id)
            await store.clock.advance(refreshes.HOUR)
            endpoint.revoke()
            with pytest.raises(Unavailable):
                await tokens.renew(grant.id, than=3, because="401", user_id=user.id)
            await store.clock.advance(refreshes.HOUR)
            with pytest.raises(AuthExpired):
                await tokens.renew(grant.id, than=3, because="401", user_id=user.id)
    assert endpoint.sent == ["refresh-1", "refresh-2", "refresh-3", "refresh-3"]
    assert sum("UPDATE grants" in one for one in said) >= 8
    assert offences(said) == [], "\n".join(offences(said))


async def test_what_a_delivery_says_about_its_account_or_its_webhook(tmp_path: Path) -> None:
    async with watching(tmp_path, Logging) as watch:
        await watch.scheduler.stop()  # what else would run
        user_id, registration = (await watch.connection).user_id, (await watch.rows)[0].id
        with noted(watch.store.database) as said:
            for signal in (VERIFIED, REACH, REMOVED, REVOKED):
                await watch.arrivals.signal(signal, {watch.connection_id: user_id}, registration)
    assert [grant for grant, _ in watch.parked] == ["grt"]
    assert sum("FROM connections" in one for one in said) >= 4
    assert offences(said) == [], "\n".join(offences(said))


async def test_a_delivery_that_is_found_in_the_log_of_the_common_address(tmp_path: Path) -> None:
    async with scene(tmp_path) as one:
        ann, ben = [await one.connect(*who) for who in (("ann", "1", "i:5"), ("ben", "2", "i:5"))]
        await one.scheduler.stop()  # what else would run
        lost, gone = await one.send("i:5", signal=REACH), await one.send("i:5")
        one.remote.log_forgets.add("d2")
        await one.store.clock.advance(120)
        with noted(one.store.database) as said:
            await one.recovery.handle(Job(UserId(0), "common_log", "scripted", {}, "lease"))
        for connection in (ann, ben):
            assert await one.told(connection) == [(lost, "recovery")]
            assert len(await one.entries(connection, ".gap")) == 1
    assert gone not in str(said)
    assert offences(said) == [], "\n".join(offences(said))


async def test_a_consent_a_plugin_that_fails_and_a_leave(tmp_path: Path) -> None:
    async with stores.live(tmp_path, SANDBOX) as server, browser(server, await server.add_user("ann")) as ann:
        services = server.services
        await services.scheduler.idle()
        with noted(services.database) as said:
            connection = await ann.connect("spotify", "ottilie-otterbourne")
            assert await ann.connect("spotify", "ottilie-otterbourne", connection) == connection
            path = f"/api/connections/{connection}"
            user_id = UserId((await ann.get("/api/me"))["user"]["id"])
            park = partial(
                services.upkeep.parking.park, connection_id=connection, reason="It fails.", user_id=user_id
            )
            await services.writer.run_unit(park)
            assert (await ann.get(path))["state"] == "parked"
            assert (await ann.send("POST", f"{path}/sync")).status_code == 202
            assert (await ann.send("DELETE", path)).status_code in {200, 202, 204}
            await ann.until("/api/connections", lambda page: page["connections"] == [])
    assert sum("INSERT INTO connections" in one for one in said) == 1
    assert sum("DELETE FROM grants" in one for one in said) == 1
    assert offences(said) == [], "\n".join(offences(said))


async def _tell_nobody(_notice: Any) -> None:
    return


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT data FROM events WHERE events.seq > $1",
        "UPDATE connections SET monitor=$1 WHERE connections.id = $2",
        "DELETE FROM jobs WHERE jobs.due_at = $1",
        "SELECT t.id FROM unnest($1::text[]) AS q(k0) JOIN events AS t ON t.id = k0",
    ],
)
def test_the_rule_bites(statement: str) -> None:
    assert offences([statement]) == [statement]


def test_every_table_with_a_users_rows_is_sharded_or_says_whose_they_are() -> None:
    owned = {table.name for table in metadata.sorted_tables if "user_id" in table.c}
    directory = {"sessions", "login_links", "api_tokens", "tickets", "oauth_states", "platform_webhooks"}
    directory |= {"connection_addresses", "push_subscriptions", "broadcasts"}
    assert owned == {*SHARDED} | directory
