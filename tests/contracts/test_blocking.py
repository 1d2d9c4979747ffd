"""A plugin that waits without `await` is found by whichever standard test it does so in, with its line."""

import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from functools import partial

import pytest

import contract_plants
from contract_plants import PLANTED, BellApi, Waiting
from tidings.testing import PollingSuite, ReceivingSuite, Violation, Watched

SECRET = "planted-0123456789-planted"


class BellSuite(ReceivingSuite, PollingSuite):
    plugin = "connector/bell"
    options = {"secret": SECRET}
    signature = "x-signature"
    stale_seconds = 600.0

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Watched]:
        with self.connector() as (bell, bench):

            async def happen() -> None:
                bell.remote.rings.append(len(bell.remote.rings) + 1)

            yield Watched(bell, BellApi(bell.remote), happen, bench.clock.now)


def _connect() -> None:
    with closing(socket.socket()) as sock, suppress(ConnectionRefusedError):
        sock.connect(("127.0.0.1", 1))


def _connect_without_waiting() -> None:
    with closing(socket.socket()) as sock, suppress(BlockingIOError):
        sock.setblocking(False)
        sock.connect(("127.0.0.1", 1))


def _judge(monkeypatch: pytest.MonkeyPatch, how: Callable[[], object], where: str) -> None:
    monkeypatch.setitem(PLANTED, "connector", partial(Waiting, how=how, where=where))
    for rule, test in BellSuite.rules().items():
        if rule in {"tells-of-what-happened-once", "gives-a-happening-one-id"}:
            test(BellSuite())


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize("where", ["poll", "parse"])
@pytest.mark.parametrize(
    ("how", "what"),
    [
        (lambda: time.sleep(0), "waits by time.sleep"),
        (_connect, "waits for a connection"),
        (lambda: socket.getaddrinfo("127.0.0.1", 1), "waits for a name to be resolved"),
        (lambda: socket.gethostbyname("127.0.0.1"), "waits for a name to be resolved"),
        (lambda: os.system("true"), "waits for another program"),
    ],
    ids=["sleeps", "connects", "looks up", "looks up as of old", "runs a program"],
)
def test_whoever_waits_without_await_is_told_where(
    monkeypatch: pytest.MonkeyPatch, how: Callable[[], object], what: str, where: str
) -> None:
    with pytest.raises(Violation) as caught:
        _judge(monkeypatch, how, where)
    assert f"It blocks the event loop: it {what} ({contract_plants.__file__}, line " in str(caught.value)
    assert "asyncio.to_thread" in str(caught.value)


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize(
    ("how", "where"),
    [(lambda: time.sleep(0), "thread"), (_connect, "thread"), (_connect_without_waiting, "poll")],
    ids=["sleeps in a thread", "connects in a thread", "connects without waiting"],
)
def test_whoever_lets_others_go_on_is_not(
    monkeypatch: pytest.MonkeyPatch, how: Callable[[], object], where: str
) -> None:
    _judge(monkeypatch, how, where)


@pytest.mark.usefixtures("planted")
def test_what_the_tests_themselves_wait_for_is_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    class Patient(BellSuite):
        @asynccontextmanager
        async def watched(self) -> AsyncIterator[Watched]:
            time.sleep(0)
            async with super().watched() as watched:
                yield watched

    monkeypatch.setitem(PLANTED, "connector", contract_plants.Bell)
    for result in Patient.results():
        assert result.outcome == "passed", result
    assert time.sleep.__module__ == "time"
