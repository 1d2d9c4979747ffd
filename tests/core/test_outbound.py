import asyncio
import contextlib
import gzip
import logging
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib.abc import MetaPathFinder

import httpx
import pytest

from tidings import outbound
from tidings.errors import NotSent, Unavailable
from tidings.outbound import Outbound

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Handler = Callable[[httpx.Request], httpx.Response]


@asynccontextmanager
async def served(serve: Serve) -> AsyncIterator[str]:
    """A server on loopback that answers as `serve` does; its URL."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.close()


@asynccontextmanager
async def client(handler: Handler | None = None) -> AsyncIterator[Outbound]:
    http = Outbound("https://tidings.example.org", transport=handler and httpx.MockTransport(handler))
    try:
        yield http
    finally:
        await http.close()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def test_any_status_is_an_answer():
    async with client(
        lambda request: httpx.Response(503, headers={"Retry-After": "5"}, content=b"busy")
    ) as http:
        answer = await http.send("GET", "https://api.example.org/x")
    assert (answer.status, answer.headers["retry-after"], answer.body) == (503, "5", b"busy")


async def test_a_header_sent_twice_has_both_values():
    async with client(lambda _: httpx.Response(200, headers=[("Link", "a"), ("link", "b")])) as http:
        assert (await http.send("GET", "https://a.example.org/")).headers["link"] == "a, b"


async def test_method_headers_and_body_are_sent_as_given_and_who_calls_is_said():
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(204)

    async with client(handle) as http:
        await http.send("POST", "https://a.example.org/p?q=1", headers={"X-Own": "1"}, body=b"\x00body")
    request = seen[0]
    assert (request.method, str(request.url), request.content) == (
        "POST",
        "https://a.example.org/p?q=1",
        b"\x00body",
    )
    assert request.headers["x-own"] == "1"
    assert request.headers["user-agent"].startswith("tidings/")
    assert request.headers["user-agent"].endswith(" (+https://tidings.example.org)")


async def test_a_redirect_is_an_answer_and_not_followed():
    calls: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        calls.append(str(request.url))
        return httpx.Response(HTTPStatus.FOUND, headers={"Location": "https://elsewhere.example.org/"})

    async with client(handle) as http:
        assert (await http.send("GET", "https://a.example.org/")).status == 302
    assert len(calls) == 1


async def test_a_cookie_set_for_one_account_goes_with_no_later_call():
    sent: list[str | None] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers.get("cookie"))
        return httpx.Response(200, headers={"Set-Cookie": "session=of-one; Path=/"})

    async with client(handle) as http:
        for _ in range(2):
            await http.send("GET", "https://a.example.org/")
    assert sent == [None, None]


async def test_where_nobody_listens_nothing_was_sent():
    async with client() as http:
        with pytest.raises(NotSent, match=r"No connection to 127\.0\.0\.1 came about"):
            await http.send("POST", f"http://127.0.0.1:{free_port()}/token?secret=planted")


@pytest.mark.parametrize(
    "url", ["ftp://a.example.org/", "nonsense", "http://[::1", "http://a b/", "http://\x00/"]
)
async def test_an_address_that_is_none_was_not_sent_to(url: str):
    async with client() as http:
        with pytest.raises(NotSent):
            await http.send("GET", url)


async def test_a_connection_that_breaks_before_the_answer_leaves_it_unknown():
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with served(hang_up) as url, client() as http:
        with pytest.raises(Unavailable) as caught:
            await http.send("POST", f"{url}/token?secret=planted", body=b"x")
    assert not isinstance(caught.value, NotSent)
    assert "planted" not in str(caught.value)


async def test_an_answer_that_breaks_off_is_none():
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        writer.close()

    async with served(half) as url, client() as http:
        with pytest.raises(Unavailable) as caught:
            await http.send("GET", url)
    assert not isinstance(caught.value, NotSent)


async def test_an_answer_that_drips_in_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(outbound, "TIMEOUT_SECONDS", 0.2)
    gone = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        said = b"?"
        while said:
            writer.write(b"1\r\nx\r\n")
            with contextlib.suppress(TimeoutError):
                said = await asyncio.wait_for(reader.read(1), 0.02)
        writer.close()
        gone.set()

    async with served(drip) as url, client() as http:
        with pytest.raises(Unavailable, match=r"did not answer within 0\.2 seconds"):
            await http.send("GET", url)
        await gone.wait()


async def test_an_answer_that_is_too_large_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(outbound, "MOST_BYTES", 1024**2)
    bomb = gzip.compress(b"\0" * 4 * 1024**2)
    headers = {"Content-Encoding": "gzip"}
    async with client(lambda _: httpx.Response(200, headers=headers, content=bomb)) as http:
        with pytest.raises(Unavailable, match="more than 1 MiB"):
            await http.send("GET", "https://a.example.org/")


async def test_no_url_is_logged(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG):
        async with client(lambda _: httpx.Response(200)) as http:
            await http.send("GET", "https://a.example.org/?token=planted")
    assert "planted" not in caplog.text


async def test_a_closed_client_opens_again():
    async with client(lambda _: httpx.Response(200)) as http:
        await http.send("GET", "https://a.example.org/")
        await http.close()
        assert (await http.send("GET", "https://a.example.org/")).status == 200


class Asked(MetaPathFinder):
    """Knows no module, and remembers which were looked for."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        self.names.append(fullname)


async def test_what_httpcore_could_do_with_is_looked_for_once_and_not_at_each_request(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.delitem(sys.modules, "sniffio", raising=False)
    asked = Asked()
    monkeypatch.setattr(sys, "meta_path", [asked, *sys.meta_path])

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()

    async with served(answer) as url, client() as http:
        for _ in range(2):
            assert (await http.send("GET", url)).status == 204
    assert asked.names.count("sniffio") == 1


def test_httpx_and_authlib_are_imported_only_when_they_are_needed():
    code = (
        "import sys, tidings.outbound, tidings.oauth, tidings.tokens; "
        "print([name for name in ('httpx', 'authlib') if name in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})])
async def test_a_connection_that_is_reset_as_soon_as_it_is_made_was_not_sent_or_broke_off(
    anyio_backend: object,
):
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        thread = threading.Thread(target=reset_whoever_comes, args=(listening,))
        thread.start()
        host, port = listening.getsockname()
        seen: set[type[Exception]] = set()
        try:
            async with client() as http:
                for _ in range(200):
                    with pytest.raises(Unavailable) as caught:
                        await http.send("GET", f"http://{host}:{port}/")
                    seen.add(caught.type)
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
    assert NotSent in seen


def reset_whoever_comes(listening: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listening.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
