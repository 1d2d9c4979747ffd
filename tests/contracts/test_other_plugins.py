"""Every strategy, transport, bus and extra that tidings ships passes its suite."""

from __future__ import annotations

import re
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from broker import broker_in
from browser_keys import BrowserKeys
from nats_accounts import accounts
from stores import opened
from tidings.choices import KINDS
from tidings.contracts import Answer, Transport
from tidings.event import UserId
from tidings.journal import SqlJournal
from tidings.retention import Policy, Retention
from tidings.testing import (
    BusSuite,
    ExtraSuite,
    FakeClock,
    JournalSuite,
    MemoryJournal,
    PushingSuite,
    Shelf,
    StrategySuite,
    StreamingSuite,
)
from tidings.testing.bench import Bench, offered
from tidings.testing.readers import Listener, listening_by_sse, listening_by_websocket
from tidings.testing.server import LiveServer
from tidings_transports.webpush.sending import Sender
from tidings_transports.webpush.services import Endpoint, Service, Services
from tidings_transports.webpush.transport import Delivery, WebPush

SECRET = "planted-0123456789-planted"


class TestWebhook(StrategySuite):
    plugin = "strategy/webhook"


class TestPolling(StrategySuite):
    plugin = "strategy/polling"


class TestSse(StreamingSuite):
    plugin = "transport/sse"

    def listen(
        self, server: LiveServer, token: str, *, after: str = ""
    ) -> AbstractAsyncContextManager[Listener]:
        return listening_by_sse(server, token, after=after)


class TestWebSocket(StreamingSuite):
    plugin = "transport/websocket"
    options = {"auth_timeout": "1s"}

    def listen(
        self, server: LiveServer, token: str, *, after: str = ""
    ) -> AbstractAsyncContextManager[Listener]:
        return listening_by_websocket(server, token, after=after)


class Scripted(Sender):
    """Sends nothing; the service says what the bench's HTTP client says."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self._bench = bench

    async def post(
        self, endpoint: Endpoint, addresses: Sequence[str], *, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        return await self._bench.http.send("POST", endpoint.target, headers=headers, body=body)


class TestWebPush(PushingSuite):
    plugin = "transport/webpush"
    options = {"subject": "mailto:me@example.org"}
    wish = {"endpoint": "https://push.example.org/send/abc", **BrowserKeys().shown()}

    @contextmanager
    def transport(self) -> Iterator[tuple[Transport, Bench]]:
        """A transport at a push service that is listed, has an address, and says what it is told to say."""
        with self.offered() as (_, bench):
            services = Services([Service.parse("push.example.org")], allow_private=False, resolve=_anywhere)
            yield WebPush(bench.context, Delivery(self.options["subject"]), services, Scripted(bench)), bench


async def _anywhere(_host: str, _port: int) -> Sequence[str]:
    return ["142.250.1.95"]


class TestLocalBus(BusSuite):
    plugin = "bus/local"


class TestNats(BusSuite):
    plugin = "bus/nats"
    options = {"token": SECRET}
    alternatives = ({"user": "ann", "password": SECRET}, {"credentials": accounts()[1]})

    @contextmanager
    def offered(self) -> Iterator[tuple[Any, Bench]]:
        """At a broker of its own."""
        with (
            tempfile.TemporaryDirectory() as folder,
            broker_in(Path(folder)) as broker,
            offered(self.plugin, {**self.options, "servers": [broker.url]}) as found,
        ):
            yield found


class TestDashboard(ExtraSuite):
    plugin = "extra/dashboard"


class TestSandbox(ExtraSuite):
    plugin = "extra/sandbox"
    options = {"lively": False}


class TestSqlJournal(JournalSuite):
    @asynccontextmanager
    async def shelf(self) -> AsyncIterator[Shelf]:
        with tempfile.TemporaryDirectory() as folder:
            async with opened(Path(folder)) as store:
                users = [(await store.add_user(name)).id for name in ("ann", "bob")]

                async def cut(_user: UserId, keep: int) -> None:
                    policy = Policy(days=None, events_per_user=keep)
                    await Retention(store.writer, store.clock, _Silent(), policy).cut()

                yield Shelf(SqlJournal(store.database, store.writer, store.clock), *users, cut)


class TestMemoryJournal(JournalSuite):
    @asynccontextmanager
    async def shelf(self) -> AsyncIterator[Shelf]:
        journal = MemoryJournal(FakeClock())

        async def cut(user: UserId, keep: int) -> None:
            journal.cut(user, keep)

        yield Shelf(journal, journal.add_user(), journal.add_user(), cut)


class _Silent:
    def info(self, *_arguments: object, **_fields: object) -> None:
        return


def test_every_plugin_that_is_shipped_has_a_suite() -> None:
    suites = Path(__file__).parent.glob("test_*.py")
    tested = set(
        re.findall(r'^    plugin = "(.*)"$', "".join(one.read_text() for one in suites), re.MULTILINE)
    )
    assert shipped() - tested == set()


def shipped() -> set[str]:
    return {
        f"{kind.noun}/{point.name}"
        for kind in KINDS
        for point in entry_points(group=kind.group)
        if point.dist is not None and point.dist.name == "tidings"
    }
