"""What can be made to go wrong at an emulated platform, read on every request and every webhook."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Final, Literal

import msgspec

from tidings.contracts import Clock
from tidings_sandbox.wire import Answer, Call, html_answer, json_answer

_UNICORN: Final = "<!doctype html><title>Oops</title><h1>This page is taking too long to load.</h1>"

Handler = Callable[[Call], Answer]


class Fault(msgspec.Struct):
    """One thing that goes wrong with some requests. It ends when `remaining` or `until` says so.

    Attributes:
        kind: `error` answers `status`; `timeout` answers nothing for `hold_seconds`, then 504 (real callers
            have given up by then); `garbage` answers 200 with a web page instead of JSON.
        when: `before` the platform has done what was asked, or `after`: then it took effect and only the
            answer is lost (a refresh token was redeemed, and nobody learned the new one).
        status: Of an `error`: 429, 500, 502, 503, ….
        probability: Share of the requests that it hits, 0 to 1.
        remaining: How many requests it still hits; None for no such end.
        until: The instant at which it ends, by the installation's clock; None for no such end.
        path: It hits only requests whose path starts with this: `/api/token`.
        sort: It hits only requests that are about this: `api`, `token`, …, as `Emulator.sort` names it; "" for any.
        hold_seconds: How long a `timeout` holds the answer.
        retry_after_seconds: Sent as `Retry-After` with an `error`; None for no such header.
    """

    kind: Literal["error", "timeout", "garbage"]
    when: Literal["before", "after"] = "before"
    status: int = 500
    probability: float = 1.0
    remaining: int | None = None
    until: datetime | None = None
    path: str = "/"
    sort: str = ""
    hold_seconds: float = 30.0
    retry_after_seconds: int | None = None


class Faults:
    """The switches of one platform.

    Attributes:
        lose_webhooks: Share of webhooks that never arrive, 0 to 1; the platform notes them as failed.
        duplicate_webhooks: Share of webhooks that arrive twice, 0 to 1.
        delay_webhooks_seconds: How much later than usual webhooks are sent.
        clock_offset_seconds: By how much the platform's clock is ahead of the installation's.

    Args:
        clock: All time.
        chance: Decides which requests are hit.
    """

    def __init__(self, clock: Clock, chance: Random) -> None:
        self._clock = clock
        self._chance = chance
        self._faults: list[Fault] = []
        self.lose_webhooks = 0.0
        self.duplicate_webhooks = 0.0
        self.delay_webhooks_seconds = 0.0
        self.clock_offset_seconds = 0.0

    def add(self, fault: Fault) -> None:
        """From now on this goes wrong too; of several the one added first hits a request."""
        self._faults.append(fault)

    def replace(self, faults: Sequence[Fault]) -> None:
        """From now on just these go wrong with requests."""
        self._faults = list(faults)

    def clear(self) -> None:
        """Nothing goes wrong with requests and webhooks any more; the clock stays as it is."""
        self._faults.clear()
        self.lose_webhooks = self.duplicate_webhooks = self.delay_webhooks_seconds = 0.0

    def active(self) -> list[Fault]:
        """What goes wrong with requests now."""
        now = self._clock.now()
        self._faults = [
            fault
            for fault in self._faults
            if fault.remaining != 0 and (fault.until is None or now < fault.until)
        ]
        return list(self._faults)

    def now(self) -> datetime:
        """The present instant by the platform's clock."""
        if not self.clock_offset_seconds:
            return self._clock.now()
        return self._clock.now() + timedelta(seconds=self.clock_offset_seconds)

    def draw(self, path: str, sort: str) -> Fault | None:
        """What goes wrong with a request to `path` that is about this; counts it."""
        if not self._faults:
            return None
        for fault in self.active():
            is_meant = path.startswith(fault.path) and fault.sort in {"", sort}
            if is_meant and self._chance.random() < fault.probability:
                if fault.remaining is not None:
                    fault.remaining -= 1
                return fault
        return None

    async def spoil(self, fault: Fault, call: Call, handler: Handler) -> Answer:
        """The answer to a request that a fault hits.

        Args:
            fault: What goes wrong.
            call: The request.
            handler: Answers it where nothing goes wrong.
        """
        if fault.when == "after":
            call.answer_lost = True
            handler(call)
        if fault.kind == "garbage":
            return html_answer(_UNICORN)
        if fault.kind == "timeout":
            await self._clock.sleep(fault.hold_seconds)
            return html_answer(_UNICORN, 504)
        headers = []
        if fault.retry_after_seconds is not None:
            headers = [(b"retry-after", str(fault.retry_after_seconds).encode())]
        return json_answer({"message": "Emulated failure"}, fault.status, headers)

    def loses(self) -> bool:
        """Whether this webhook never arrives."""
        return self.lose_webhooks > 0 and self._chance.random() < self.lose_webhooks

    def duplicates(self) -> bool:
        """Whether this webhook arrives twice."""
        return self.duplicate_webhooks > 0 and self._chance.random() < self.duplicate_webhooks
