"""Feeds pass tidings' suites for connectors that ask, subscribe and receive."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import parse_qsl

from tidings.contracts import Answer
from tidings.testing import (
    PollingSuite,
    ReceivingSuite,
    RecordedApi,
    RegisteringSuite,
    Registry,
    Watched,
    answer,
)
from tidings.testing.exchanges import Asking

FEED = "https://blog.example.org/feed.xml"
HUB = "https://hub.example.org/"
ENTRY = "<entry><id>urn:{0}</id><title>No {0}</title><link href='https://blog.example.org/{0}'/></entry>"


def feed(*numbers: int) -> Answer:
    entries = "".join(ENTRY.format(number) for number in numbers)
    head = (
        f"<id>urn:blog</id><title>Blog</title><link rel='hub' href='{HUB}'/><link rel='self' href='{FEED}'/>"
    )
    body = f"<feed xmlns='http://www.w3.org/2005/Atom'>{head}{entries}</feed>".encode()
    return answer(body, etag=f'"{len(numbers)}"')


class TestRss(ReceivingSuite, PollingSuite, RegisteringSuite):
    plugin = "connector/rss"
    signature = "x-hub-signature"

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Watched]:
        with self.connector() as (connector, bench):
            entries = [1]

            def serve(asking: Asking) -> Answer:
                said = feed(*reversed(entries))
                is_known = asking.headers.get("if-none-match") == said.headers["etag"]
                return answer(b"", 304) if is_known else said

            async def happen() -> None:
                entries.append(len(entries) + 1)

            bench.http.say(f"GET {FEED}", serve)
            api = RecordedApi(connector, bench.http, FEED)
            yield Watched(connector, api, happen, bench.clock.now, partial(setattr, bench.http, "fault"))

    @asynccontextmanager
    async def registry(self) -> AsyncIterator[Registry]:
        with self.connector() as (connector, bench):
            leases: set[tuple[str, str]] = set()

            def hub(asking: Asking) -> Answer:
                form = dict(parse_qsl(asking.body.decode()))
                change = leases.add if form["hub.mode"] == "subscribe" else leases.discard
                change((form["hub.topic"], form["hub.callback"]))
                return answer(b"", 202)

            async def standing() -> int:
                return len(leases)

            bench.http.say(f"GET {FEED}", feed(1))
            bench.http.say(f"POST {HUB}", hub)
            yield Registry(connector, RecordedApi(connector, bench.http, FEED), standing)
