"""A client that comes back misses nothing, and is told what it can't have any more."""

from pathlib import Path

import pytest

import deliveries
from tidings.retention import Policy, Retention
from tidings.testing.server import Hook, LiveServer, live_server
from tidings.testing.streams import open_stream

pytestmark = pytest.mark.usefixtures("every_database")


async def _push(server: LiveServer, hook: Hook, *serials: int) -> None:
    for serial in serials:
        answer = await deliveries.send(server.client, hook, deliveries.push(serial))
        assert answer.status_code == 200


def _seqs(frames: list) -> list[int]:  # type: ignore[type-arg] - frames
    return [int(frame.id.rpartition("-")[2]) for frame in frames]


@pytest.mark.parametrize("how", ["after", "last_event_id"])
async def test_a_stream_resumes_after_a_restart(tmp_path: Path, config: str, how: str) -> None:
    async with live_server(tmp_path, config) as before:
        alice = await before.add_user("alice")
        hook = await before.add_hook(alice, "github")
        token = await before.add_token(alice)
        async with open_stream(before.client, token) as stream:
            await _push(before, hook, 1, 2)
            seen = await stream.event()
        await _push(before, hook, 3)
    async with live_server(tmp_path, config) as after:
        await _push(after, hook, 4)
        async with open_stream(after.client, token, **{how: seen.id}) as stream:
            missed = await stream.events(3)
            await _push(after, hook, 5)
            live = await stream.event()
    assert _seqs([seen, *missed, live]) == [1, 2, 3, 4, 5]


async def test_last_event_id_wins_over_the_address(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")
    token = await server.add_token(alice)
    await _push(server, hook, 1, 2, 3)
    async with open_stream(server.client, token, after="0") as stream:
        frames = await stream.events(3)
    # A browser that reconnects sends the address it was given first, and where it really stands.
    async with open_stream(server.client, token, after="0", last_event_id=frames[1].id) as stream:
        assert (await stream.event()).id == frames[2].id


async def test_after_0_is_the_oldest_event_kept(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")
    token = await server.add_token(alice)
    await _push(server, hook, 1, 2, 3, 4)
    await Retention(server.services.writer, server.services.clock, server.services.log, Policy(None, 2)).cut()
    async with open_stream(server.client, token, after="0") as stream:
        frames = await stream.events(2)
    assert [frame.event for frame in frames] == ["webhook_received"] * 2
    assert _seqs(frames) == [3, 4]


async def test_without_a_position_a_stream_starts_now(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")
    token = await server.add_token(alice)
    await _push(server, hook, 1, 2)
    async with open_stream(server.client, token) as stream:
        assert stream.last_event_id.endswith("-2")
        await _push(server, hook, 3)
        assert _seqs([await stream.event()]) == [3]


async def test_what_retention_has_cut_is_a_visible_gap(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")
    token = await server.add_token(alice)
    await _push(server, hook, 1)
    page = (await server.client.get("/api/events", headers={"authorization": f"Bearer {token}"})).json()
    await _push(server, hook, 2, 3, 4, 5)
    await Retention(server.services.writer, server.services.clock, server.services.log, Policy(None, 2)).cut()
    async with open_stream(server.client, token, after=page["cursor"]) as stream:
        gap, *rest = await stream.events(3)
    assert gap.event == "gap"
    assert gap.json() == {"from": 2, "to": 3, "count": 2, "reason": "retention"}
    assert gap.id.endswith("-3")
    assert _seqs(rest) == [4, 5]


@pytest.mark.parametrize("foreign", ["anotherepoch-1", "anotherepoch-999999"])
async def test_a_cursor_of_another_epoch_reads_everything_again(server: LiveServer, foreign: str) -> None:
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")
    token = await server.add_token(alice)
    await _push(server, hook, 1, 2)
    async with open_stream(server.client, token, after=foreign) as stream:
        gap, *rest = await stream.events(3)
    assert (gap.event, gap.json()["reason"]) == ("gap", "restored")
    assert _seqs(rest) == [1, 2]


async def test_a_cursor_beyond_the_head_reads_everything_again(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")
    token = await server.add_token(alice)
    await _push(server, hook, 1, 2)
    head = await server.services.journal.head(alice.id)
    async with open_stream(server.client, token, after=f"{head.epoch}-3") as stream:
        gap, *rest = await stream.events(3)
        await _push(server, hook, 3)
        live = await stream.event()
    assert (gap.event, gap.json()["reason"]) == ("gap", "restored")
    assert _seqs([*rest, live]) == [1, 2, 3]


@pytest.mark.parametrize(
    "malformed", ["1", "abc", "a-b", "a-01", "a--1", "A-1", "a-9223372036854775808", "a-1 "]
)
async def test_a_malformed_cursor_is_a_400(server: LiveServer, malformed: str) -> None:
    alice = await server.add_user("alice")
    headers = {"authorization": f"Bearer {await server.add_token(alice)}"}
    for path in ("/api/sse/stream", "/api/events"):
        answer = await server.client.get(path, params={"after": malformed}, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_cursor"), path


async def test_the_pages_of_the_api_and_the_stream_tell_the_same(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")
    token = await server.add_token(alice)
    headers = {"authorization": f"Bearer {token}"}
    await _push(server, hook, *range(25))
    async with open_stream(server.client, token, after="0") as stream:
        streamed = [frame.json() for frame in await stream.events(25)]
    paged, after = [], "0"
    while after is not None:
        page = (
            await server.client.get("/api/events", params={"after": after, "limit": 7}, headers=headers)
        ).json()
        paged += page["events"]
        after = page["next"]
    assert paged == streamed
    assert page["cursor"] == streamed[-1]["cursor"]


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1e3", "١", ""])
async def test_a_limit_is_a_number_from_1(server: LiveServer, limit: str) -> None:
    alice = await server.add_user("alice")
    headers = {"authorization": f"Bearer {await server.add_token(alice)}"}
    answer = await server.client.get("/api/events", params={"limit": limit}, headers=headers)
    assert answer.status_code == (200 if limit == "" else 400)


async def test_a_limit_beyond_500_is_cut_and_the_newest_can_be_asked_for(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")
    headers = {"authorization": f"Bearer {await server.add_token(alice)}"}
    await _push(server, hook, *range(5))
    all_of_them = (await server.client.get("/api/events?limit=100000", headers=headers)).json()
    newest = (await server.client.get("/api/events?last=2", headers=headers)).json()
    assert [event["sequence"][-1] for event in all_of_them["events"]] == ["1", "2", "3", "4", "5"]
    assert [event["sequence"][-1] for event in newest["events"]] == ["4", "5"]
    assert newest["next"] is None
