"""The app's webhook events: signed, greeted, tried again for ten minutes, and turned off if they are taken wrongly.

https://docs.discord.com/developers/events/webhook-events.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tidings_sandbox.courier import Courier
from tidings_sandbox.discord.shapes import naive
from tidings_sandbox.stage import Stage
from tidings_sandbox.wire import encode

#: How the app's webhook events stand (the application object's `event_webhooks_status`).
OFF, ON, DISABLED = 1, 2, 3

TYPES: Final = ("APPLICATION_AUTHORIZED", "APPLICATION_DEAUTHORIZED")
# "Exponential backoff for up to 10 minutes"
_PAUSES_SECONDS: Final = (5, 10, 20, 40, 80, 160, 285)
_MOST_FAILURES: Final = 5
_ROUTINE: Final = 10  # each so manieth event is preceded by a check with a wrong signature
_KEPT: Final = 200


class Delivery(msgspec.Struct):
    """One event or greeting and how it was taken.

    Attributes:
        is_genuine: Whether it was signed rightly.
        statuses: Of each try; 0 for no answer.
        redelivery: Whether it was sent again by hand.
    """

    id: int
    name: str
    body: bytes
    headers: Mapping[str, str]
    sent_at: datetime
    is_genuine: bool = True
    statuses: list[int] = msgspec.field(default_factory=list)
    redelivery: bool = False


class Webhooks:
    """The webhook events of one app.

    Attributes:
        url: Where they go; "" for nowhere.
        status: `OFF`, `ON` or `DISABLED`.
        types: Which are wanted.

    Args:
        stage: Time, and numbers that grow.
        courier: Carries them.
        now: Discord's clock.
        application_id: Whose.
        key: Signs them.
        url: Where they go at first.
    """

    def __init__(
        self,
        stage: Stage,
        courier: Courier,
        now: Callable[[], datetime],
        *,
        application_id: str,
        key: Ed25519PrivateKey,
        url: str,
    ) -> None:
        self.url = url
        self.status = ON
        self.types: tuple[str, ...] = TYPES
        self._stage = stage
        self._courier = courier
        self._now = now
        self._application_id = application_id
        self._key = key
        self._log: deque[Delivery] = deque(maxlen=_KEPT)
        self._sent = 0
        self._failures = 0
        self._checks: list[bool] = []

    @property
    def last_status(self) -> int | None:
        """The last answer to anything that was signed rightly; None before the first."""
        found = [one.statuses[-1] for one in self._log if one.is_genuine and one.statuses]
        return found[-1] if found else None

    def deliveries(self) -> Sequence[Delivery]:
        """The last ones, newest first."""
        return [*reversed(self._log)]

    def tell(self, name: str, data: Mapping[str, Any], at: datetime, *, in_seconds: float = 0.0) -> str:
        """Send an event, if it is wanted; returns its timestamp."""
        event = {"type": name, "timestamp": naive(at), "data": data}
        if self.status == ON and name in self.types:
            body = encode({"version": 1, "application_id": self._application_id, "type": 1, "event": event})

            async def send() -> None:
                if self._sent % _ROUTINE == 0:
                    self._ping(is_genuine=False, taken=self._routine)
                self._sent += 1
                self._send(self._made(name, body), self._event_taken)

            self._stage.agenda.add(send, in_seconds=in_seconds)
        return str(event["timestamp"])

    def check(self) -> None:
        """What happens when the owner saves the address: a greeting, and one with a wrong signature."""
        self.status, self._checks = OFF, []
        self._ping(is_genuine=True, taken=lambda _, status: self._checked(200 <= status < 300))
        self._ping(is_genuine=False, taken=lambda _, status: self._checked(status == 401))

    def send_again(self, delivery_id: int) -> None:
        """Send something once more, as it was.

        Raises:
            LookupError: Nothing of that number was sent lately.
        """
        found = next((one for one in self._log if one.id == delivery_id), None)
        if found is None:
            raise LookupError(f"Discord has no delivery {delivery_id}.")
        again = Delivery(
            self._stage.serial(), found.name, found.body, found.headers, self._now(), redelivery=True
        )
        self._send(again, self._event_taken)

    def _checked(self, is_right: bool) -> None:
        self._checks.append(is_right)
        if len(self._checks) == 2 and all(self._checks):
            self.status, self._failures = ON, 0

    def _ping(self, *, is_genuine: bool, taken: Callable[[Delivery, int], None]) -> None:
        body = encode({"version": 1, "application_id": self._application_id, "type": 0})
        self._send(self._made("PING", body, is_genuine=is_genuine), taken)

    def _made(self, name: str, body: bytes, *, is_genuine: bool = True) -> Delivery:
        timestamp = str(int(self._now().timestamp()))
        signature = self._key.sign(timestamp.encode() + body)
        if not is_genuine:
            signature = signature[::-1]
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Discord-Webhook/1.0 (+https://discord.com)",
            "X-Signature-Ed25519": signature.hex(),
            "X-Signature-Timestamp": timestamp,
        }
        return Delivery(self._stage.serial(), name, body, headers, self._now(), is_genuine)

    def _send(self, delivery: Delivery, taken: Callable[[Delivery, int], None]) -> None:
        if not delivery.statuses:
            self._log.append(delivery)

        def delivered(status: int, _seconds: float) -> None:
            delivery.statuses.append(status)
            taken(delivery, status)

        self._courier.post(self.url, delivery.headers, delivery.body, delivered)

    def _routine(self, _delivery: Delivery, status: int) -> None:
        """Who takes a wrong signature for a right one loses the address."""
        if 200 <= status < 300:
            self.url, self.status = "", DISABLED

    def _event_taken(self, delivery: Delivery, status: int) -> None:
        if 200 <= status < 300:
            self._failures = 0
            return
        tries = len(delivery.statuses)
        if tries <= len(_PAUSES_SECONDS):

            async def again() -> None:
                if self.status == ON:
                    self._send(delivery, self._event_taken)

            self._stage.agenda.add(again, in_seconds=_PAUSES_SECONDS[tries - 1])
            return
        self._failures += 1
        if self._failures >= _MOST_FAILURES:
            self.status = DISABLED


def private_key(seed: int) -> Ed25519PrivateKey:
    """The app's key, which follows from the seed alone; it signs for nobody real."""
    return Ed25519PrivateKey.from_private_bytes(
        hashlib.sha256(f"tidings sandbox {seed} Discord webhook events".encode()).digest()
    )
