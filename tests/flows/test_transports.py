"""Every transport that streams behaves alike: what holds for one of them holds for the others."""

import asyncio
import itertools
import random
from pathlib import Path

import pytest

import deliveries
from tidings.contracts import Item, Notice
from tidings.event import Event, UserId
from tidings.retention import Policy, Retention
from tidings.testing.readers import TRANSPORTS, Listener, News, Open
from tidings.testing.server import Hook, LiveServer, live_server

EVENTS = 10_000
BATCH = 100

_numbers = itertools.count()


@pytest.fixture(params=sorted(TRANSPORTS))
def listening(request: pytest.FixtureRequest) -> Open:
    return TRANSPORTS[request.param]


async def _somebody(server: LiveServer) -> tuple[UserId, Hook, str]:
    user = await server.add_user(f"user{next(_numbers)}")
    return user.id, await server.add_hook(user, "github"), await server.add_token(user)


async def _push(server: LiveServer, hook: Hook, *serials: int) -> None:
    for serial in serials:
        answer = await deliveries.send(server.client, hook, deliveries.push(serial))
        assert answer.status_code == 200


async def _append(server: LiveServer, user_id: UserId, start: int, count: int, *, text: str = "") -> None:
    events = [
        Event(id=f"test:{n}", type=f"com.example.{n % 3}", source="//n", platform="test", data={"text": text})
        for n in range(start, start + count)
    ]
    await server.services.journal.append(Item(user_id, events, via="webhook"))


def _seqs(news: list[News]) -> list[int]:
    assert {one.kind for one in news} <= {"event"}
    return [one.seq for one in news]


async def test_a_client_comes_back_after_a_restart_and_misses_nothing(
    tmp_path: Path, config: str, listening: Open
) -> None:
    async with live_server(tmp_path, config) as before:
        _, hook, token = await _somebody(before)
        async with listening(before, token) as stream:
            await _push(before, hook, 1, 2)
            seen = await stream.event()
        await _push(before, hook, 3)
    async with live_server(tmp_path, config) as after:
        await _push(after, hook, 4)
        async with listening(after, token, after=seen.cursor) as stream:
            missed = await stream.events(3)
            await _push(after, hook, 5)
            live = await stream.event()
    assert _seqs([seen, *missed, live]) == [1, 2, 3, 4, 5]


async def test_a_client_that_got_no_event_comes_back_to_where_it_was(
    shared_server: LiveServer, listening: Open
) -> None:
    _, hook, token = await _somebody(shared_server)
    await _push(shared_server, hook, 1)
    async with listening(shared_server, token) as stream:
        position = stream.opened_at
    await _push(shared_server, hook, 2, 3)
    async with listening(shared_server, token, after=position) as stream:
        assert _seqs(await stream.events(2)) == [2, 3]


async def test_a_client_that_got_no_event_ever_comes_back_too(
    shared_server: LiveServer, listening: Open
) -> None:
    _, hook, token = await _somebody(shared_server)
    async with listening(shared_server, token) as stream:
        position = stream.opened_at
    await _push(shared_server, hook, 1)
    async with listening(shared_server, token, after=position) as stream:
        assert _seqs(await stream.events(1)) == [1]


async def test_a_stream_begins_with_the_oldest_now_or_behind_a_cursor(
    shared_server: LiveServer, listening: Open
) -> None:
    user_id, hook, token = await _somebody(shared_server)
    await _push(shared_server, hook, 1, 2)
    head = str(await shared_server.services.journal.head(user_id))
    async with (
        listening(shared_server, token, after="0") as everything,
        listening(shared_server, token) as now,
        listening(shared_server, token, after=head.replace("-2", "-1")) as behind,
    ):
        assert now.opened_at == head
        await _push(shared_server, hook, 3)
        assert _seqs(await everything.events(3)) == [1, 2, 3]
        assert _seqs(await now.events(1)) == [3]
        assert _seqs(await behind.events(2)) == [2, 3]


async def test_what_retention_has_cut_is_a_visible_gap(server: LiveServer, listening: Open) -> None:
    user_id, hook, token = await _somebody(server)
    await _push(server, hook, 1)
    cursor = str(await server.services.journal.head(user_id))
    await _push(server, hook, 2, 3, 4, 5)
    await Retention(server.services.writer, server.services.clock, server.services.log, Policy(None, 2)).cut()
    async with listening(server, token, after=cursor) as stream:
        gap = await stream.event()
        assert (gap.kind, gap.seq) == ("gap", 3)
        assert gap.data == {"from": 2, "to": 3, "count": 2, "reason": "retention"}
        assert _seqs(await stream.events(2)) == [4, 5]


@pytest.mark.parametrize("position", ["anotherepoch-1", "anotherepoch-999999", "{epoch}-7"])
async def test_a_cursor_of_another_life_or_beyond_the_head_reads_everything_again(
    shared_server: LiveServer, listening: Open, position: str
) -> None:
    user_id, hook, token = await _somebody(shared_server)
    await _push(shared_server, hook, 1, 2)
    epoch = (await shared_server.services.journal.head(user_id)).epoch
    async with listening(shared_server, token, after=position.format(epoch=epoch)) as stream:
        gap = await stream.event()
        assert (gap.kind, gap.data["reason"]) == ("gap", "restored")
        assert _seqs(await stream.events(2)) == [1, 2]
        await _push(shared_server, hook, 3)
        assert _seqs(await stream.events(1)) == [3]


@pytest.mark.parametrize("malformed", ["1", "a-b", "a-01", "A-1", "a-9223372036854775808", "a-1 "])
async def test_a_cursor_that_nobody_gave_opens_nothing(
    shared_server: LiveServer, listening: Open, malformed: str
) -> None:
    _, _, token = await _somebody(shared_server)
    with pytest.raises(AssertionError, match="is not a cursor"):
        async with listening(shared_server, token, after=malformed):
            pass


@pytest.mark.parametrize(
    ("types", "platforms", "wanted"),
    [
        ([], [], ["push", "issues", "message"]),
        (["com.github.*"], [], ["push", "issues"]),
        (["com.*.issues", "org.tidings.message"], [], ["issues", "message"]),
        ([], ["tidings"], ["message"]),
        (["*.push", "*.message"], ["github"], ["push"]),
        (["com.github.pus"], [], []),
    ],
)
async def test_a_filter_withholds_and_the_position_goes_on(
    shared_server: LiveServer, listening: Open, types: list[str], platforms: list[str], wanted: list[str]
) -> None:
    user = await shared_server.add_user(f"user{next(_numbers)}")
    hook = await shared_server.add_hook(user, "github")
    token = await shared_server.add_token(user, "read", "send")
    async with listening(shared_server, token, types=types, platforms=platforms) as live:
        await _push(shared_server, hook, 1)
        await deliveries.send(shared_server.client, hook, deliveries.issue(2), event="issues")
        await shared_server.client.post(
            "/api/sse/send",
            json={"message": {"title": "Hello"}},
            headers={"authorization": f"Bearer {token}"},
        )
        assert await _kinds_up_to(live, 3) == wanted
    async with listening(shared_server, token, after="0", types=types, platforms=platforms) as resumed:
        assert await _kinds_up_to(resumed, 3) == wanted
        position = resumed.cursor
    async with listening(shared_server, token, after=position) as rest:
        await _push(shared_server, hook, 4)
        assert _seqs(await rest.events(1)) == [4]


async def _kinds_up_to(stream: Listener, seq: int) -> list[str]:
    """What came, up to that position, which a frame without an event tells where the filter withheld it."""
    kinds = []
    while not stream.cursor.endswith(f"-{seq}"):
        news = await stream.next()
        if news.kind == "event":
            kinds.append(news.data["type"].rpartition(".")[2])
    return kinds


@pytest.mark.parametrize("pattern", ["com.github.push;drop", "[a-z]+", "a" * 251, "é"])
async def test_a_filter_that_is_no_pattern_opens_nothing(
    shared_server: LiveServer, listening: Open, pattern: str
) -> None:
    _, _, token = await _somebody(shared_server)
    with pytest.raises(AssertionError, match="is not a pattern"):
        async with listening(shared_server, token, types=[pattern]):
            pass


async def test_all_transports_tell_the_same(shared_server: LiveServer) -> None:
    user = await shared_server.add_user(f"user{next(_numbers)}")
    hook = await shared_server.add_hook(user, "github")
    token = await shared_server.add_token(user, "read", "send")
    headers = {"authorization": f"Bearer {token}"}
    async with (
        TRANSPORTS["sse"](shared_server, token) as one,
        TRANSPORTS["websocket"](shared_server, token) as other,
    ):
        await _push(shared_server, hook, 1)
        await shared_server.client.post("/api/sse/send", json={"message": {"title": "Hi"}}, headers=headers)
        first, second = await one.events(2), await other.events(2)
        notice = Notice(
            user.id, "platform_sync", "org.tidings.sync.finished", "github", b'{"connection":"c"}'
        )
        await shared_server.services.fanout.bus.tell(notice)
        first.append(await one.event())
        second.append(await other.event())
    assert first == second
    assert [(news.kind, news.name) for news in first] == [
        ("event", "webhook_received"),
        ("event", "message"),
        ("notice", "platform_sync"),
    ]
    page = (await shared_server.client.get("/api/events", headers=headers)).json()
    assert [news.data for news in first[:2]] == page["events"]


async def test_a_silent_stream_shows_signs_of_life(shared_server: LiveServer, listening: Open) -> None:
    _, hook, token = await _somebody(shared_server)
    async with listening(shared_server, token) as stream:
        reading = asyncio.create_task(stream.event())
        if listening is TRANSPORTS["websocket"]:
            async with asyncio.timeout(10):
                while stream.beats < 2:
                    await asyncio.sleep(0.01)
        await _push(shared_server, hook, 1)
        assert (await reading).seq == 1


async def test_a_slow_client_gets_everything_later_and_others_get_it_now(
    server: LiveServer, listening: Open
) -> None:
    user_id, _, token = await _somebody(server)
    count, text = 3_000, "x" * 900
    async with listening(server, token, slow=True) as slow, listening(server, token) as quick:
        reading = asyncio.create_task(quick.events(count))
        for start in range(0, count, BATCH):
            await _append(server, user_id, start, BATCH, text=text)
        assert _seqs(await reading) == list(range(1, count + 1))
        (stuck,) = [one for one in server.services.fanout.subscriptions() if one.cursor.seq < count]
        assert stuck.state != "live"
        assert _seqs(await slow.events(count)) == list(range(1, count + 1))
        await _append(server, user_id, count, 3)
        assert _seqs(await slow.events(3)) == _seqs(await quick.events(3))


async def test_a_client_that_pauses_again_and_again_gets_everything_once(
    server: LiveServer, listening: Open
) -> None:
    user_id, _, token = await _somebody(server)
    read: list[News] = []
    async with listening(server, token, slow=True) as slow:
        for turn in range(8):
            await _append(server, user_id, 300 * turn, 300, text="x" * 900)
            read += await slow.events(150 + len(read) % 7)
        read += await slow.events(2400 - len(read))
    assert _seqs(read) == list(range(1, 2401))


async def test_a_stuck_client_that_leaves_is_forgotten(server: LiveServer, listening: Open) -> None:
    user_id, _, token = await _somebody(server)
    async with listening(server, token, slow=True):
        for start in range(0, 1000, BATCH):
            await _append(server, user_id, start, BATCH, text="x" * 900)
        assert server.services.fanout.subscriptions()
    async with asyncio.timeout(10):
        while server.services.fanout.subscriptions():
            await asyncio.sleep(0.01)


async def test_a_client_that_changes_its_transport_all_the_time_gets_each_event_once(
    server: LiveServer,
) -> None:
    """10,000 events come while the client reads some by one transport, is cut off, and goes on by the other."""
    user_id, _, token = await _somebody(server)

    async def happen() -> None:
        for start in range(0, EVENTS, BATCH):
            await _append(server, user_id, start, BATCH)

    happening = asyncio.create_task(happen())
    seqs: list[int] = []
    cursor = "0"
    chance = random.Random(8)
    for turn in itertools.count():
        if len(seqs) == EVENTS:
            break
        async with TRANSPORTS[sorted(TRANSPORTS)[turn % 2]](server, token, after=cursor) as stream:
            for news in await stream.events(min(chance.randint(1, 600), EVENTS - len(seqs))):
                assert news.kind == "event", news
                seqs.append(news.seq)
            cursor = stream.cursor
    await happening
    assert turn > 20
    assert seqs == list(range(1, EVENTS + 1))


async def test_streams_are_counted_over_all_transports(tmp_path: Path, config: str) -> None:
    limited = config.replace("limits: {", "limits: {streams: 2, ")
    async with live_server(tmp_path, limited) as server:
        _, _, token = await _somebody(server)
        async with TRANSPORTS["sse"](server, token), TRANSPORTS["websocket"](server, token):
            for listening in TRANSPORTS.values():
                with pytest.raises(AssertionError, match="You have 2 streams open"):
                    async with listening(server, token):
                        pass
        async with asyncio.timeout(10):
            while server.services.fanout.subscriptions():
                await asyncio.sleep(0.01)
        async with TRANSPORTS["websocket"](server, token):
            pass  # what was closed is free again


async def test_a_server_that_stops_says_so(tmp_path: Path, config: str, listening: Open) -> None:
    async with live_server(tmp_path, config) as server:
        _, _, token = await _somebody(server)
        context = listening(server, token)
        stream = await context.__aenter__()
        reading_task = asyncio.create_task(stream.event())
    news = await reading_task
    await context.__aexit__(None, None, None)
    assert (news.kind, news.data) == ("closed", {"reason": "restart"})
