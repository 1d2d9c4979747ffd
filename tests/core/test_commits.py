"""The connection breaks between a COMMIT and its answer: what was done counts as done, and the rest as not."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path

import pytest
import structlog
from msgspec import structs

import deliveries
import stores
from cutting_proxy import Cut, CuttingProxy, cutting_proxy
from postgres_server import PostgresServer, postgres_server
from refreshes import Endpoint, holder, saved
from tidings import commits
from tidings.accounts import add_user
from tidings.clock import SystemClock
from tidings.contracts import DeliveryKey, Item, JobRequest
from tidings.engines import open_database
from tidings.errors import Unavailable
from tidings.event import Entry, Event, UserId
from tidings.facts import counted, increase
from tidings.health import Health
from tidings.jobs import Job, request_job
from tidings.journal import SqlJournal
from tidings.leases import Room, claim
from tidings.schema import jobs
from tidings.testing.streams import open_stream
from tidings.writer import Writer


@dataclasses.dataclass
class Node:
    proxy: CuttingProxy
    writer: Writer
    journal: SqlJournal
    user: UserId
    told: list[Entry] = dataclasses.field(default_factory=list)

    def hear(self, entries: Sequence[Entry], _seconds: float) -> None:
        self.told += entries

    def item(self, number: int) -> Item:
        event = Event(
            id=f"acme:{number}", type="com.acme.news", source="//acme.com", platform="acme", subject="",
            data={"title": "t"},
        )  # fmt: skip
        return Item(
            user_id=self.user, events=[event], via="webhook", delivery=DeliveryKey("hook", str(number))
        )


async def node_at(url: str, proxy: CuttingProxy) -> AsyncIterator[Node]:
    clock = SystemClock()
    database = open_database(proxy.url(url), synchronous="OFF")
    health = Health(clock, structlog.get_logger()).component("database")
    writer = Writer(database, health, clock.monotonic)
    user = await writer.run_unit(partial(add_user, name="alice", is_admin=False, now=clock.now()))
    node = Node(proxy, writer, SqlJournal(database, writer, clock), user.id)
    node.journal.on_commit(node.hear)
    yield node
    writer.close()
    await writer.drained()
    await database.close()


@pytest.fixture
async def node(postgres: PostgresServer) -> AsyncIterator[Node]:
    """A node whose way to PostgreSQL can be cut."""
    async with postgres.database() as url, cutting_proxy(postgres.port) as proxy:
        async for one in node_at(url, proxy):
            yield one


async def test_an_append_whose_answer_got_lost_is_told_of_like_any_other(node: Node) -> None:
    node.proxy.arm("answer")
    (appended,) = await node.journal.append(node.item(1))
    assert node.proxy.cuts == 1
    assert (appended.fresh, appended.repeated) == (1, False)
    assert [(entry.id, entry.cursor.seq) for entry in node.told] == [("acme:1", 1)]
    (again,) = await node.journal.append(node.item(1))
    assert (again.fresh, again.repeated, (await node.journal.head(node.user)).seq) == (0, True, 1)


async def test_an_append_whose_commit_got_lost_is_done_once_more(node: Node) -> None:
    """PostgreSQL waits for a COMMIT that nobody will send; it is not left to wait."""
    node.proxy.arm("commit")
    (appended,) = await node.journal.append(node.item(1))
    assert (node.proxy.cuts, appended.fresh, appended.repeated) == (1, 1, False)
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
    seen = await node.writer.database.write(lambda sql: sql.exec_driver_sql(waiting).scalar_one())
    assert seen == 0
    assert [entry.cursor.seq for entry in node.told] == [1]


async def test_who_is_cut_off_again_and_again_is_told_that_nothing_was_stored(node: Node) -> None:
    node.proxy.arm("commit", times=2)
    with pytest.raises(Unavailable, match="can't be used now"):
        await node.journal.append(node.item(1))
    assert (node.proxy.cuts, node.told, (await node.journal.head(node.user)).seq) == (2, [], 0)


async def test_all_that_shared_the_transaction_are_answered(node: Node) -> None:
    node.proxy.arm("answer")
    appended = await node.journal.append(*[node.item(number) for number in range(20)])
    assert node.proxy.cuts == 1
    assert [one.fresh for one in appended] == [1] * 20
    assert [entry.cursor.seq for entry in node.told] == list(range(1, 21))


async def test_a_unit_of_work_is_done_once(node: Node) -> None:
    node.proxy.arm("answer")
    assert await node.writer.run_unit(partial(increase, key="n")) == 1
    assert node.proxy.cuts == 1
    assert await node.writer.database.read(partial(counted, key="n")) == 1


async def claimed(node: Node) -> Sequence[Job]:
    room = Room(1, {"sync": 1}, {}, 1)
    now = 10**18
    taken = await node.writer.run_unit(
        partial(claim, room=room, token="t", now=now, lease_seconds=60.0), isolated=False
    )
    return taken.jobs


async def test_a_claim_whose_answer_got_lost_runs_its_job(node: Node) -> None:
    """Otherwise nobody would, until its lease lapses."""
    await node.writer.run_unit(partial(request_job, user_id=node.user, job=JobRequest("sync", "a"), at=0))
    node.proxy.arm("answer")
    (job,) = await claimed(node)
    assert (node.proxy.cuts, job.key) == (1, "a")


async def test_a_run_whose_end_was_not_answered_has_ended(node: Node) -> None:
    await node.writer.run_unit(partial(request_job, user_id=node.user, job=JobRequest("sync", "a"), at=0))
    (job,) = await claimed(node)
    node.proxy.arm("answer")
    item = structs.replace(node.item(1), delivery=None, job_end=job.end(None))
    (appended,) = await node.journal.append(item)
    assert (node.proxy.cuts, appended.fresh) == (1, 1)
    assert await node.writer.database.read(lambda sql: sql.execute(jobs.select()).all()) == []


@pytest.mark.parametrize("cut", ["answer", "commit"])
async def test_new_tokens_are_kept_and_the_old_one_is_redeemed_once(node: Node, cut: Cut) -> None:
    clock = SystemClock()
    endpoint = Endpoint(clock)
    grant = await node.writer.run_unit(
        partial(saved, user_id=node.user, tokens=endpoint.first(), clock=clock)
    )
    endpoint.scripted.append(lambda: node.proxy.arm(cut))  # the next commit is of what it answers
    one = holder(node.writer, clock, endpoint)
    token = await one.tokens.renew(grant.id, than=grant.version, because="401", user_id=grant.user_id)
    assert (node.proxy.cuts, token.text, token.version) == (1, "access-2", 2)
    assert (endpoint.redeemed, one.told.outcomes) == ({"refresh-1": 1}, ["done"])
    other = holder(node.writer, clock, endpoint)  # what is on disk
    assert (await other.tokens.access(grant.id, user_id=grant.user_id)).text == "access-2"


async def test_without_an_answer_from_postgresql_nobody_claims_to_know(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It stops with the answer; whoever sends again once it is back finds what was stored."""
    monkeypatch.setattr(commits, "_LONGEST_SECONDS", 0.3)
    with postgres_server(durable=True) as server:
        async with server.database() as url, cutting_proxy(server.port) as proxy:
            async for node in node_at(url, proxy):
                proxy.arm("answer", before=server.stop)
                with pytest.raises(
                    Unavailable, match=r"has not said since whether that was done.*stored once"
                ):
                    await node.journal.append(node.item(1))
                assert node.told == []
                await asyncio.to_thread(server.start)
                (again,) = await node.journal.append(node.item(1))
                assert (again.fresh, again.repeated) == (0, True)


async def test_a_webhook_is_answered_200_and_live_at_once(
    tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "server", postgres)
    config = (
        "database: sqlite+aiosqlite:///tidings.db\n"
        "plugins: {connectors: {github: {}}, transports: {sse: {heartbeat: 20s}}, bus: {local: {}}}\n"
    )
    async with cutting_proxy(postgres.port) as proxy:
        monkeypatch.setattr(postgres, "port", proxy.port)
        async with stores.live(tmp_path, config) as server:
            alice = await server.add_user("alice")
            hook, token = await server.add_hook(alice, "github"), await server.add_token(alice)
            await server.services.scheduler.idle()
            async with open_stream(server.client, token) as stream:
                proxy.arm("answer", times=2)  # the read of whose address it is, and the append
                answer = await deliveries.send(server.client, hook, deliveries.push(1), delivery="one")
                assert answer.json().get("events") == 1, answer.text
                (frame,) = await stream.events(1)
                assert int(frame.json()["sequence"]) == 1
            assert proxy.cuts == 2
