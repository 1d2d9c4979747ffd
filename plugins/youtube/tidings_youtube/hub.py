"""The hub: asking it to subscribe an address to a channel, and to unsubscribe it.

It knows no accounts and no tokens, and is asked without one. 202 means that it will ask the address whether that is
wanted (WebSub 1.0 §5.1). In September 2026 it answered 503 for ten days and more (SeoulSKY/ytnoti#8, #13), so after a
failure it is left in peace by all accounts for a while, ever longer.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode, urlsplit

from tidings.contracts import Answer, Clock, Http, Target, Upstream, retry_after_seconds
from tidings.errors import Rejected, Unavailable
from tidings.fields import one_line
from tidings_youtube.cards import PUSHED_KINDS
from tidings_youtube.targets import channel_of

#: Stands for the channel in the address of a topic.
PLACE: Final = "{channel}"
# How long the hub is left in peace after the first failure, the second, …, and after each further one.
_PEACE_SECONDS: Final = (120.0, 300.0, 900.0, 1800.0, 3600.0)
_FORM: Final = {"content-type": "application/x-www-form-urlencoded"}


class Hub:
    """The subscriptions of all accounts.

    Args:
        http: Reaches it.
        clock: All time.
        url: Where subscriptions are asked for.
        topic: The address of a channel's feed, with `{channel}` in it.
        lease_seconds: How long a subscription shall last.
    """

    def __init__(self, http: Http, clock: Clock, *, url: str, topic: str, lease_seconds: float) -> None:
        self._http = http
        self._clock = clock
        self._url = url
        self._topic = topic
        self._lease_seconds = round(lease_seconds)
        self._failures = 0
        self._quiet_until = 0.0
        self._why = ""

    async def subscribe(self, target: Target, callback_url: str, secret: str) -> Upstream:
        """Ask for a channel's news; the same again renews the lease without a gap.

        Raises:
            Unavailable: The hub is down, or was a moment ago.
            Rejected: It takes no such subscription.
        """
        topic = self._topic.replace(PLACE, channel_of(target.key))
        await self._ask(
            {
                "hub.mode": "subscribe",
                "hub.topic": topic,
                "hub.callback": callback_url,
                "hub.secret": secret,
                "hub.lease_seconds": f"{self._lease_seconds}",
                "hub.verify": "async",  # of PubSubHubbub 0.3; later versions know nothing else
            }
        )
        return Upstream(
            id=topic, target=target, kinds=PUSHED_KINDS, is_pending=True, data={"callback": callback_url}
        )

    async def unsubscribe(self, upstream: Upstream) -> None:
        """Ask for no more of it. What the hub does not know (any more) is fine.

        Raises:
            Unavailable: The hub is down, or was a moment ago.
        """
        form = {"hub.mode": "unsubscribe", "hub.topic": upstream.id, "hub.verify": "async"}
        try:
            await self._ask({**form, "hub.callback": str(upstream.data.get("callback", ""))})
        except Rejected:
            return

    async def _ask(self, form: dict[str, str]) -> None:
        wait_seconds = self._quiet_until - self._clock.monotonic()
        if wait_seconds > 0:
            raise Unavailable(self._why, retry_after_seconds=wait_seconds)
        try:
            answer = await self._http.send("POST", self._url, headers=_FORM, body=urlencode(form).encode())
        except Unavailable as error:
            raise self._failed(str(error), None) from None
        if answer.status in {408, 429} or answer.status >= 500 or 300 <= answer.status < 400:
            said_seconds = retry_after_seconds(answer.headers, self._clock.now())
            raise self._failed(f"{urlsplit(self._url).hostname} answers {answer.status}.", said_seconds)
        self._failures = 0
        if answer.status >= 400:
            raise Rejected(f"The hub refuses: {_said(answer)}", status=answer.status)

    def _failed(self, why: str, said_seconds: float | None) -> Unavailable:
        seconds = _PEACE_SECONDS[min(self._failures, len(_PEACE_SECONDS) - 1)]
        seconds = max(seconds, said_seconds or 0.0)
        self._failures += 1
        self._quiet_until = self._clock.monotonic() + seconds
        self._why = f"YouTube's hub can't be asked for subscriptions now: {why}"
        return Unavailable(self._why, retry_after_seconds=seconds)


def _said(answer: Answer) -> str:
    return one_line(answer.body[:1000].decode("utf-8", "replace")) or f"it answers {answer.status}."
