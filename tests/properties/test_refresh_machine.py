"""Refreshing against a model of a provider: several processes, whatever they and the network do, in any order."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import itertools
import tempfile
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

import refreshes
import stores
from examples import examples
from refreshes import answered, not_sent, saved
from stores import at_rest, is_working, placed, with_our_clock
from tidings import schema
from tidings.accounts import add_user
from tidings.connecting import Answer, TokenSet
from tidings.errors import AuthExpired, Unavailable
from tidings.grants import NEEDS_REAUTH
from tidings.health import Health
from tidings.testing.clock import FakeClock
from tidings.writer import Writer

PROCESSES = 3
GRACE_SECONDS = 60.0
LIFE_SECONDS = 3600.0
LEASE_SECONDS = 25.0  # longer than two requests
PATIENCE = 37.0  # and one request more; said here once more, so that a change there shows
pick = st.integers(0, 100)


class OwnClock:
    """One process' view of the clock. No two processes wake at the same instant, so that runs can be repeated."""

    def __init__(self, clock: FakeClock, wakes: list[float], late_seconds: float) -> None:
        self.now, self.monotonic = clock.now, clock.monotonic
        self._clock, self._wakes, self._late_seconds = clock, wakes, late_seconds

    async def sleep(self, seconds: float) -> None:
        wake_at = self.monotonic() + seconds + self._late_seconds
        self._wakes.append(wake_at)
        try:
            await self._clock.sleep(seconds + self._late_seconds)
        finally:
            self._wakes.remove(wake_at)


@dataclasses.dataclass(eq=False)
class Request:
    """A redemption on its way.

    Attributes:
        answer: What the process gets.
        handled: What the provider said, once it has got it.
    """

    process: Process
    token: str
    sent_at: float
    answer: asyncio.Future[Answer]
    handled: Answer | None = None


@dataclasses.dataclass(eq=False)
class Process:
    """A server process, or what is left of it."""

    machine: RefreshMachine
    writer: Writer
    is_alive: bool = True

    def __post_init__(self) -> None:
        machine = self.machine
        clock = OwnClock(machine.clock, machine.wakes, next(machine.numbers) / 1000)
        self.holder = refreshes.holder(self.writer, clock, self)

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """As `Http.send`."""
        del method, url, headers
        token = body.decode().split("refresh_token=")[-1].split("&")[0]
        return await self.machine.take(self, token)


class RefreshMachine(RuleBasedStateMachine):
    @initialize(rotates=st.booleans(), grace=st.booleans())
    def start(self, rotates: bool, grace: bool) -> None:
        self.rotates, self.grace_seconds = rotates, GRACE_SECONDS if grace else 0.0
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.stack = AsyncExitStack()
        self.clock = FakeClock()
        self.wakes: list[float] = []
        self.numbers = itertools.count(1)
        self.living = ""  # the refresh token that the provider takes
        self.used: dict[str, tuple[float, Answer]] = {}
        self.accepted: Counter[str] = Counter()
        self.lost: set[str] = set()  # tokens with a redemption whose outcome nobody could know
        self.ended: set[str] = set()  # tokens that the provider or a new consent ended
        self.waiting: list[Request] = []
        self.wrong: list[str] = []
        self.callers: list[asyncio.Task[Any]] = []
        self.parked: Counter[int] = Counter()
        self.refused_at: dict[str, float] = {}
        self.runner.run(self.open())

    async def open(self) -> None:
        url = await self.stack.enter_async_context(placed(Path(self.folder.name)))
        self.database: Any = with_our_clock(url)
        self.stack.push_async_callback(self.database.close)
        if stores.server is not None:
            self.clock.join(partial(at_rest, self.database))
        now = self.clock.now()
        user = await self.database.write(lambda sql: add_user(sql, name="alice", is_admin=False, now=now))
        self.user_id = user.id
        self.processes = [Process(self, self.new_writer()) for _ in range(PROCESSES)]
        self.grant_id = (await self.consented()).id

    def new_writer(self) -> Writer:
        health = Health(self.clock, refreshes.quiet).component("database")
        return Writer(self.database, health, self.clock.monotonic)

    async def consented(self) -> Any:
        self.living = f"r{next(self.numbers)}"
        tokens = TokenSet(f"a{self.living}", self.living, LIFE_SECONDS)
        return await self.database.write(lambda sql: saved(sql, self.user_id, tokens, self.clock))

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.runner.run(self.shut())
            self.runner.close()
            self.folder.cleanup()

    async def shut(self) -> None:
        for process in self.processes:
            self.kill(process)
        await asyncio.gather(*self.callers, return_exceptions=True)
        await self.stack.aclose()

    # --- the provider ---

    async def take(self, process: Process, token: str) -> Answer:
        """A request leaves a process."""
        now = self.clock.monotonic()
        row = await self.row()
        if row.refresh_hash != hashlib.sha256(token.encode()).digest():
            self.wrong.append(f"{token} was sent though newer tokens were committed")
        if row.state == NEEDS_REAUTH:
            self.wrong.append(f"{token} was sent though the grant was parked")
        for other in self.waiting:
            # Where tokens don't rotate, an answer that comes late frees the grant for whoever wants a newer one yet.
            is_busy = other.process.is_alive and now - other.sent_at < LEASE_SECONDS
            if self.rotates and other.token == token and is_busy:
                self.wrong.append(f"{token} was sent twice at once")
        request = Request(process, token, now, asyncio.get_running_loop().create_future())
        self.waiting.append(request)
        return await request.answer

    def handle(self, request: Request) -> None:
        """The provider gets a request."""
        if request.handled is not None:
            return
        token, now = request.token, self.clock.monotonic()
        used = self.used.get(token)
        if used is not None and now - used[0] <= self.grace_seconds and token not in self.ended:
            request.handled = used[1]
            return
        if token != self.living:
            request.handled = answered(400, {"error": "invalid_grant"})
            return
        self.accepted[token] += 1
        given: dict[str, Any] = {"access_token": f"a{next(self.numbers)}", "expires_in": LIFE_SECONDS}
        if self.rotates:
            given["refresh_token"] = self.living = f"r{next(self.numbers)}"
        request.handled = answered(200, given)
        if self.rotates:
            self.used[token] = (now, request.handled)

    # --- what happens ---

    @rule(place=pick)
    def want(self, place: int) -> None:
        """A platform refuses the newest access token, as far as a process knows."""
        self.runner.run(self.ask(self.processes[place % PROCESSES]))

    async def ask(self, process: Process) -> None:
        version = (await self.row()).version
        self.callers.append(
            asyncio.create_task(
                process.holder.tokens.renew(self.grant_id, than=version, because="401", user_id=self.user_id)
            )
        )
        await self.settle()

    @precondition(lambda self: self.waiting)
    @rule(place=pick)
    def answer(self, place: int) -> None:
        """An answer arrives."""
        self.runner.run(self.deliver(self.waiting[place % len(self.waiting)]))

    async def deliver(self, request: Request) -> None:
        self.handle(request)
        assert request.handled is not None
        before = await self.row()
        self.waiting.remove(request)
        request.answer.set_result(request.handled)
        is_good, redeemed = request.handled.status == 200, _hash(request.token)
        await self.settle()
        row = await self.row()
        if row.refused_at != before.refused_at:
            self.refused_at[request.token] = self.clock.monotonic()
        if before.refresh_hash != redeemed:  # overtaken: it must change nothing
            assert row.refresh_hash == before.refresh_hash
            # Who was overtaken looks again at once, and may find that patience with the newer token is over.
            assert row.state == before.state or self.is_patience_over(before)
        elif is_good:
            # It is saved, whoever has the lease by now, parked or not.
            assert row.state == "ok"
            assert row.refresh_hash != redeemed or not self.rotates
            assert row.version > before.version or row.expires_at >= before.expires_at

    @precondition(lambda self: self.waiting)
    @rule(place=pick, is_handled=st.booleans(), is_killed=st.booleans())
    def lose(self, place: int, is_handled: bool, is_killed: bool) -> None:
        """An answer is lost, with its connection or with its process; the provider may have got the request."""
        request = self.waiting[place % len(self.waiting)]
        if is_handled:
            self.handle(request)
        self.lost.add(request.token)
        if is_killed:
            self.runner.run(self.crash(self.processes.index(request.process)))
        else:
            self.waiting.remove(request)
            request.answer.set_exception(Unavailable("broken"))
            self.runner.run(self.settle())

    async def crash(self, place: int) -> None:
        self.kill(self.processes[place])
        await self.settle()
        self.processes[place] = Process(self, self.new_writer())

    def kill(self, process: Process) -> None:
        """What a process was about to write is never written."""
        process.is_alive = False
        process.writer.close()
        process.holder.refresher.finish()
        for request in [one for one in self.waiting if one.process is process]:
            self.waiting.remove(request)
            self.lost.add(request.token)
            request.answer.set_exception(Unavailable("killed"))

    @precondition(lambda self: any(one.handled is None for one in self.waiting))
    @rule(is_sent=st.booleans())
    def turn_away(self, is_sent: bool) -> None:
        """A request is clearly turned away, or never leaves."""
        request = next(one for one in self.waiting if one.handled is None)
        self.waiting.remove(request)
        if is_sent:
            request.answer.set_result(answered(503, b""))
        else:
            request.answer.set_exception(not_sent())
        self.runner.run(self.settle())
        again = [one for one in self.waiting if one.process is request.process]
        assert again == [], "a clear failure must rest"

    @precondition(lambda self: self.waiting)
    @rule(place=pick, is_handled=st.booleans(), is_answered=st.booleans())
    def overtake(self, place: int, is_handled: bool, is_answered: bool) -> None:
        """A process stalls past its lease, and another one redeems the token."""
        stalled = self.waiting[place % len(self.waiting)]
        if is_handled:
            self.handle(stalled)
        self.runner.run(self.passed(LEASE_SECONDS + 0.5))
        others = [one for one in self.processes if one is not stalled.process]
        other = others[place % len(others)]
        self.runner.run(self.ask(other))
        if is_answered:
            for request in [one for one in self.waiting if one.process is other]:
                self.runner.run(self.deliver(request))

    @rule(place=pick, seconds=st.sampled_from([5.0, 30.0, 40.0, 40.0, 400.0]))
    def come_later(self, place: int, seconds: float) -> None:
        """Time passes, and who waits for an answer stalls; then a process wants a token."""
        self.runner.run(self.passed(seconds))
        self.want(place)

    async def passed(self, seconds: float) -> None:
        end = self.clock.monotonic() + seconds
        while (now := self.clock.monotonic()) < end:
            await self.clock.advance(max(0.0, min([*self.wakes, end]) - now) + 1e-6)
            for request in self.waiting:
                if self.clock.monotonic() - request.sent_at >= LEASE_SECONDS:
                    self.lost.add(request.token)  # others must take it for dead
            await self.settle()

    @rule(what=st.sampled_from(["nothing"] * 3 + ["revoke", "consent", "recover"]))
    def interfere(self, what: str) -> None:
        """The user takes the consent back at the provider, or consents anew, as asked to or just so.

        Not often, or little else would happen.
        """
        if what == "revoke":
            self.ended |= {self.living, *self.used}
            self.living = ""
        elif what == "consent" or self.runner.run(self.row()).state == NEEDS_REAUTH:
            self.ended |= {self.living, *self.used}
            self.runner.run(self.consented())
        elif what == "recover":
            self.runner.run(self.recovered())

    async def recovered(self) -> None:
        """Everything works for a while: then the grant does too, or was given up with reason."""
        for _ in range(8):
            await self.deliver_all()
            before = await self.row()
            await self.ask(self.processes[0])
            await self.deliver_all()
            row = await self.row()
            if row.state == NEEDS_REAUTH or row.version > before.version:
                break
            await self.passed(400)
        assert row.version > before.version or row.state == NEEDS_REAUTH
        if row.refresh_hash == _hash(self.living) and self.living not in self.lost:
            assert row.state == "ok"

    async def deliver_all(self) -> None:
        while self.waiting:
            await self.deliver(self.waiting[0])

    # --- what always holds ---

    async def settle(self) -> None:
        """Until every process waits for an answer or for time to pass."""
        still = 0
        async with asyncio.timeout(20):
            while still < 20:  # turns of the loop in which nothing goes on in another thread
                busy = is_working(self.database) or any(one.writer.is_busy for one in self.processes)
                still = 0 if busy else still + 1
                await asyncio.sleep(0)
        for task in [one for one in self.callers if one.done()]:
            self.callers.remove(task)
            error = None if task.cancelled() else task.exception()
            assert error is None or isinstance(error, Unavailable | AuthExpired), error
        await self.judge_parks()

    async def judge_parks(self) -> None:
        row = await self.row()
        for process in self.processes:
            told = process.holder.told
            for _ in range(len(told.parks)):
                told.parks.pop()
                self.parked[row.version] += 1
                assert self.parked[row.version] == 1, "told twice"
                token = self.token_of(row)
                assert token != self.living, "parked though the provider takes the token"
                assert self.clock.monotonic() - self.refused_at[token] >= PATIENCE, "parked too soon"
                outcome = [one for one in told.outcomes if one in {"parked", "crash_lost"}][-1]
                if outcome == "parked":
                    assert token in self.ended, "given up though the provider had not ended it"
                else:
                    assert token in self.lost, "counted as lost though no answer was"

    def is_patience_over(self, row: Any) -> bool:
        if row.refused_at is None:
            return False
        return self.clock.monotonic() - self.refused_at[self.token_of(row)] >= PATIENCE

    def token_of(self, row: Any) -> str:
        known = {*self.used, *self.lost, *self.ended, self.living, *self.accepted}
        return next((token for token in known if _hash(token) == row.refresh_hash), "?")

    async def row(self) -> Any:
        return await self.database.read(lambda sql: sql.execute(select(schema.grants)).one())

    @invariant()
    def nothing_was_sent_that_must_not_be(self) -> None:
        assert getattr(self, "wrong", []) == []

    @invariant()
    def a_single_use_token_is_redeemed_once(self) -> None:
        if getattr(self, "rotates", False):
            assert max(self.accepted.values(), default=0) <= 1


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


@pytest.mark.usefixtures("every_database")
def test_refreshing_does_what_it_promises_whatever_happens() -> None:
    run_state_machine_as_test(
        RefreshMachine,
        settings=settings(
            max_examples=examples(40 if stores.server is None else 8), stateful_step_count=30, deadline=None
        ),
    )
