"""Testing a plugin: time, a journal, a server, streams."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tidings import Keys, UserId
from tidings.testing import (
    ConnectorSuite,
    FakeClock,
    JournalSuite,
    LiveServer,
    MemoryJournal,
    PluginSuite,
    Shelf,
    SseReader,
    Suite,
    TransportSuite,
    Violation,
    fail,
    live_server,
    open_stream,
    require,
    standard,
)


async def show_a_server_and_its_stream() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with live_server(Path(folder)) as server:
            live: LiveServer = server
            ann = await live.add_user("ann")
            token = await live.add_token(ann)
            hook = await live.add_hook(ann, "github")
            reader: SseReader
            async with open_stream(live.client, token) as reader:
                keys = Keys((hook.secret.encode(),))
                request = live.receiver("github").sample(keys, live.services.clock.now(), "1")
                assert (await live.deliver(hook.path, request)).status_code == 200
                event = await reader.event()
                assert event.json()["platform"] == "github"


async def show_time_that_stands_still() -> None:
    clock = FakeClock()
    before = clock.now()
    await clock.advance(60)
    assert (clock.now() - before).total_seconds() == 60


class TestGitHub(ConnectorSuite):
    """Of one's own connector this tests all that is standard; see the how-to "Test a plugin" for more of them."""

    plugin = "connector/github"


class TestMemoryJournal(JournalSuite):
    """A journal with two users, and a way to have it forget."""

    @asynccontextmanager
    async def shelf(self) -> AsyncIterator[Shelf]:
        journal = MemoryJournal(FakeClock())

        async def cut(user_id: UserId, keep: int) -> None:
            journal.cut(user_id, keep)

        yield Shelf(journal, journal.add_user(), journal.add_user(), cut)


def show_what_every_plugin_is_tested_for() -> None:
    assert issubclass(TransportSuite, PluginSuite)
    assert "test_imports_what_is_public" in dir(PluginSuite)


class GreetingSuite(Suite):
    """A suite of one's own: each rule says what holds, and fails with what to do."""

    greeting = "hello"

    @standard
    def test_greets(self) -> None:
        """It says something."""
        require(self.greeting, "The greeting is empty. Write one.")


def show_a_rule() -> None:
    require("hello", "Never said.")
    try:
        require("", "It is empty.")
    except Violation as error:
        assert str(error) == "It is empty."
    try:
        fail("It can't be.")
    except Violation as error:
        assert str(error) == "It can't be."
