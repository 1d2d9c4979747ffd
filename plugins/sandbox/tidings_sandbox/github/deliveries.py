"""The delivery log of a webhook, and the sending itself: signed, once, never again by itself."""

from __future__ import annotations

import dataclasses
import hmac
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Final
from urllib.parse import quote_plus

import msgspec

from tidings_sandbox.courier import Courier
from tidings_sandbox.github.payloads import Json, iso, maybe_iso
from tidings_sandbox.wire import encode

if TYPE_CHECKING:
    from tidings_sandbox.github.hooks import Hook

KEPT: Final = timedelta(days=3)
_USER_AGENT: Final = "GitHub-Hookshot/sandbox"


@dataclasses.dataclass(slots=True, eq=False)
class Message:
    """What is to be delivered.

    Attributes:
        guid: The same for all hooks that get it, and when it is sent again.
        payload: The JSON.
        repository_id: Where it happened; None for nowhere in particular.
        installation_id: Through which a GitHub App gets it; None for other hooks.
        is_in_feeds: Whether the feeds tell the same recognisably.
    """

    event: str
    action: str | None
    guid: str
    payload: bytes
    repository_id: int | None = None
    installation_id: int | None = None
    is_in_feeds: bool = False


@dataclasses.dataclass(slots=True, eq=False)
class Delivery:
    """One attempt.

    Attributes:
        status_code: Of the answer; 0 for none.
        listed: As the list shows it, once it did.
    """

    id: int
    message: Message
    url: str
    headers: dict[str, str]
    delivered_at: datetime
    redelivery: bool
    duration: float
    status_code: int
    throttled_at: datetime | None
    listed: bytes = b""

    @property
    def succeeded(self) -> bool:
        """Whether it was answered with any 2xx."""
        return 200 <= self.status_code < 300

    @property
    def status(self) -> str:
        """In GitHub's words."""
        if self.succeeded:
            return "OK"
        return f"Invalid HTTP Response: {self.status_code}" if self.status_code else "timed out"

    def show(self) -> Json:
        """As the list shows it."""
        message = self.message
        return {
            "id": self.id,
            "guid": message.guid,
            "delivered_at": iso(self.delivered_at),
            "redelivery": self.redelivery,
            "duration": round(self.duration, 2),
            "status": self.status,
            "status_code": self.status_code,
            "event": message.event,
            "action": message.action,
            "installation_id": message.installation_id,
            "repository_id": message.repository_id,
            "throttled_at": maybe_iso(self.throttled_at),
        }

    def show_encoded(self) -> bytes:
        """Likewise, as JSON."""
        if not self.listed:
            self.listed = encode(self.show())
        return self.listed

    def show_all(self) -> Json:
        """With the request and the answer."""
        return self.show() | {
            "url": self.url,
            "request": {"headers": self.headers, "payload": msgspec.Raw(self.message.payload)},
            "response": {"headers": {}, "payload": ""},
        }


class DeliveryLog:
    """The attempts of one hook in the last three days.

    Attributes:
        last_response: What the hook itself says of the newest.
    """

    __slots__ = ("_deliveries", "last_response")

    def __init__(self) -> None:
        self._deliveries: deque[Delivery] = deque()
        self.last_response: Json = {"code": None, "status": "unused", "message": None}

    def add(self, delivery: Delivery) -> None:
        """Note an attempt; the newest."""
        self._forget(delivery.delivered_at)
        self._deliveries.append(delivery)
        status = (
            "active" if delivery.succeeded else "invalid_http_response" if delivery.status_code else "timeout"
        )
        self.last_response = {"code": delivery.status_code, "status": status, "message": delivery.status}

    def newest(self, now: datetime) -> Iterator[Delivery]:
        """What is kept, newest first."""
        self._forget(now)
        return reversed(self._deliveries)

    def get(self, identity: int, now: datetime) -> Delivery | None:
        """The attempt of this id, if it is kept."""
        return next((delivery for delivery in self.newest(now) if delivery.id == identity), None)

    def _forget(self, now: datetime) -> None:
        deliveries = self._deliveries
        while deliveries and deliveries[0].delivered_at < now - KEPT:
            deliveries.popleft()


class Outbox:
    """Sends messages to hooks and notes what became of them.

    Attributes:
        unlogged_share: Share of the lost deliveries that no log shows, between 0 and 1.

    Args:
        courier: The way out.
        now: GitHub's clock.
        serial: Gives the ids of attempts.
        chance: Where GUIDs come from.
        delayed_seconds: How much later than usual deliveries are sent at present.
    """

    def __init__(
        self,
        courier: Courier,
        now: Callable[[], datetime],
        serial: Callable[[], int],
        chance: Random,
        delayed_seconds: Callable[[], float],
    ) -> None:
        self._courier = courier
        self._now = now
        self._serial = serial
        self._chance = chance
        self._delayed_seconds = delayed_seconds
        self.unlogged_share = 0.0

    def guid(self) -> str:
        """Names a message."""
        digits = f"{self._chance.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def send(self, hook: Hook, message: Message, *, redelivery: bool = False) -> None:
        """Have a message sent to a hook; never waits."""
        body = message.payload
        if hook.config.content_type == "form":
            body = b"payload=" + quote_plus(body).encode()
        headers = _headers(hook, message, body)
        url = hook.config.url
        throttled_at = self._now() if self._delayed_seconds() else None

        def delivered(status_code: int, seconds: float) -> None:
            if not status_code and self._chance.random() < self.unlogged_share:
                return
            hook.log.add(
                Delivery(
                    self._serial(),
                    message,
                    url,
                    headers,
                    self._now(),
                    redelivery,
                    seconds,
                    status_code,
                    throttled_at,
                )
            )

        self._courier.post(url, headers, body, delivered)


def _headers(hook: Hook, message: Message, body: bytes) -> dict[str, str]:
    as_json = hook.config.content_type == "json"
    headers = {
        "Accept": "*/*",
        "Content-Type": "application/json" if as_json else "application/x-www-form-urlencoded",
        "User-Agent": _USER_AGENT,
        "X-GitHub-Delivery": message.guid,
        "X-GitHub-Event": message.event,
        "X-GitHub-Hook-ID": str(hook.id),
        "X-GitHub-Hook-Installation-Target-ID": str(hook.target_id),
        "X-GitHub-Hook-Installation-Target-Type": hook.kind,
    }
    if hook.config.secret:
        secret = hook.config.secret.encode()
        headers["X-Hub-Signature"] = f"sha1={hmac.digest(secret, body, 'sha1').hex()}"
        headers["X-Hub-Signature-256"] = f"sha256={hmac.digest(secret, body, 'sha256').hex()}"
    return headers
