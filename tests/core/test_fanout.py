from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from streams import Client, Scene, frame, scene_in
from tidings import fanout as fanout_module
from tidings.bus import Bus
from tidings.contracts import Arrival, Outage, WakeUp
from tidings.errors import Denied, NotFound, Unavailable
from tidings.event import OLDEST, Cursor, Entry, UserId
from tidings.selection import TypeSelection
from tidings_buses.local import LocalBus


@pytest.fixture
async def scene(tmp_path: Path, bus: Bus) -> AsyncIterator[Scene]:
    async with scene_in(tmp_path, bus) as scene:
        yield scene


async def test_a_new_event_goes_to_every_stream_of_its_user_and_to_nobody_else(scene: Scene) -> None:
    mine, also_mine, theirs = Client(), Client(), Client()
    for client in (mine, also_mine):
        await scene.open(client)
    await scene.open(theirs, user=scene.bob)
    await scene.append(3)
    await scene.append(2, user=scene.bob)
    await scene.settle()
    assert mine.seqs == also_mine.seqs == [1, 2, 3]
    assert theirs.seqs == [1, 2]


async def test_an_event_is_encoded_once_for_all(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []
    original = Entry.cloudevent

    def counted(entry: Entry) -> bytes:
        encoded.append(entry.cursor.seq)
        return original(entry)

    monkeypatch.setattr("streams.frame", lambda entry: b"%d;" % len(counted(entry)))
    clients = [Client() for _ in range(20)]
    for client in clients:
        await scene.open(client)
    await scene.append(3)
    await scene.settle()
    assert len(encoded) in {3, 60}
    assert all(len(client.told) == 3 for client in clients)


async def test_a_stream_starts_where_it_is_told_and_goes_on_live(scene: Scene) -> None:
    await scene.append(5)
    epoch = (await scene.journal.head(scene.alice)).epoch
    from_start, from_two, from_now = Client(), Client(), Client()
    await scene.open(from_start, after=OLDEST)
    await scene.open(from_two, after=Cursor(epoch, 2))
    await scene.open(from_now)
    await scene.append(2)
    await scene.settle()
    assert from_start.seqs == [1, 2, 3, 4, 5, 6, 7]
    assert from_two.seqs == [3, 4, 5, 6, 7]
    assert from_now.seqs == [6, 7]


async def test_what_is_committed_between_opening_and_starting_is_not_missed(scene: Scene) -> None:
    client = Client()
    principal = (await scene.open(Client())).principal
    subscription = await scene.fanout.open(
        principal, client, after=None, selection=TypeSelection(), encode=frame, transport="test"
    )
    await scene.append(3)
    await scene.settle()
    scene.start(subscription, client)
    await scene.append(1)
    await scene.settle()
    assert client.seqs == [1, 2, 3, 4]


async def test_a_journal_that_grows_past_a_cursor_that_was_never_given_does_not_make_it_good(
    scene: Scene,
) -> None:
    await scene.append(3)
    epoch = (await scene.journal.head(scene.alice)).epoch
    client = Client()
    principal = (await scene.open(Client())).principal
    subscription = await scene.fanout.open(
        principal, client, after=Cursor(epoch, 5), selection=TypeSelection(), encode=frame, transport="test"
    )
    await scene.append(4)
    scene.start(subscription, client)
    await scene.settle()
    assert client.told == ["gap:1-0:restored", "1", "2", "3", "4", "5", "6", "7"]


async def test_the_position_told_on_opening_keeps_such_a_cursor_foreign_for_who_leaves_too_soon(
    scene: Scene,
) -> None:
    await scene.append(3)
    epoch = (await scene.journal.head(scene.alice)).epoch
    leaves, returns = Client(), Client()
    leaves.pause()
    (await scene.open(leaves, after=Cursor(epoch, 5))).close()
    await scene.append(4)
    await scene.open(returns, after=Cursor.parse(str(leaves.position)))
    await scene.settle()
    assert leaves.told == []
    assert returns.told == ["gap:1-0:restored", "1", "2", "3", "4", "5", "6", "7"]


async def test_a_burst_beyond_what_memory_keeps_is_read_from_the_journal(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout_module, "_MOST_PENDING", 10)
    clients = [Client(), Client()]
    for client in clients:
        await scene.open(client)
    await asyncio.gather(*[scene.append(40) for _ in range(5)])
    await scene.settle()
    assert [client.seqs for client in clients] == [list(range(1, 201))] * 2


async def test_a_lost_frame_from_memory_is_read_from_the_journal(scene: Scene) -> None:
    client = Client()
    await scene.open(client)
    scene.journal._listeners.clear()
    await scene.append(3)  # committed, and nobody was told
    await scene.settle()
    assert client.seqs == []
    scene.journal.on_commit(scene.fanout.committed)
    await scene.append(1)
    await scene.settle()
    assert client.seqs == [1, 2, 3, 4]


async def test_a_wake_up_from_another_node_makes_streams_read(scene: Scene) -> None:
    client = Client()
    await scene.open(client)
    scene.journal._listeners.clear()
    await scene.append(3)
    await scene.fanout.bus.publish([WakeUp(scene.alice, 3)])
    await scene.settle()
    assert client.seqs == [1, 2, 3]


async def test_a_wake_up_that_is_old_or_double_changes_nothing(scene: Scene) -> None:
    client = Client()
    await scene.open(client)
    await scene.append(3)
    for seq in (1, 3, 3, 2):
        await scene.fanout.bus.publish([WakeUp(scene.alice, seq)])
    await scene.settle()
    await scene.append(1)
    await scene.settle()
    assert client.seqs == [1, 2, 3, 4]


async def test_a_bus_that_fails_costs_no_event_here(scene: Scene) -> None:
    async def publish(_wakeups: Sequence[WakeUp]) -> None:
        raise OSError("the broker is away")

    client = Client()
    await scene.open(client)
    scene.fanout.bus.publish = publish  # type: ignore[method-assign] - a broker that is away
    await scene.append(3)
    await scene.settle()
    assert client.seqs == [1, 2, 3]
    assert scene.health.status == "degraded"
    del scene.fanout.bus.publish  # type: ignore[method-assign] - it is back
    await scene.append(1)
    await scene.settle()
    assert client.seqs == [1, 2, 3, 4]
    assert scene.health.status == "ok"


async def test_a_transport_that_fails_loses_its_stream_and_no_other(scene: Scene) -> None:
    broken, healthy = Client(), Client()
    await scene.open(broken)
    await scene.open(healthy)
    broken.fails = True
    await scene.append(3)
    await scene.settle()
    assert healthy.seqs == [1, 2, 3]
    assert len(scene.fanout.subscriptions()) == 1
    assert broken.finished == ["failed"]  # the client is cut off, not left to wait for ever
    assert [line["event"] for line in scene.logged].count("stream_failed") == 1


async def test_a_stranger_has_no_stream(scene: Scene) -> None:
    with pytest.raises(NotFound):
        await scene.open(Client(), user=UserId(999))
    assert scene.fanout.subscriptions() == []


async def test_ending_a_right_ends_what_lives_by_it(scene: Scene) -> None:
    ended, stays = Client(), Client()
    await scene.open(ended, key="token:1")
    await scene.open(stays, key="token:2")
    await scene.fanout.end({"token:1": "revoked"})
    await scene.append(1)
    await scene.settle()
    assert (ended.finished, ended.seqs) == (["revoked"], [])
    assert (stays.finished, stays.seqs) == ([], [1])


async def test_while_draining_nothing_opens(scene: Scene) -> None:
    client = Client()
    await scene.open(client)
    await scene.fanout.drain()
    assert client.finished == ["restart"]
    with pytest.raises(Unavailable):
        await scene.open(Client())


async def test_a_limit_counts_the_streams_of_each_user(scene: Scene) -> None:
    scene.fanout._most_streams = 2
    first = await scene.open(Client())
    await scene.open(Client())
    with pytest.raises(Denied) as denied:
        await scene.open(Client())
    assert (denied.value.status, denied.value.code) == (429, "too_many_streams")
    await scene.open(Client(), user=scene.bob)
    first.close()
    await scene.open(Client())


class WatchedBus(LocalBus):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    async def watch(self, user_id: UserId) -> None:
        self.calls.append(f"watch {user_id}")
        await super().watch(user_id)

    async def unwatch(self, user_id: UserId) -> None:
        self.calls.append(f"unwatch {user_id}")
        await super().unwatch(user_id)


async def test_a_user_is_watched_while_there_are_streams_and_a_little_longer(scene: Scene) -> None:
    bus = WatchedBus()
    scene.fanout.use(bus)
    first = await scene.open(Client())
    second = await scene.open(Client())
    assert bus.calls == ["watch 1"]
    first.close()
    await scene.store.clock.advance(100)
    assert bus.calls == ["watch 1"]
    second.close()
    await scene.store.clock.advance(29)
    client = Client()
    third = await scene.open(client)
    await scene.append(1)
    await scene.settle()
    assert (bus.calls, client.seqs) == (["watch 1"], [1])
    third.close()
    await scene.store.clock.advance(100)
    assert bus.calls == ["watch 1", "unwatch 1"]
    late = Client()
    await scene.open(late, after=OLDEST)
    await scene.settle()
    assert (bus.calls[-1], late.seqs) == ("watch 1", [1])


async def test_who_comes_back_while_the_bus_lets_go_is_watched_again(scene: Scene) -> None:
    """The bus is told one thing of a user after another."""

    class LetsGoSlowly(WatchedBus):
        may = asyncio.Event()

        async def unwatch(self, user_id: UserId) -> None:
            await self.may.wait()
            await super().unwatch(user_id)

    bus = LetsGoSlowly()
    scene.fanout.use(bus)
    (await scene.open(Client())).close()
    await scene.store.clock.advance(60)
    client = Client()
    opening = asyncio.create_task(scene.open(client))
    await scene.settle()
    assert bus.calls == ["watch 1"]
    bus.may.set()
    await opening
    assert bus.calls == ["watch 1", "unwatch 1", "watch 1"]
    await scene.append(1)
    await scene.settle()
    assert client.seqs == [1]


async def test_a_watch_that_fails_is_tried_again_by_the_next(scene: Scene) -> None:
    class FailsOnce(WatchedBus):
        async def watch(self, user_id: UserId) -> None:
            await super().watch(user_id)
            if len(self.calls) == 1:
                await asyncio.sleep(0)
                raise OSError("a defect")

    scene.fanout.use(FailsOnce())
    clients = [Client(), Client()]
    results = await asyncio.gather(*[scene.open(client) for client in clients], return_exceptions=True)
    assert [type(one) for one in results] == [OSError, OSError]
    client = Client()
    await scene.open(client)
    await scene.append(1)
    await scene.settle()
    assert client.seqs == [1]
    assert len(scene.fanout.subscriptions()) == 1


class GoesAway(WatchedBus):
    """Says that its broker is away, and is told when it is back."""

    def __init__(self) -> None:
        super().__init__()
        self.said: asyncio.Queue[Outage] = asyncio.Queue()
        self.is_away = False

    def go(self, reason: str) -> None:
        self.is_away = bool(reason)
        self.said.put_nowait(Outage(reason))

    async def watch(self, user_id: UserId) -> None:
        await super().watch(user_id)
        if self.is_away:
            raise Unavailable("the broker is away")

    async def wakeups(self) -> AsyncGenerator[Arrival, None]:
        while True:
            yield await self.said.get()


async def append_elsewhere(scene: Scene, count: int) -> None:
    """Another node commits, and this one hears nothing of it."""
    listeners = scene.journal._listeners[:]
    scene.journal._listeners.clear()
    await scene.append(count)
    scene.journal._listeners.extend(listeners)


async def pass_time(scene: Scene, seconds: float) -> None:
    """In steps, for the database takes none of this time."""
    for _ in range(round(seconds * 2)):
        await scene.store.clock.advance(0.5)
        await scene.settle()


async def test_a_lost_wake_up_is_made_good_within_seconds(tmp_path: Path) -> None:
    async with scene_in(tmp_path) as scene:
        client = Client()
        await scene.open(client)
        await append_elsewhere(scene, 3)
        await scene.settle()
        assert client.seqs == []
        await pass_time(scene, 16)
        assert client.seqs == [1, 2, 3]


async def test_while_the_broker_is_away_streams_open_and_go_on_with_a_second_of_latency(
    tmp_path: Path,
) -> None:
    bus = GoesAway()
    async with scene_in(tmp_path, bus) as scene:
        early, late = Client(), Client()
        await scene.open(early)
        bus.go("nats://n1:4222: it is away")
        await scene.settle()
        assert scene.health.report()["bus"]["reason"] == "nats://n1:4222: it is away"
        await scene.open(late, user=scene.bob)
        for seq in (1, 2):
            await append_elsewhere(scene, 1)
            await pass_time(scene, 2)
            assert early.seqs == list(range(1, seq + 1))
        await scene.append(1)  # what is committed here doesn't make the bus look well
        await scene.settle()
        assert scene.health.status == "degraded"
        await append_elsewhere(scene, 1)
        bus.go("")
        await scene.settle()
        assert scene.health.status == "ok"
        await pass_time(scene, 2)  # what got lost is looked up at once
        assert early.seqs == [1, 2, 3, 4]


async def test_what_is_committed_here_while_heads_are_looked_up_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal knows of a commit before this node's streams do."""
    async with scene_in(tmp_path) as scene:
        client = Client()
        await scene.open(client)
        heads = scene.journal.heads
        reads: list[int] = []
        looked = asyncio.Event()

        async def early(users: Sequence[UserId]) -> Mapping[UserId, int]:
            await scene.append(1)
            found = await heads(users)
            looked.set()
            return {user_id: seq + 1 for user_id, seq in found.items()}

        async def read(*_arguments: Any, **_options: Any) -> Any:
            reads.append(1)

        monkeypatch.setattr(scene.journal, "heads", early)
        monkeypatch.setattr(scene.journal, "read", read)
        await scene.store.clock.advance(15)
        async with asyncio.timeout(20):
            await looked.wait()
        await scene.settle()
        await scene.append(1)
        await pass_time(scene, 1)
        assert (client.seqs, reads) == ([1, 2], [])


async def test_what_another_node_commits_is_read_once_for_all_streams(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients = [Client() for _ in range(20)]
    for client in clients:
        await scene.open(client)
    reads, read = [], scene.journal.read

    async def counted(*arguments: Any, **options: Any) -> Any:
        reads.append(1)
        return await read(*arguments, **options)

    monkeypatch.setattr(scene.journal, "read", counted)
    await append_elsewhere(scene, 3)
    await scene.fanout.bus.publish([WakeUp(scene.alice, 3)])
    await scene.settle()
    await append_elsewhere(scene, 2)  # its wake-up has yet to come when this node commits
    await scene.append(1)
    await scene.fanout.bus.publish([WakeUp(scene.alice, 5)])
    await scene.settle()
    assert [client.seqs for client in clients] == [[1, 2, 3, 4, 5, 6]] * 20
    assert [stream.state for stream in scene.fanout.subscriptions()] == ["live"] * 20
    assert len(reads) <= 3


async def test_much_that_another_node_commits_is_read_by_each_stream_at_its_own_pace(scene: Scene) -> None:
    quick, slow = Client(), Client()
    for client in (quick, slow):
        await scene.open(client)
    slow.pause()
    await append_elsewhere(scene, 500)
    await scene.fanout.bus.publish([WakeUp(scene.alice, 500)])
    await scene.settle()
    assert quick.seqs == list(range(1, 501))
    slow.resume()
    await scene.append(1)
    await scene.settle()
    assert slow.seqs == quick.seqs == list(range(1, 502))


async def test_a_bus_that_hangs_holds_up_no_stream_here(scene: Scene) -> None:
    hangs = asyncio.Event()

    async def publish(_wakeups: Sequence[WakeUp]) -> None:
        await hangs.wait()

    scene.fanout.bus.publish = publish  # type: ignore[method-assign] - a broker that does not answer
    client = Client()
    await scene.open(client)
    for _ in range(3):
        await scene.append(1)
        await scene.settle()
    assert client.seqs == [1, 2, 3]


class BreaksOff(LocalBus):
    def __init__(self) -> None:
        super().__init__()
        self.broken = asyncio.Event()

    async def wakeups(self) -> AsyncGenerator[Arrival, None]:
        await self.broken.wait()
        self.broken.clear()
        raise OSError("the broker has gone")
        yield


async def test_a_broker_that_breaks_off_leaves_no_stream_stuck(tmp_path: Path) -> None:
    """The fan-out starts again; who was in the middle of something is told to come back."""
    bus = BreaksOff()
    async with scene_in(tmp_path, bus) as scene:
        await _break_off(scene, bus)


async def _break_off(scene: Scene, bus: BreaksOff) -> None:
    idle, slow, reading = Client(), Client(), Client()
    await scene.append(100)
    await scene.open(idle)
    await scene.open(slow)
    reading.pause()
    await scene.open(reading, after=OLDEST)
    slow.pause()
    await scene.append(1)
    await scene.settle()
    bus.broken.set()
    await scene.settle()
    await scene.store.clock.advance(2)
    await scene.settle()
    assert (slow.finished, reading.finished, idle.finished) == (["restart"], ["restart"], [])
    await scene.append(1)
    await scene.settle()
    assert idle.seqs == [101, 102]
