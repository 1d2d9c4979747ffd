"""What a stream looks like on the wire: headers, names, filters, heartbeats, positions."""

import asyncio
import itertools
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

import deliveries
from tidings.contracts import Page
from tidings.testing.server import Hook, LiveServer, live_server
from tidings.testing.streams import SseReader, open_stream

_numbers = itertools.count()


async def test_headers_keep_proxies_from_buffering_and_caching(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    server.client.headers["accept-encoding"] = "gzip, br, zstd"
    async with open_stream(server.client, await server.add_token(alice)) as stream:
        headers = stream.response.headers
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert {"no-store", "no-transform"} <= set(headers["cache-control"].split(", "))
    assert headers["x-accel-buffering"] == "no"
    assert "content-encoding" not in headers
    assert "content-length" not in headers


async def test_a_stream_opens_with_retry_and_the_position(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    async with open_stream(server.client, await server.add_token(alice)) as stream:
        assert stream.retry_ms == 3000
        assert stream.last_event_id == str(await server.services.journal.head(alice.id))


async def test_a_silent_stream_has_heartbeats(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    async with open_stream(server.client, await server.add_token(alice)) as stream:
        await stream.heartbeat(timeout_seconds=2)
        await stream.heartbeat(timeout_seconds=2)
        assert stream.comments >= 2


async def test_unnamed_frames_are_for_onmessage(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")
    token = await server.add_token(alice)
    async with (
        open_stream(server.client, token, params={"named": "false"}) as unnamed,
        open_stream(server.client, token, params={"named": "true"}) as named,
    ):
        await deliveries.send(server.client, hook, deliveries.push(1))
        first, second = await unnamed.event(), await named.event()
    assert (first.event, first.named) == ("message", False)
    assert (second.event, second.named) == ("webhook_received", True)
    assert first.data == second.data


@pytest.mark.parametrize(
    ("params", "wanted"),
    [
        ({}, ["push", "issues", "message"]),
        ({"types": "com.github.push"}, ["push"]),
        ({"types": "com.github.*"}, ["push", "issues"]),
        ({"types": "*"}, ["push", "issues", "message"]),
        ({"types": "**.push"}, ["push"]),
        ({"types": "com.*.issues, org.tidings.message"}, ["issues", "message"]),
        ({"types": "com.github.pus"}, []),
        ({"types": "github"}, []),
        ({"types": "COM.GITHUB.PUSH"}, []),
        ({"types": "comXgithub.push"}, []),
        ({"platforms": "github"}, ["push", "issues"]),
        ({"platforms": "tidings"}, ["message"]),
        ({"platforms": "github,tidings"}, ["push", "issues", "message"]),
        ({"platforms": "gmail"}, []),
        ({"types": "com.github.*", "platforms": "tidings"}, []),
        ({"types": "*.push,*.message", "platforms": "github"}, ["push"]),
    ],
)
async def test_filters_select_by_type_and_platform(
    shared_server: LiveServer, params: dict[str, str], wanted: list[str]
) -> None:
    alice = await shared_server.add_user(f"filters{next(_numbers)}")
    hook = await shared_server.add_hook(alice, "github")
    token = await shared_server.add_token(alice, "read", "send")
    headers = {"authorization": f"Bearer {token}"}
    async with open_stream(shared_server.client, token, params=params) as live:
        await deliveries.send(shared_server.client, hook, deliveries.push(1))
        await deliveries.send(shared_server.client, hook, deliveries.issue(2), event="issues")
        await shared_server.client.post(
            "/api/sse/send", json={"message": {"title": "Hello"}}, headers=headers
        )
        live_kinds = await _kinds_up_to(live, seq=3)
    async with open_stream(shared_server.client, token, after="0", params=params) as resumed:
        resumed_kinds = await _kinds_up_to(resumed, seq=3)
    page = (await shared_server.client.get("/api/events", params=params, headers=headers)).json()
    assert live_kinds == wanted
    assert resumed_kinds == wanted
    assert [event["type"].rpartition(".")[2] for event in page["events"]] == wanted
    assert page["cursor"].endswith("-3")


async def _kinds_up_to(stream: SseReader, *, seq: int) -> list[str]:
    """What came, up to the position `seq`, which a `cursor` frame tells where the filter withheld it."""
    kinds = []
    while not stream.last_event_id.endswith(f"-{seq}"):
        frame = await stream.next(timeout_seconds=3)
        if frame.event != "cursor":
            kinds.append(frame.json()["type"].rpartition(".")[2])
    return kinds


@pytest.mark.parametrize(
    "params",
    [
        {"types": "com.github.push;drop"},
        {"types": "[a-z]+"},
        {"types": "a" * 251},
        {"types": ",".join(["a"] * 51)},
        {"platforms": "git hub"},
        {"platforms": "../etc"},
        {"types": "%00"},
        {"types": "é"},
    ],
)
async def test_a_filter_that_is_no_pattern_is_a_400(
    shared_server: LiveServer, params: dict[str, str]
) -> None:
    alice = await shared_server.add_user(f"patterns{next(_numbers)}")
    headers = {"authorization": f"Bearer {await shared_server.add_token(alice)}"}
    for path in ("/api/sse/stream", "/api/events"):
        answer = await shared_server.client.get(path, params=params, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "rejected"), path


async def test_after_withheld_events_a_cursor_frame_tells_the_position(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")
    token = await server.add_token(alice)
    async with open_stream(server.client, token, params={"types": "com.github.issues"}) as stream:
        await _pushes(server, hook, 3)
        position = ""
        while not position.endswith("-3"):  # if the three took long, the first of them are told of before
            frame = await stream.next(timeout_seconds=2)
            assert (frame.event, frame.data) == ("cursor", "{}")
            position = frame.id
        # Told once; then heartbeats again.
        await stream.heartbeat(timeout_seconds=2)
    async with open_stream(server.client, token, last_event_id=position) as stream:
        await deliveries.send(server.client, hook, deliveries.issue(9), event="issues")
        assert (await stream.event()).id.endswith("-4")


async def test_the_position_stays_fresh_after_a_foreign_cursor_too(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")
    token = await server.add_token(alice)
    await _pushes(server, hook, 3)
    params = {"types": "com.github.issues"}
    async with open_stream(server.client, token, after="anotherepoch-900", params=params) as stream:
        assert (await stream.event()).event == "gap"
        frame = await stream.next(timeout_seconds=2)
    assert frame.event == "cursor"
    assert frame.id == str(await server.services.journal.head(alice.id))


async def test_a_stream_that_searches_a_long_journal_is_kept_open_and_told_how_far_it_is(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")
    token = await server.add_token(alice)
    await _pushes(server, hook, 3)
    read = server.services.journal.read
    pages = asyncio.Semaphore(0)

    async def slowly(*arguments: Any, **options: Any) -> Page:
        await pages.acquire()
        return await read(*arguments, **options)

    monkeypatch.setattr(server.services.journal, "read", slowly)
    monkeypatch.setattr("tidings.journal._SCAN_ROWS", 1)
    monkeypatch.setattr("tidings.journal._LONGEST_SCAN_ROWS", 2)
    params = {"types": "com.github.issues"}
    async with open_stream(server.client, token, after="0", params=params) as stream:
        await stream.heartbeat(timeout_seconds=2)
        pages.release()
        frame = await stream.next(timeout_seconds=2)
        assert (frame.event, frame.id[-2:]) == ("cursor", "-2")
        await stream.heartbeat(timeout_seconds=2)
        pages.release()
        frame = await stream.next(timeout_seconds=2)
        assert (frame.event, frame.id[-2:]) == ("cursor", "-3")
        await deliveries.send(server.client, hook, deliveries.issue(9), event="issues")
        assert (await stream.event()).id.endswith("-4")


async def _pushes(server: LiveServer, hook: Hook, count: int) -> None:
    for serial in range(count):
        assert (await deliveries.send(server.client, hook, deliveries.push(serial))).status_code == 200


async def test_streams_beyond_the_limit_are_refused(tmp_path: Path, config: str) -> None:
    limited = config.replace("limits: {", "limits: {streams: 2, ")
    async with live_server(tmp_path, limited) as server:
        alice, bob = await server.add_user("alice"), await server.add_user("bob")
        token = await server.add_token(alice)
        async with open_stream(server.client, token), open_stream(server.client, token):
            answer = await server.client.get("/api/sse/stream", headers={"authorization": f"Bearer {token}"})
            assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_streams")
            async with open_stream(server.client, await server.add_token(bob)):
                pass  # each user has a count of their own
        async with open_stream(server.client, token):
            pass  # what was closed is free again


async def test_streams_opened_at_once_are_counted_too(tmp_path: Path, config: str) -> None:
    limited = config.replace("limits: {", "limits: {streams: 2, ")
    async with live_server(tmp_path, limited) as server:
        token = await server.add_token(await server.add_user("alice"))
        headers = {"authorization": f"Bearer {token}"}
        async with AsyncExitStack() as stack:
            streams = [server.client.stream("GET", "/api/sse/stream", headers=headers) for _ in range(10)]
            answers = await asyncio.gather(*[stack.enter_async_context(stream) for stream in streams])
            assert Counter(answer.status_code for answer in answers) == {200: 2, 429: 8}
