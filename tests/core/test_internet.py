"""Addresses that somebody typed are asked on the internet alone, and where the name led when it was judged."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest

from certificates import Authority
from tidings.errors import NotSent, Rejected
from tidings.internet import Resolve
from tidings.outbound import Internet

HERE = (ip_network("127.0.0.1"),)


class Names:
    """Name servers that answer these, one after the other; the last again and again."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@asynccontextmanager
async def serving(
    answer: str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[int, list[str]]]:
    """A server on loopback: its port, and the heads of the requests that reached it."""
    heads: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(answer.encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1], heads
    finally:
        server.close()


@asynccontextmanager
async def internet(
    resolve: Resolve, *, besides: bool = True, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Internet]:
    http = Internet("https://tidings.example.org", resolve=resolve, besides=HERE if besides else (), tls=tls)
    try:
        yield http
    finally:
        await http.close()


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["::1"],
        ["::ffff:192.168.1.1"],
        ["64:ff9b::a00:1"],
        ["fd00::1"],
        ["fe80::1%eth0"],
        ["93.184.216.34", "127.0.0.1"],
    ],
)
async def test_a_public_name_that_means_a_private_address_is_not_asked(addresses: list[str]) -> None:
    async with serving() as (port, heads), internet(Names(addresses), besides=False) as http:
        with pytest.raises(
            Rejected, match=r"feeds\.example\.org is of this machine or its network"
        ) as refused:
            await http.send("GET", f"http://feeds.example.org:{port}/")
    assert refused.value.status == 400
    assert heads == []


async def test_it_goes_where_the_name_led_when_it_was_judged_and_names_the_host() -> None:
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    async with serving() as (port, heads), internet(names) as http:
        url = f"http://feeds.example.org:{port}/a?b=c#d"
        assert (await http.send("GET", url, headers={"If-None-Match": "x"})).body == b"hello"
        assert names.asked == [("feeds.example.org", port)]
        (head,) = heads
        assert head.startswith("GET /a?b=c HTTP/1.1\r\n")
        assert f"host: feeds.example.org:{port}\r\n" in head.lower()
        assert "if-none-match: x\r\n" in head.lower()
        assert "tidings/" in head
        with pytest.raises(Rejected):  # judged anew at each request
            await http.send("GET", url)
        assert len(heads) == 1


async def test_a_redirect_is_not_followed_and_the_request_after_it_is_judged() -> None:
    moved = "HTTP/1.1 302 Found\r\nlocation: http://inner.example.org/\r\ncontent-length: 0\r\n\r\n"
    async with serving(moved) as (port, heads), internet(Names(["127.0.0.1"], ["10.0.0.1"])) as http:
        answer = await http.send("GET", f"http://feeds.example.org:{port}/")
        assert answer.status == 302
        with pytest.raises(Rejected):
            await http.send("GET", answer.headers["location"])
    assert len(heads) == 1


async def test_an_address_that_does_not_answer_is_followed_by_the_next() -> None:
    async with serving() as (port, heads):
        http = Internet(resolve=Names(["127.0.0.2", "127.0.0.1"]), besides=[ip_network("127.0.0.0/8")])
        assert (await http.send("GET", f"http://feeds.example.org:{port}/")).status == 200
        await http.close()
    assert len(heads) == 1


async def test_the_certificate_must_be_the_name_s_though_the_address_is_asked(tmp_path: Path) -> None:
    authority = Authority()
    serves = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serves.load_cert_chain(*authority.pair("feeds", "feeds.example.org").write(tmp_path, "feeds"))
    trusts = ssl.create_default_context(cadata=authority.certificate)
    async with serving(tls=serves) as (port, _), internet(Names(["127.0.0.1"]), tls=trusts) as http:
        assert (await http.send("GET", f"https://feeds.example.org:{port}/")).status == 200
        with pytest.raises(NotSent, match="certificate"):
            await http.send("GET", f"https://other.example.org:{port}/")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("file:///etc/passwd", "no address of the web"),
        ("example.org", "no address of the web"),
        ("http://", "no address of the web"),
        ("http://[::1", "no address of the web"),
        ("https://me:secret@example.org/", "user name or a password"),
    ],
)
async def test_what_is_no_address_of_the_web_is_refused_before_anything_is_looked_up(
    url: str, said: str
) -> None:
    names = Names(["93.184.216.34"])
    async with internet(names) as http:
        with pytest.raises(Rejected, match=said) as refused:
            await http.send("GET", url)
    assert refused.value.status == 400
    assert "secret" not in str(refused.value)
    assert names.asked == []


async def test_a_name_that_nobody_knows_is_told_as_such() -> None:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        raise OSError(-2, "Name or service not known")

    async with internet(resolve) as http:
        with pytest.raises(NotSent, match=r"nowhere\.example was not found: Name or service not known\."):
            await http.send("GET", "https://nowhere.example/")
