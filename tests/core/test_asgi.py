from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tidings.asgi import header, offer, step


class Connection:
    """A `send` as uvicorn's: it waits only while the client is slow."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.cancelled = False
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, message: Any) -> None:
        try:
            while not self.open.is_set():
                await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if message["body"] == b"defect":
            raise RuntimeError("a defect")
        self.sent.append(message["body"])


def _body(text: bytes) -> dict[str, object]:
    return {"type": "http.response.body", "body": text}


async def test_what_is_written_at_once_needs_no_awaiting() -> None:
    connection = Connection()
    assert offer(connection.send, _body(b"a")) is None
    assert connection.sent == [b"a"]


async def test_a_slow_client_is_waited_for_by_awaiting_the_rest() -> None:
    connection = Connection()
    connection.open.clear()
    rest = offer(connection.send, _body(b"a"))
    assert rest is not None
    waiting = asyncio.ensure_future(_await(rest))
    await asyncio.sleep(0)
    assert not waiting.done()
    connection.open.set()
    await waiting
    assert connection.sent == [b"a"]


async def test_a_rest_can_wait_again_and_again() -> None:
    async def often() -> str:
        for _ in range(5):
            await asyncio.sleep(0)
        return "done"

    result, rest = step(often())
    assert result is None
    assert rest is not None
    assert await rest == "done"


async def test_a_result_that_is_there_at_once_is_given_at_once() -> None:
    async def now() -> int:
        return 7

    assert step(now()) == (7, None)


async def test_something_else_that_is_awaitable_is_given_back() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    result, rest = step(future)
    future.set_result(7)
    assert result is None
    assert rest is not None
    assert await rest == 7


async def test_cancelling_who_waits_cancels_what_is_waited_for() -> None:
    connection = Connection()
    connection.open.clear()
    rest = offer(connection.send, _body(b"a"))
    assert rest is not None
    waiting = asyncio.ensure_future(_await(rest))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert connection.cancelled
    assert connection.sent == []


async def test_a_failure_comes_out_where_it_is_noticed() -> None:
    connection = Connection()
    with pytest.raises(RuntimeError, match="a defect"):
        offer(connection.send, _body(b"defect"))
    connection.open.clear()
    rest = offer(connection.send, _body(b"defect"))
    assert rest is not None
    asyncio.get_running_loop().call_soon(connection.open.set)
    with pytest.raises(RuntimeError, match="a defect"):
        await rest


async def _await(rest: Any) -> Any:
    return await rest


@pytest.mark.parametrize(("name", "value"), [(b"a", "1"), (b"b", "\xe9"), (b"c", None)])
def test_the_first_header_of_a_name_counts(name: bytes, value: str | None) -> None:
    scope = {"headers": [(b"a", b"1"), (b"a", b"2"), (b"b", b"\xe9")]}
    assert header(scope, name) == value
