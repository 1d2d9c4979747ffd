"""Who looks, and what they were shown, asked at one node and known at another: two fan-outs over one journal."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from broker import Broker, broker_in, nats_bus
from buses import at_rest
from streams import Client, Scene, frame, scene_in
from tidings.attention import Attention
from tidings.clock import SystemClock
from tidings.contracts import Notice, Principal
from tidings.event import Cursor
from tidings.fanout import Fanout
from tidings.health import Health
from tidings.metrics import Metrics
from tidings.presence import HOLDS_SECONDS
from tidings.selection import EVERYTHING

_subjects = itertools.count()


@dataclasses.dataclass(frozen=True)
class Nodes:
    """Where commits happen (`here`), and where streams are open (`there`)."""

    here: Scene
    there: Fanout

    @property
    def attention(self) -> Attention:
        return self.here.fanout.attention

    async def open_there(self, client: Client) -> None:
        principal = Principal(self.here.alice, "alice", "token", "token:1", frozenset({"read"}))
        stream = await self.there.open(
            principal, client, after=None, selection=EVERYTHING, encode=frame, transport="test"
        )
        stream.start()

    async def settle(self) -> None:
        await self.here.settle()
        await at_rest(self.there.bus)

    async def until_told(self, client: Client, *told: str) -> None:
        async with asyncio.timeout(20):
            while client.told != list(told):
                await self.settle()

    async def head(self) -> Cursor:
        return await self.here.journal.head(self.here.alice)


@asynccontextmanager
async def nodes_by(broker: Broker, folder: Path) -> AsyncIterator[Nodes]:
    subject = f"attention.{next(_subjects)}"
    async with scene_in(folder, nats_bus(broker, SystemClock(), subject=subject)) as here:
        clock = here.store.clock
        there = Fanout(here.journal, clock, here.log, Metrics(), Health(clock, here.log))
        there.use(nats_bus(broker, SystemClock(), subject=subject))
        running = asyncio.create_task(there.run())
        await asyncio.sleep(0)
        try:
            yield Nodes(here, there)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def nodes(broker: Broker, tmp_path: Path) -> AsyncIterator[Nodes]:
    async with nodes_by(broker, tmp_path) as nodes:
        yield nodes


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Broker]:
    with broker_in(tmp_path / "nats") as broker:
        yield broker


async def test_what_one_node_commits_is_live_at_another(nodes: Nodes) -> None:
    client = Client()
    await nodes.open_there(client)
    for count in (1, 3, 2):
        await nodes.here.append(count)
    await nodes.until_told(client, "1", "2", "3", "4", "5", "6")


async def test_a_notice_reaches_who_watches_at_another_node(nodes: Nodes) -> None:
    client = Client()
    await nodes.open_there(client)
    await nodes.attention.tell(Notice(nodes.here.alice, "token_refresh", "org.tidings.x", "x", b"{}"))
    await nodes.until_told(client, "notice:{}")


async def test_who_watches_at_another_node_is_known(nodes: Nodes) -> None:
    assert not await nodes.attention.is_watched(nodes.here.alice)
    await nodes.open_there(Client())
    assert await nodes.attention.is_watched(nodes.here.alice)
    assert not await nodes.attention.is_watched(nodes.here.bob)


async def test_a_page_in_view_is_known_wherever_it_says_so_and_wherever_its_stream_is(nodes: Nodes) -> None:
    alice, client = nodes.here.alice, Client()
    await nodes.open_there(client)
    await nodes.here.append(2)
    await nodes.until_told(client, "1", "2")
    head = await nodes.head()
    assert not await nodes.attention.was_shown(alice, head), "a stream alone may be in the background"
    await nodes.attention.say(alice, "page", visible=True)
    await nodes.settle()
    assert await nodes.attention.was_shown(alice, head)
    assert not await nodes.attention.was_shown(alice, Cursor(head.epoch, head.seq + 1)), "not sent yet"
    assert not await nodes.attention.was_shown(alice, Cursor("other", 1))
    await nodes.attention.say(alice, "page", visible=False)
    await nodes.settle()
    assert not await nodes.attention.was_shown(alice, head)


async def test_a_page_s_word_ends_at_every_node(nodes: Nodes) -> None:
    await nodes.open_there(Client())
    await nodes.attention.say(nodes.here.alice, "page", visible=True)
    await nodes.settle()
    head = await nodes.head()
    assert await nodes.attention.was_shown(nodes.here.alice, head)
    await nodes.here.store.clock.advance(HOLDS_SECONDS)
    assert not await nodes.attention.was_shown(nodes.here.alice, head)


async def test_during_an_outage_each_node_knows_of_its_own_streams(mortal: Broker, tmp_path: Path) -> None:
    async with nodes_by(mortal, tmp_path) as nodes:
        here, there = Client(), Client()
        await nodes.open_there(there)
        mortal.stop()
        async with asyncio.timeout(20):
            while nodes.here.health.status == "ok":
                await nodes.settle()
        assert not await nodes.attention.is_watched(nodes.here.alice)
        await nodes.attention.say(nodes.here.alice, "page", visible=True)
        await nodes.here.open(here)
        await nodes.here.append(1)
        await nodes.settle()
        assert here.seqs == [1]
        assert await nodes.attention.was_shown(nodes.here.alice, await nodes.head())
        async with asyncio.timeout(20):  # and the stream at the other node goes on by looking for itself
            while there.seqs != [1]:
                await nodes.here.store.clock.advance(0.5)
                await nodes.settle()
        mortal.start()
        async with asyncio.timeout(20):
            while nodes.here.health.status != "ok":
                await nodes.settle()
        await nodes.here.append(1)
        async with asyncio.timeout(20):  # the other node may still be away
            while there.seqs != [1, 2]:
                await nodes.here.store.clock.advance(0.5)
                await nodes.settle()
