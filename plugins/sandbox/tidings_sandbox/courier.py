"""Carries webhooks to their receiver, or loses, delays and doubles them as the platform's faults say."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import httpx

from tidings_sandbox.faults import Faults
from tidings_sandbox.stage import Stage

Headers = Mapping[str, str] | Callable[[], Mapping[str, str]]
# Status of the answer (0: there was none) and seconds it took.
Delivered = Callable[[int, float], None]
# Status of the answer (0: there was none) and its body.
Answered = Callable[[int, bytes], None]


class Courier:
    """One platform's way of sending webhooks.

    Args:
        stage: The agenda and the way out.
        faults: What goes wrong.
    """

    def __init__(self, stage: Stage, faults: Faults) -> None:
        self._stage = stage
        self._faults = faults

    def post(self, url: str, headers: Headers, body: bytes, delivered: Delivered) -> None:
        """Have a webhook sent; never waits.

        Args:
            url: Where to.
            headers: All of them, signature included. What says when it was signed is made when it is sent.
            body: The bytes that were signed.
            delivered: Called once, later, with the status (0 where there was no answer or the webhook was
                lost on the way) and the seconds it took.
        """

        async def carry() -> None:
            if self._faults.loses():
                delivered(0, 10.0)
                return
            doubled = self._faults.duplicates()
            started = self._stage.clock.monotonic()
            sent = headers() if callable(headers) else headers
            status = await self._send(url, sent, body)
            delivered(status, self._stage.clock.monotonic() - started)
            if doubled:
                await self._send(url, sent, body)

        self._stage.agenda.add(carry, in_seconds=self._faults.delay_webhooks_seconds)

    def ask(self, url: str, answered: Answered) -> None:
        """Have an address asked by GET whether it wants webhooks; never waits.

        Args:
            url: Which, with the question in its query.
            answered: Called once, later, with the status (0 where there was no answer) and the body.
        """

        async def carry() -> None:
            try:
                status, body = await self._stage.ask(url)
            except (OSError, httpx.HTTPError, httpx.InvalidURL):
                status, body = 0, b""
            answered(status, body)

        self._stage.agenda.add(carry)

    async def _send(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        try:
            return await self._stage.send(url, headers, body)
        except (OSError, httpx.HTTPError, httpx.InvalidURL):
            return 0
