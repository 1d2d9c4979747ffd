"""Asks the platform at its cadence: works wherever a connector can ask, and brings news a little late."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar

from pydantic import Field

from tidings.context import Context
from tidings.contracts import Connector, Plan, Polls, Strategy, Verdict, WatchState
from tidings.durations import format_duration
from tidings.hooks import Options, Plugin, hookimpl


class PollingOptions(Options):
    """What stands under `plugins.strategies.polling`."""

    steady: bool = Field(
        default=False,
        description="Keep to each platform's cadence. By default who has no news is asked later, up to four times "
        "the cadence.",
    )


class Polling(Strategy):
    """The last resort, and the only way where a platform pushes nothing."""

    name: ClassVar[str] = "polling"
    priority: ClassVar[int] = 10

    def __init__(self, *, steady: bool = False) -> None:
        self._is_steady = steady

    def supports(self, connector: Connector, callback_url: str) -> Verdict:
        """See `Strategy.supports`."""
        if isinstance(connector, Polls):
            return Verdict(True, f"{connector.display_name} can be asked.")
        return Verdict(False, f"{connector.display_name} can't be asked for news.")

    def health(self, state: WatchState, now: datetime) -> Verdict:
        """See `Strategy.health`. A platform that is down now is asked again by the same job."""
        assert isinstance(state.connector, Polls)
        return Verdict(True, f"It is asked every {format_duration(state.connector.poll_every_seconds)}.")

    def plan(self, state: WatchState, now: datetime) -> Plan:
        """See `Strategy.plan`."""
        assert isinstance(state.connector, Polls)
        return Plan({"sync": state.connector.poll_every_seconds}, is_steady=self._is_steady)


class PollingPlugin(Plugin):
    """Offers polling."""

    options_model = PollingOptions
    options: PollingOptions

    @hookimpl
    def tidings_strategies(self, context: Context) -> Iterable[Strategy]:
        """The one strategy."""
        del context  # it needs nothing
        return [Polling(steady=self.options.steady)]
