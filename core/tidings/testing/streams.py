"""Reading Server-Sent Events as a browser does, for tests."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

_PATIENCE_SECONDS = 10.0


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """One event of a stream.

    Attributes:
        id: The stream's last event id when the frame came; "" where none was ever sent.
        event: The name under which a browser's listener gets it: `message` where the frame names none.
        named: Whether the frame names one.
    """

    id: str
    event: str
    data: str
    named: bool = True

    def json(self) -> Any:
        """The data as JSON."""
        return json.loads(self.data)


class SseReader:
    """Reads frames from an open response (https://html.spec.whatwg.org/multipage/server-sent-events.html).

    One task reads at a time, and a reader that timed out is spent.

    Attributes:
        response: The response, for its status and headers.
        comments: How many comment lines came.
        retry_ms: The reconnection time that the server asked for, if it did.
        last_event_id: What a browser would send as `Last-Event-ID`.
    """

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.comments = 0
        self.retry_ms: int | None = None
        self.last_event_id = ""
        self._lines = _lines(response)

    def __aiter__(self) -> AsyncIterator[Frame]:
        """The frames, until the server ends the stream."""
        return self._frames()

    async def _frames(self) -> AsyncIterator[Frame]:
        while (frame := await self._read()) is not None:
            yield frame

    async def next(self, *, timeout_seconds: float = _PATIENCE_SECONDS) -> Frame:
        """The next frame.

        Raises:
            TimeoutError: None came in time.
            EOFError: The stream ended.
        """
        async with asyncio.timeout(timeout_seconds):
            frame = await self._read()
        if frame is None:
            raise EOFError("The stream ended.")
        return frame

    async def event(self, *, timeout_seconds: float = _PATIENCE_SECONDS) -> Frame:
        """The next frame that is news: any but `cursor`, which only tells the position.

        Raises:
            TimeoutError: None came in time.
            EOFError: The stream ended.
        """
        async with asyncio.timeout(timeout_seconds):
            while (frame := await self.next(timeout_seconds=timeout_seconds)).event == "cursor":
                pass
        return frame

    async def events(self, count: int, *, timeout_seconds: float = _PATIENCE_SECONDS) -> list[Frame]:
        """The next `count` frames that are news.

        Raises:
            TimeoutError: They did not come in time.
            EOFError: The stream ended.
        """
        async with asyncio.timeout(timeout_seconds):
            return [await self.event(timeout_seconds=timeout_seconds) for _ in range(count)]

    async def heartbeat(self, *, timeout_seconds: float = _PATIENCE_SECONDS) -> None:
        """Wait for a comment.

        Raises:
            TimeoutError: None came in time.
            EOFError: The stream ended.
        """
        seen = self.comments
        async with asyncio.timeout(timeout_seconds):
            async for line in self._lines:
                self._note(line)
                if self.comments > seen:
                    return
        raise EOFError("The stream ended.")

    async def _read(self) -> Frame | None:
        name, data = "", list[str]()
        async for line in self._lines:
            if line == "":
                if data:
                    return Frame(self.last_event_id, name or "message", "\n".join(data), bool(name))
                name = ""
                continue
            field, value = self._note(line)
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)
        return None

    def _note(self, line: str) -> tuple[str, str]:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line.startswith(":"):
            self.comments += 1
        elif field == "id" and "\0" not in value:
            self.last_event_id = value
        elif field == "retry" and value.isdigit():
            self.retry_ms = int(value)
        return field, value


async def _lines(response: httpx.Response) -> AsyncIterator[str]:
    # httpx's own aiter_lines also splits at U+2028 and the like, which JSON may hold.
    rest = b""
    async for chunk in response.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r").decode()


@asynccontextmanager
async def open_stream(
    client: httpx.AsyncClient,
    token: str = "",
    *,
    after: str | None = None,
    last_event_id: str | None = None,
    path: str = "/api/sse/stream",
    params: Mapping[str, str] | None = None,
) -> AsyncIterator[SseReader]:
    """Open a stream; it is read up to its first frame, so that whatever is appended now will be in it.

    Args:
        client: For the server.
        token: An API token or a JWT; "" for none.
        after: The query parameter of that name.
        last_event_id: The header of that name.
        path: Where the stream is.
        params: More query parameters.

    Raises:
        AssertionError: The answer is not a stream; its text says why.
    """
    headers = {"accept": "text/event-stream"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    if last_event_id is not None:
        headers["last-event-id"] = last_event_id
    query = dict(params or {})
    if after is not None:
        query["after"] = after
    patience = httpx.Timeout(30, read=None)
    async with client.stream("GET", path, headers=headers, params=query, timeout=patience) as response:
        if response.status_code != 200:
            await response.aread()
            raise AssertionError(f"{response.status_code}: {response.text}")
        reader = SseReader(response)
        opening = await reader.next()
        assert opening.event == "cursor", opening
        yield reader
