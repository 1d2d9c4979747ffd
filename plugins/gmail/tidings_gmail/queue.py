"""Pulling from Pub/Sub what it would push, where nothing can reach this installation from outside.

cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions/pull (discovery document of 2026-10-27).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from tidings.contracts import Answer, Clock, Http, Pulled, WebhookRequest, retry_after_seconds
from tidings.errors import NotSent, Rejected, Unavailable
from tidings.fields import as_object, as_objects, obj, one_line, raw
from tidings_gmail.serviceaccount import ServiceAccount

_MOST_MESSAGES: Final = 100
# A pull from an empty subscription waits at Google, and may wait longer than our client does: then there was nothing.
_WAITED_SECONDS: Final = 8.0


class Queue:
    """A pull subscription.

    Args:
        account: Whose token opens it.
        http: Reaches it.
        clock: All time.
        url: Of the subscription.
    """

    def __init__(self, account: ServiceAccount, http: Http, clock: Clock, url: str) -> None:
        self._account = account
        self._http = http
        self._clock = clock
        self._url = url

    async def pull(self) -> Sequence[Pulled]:
        """Wait a while for messages, and take those that are there.

        Raises:
            Unavailable: Try again.
            Rejected: The operator must mend something; the text says what.
        """
        began = self._clock.monotonic()
        try:
            answer = await self._call("pull", {"maxMessages": _MOST_MESSAGES})
        except NotSent:
            raise
        except Unavailable:
            if self._clock.monotonic() - began < _WAITED_SECONDS:
                raise
            return ()
        received = as_objects(as_object(answer.json()).get("receivedMessages"))
        return [_pulled(one) for one in received if raw(one, "ackId")]

    async def acknowledge(self, receipts: Sequence[str]) -> None:
        """These need not come again.

        Raises:
            Unavailable: They will.
        """
        try:
            await self._call("acknowledge", {"ackIds": list(receipts)})
        except Rejected as error:
            raise Unavailable(str(error)) from None

    async def _call(self, verb: str, body: Mapping[str, Any]) -> Answer:
        token = await self._account.token()
        answer = await self._http.send(
            "POST",
            f"{self._url}:{verb}",
            headers={"authorization": f"Bearer {token}", "content-type": "application/json"},
            body=msgspec.json.encode(body),
        )
        if answer.status < 300:
            return answer
        if answer.status == 401:
            self._account.forget()
        why = f"Pub/Sub answers {answer.status} to {verb}: {_said(answer)}"
        if answer.status in {401, 408, 429} or answer.status >= 500:
            seconds = retry_after_seconds(answer.headers, self._clock.now())
            raise Unavailable(why, retry_after_seconds=seconds)
        raise Rejected(
            f"{why} Check plugins.connectors.gmail.subscription, and that the service account has the role Pub/Sub "
            "Subscriber on it.",
            status=422,
        )


def _pulled(received: Mapping[str, Any]) -> Pulled:
    request = WebhookRequest(
        method="POST",
        path="/api/webhooks/gmail",
        query="",
        headers={"content-type": "application/json"},
        body=msgspec.json.encode({"message": obj(received, "message")}),
    )
    return Pulled(request, raw(received, "ackId"))


def _said(answer: Answer) -> str:
    try:
        return one_line(raw(as_object(as_object(msgspec.json.decode(answer.body)).get("error")), "message"))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ""
