"""The emulated Cloud Pub/Sub: topics, and subscriptions that push or are pulled from.

cloud.google.com/pubsub/docs/push, …/docs/pull and the discovery document of 2026-10-27: at least once, in no order;
a push is acknowledged with 102, 200, 201, 202 or 204 and comes again after anything else.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import anyio
import msgspec

from tidings_sandbox.courier import Courier
from tidings_sandbox.google.keys import SigningKeys
from tidings_sandbox.stage import Stage
from tidings_sandbox.wire import encode

_ACKNOWLEDGED: Final = frozenset({102, 200, 201, 202, 204})
_USER_AGENT: Final = "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)"


class PushConfig(msgspec.Struct):
    """Where a subscription pushes, and the service account whose token goes with it.

    Attributes:
        audience: Of the token; "" for the endpoint.
    """

    endpoint: str
    email: str
    audience: str = ""


class Waiting(msgspec.Struct):
    """A message that a subscription has not been rid of.

    Attributes:
        attempts: How often it was pushed or pulled.
        ack_id: By which the last pull of it is acknowledged; "" for none.
        held_until: Until then no pull shows it again.
        last_status: What the last push was answered; 0 for nothing.
    """

    message: Mapping[str, Any]
    published_at: datetime
    attempts: int = 0
    ack_id: str = ""
    held_until: datetime | None = None
    last_status: int = 0


class Subscription(msgspec.Struct):
    """A subscription to a topic; `push` is None for one that is pulled from.

    Attributes:
        ack_deadline_seconds: How long a pulled message is held back for its acknowledgement.
        retention: How long a message is tried.
        least_pause_seconds: Between two pushes of a message, at first; doubled each time.
        most_pause_seconds: And at last.
        waiting: What was not acknowledged, by message id.
        last_status: What the last push was answered; 0 for nothing.
    """

    name: str
    topic: str
    push: PushConfig | None = None
    ack_deadline_seconds: float = 10.0
    retention: timedelta = timedelta(days=7)
    least_pause_seconds: float = 10.0
    most_pause_seconds: float = 600.0
    waiting: dict[str, Waiting] = {}
    last_status: int = 0


class PubSub:
    """Topics and subscriptions of one project.

    Attributes:
        subscriptions: By full name.
        publishers: The topics to which Gmail's service account may publish.

    Args:
        stage: Time and numbers that grow.
        courier: Carries pushes.
        keys: Sign them.
        now: The platform's clock.
    """

    def __init__(
        self, stage: Stage, courier: Courier, keys: SigningKeys, now: Callable[[], datetime]
    ) -> None:
        self.subscriptions: dict[str, Subscription] = {}
        self.publishers: set[str] = set()
        self._stage = stage
        self._courier = courier
        self._keys = keys
        self._now = now
        self._published = anyio.Event()

    def subscribe(self, name: str, topic: str, push: PushConfig | None = None) -> Subscription:
        """Make a subscription, and let Gmail publish to its topic."""
        self.publishers.add(topic)
        subscription = Subscription(name, topic, push)
        self.subscriptions[name] = subscription
        return subscription

    def takes_from_gmail(self, topic: str) -> bool:
        """Whether `gmail-api-push@system.gserviceaccount.com` may publish to a topic."""
        return topic in self.publishers

    def publish(self, topic: str, data: bytes) -> None:
        """A message for every subscription to a topic; never waits."""
        number, now = str(self._stage.serial()), self._now()
        at = f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}Z"
        message = {
            "data": b64encode(data).decode(),
            "messageId": number,
            "message_id": number,
            "publishTime": at,
            "publish_time": at,
        }
        for subscription in self.subscriptions.values():
            if subscription.topic == topic:
                self._drop_old(subscription)
                subscription.waiting[number] = Waiting(message, now)
                if subscription.push is not None:
                    self._push(subscription, number)
        self._published.set()
        self._published = anyio.Event()

    def _drop_old(self, subscription: Subscription) -> None:
        """So that one from which nobody pulls does not fill the memory."""
        while subscription.waiting:
            oldest = next(iter(subscription.waiting))
            if self._living(subscription, oldest) is not None:
                break

    # --- push ---

    def _push(self, subscription: Subscription, number: str) -> None:
        waiting, push = self._living(subscription, number), subscription.push
        if waiting is None or push is None:
            return
        waiting.attempts += 1

        def delivered(status: int, _seconds: float) -> None:
            subscription.last_status = waiting.last_status = status
            if status in _ACKNOWLEDGED:
                subscription.waiting.pop(number, None)
                return

            async def again() -> None:
                self._push(subscription, number)

            pause = subscription.least_pause_seconds * 2 ** min(waiting.attempts - 1, 20)
            self._stage.agenda.add(again, in_seconds=min(pause, subscription.most_pause_seconds))

        body = encode({"message": waiting.message, "subscription": subscription.name})
        self._courier.post(push.endpoint, partial(self._headers, push), body, delivered)

    def _headers(self, push: PushConfig) -> Mapping[str, str]:
        token = self._keys.service_token(push.email, push.audience or push.endpoint)
        return {
            "authorization": f"Bearer {token}",
            "content-type": "application/json",
            "user-agent": _USER_AGENT,
        }

    # --- pull ---

    def has_messages(self, subscription: Subscription) -> bool:
        """Whether a pull would find something now."""
        now = self._now()
        return any(
            waiting.held_until is None or now >= waiting.held_until
            for waiting in subscription.waiting.values()
        )

    def pull(self, subscription: Subscription, most: int) -> Sequence[Mapping[str, Any]]:
        """At most so many messages that nobody holds; each is held until its deadline."""
        now = self._now()
        found: list[Mapping[str, Any]] = []
        for number in list(subscription.waiting):
            waiting = self._living(subscription, number)
            if waiting is None or (waiting.held_until is not None and now < waiting.held_until):
                continue
            if len(found) == most:
                break
            waiting.attempts += 1
            waiting.ack_id = f"{number}:{waiting.attempts}"
            waiting.held_until = now + timedelta(seconds=subscription.ack_deadline_seconds)
            found.append({"ackId": waiting.ack_id, "message": waiting.message})
        return found

    def acknowledge(self, subscription: Subscription, ack_ids: Sequence[str]) -> None:
        """These need not come again. An id that is too old is ignored: its message may come again."""
        for ack_id in ack_ids:
            number = ack_id.partition(":")[0]
            waiting = subscription.waiting.get(number)
            if waiting is not None and waiting.ack_id == ack_id:
                del subscription.waiting[number]

    async def published(self, within_seconds: float) -> None:
        """Wait until something is published, at most so long."""
        event = self._published
        async with anyio.create_task_group() as group:

            async def give_up() -> None:
                await self._stage.clock.sleep(within_seconds)
                group.cancel_scope.cancel()

            group.start_soon(give_up)
            await event.wait()
            group.cancel_scope.cancel()

    def _living(self, subscription: Subscription, number: str) -> Waiting | None:
        """A message that is still wanted; it is dropped at the end of its retention."""
        waiting = subscription.waiting.get(number)
        if waiting is not None and self._now() - waiting.published_at >= subscription.retention:
            del subscription.waiting[number]
            return None
        return waiting
