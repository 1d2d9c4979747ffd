from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from streams import Client, Scene, frame, scene_in
from tidings.accounts import remove_user
from tidings.bus import Bus
from tidings.contracts import Notice, Page
from tidings.errors import Unavailable
from tidings.event import OLDEST, Cursor
from tidings.retention import Policy, Retention
from tidings.selection import TypeSelection


@pytest.fixture
async def scene(tmp_path: Path, bus: Bus) -> AsyncIterator[Scene]:
    async with scene_in(tmp_path, bus) as scene:
        yield scene


async def test_a_client_that_keeps_up_is_live(scene: Scene) -> None:
    client = Client()
    stream = await scene.open(client)
    assert stream.state == "live"
    await scene.append(3)
    await scene.settle()
    assert (client.seqs, stream.state, stream.frames, stream.sent_seq) == ([1, 2, 3], "live", 3, 3)


async def test_a_slow_client_gets_a_short_queue_when_it_is_back(scene: Scene) -> None:
    client = Client()
    stream = await scene.open(client)
    client.pause()
    await scene.append(10)
    await scene.settle()
    assert (client.told, stream.state) == ([], "lagging")
    client.resume()
    await scene.settle()
    assert (client.seqs, stream.state, stream.frames) == (list(range(1, 11)), "live", 10)


async def test_a_very_slow_client_reads_the_journal_when_it_is_back(scene: Scene) -> None:
    client = Client()
    stream = await scene.open(client)
    client.pause()
    await scene.append(500)
    await scene.settle()
    assert stream.state == "reading"
    assert stream._queue is None  # nothing is kept in memory for it
    client.resume()
    await scene.settle()
    assert (client.seqs, stream.state, stream.frames) == (list(range(1, 501)), "live", 500)


async def test_a_client_may_stop_at_any_frame_and_misses_nothing(scene: Scene) -> None:
    client = Client()
    await scene.open(client)
    for round_ in range(30):
        (client.pause if round_ % 3 == 0 else client.resume)()
        await scene.append(1 + round_ * 7 % 90)
        await scene.settle()
    client.resume()
    await scene.settle()
    head = (await scene.journal.head(scene.alice)).seq
    assert client.seqs == list(range(1, head + 1))


async def test_withheld_events_move_the_position_too(scene: Scene) -> None:
    client = Client()
    stream = await scene.open(client, selection=TypeSelection(["wanted"]))
    await scene.append(3)
    await scene.append(1, type_="wanted")
    await scene.append(2)
    await scene.settle()
    assert (client.seqs, stream.cursor.seq, stream.sent_seq, stream.state) == ([4], 6, 4, "live")


async def test_withheld_events_move_a_lagging_streams_position_when_it_is_back(scene: Scene) -> None:
    client = Client()
    stream = await scene.open(client, selection=TypeSelection(["wanted"]))
    client.pause()
    await scene.append(1, type_="wanted")
    await scene.append(5)
    await scene.settle()
    assert stream.cursor.seq <= 1
    client.resume()
    await scene.settle()
    assert (client.seqs, stream.cursor.seq) == ([1], 6)
    await scene.append(1, type_="wanted")
    await scene.settle()
    assert client.seqs == [1, 7]


async def test_a_heartbeat_goes_to_live_clients_only(scene: Scene) -> None:
    client = Client()
    stream = await scene.open(client)
    stream.offer(b"0;")
    client.pause()
    await scene.append(1)
    await scene.settle()
    stream.offer(b"0;")
    client.resume()
    await scene.settle()
    stream.offer(b"0;")
    stream.close()
    stream.offer(b"0;")
    assert client.seqs == [0, 1, 0]


async def test_a_heartbeat_that_must_wait_makes_the_stream_lag(scene: Scene) -> None:
    client = Client()
    stream = await scene.open(client)
    client.pause()
    stream.offer(b"0;")
    assert stream.state == "lagging"
    await scene.append(3)
    client.resume()
    await scene.settle()
    assert client.seqs == [0, 1, 2, 3]


class Slow:
    """Reading that waits until it may."""

    def __init__(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        self.may = asyncio.Event()
        self._read = scene.journal.read
        monkeypatch.setattr(scene.journal, "read", self.read)

    async def read(self, *arguments: Any, **options: Any) -> Page:
        await self.may.wait()
        return await self._read(*arguments, **options)


async def test_a_heartbeat_goes_out_while_the_journal_is_read(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.append(3)
    reading, client = Slow(scene, monkeypatch), Client()
    stream = await scene.open(client, after=OLDEST)
    assert stream.offer(b"0;")
    assert (client.seqs, stream.state) == ([0], "reading")
    reading.may.set()
    await scene.settle()
    assert (client.seqs, stream.state) == ([0, 1, 2, 3], "live")


async def test_what_was_read_waits_for_a_heartbeat_that_must_wait(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.append(3)
    reading, client = Slow(scene, monkeypatch), Client()
    stream = await scene.open(client, after=OLDEST)
    client.pause()
    assert stream.offer(b"0;")
    assert not stream.offer(b"0;")
    reading.may.set()
    await scene.settle()
    assert (client.told, stream.state) == ([], "reading")
    client.resume()
    await scene.settle()
    assert (client.seqs, stream.state) == ([0, 1, 2, 3], "live")
    assert stream.offer(b"4;")
    assert client.seqs[-1] == 4


async def test_no_heartbeat_comes_between_a_frame_that_was_read_and_a_slow_client(scene: Scene) -> None:
    await scene.append(3)
    client = Client()
    client.pause()
    stream = await scene.open(client, after=OLDEST)
    await asyncio.wait_for(client.behind.wait(), 5)
    assert not stream.offer(b"0;")
    client.resume()
    await scene.settle()
    assert client.seqs == [1, 2, 3]
    assert stream.offer(b"0;")


async def test_before_a_stream_starts_nothing_is_written(scene: Scene) -> None:
    client = Client()
    principal = (await scene.open(Client())).principal
    stream = await scene.fanout.open(
        principal, client, after=None, selection=TypeSelection(), encode=frame, transport="test"
    )
    notice = Notice(scene.alice, "token_refresh", "org.tidings.token.refreshed", "x", b"{}")
    assert not stream.offer(b"0;")
    stream.tell(notice)
    assert client.told == []
    scene.start(stream, client)
    stream.tell(notice)
    assert client.told == ["notice:{}"]


async def test_a_stream_that_was_closed_gets_nothing_more(scene: Scene) -> None:
    live, lagging, reading = Client(), Client(), Client()
    streams = [await scene.open(client) for client in (live, lagging)]
    lagging.pause()
    reading.pause()
    await scene.append(3)
    streams.append(await scene.open(reading, after=OLDEST))
    await scene.settle()
    for stream in streams:
        stream.close()
        stream.close()
    for client in (lagging, reading):
        client.resume()
    await scene.append(3)
    await scene.settle()
    assert (live.seqs, lagging.seqs, reading.seqs) == ([1, 2, 3], [], [])
    assert scene.fanout.subscriptions() == []
    assert [line["event"] for line in scene.logged].count("stream_closed") == 3


async def test_a_gap_comes_before_what_is_kept(scene: Scene) -> None:
    await scene.append(10)
    epoch = (await scene.journal.head(scene.alice)).epoch
    await Retention(scene.store.writer, scene.store.clock, scene.log, Policy(None, 4)).cut()
    client = Client()
    stream = await scene.open(client, after=Cursor(epoch, 2))
    await scene.settle()
    await scene.append(1)
    await scene.settle()
    assert client.told == ["gap:3-6:retention", "7", "8", "9", "10", "11"]
    assert stream.sent_seq == 11


async def test_a_gap_that_opens_under_a_slow_client_is_told_too(scene: Scene) -> None:
    client = Client()
    await scene.open(client)
    client.pause()
    await scene.append(200)
    await scene.settle()
    await Retention(scene.store.writer, scene.store.clock, scene.log, Policy(None, 5)).cut()
    client.resume()
    await scene.settle()
    assert client.told == ["1", "gap:2-195:retention", "196", "197", "198", "199", "200"]


async def test_a_foreign_cursor_is_a_gap_and_then_everything(scene: Scene) -> None:
    await scene.append(3)
    client = Client()
    stream = await scene.open(client, after=Cursor("other", 900))
    await scene.settle()
    await scene.append(1)
    await scene.settle()
    assert client.told == ["gap:1-0:restored", "1", "2", "3", "4"]
    assert stream.cursor == await scene.journal.head(scene.alice)


async def test_while_the_database_is_away_a_stream_stays_open_and_reads_on_later(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.append(3)
    read = scene.journal.read
    away = [True]

    async def reading(*arguments: object, **options: object) -> Page:
        if away:
            raise Unavailable("away")
        return await read(*arguments, **options)  # type: ignore[arg-type] - passed on

    monkeypatch.setattr(scene.journal, "read", reading)
    client = Client()
    stream = await scene.open(client, after=OLDEST)
    for _ in range(10):
        await scene.store.clock.advance(5)
    assert (client.finished, stream.state) == ([], "reading")
    away.clear()
    await scene.store.clock.advance(20)
    await scene.settle()
    assert (client.seqs, stream.state) == ([1, 2, 3], "live")


async def test_a_stream_of_a_removed_user_ends(scene: Scene) -> None:
    await scene.append(3)
    client = Client()
    client.pause()
    await scene.open(client)
    await scene.append(200)
    await scene.store.write(partial(remove_user, user_id=scene.alice))
    client.resume()
    await scene.settle()
    assert client.finished == ["user_removed"]


async def test_a_defect_while_reading_ends_that_stream(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    await scene.append(3)

    async def reading(*_arguments: object, **_options: object) -> Page:
        raise RuntimeError("a defect")

    monkeypatch.setattr(scene.journal, "read", reading)
    client = Client()
    await scene.open(client, after=OLDEST)
    await scene.settle()
    assert client.finished == ["failed"]
    assert scene.fanout.subscriptions() == []


async def test_a_client_that_can_not_be_told_is_cut_off_after_two_seconds(scene: Scene) -> None:
    class Deaf(Client):
        async def finish(self, reason: str) -> None:
            await super().finish(reason)
            self.pause()
            await self._open.wait()

    client = Deaf()
    stream = await scene.open(client)
    await stream.finish("revoked")
    await stream.finish("again")
    assert client.finished == ["revoked"]
