"""What is up and what is down; a change is logged once, a repetition never."""

from __future__ import annotations

import dataclasses
from datetime import datetime

from structlog.typing import FilteringBoundLogger

from tidings.blame import Blame
from tidings.contracts import Clock
from tidings.discretion import redact


@dataclasses.dataclass(slots=True)
class Component:
    """One part of the server that can fail and recover.

    Attributes:
        name: `database`, `connector/github`, ….
        reason: Why it is down; "" while it is up.
        since: When that changed last.
        failures: How often it was reported down since it was last up.
    """

    name: str
    since: datetime
    _clock: Clock
    _log: FilteringBoundLogger
    reason: str = ""
    failures: int = 0
    _blame: Blame = dataclasses.field(default_factory=Blame)

    def told(self, error: BaseException) -> str:
        """What a plugin raised, with its name and the line."""
        return redact(self._blame.told(error, self.name))

    def fails(self, error: BaseException, doing: str = "") -> str:
        """Report what a plugin raised; returns it as it is told.

        Args:
            error: What was raised.
            doing: What it was to do: `reading a delivery`.
        """
        reason = self.told(error)
        self.down(f"{reason} while {doing}" if doing else reason)
        return reason

    def down(self, reason: str) -> None:
        """Report a failure. Logged if it was up, or if the reason is another one."""
        self.failures += 1
        reason = redact(reason)
        if reason != self.reason:
            if not self.reason:
                self.since = self._clock.now()
            self.reason = reason
            self._log.error("component_down", component=self.name, reason=reason)

    def up(self) -> None:
        """Report success. Logged if it was down."""
        if self.reason:
            self._log.info("component_recovered", component=self.name, failures=self.failures)
            self.reason, self.failures, self.since = "", 0, self._clock.now()


class Health:
    """All components of one server."""

    def __init__(self, clock: Clock, log: FilteringBoundLogger, blame: Blame | None = None) -> None:
        self._blame = blame or Blame()
        self._clock = clock
        self._log = log
        self._components: dict[str, Component] = {}
        self._leaving = False

    def component(self, name: str) -> Component:
        """The component of that name, up until it says otherwise."""
        if name not in self._components:
            self._components[name] = Component(
                name, self._clock.now(), self._clock, self._log, _blame=self._blame
            )
        return self._components[name]

    @property
    def status(self) -> str:
        """`ok`, `degraded` (something is down), or `unavailable` (the database is)."""
        down = {component.name for component in self._components.values() if component.reason}
        if "database" in down:
            return "unavailable"
        return "degraded" if down else "ok"

    def leave(self) -> None:
        """The server is about to stop: whoever spreads requests should send it no more of them."""
        self._leaving = True

    @property
    def problem(self) -> str:
        """Why requests had better go to another node; "" while this one takes them."""
        if self._leaving:
            return "leaving"
        return "database" if self.status == "unavailable" else ""

    def report(self) -> dict[str, dict[str, str | int]]:
        """Every component's state, for those who may read it."""
        return {
            component.name: {
                "status": "down" if component.reason else "up",
                "since": component.since.isoformat(),
                **({"reason": component.reason, "failures": component.failures} if component.reason else {}),
            }
            for component in self._components.values()
        }
