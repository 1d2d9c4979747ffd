"""The REST interface of the emulated Cloud Pub/Sub: pull and acknowledge.

cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions (discovery document of 2026-10-27).
"""

from __future__ import annotations

import re
from typing import Final

from tidings_sandbox.google import SCOPE, error, insufficient, not_found, unauthorised
from tidings_sandbox.google.pubsub import PubSub, Subscription
from tidings_sandbox.google.serviceaccounts import ServiceAccounts
from tidings_sandbox.wire import Answer, Call, json_answer

_SCOPES: Final = frozenset({f"{SCOPE}pubsub", f"{SCOPE}cloud-platform"})
_ADDRESS: Final = re.compile(r"/v1/(projects/[^/]+/subscriptions/[^/:]+):(pull|acknowledge)")
_LARGEST_PULL: Final = 1000


class PubSubApi:
    """Answers a service account.

    Attributes:
        wait_seconds: How long a pull waits for a first message; Google says no more than "a bounded amount of time".

    Args:
        pubsub: Topics and subscriptions.
        accounts: Whose tokens are taken.
    """

    def __init__(self, pubsub: PubSub, accounts: ServiceAccounts) -> None:
        self.wait_seconds = 5.0
        self._pubsub = pubsub
        self._accounts = accounts

    async def ready(self, call: Call) -> None:
        """Let a pull from an empty subscription wait for a message."""
        found = _ADDRESS.fullmatch(call.path)
        if found is None or found[2] != "pull" or not self._may(call) or call.json().get("returnImmediately"):
            return
        subscription = self._pubsub.subscriptions.get(found[1])
        if subscription is not None and not self._pubsub.has_messages(subscription):
            await self._pubsub.published(self.wait_seconds)

    def answer(self, call: Call) -> Answer | None:
        """Answer a request; None where it is no such one."""
        found = _ADDRESS.fullmatch(call.path)
        if found is None or call.method != "POST":
            return None
        scopes = self._accounts.scopes(call)
        if scopes is None:
            return unauthorised()
        if not self._may(call):
            return insufficient()
        subscription = self._pubsub.subscriptions.get(found[1])
        if subscription is None:
            return not_found(f"Resource not found (resource={found[1].rpartition('/')[2]}).")
        if found[2] == "pull":
            return self._pull(subscription, call)
        return self._acknowledge(subscription, call)

    def _may(self, call: Call) -> bool:
        return not _SCOPES.isdisjoint(self._accounts.scopes(call) or ())

    def _pull(self, subscription: Subscription, call: Call) -> Answer:
        most = call.json().get("maxMessages")
        if not isinstance(most, int) or most < 1:
            return error(400, "badRequest", "You have passed an invalid argument to the service.")
        if subscription.push is not None:
            return error(400, "failedPrecondition", "The subscription is a push subscription.")
        messages = self._pubsub.pull(subscription, min(most, _LARGEST_PULL))
        return json_answer({"receivedMessages": messages} if messages else {})

    def _acknowledge(self, subscription: Subscription, call: Call) -> Answer:
        ack_ids = call.json().get("ackIds")
        if not isinstance(ack_ids, list) or not ack_ids:
            return error(400, "badRequest", "No ack ids specified.")
        self._pubsub.acknowledge(subscription, [str(one) for one in ack_ids])
        return json_answer({})
