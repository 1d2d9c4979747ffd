"""The baseline of fanout.py: a protocol that writes the bytes it is handed to those who listen, and nothing else.

`GET /KEY` listens; `POST /KEY` writes its body to everyone who listens to KEY.
"""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from typing import cast

import uvloop

LISTENERS: dict[bytes, list[asyncio.Transport]] = defaultdict(list)


class Bare(asyncio.Protocol):
    def __init__(self) -> None:
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        data = self.buffer + data
        head, end, body = data.partition(b"\r\n\r\n")
        if not end:
            self.buffer = data
            return
        method, path, _ = head.split(b" ", 2)
        if method == b"GET":
            LISTENERS[path].append(self.transport)
            self.transport.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n: \n\n\r\n")
            self.buffer = b""
            return
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if len(body) < length:
            self.buffer = data
            return
        self.buffer = b""
        for listener in LISTENERS[path]:
            listener.write(body)
        self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Bare, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
