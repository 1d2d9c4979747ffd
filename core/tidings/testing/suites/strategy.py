"""What a strategy must be."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from tidings.connecting import Api
from tidings.connectors import Asked, Connector, Polled, Polls, Receives, Registers, Target, Upstream
from tidings.deliveries import Keys, Parsed, WebhookRequest
from tidings.errors import Rejected
from tidings.strategies import Plan, Strategy, WatchState
from tidings.testing.quiet import listening_for_io
from tidings.testing.suite import fail, require, standard
from tidings.testing.suites.plugin import PluginSuite

_NOW: Final = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
_CALLBACKS: Final = (
    "https://tidings.example.org/api/webhooks/able/whk",
    "http://127.0.0.1:8080/api/webhooks/able/whk",
)
#: What core knows how to keep going.
_JOBS: Final = frozenset({"sync", "recover"})


class Bare(Connector):
    """A connector that can do nothing."""

    platform = "bare"
    display_name = "Bare"


class Able(Connector, Receives, Polls, Registers):
    """A connector that can be asked, called, and made to call; nothing ever happens at its platform."""

    platform = "able"
    display_name = "Able"

    @property
    def shared_keys(self) -> Keys:
        """None: each webhook has its own."""
        return Keys()

    def verify(self, request: WebhookRequest, keys: Keys, now: datetime) -> None:
        """Refuse everything."""
        raise Rejected("Nothing is signed here.")

    def parse(self, request: WebhookRequest) -> Parsed:
        """Find nothing."""
        return Parsed(())

    def sample(self, keys: Keys, now: datetime, serial: str) -> WebhookRequest:
        """Say nothing."""
        return WebhookRequest("POST", "/", "", {}, b"")

    @property
    def poll_every_seconds(self) -> float:
        """An hour."""
        return 3600.0

    async def poll(self, api: Api, asked: Asked) -> AsyncIterator[Polled]:
        """Stay where it is."""
        yield Polled(checkpoint=asked.checkpoint)

    async def targets(self, api: Api, settings: Mapping[str, Any]) -> Sequence[Target]:
        """The one thing to watch."""
        return (Target("thing:1", "thing"),)

    async def register(self, api: Api, target: Target, callback_url: str, secret: str) -> Upstream:
        """Always the same."""
        return Upstream(id="1", target=target)

    async def check(self, api: Api, upstream: Upstream) -> Upstream:
        """As it was."""
        return upstream

    async def unregister(self, api: Api, upstream: Upstream) -> None:
        """Nothing to do."""


class StrategySuite(PluginSuite):
    """What a strategy must be."""

    def connectors(self) -> Sequence[Connector]:
        """Connectors to ask it about; add what it is made for."""
        return (Bare(), Able())

    @contextmanager
    def strategy(self) -> Iterator[Strategy]:
        """The strategy."""
        with self.offered() as (offer, _):
            if not isinstance(offer, Strategy):
                fail(f"{self.plugin} offers {type(offer).__qualname__}, which is no Strategy.")
            yield offer

    def states(self, strategy: Strategy) -> Iterator[WatchState]:
        """How connections may be watched that it supports."""
        for connector, callback in itertools.product(self.connectors(), _CALLBACKS):
            if not strategy.supports(connector, callback).ok:
                continue
            fresh = WatchState(
                connector=connector,
                callback_url=callback,
                strategy="",
                since=_NOW,
                targets=None,
                registered=0,
            )
            yield fresh
            yield msgspec.structs.replace(fresh, targets=0)
            yield msgspec.structs.replace(fresh, targets=2, registered=1, problem="One has none.")
            yield msgspec.structs.replace(
                fresh, targets=1, registered=1, missed=9, doubts=9, quiet_seconds=9e5
            )
            yield msgspec.structs.replace(fresh, strategy=strategy.name, is_addressed=True, quiet_seconds=1.0)

    @standard
    def test_has_a_name_and_a_priority(self) -> None:
        """Its name is that of the entry point, and its priority a whole number."""
        with self.strategy() as strategy:
            require(
                strategy.name == self.name,
                f"It is called {strategy.name!r}, and its entry point {self.name!r}.",
            )
            require(isinstance(strategy.priority, int), "`priority` is no whole number.")

    @standard
    def test_supports_something(self) -> None:
        """There is a connector that it works for, and it says of any whether it does."""
        with self.strategy() as strategy:
            verdicts = [strategy.supports(one, url) for one in self.connectors() for url in _CALLBACKS]
            require(
                any(verdict.ok for verdict in verdicts),
                "It supports none of the suite's connectors. Add one that it is made for in `connectors`.",
            )

    @standard
    def test_gives_its_reasons(self) -> None:
        """Each verdict has a reason that is a sentence: people read it beside their connection."""
        with self.strategy() as strategy:
            verdicts = [strategy.supports(one, url) for one in self.connectors() for url in _CALLBACKS]
            verdicts += [strategy.health(state, _NOW) for state in self.states(strategy)]
            for verdict in verdicts:
                require(
                    len(verdict.reason.split()) > 1 and verdict.reason[-1] in ".!",
                    f"No sentence: {verdict.reason!r}",
                )

    @standard
    def test_plans_what_core_can_do(self) -> None:
        """It wants jobs that there are, at intervals longer than nothing."""
        with self.strategy() as strategy:
            for plan in self._plans(strategy):
                unknown = sorted(set(plan.jobs) - _JOBS)
                require(
                    not unknown, f"It plans {', '.join(unknown)}. Core knows: {', '.join(sorted(_JOBS))}."
                )
                short = [f"{kind}: {seconds}" for kind, seconds in plan.jobs.items() if not seconds > 0]
                require(not short, f"It plans jobs without end: {', '.join(short)}.")

    @standard
    def test_holds_no_state(self) -> None:
        """It judges by what it is told alone: at another node, or after a restart, it says the same."""
        with self.strategy() as strategy:
            states = list(self.states(strategy))
            first = [self._judge(strategy, state) for state in states]
            again = [self._judge(strategy, state) for state in reversed(states)]
            require(first == again[::-1], "It says something else when it is asked in another order.")

    @standard
    def test_judges_without_input_or_output(self) -> None:
        """It touches nothing outside, and does not look at the clock of the machine."""
        with self.strategy() as strategy:
            states = list(self.states(strategy))
            with listening_for_io() as heard:
                for state in states:
                    self._judge(strategy, state)
            require(not heard, f"To judge it does: {', '.join(heard)}.")

    def _plans(self, strategy: Strategy) -> Iterator[Plan]:
        for state in self.states(strategy):
            yield strategy.plan(state, _NOW)
            yield strategy.attempt(state, _NOW + timedelta(days=1))

    def _judge(self, strategy: Strategy, state: WatchState) -> bytes:
        return msgspec.json.encode(
            [strategy.health(state, _NOW), strategy.plan(state, _NOW), strategy.attempt(state, _NOW)]
        )
