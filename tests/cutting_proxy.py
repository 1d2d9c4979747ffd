"""Stands between tidings and PostgreSQL, and cuts the connection before a COMMIT arrives, or before its answer does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

_COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"  # as the driver says it: a simple query of its own
_CHUNK_BYTES = 65536

Cut = Literal["answer", "commit"]


class CuttingProxy:
    """Passes everything on, until it is armed."""

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._armed: list[Cut] = []
        self._before: Callable[[], None] = lambda: None
        self._held: list[asyncio.StreamWriter] = []
        self.port = 0
        self.cuts = 0

    def arm(self, cut: Cut, before: Callable[[], None] = lambda: None, *, times: int = 1) -> None:
        """Break the next connection on which a COMMIT is sent.

        Args:
            cut: "answer": PostgreSQL commits, and its answer gets lost. "commit": the COMMIT gets lost, and PostgreSQL
                is not told that anybody has gone.
            before: Called when PostgreSQL has answered, before its client can know.
            times: How many connections.
        """
        self._armed, self._before = [cut] * times, before

    def url(self, url: str) -> str:
        """A database's address by way of this."""
        return url.replace(f":{self._server_port}/", f":{self.port}/")

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its beginning to its end."""
        try:
            answers, server = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            writer.close()
            return
        answering = asyncio.create_task(_pass_on(answers, writer))
        try:
            while data := await reader.read(_CHUNK_BYTES):
                if not self._armed or _COMMIT not in data:
                    server.write(data)
                    continue
                cut = self._armed.pop()
                answering.cancel()
                await asyncio.wait([answering])
                if cut == "answer":
                    server.write(data)
                    assert (await answers.read(_CHUNK_BYTES)).startswith(b"C"), "PostgreSQL says: complete"
                    self._before()
                    server.close()
                else:
                    self._held.append(server)
                self.cuts += 1
                writer.transport.abort()
                return
            server.close()
        except OSError:
            server.close()
        finally:
            answering.cancel()
            writer.close()

    def let_go(self) -> None:
        """Close what was kept open."""
        for server in self._held:
            server.close()


async def _pass_on(answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await answers.read(_CHUNK_BYTES):
            writer.write(data)
    except OSError:
        pass
    finally:
        if not asyncio.current_task().cancelling():  # type: ignore[union-attr]  # this is a task
            writer.close()


@asynccontextmanager
async def cutting_proxy(port: int) -> AsyncIterator[CuttingProxy]:
    """A proxy for the server at `port`."""
    proxy = CuttingProxy(port)
    listening = await asyncio.start_server(proxy.take, "127.0.0.1", 0)
    proxy.port = listening.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        proxy.let_go()
        listening.close()
