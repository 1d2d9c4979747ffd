"""The hub: subscriptions with a lease, confirmed by asking the subscriber back, and signed deliveries.

WebSub 1.0 (https://www.w3.org/TR/websub/) as pubsubhubbub.appspot.com speaks it: a lease lasts five days by default and
ten at most, signatures are made with SHA-1, and what is not answered 2xx is sent again.
"""

from __future__ import annotations

import dataclasses
import hmac
import secrets
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from tidings_sandbox.courier import Courier
from tidings_sandbox.stage import Stage
from tidings_sandbox.wire import Answer, Call
from tidings_sandbox.youtube.atom import HUB, topic

_TEXT: Final = [(b"content-type", b"text/plain; charset=utf-8")]
_LEASE_SECONDS: Final = 432_000
_LONGEST_LEASE_SECONDS: Final = 864_000
_MOST_SECRET_BYTES: Final = 200
_RETRY_SECONDS: Final = (30.0, 300.0, 1800.0, 7200.0, 21_600.0)
_PATIENCE_SECONDS: Final = b"120"
_LOGGED: Final = 200
_GONE: Final = 410


@dataclasses.dataclass(slots=True, eq=False)
class Subscription:
    """An address that was confirmed, and the channel whose news it gets."""

    id: int
    callback: str
    channel_id: str
    topic: str
    secret: str
    expires_at: datetime
    last_status: int | None = None


@dataclasses.dataclass(slots=True, eq=False)
class Delivery:
    """One attempt."""

    id: int
    subscription: Subscription
    kind: str
    body: bytes
    delivered_at: datetime
    is_again: bool
    status: int


class Hub:
    """All subscriptions.

    Attributes:
        is_down: Whether it answers 503 to whoever wants to subscribe, as in September 2026; what is subscribed goes on.

    Args:
        stage: What is yet to be done, and numbers that grow.
        courier: The way out.
        now: YouTube's clock.
    """

    def __init__(self, stage: Stage, courier: Courier, now: Callable[[], datetime]) -> None:
        self.is_down = False
        self._stage = stage
        self._courier = courier
        self._now = now
        self._by_place: dict[tuple[str, str], Subscription] = {}
        self._denied: dict[str, str] = {}  # why, by channel
        self._log: deque[Delivery] = deque(maxlen=_LOGGED)

    def __iter__(self) -> Iterator[Subscription]:
        """The subscriptions whose lease has not ended."""
        now = self._now()
        for place, one in list(self._by_place.items()):
            if one.expires_at <= now:
                del self._by_place[place]
        return iter(list(self._by_place.values()))

    def get(self, identity: int) -> Subscription | None:
        """The subscription of this number."""
        return next((one for one in self if one.id == identity), None)

    def forget(self, subscription: Subscription) -> None:
        """Lose a subscription, without a word to anybody."""
        self._by_place.pop((subscription.callback, subscription.channel_id), None)

    def deny(self, subscription: Subscription, reason: str) -> None:
        """End a subscription, tell its address why, and say the same to whoever wants this channel from now on."""
        self.forget(subscription)
        self._denied[subscription.channel_id] = reason
        self._tell_denied(subscription.callback, subscription.topic, reason)

    def _tell_denied(self, callback: str, wanted: str, reason: str) -> None:
        said = {"hub.mode": "denied", "hub.topic": wanted, "hub.reason": reason}
        self._courier.ask(_asking(callback, said), lambda _status, _body: None)

    # --- subscribing ---

    def answer(self, call: Call) -> Answer:
        """Answer who wants to subscribe, or to unsubscribe."""
        if call.method != "POST":
            return Answer(405, b"", [(b"allow", b"POST")])
        if self.is_down:
            headers = [*_TEXT, (b"retry-after", _PATIENCE_SECONDS)]
            return Answer(503, b"Transient error; please try again later", headers)
        form = call.form()
        problem = _problem(form)
        if problem:
            return Answer(400, problem.encode(), _TEXT)
        self._verify(form)
        return Answer(202)

    def _verify(self, form: Mapping[str, str]) -> None:
        """Ask the address whether it wants that; what it answers decides."""
        mode, wanted = form["hub.mode"], form["hub.topic"]
        denied = self._denied.get(_channel(wanted))
        if denied is not None and mode == "subscribe":
            self._tell_denied(form["hub.callback"], wanted, denied)
            return
        challenge = secrets.token_hex(16)
        lease_seconds = min(
            _whole(form.get("hub.lease_seconds", "")) or _LEASE_SECONDS, _LONGEST_LEASE_SECONDS
        )
        asked = {"hub.mode": mode, "hub.topic": wanted, "hub.challenge": challenge}
        if mode == "subscribe":
            asked["hub.lease_seconds"] = f"{lease_seconds}"

        def answered(status: int, body: bytes) -> None:
            if 200 <= status < 300 and body == challenge.encode():
                self._confirmed(form, lease_seconds)

        self._courier.ask(_asking(form["hub.callback"], asked), answered)

    def _confirmed(self, form: Mapping[str, str], lease_seconds: int) -> None:
        place = (form["hub.callback"], _channel(form["hub.topic"]))
        if form["hub.mode"] == "unsubscribe":
            self._by_place.pop(place, None)
            return
        known = self._by_place.get(place)
        self._by_place[place] = Subscription(
            self._stage.serial() if known is None else known.id,
            *place,
            form["hub.topic"],
            form.get("hub.secret", ""),
            self._now() + timedelta(seconds=lease_seconds),
            None if known is None else known.last_status,
        )

    # --- delivering ---

    def deliver(self, channel_id: str, kind: str, body: bytes) -> None:
        """Tell all who subscribed to a channel; never waits."""
        for one in self:
            if one.channel_id == channel_id:
                self._post(one, kind, body, 0, is_again=False)

    def redeliver(self, identity: int) -> bool:
        """Send what the log has under this number once more; False where it has nothing."""
        found = next((one for one in self._log if one.id == identity), None)
        if found is not None:
            self._post(found.subscription, found.kind, found.body, len(_RETRY_SECONDS), is_again=True)
        return found is not None

    def log(self, subscription_id: int | None = None) -> Sequence[Delivery]:
        """The last attempts, newest first: of one subscription, or of all."""
        return [one for one in reversed(self._log) if subscription_id in {None, one.subscription.id}]

    def _post(self, to: Subscription, kind: str, body: bytes, attempt: int, *, is_again: bool) -> None:
        headers = {
            "Content-Type": "application/atom+xml",
            "Link": f"<{topic(to.channel_id)}>; rel=self, <{HUB}/>; rel=hub",
            "User-Agent": "FeedFetcher-Google; (+http://www.google.com/feedfetcher.html)",
        }
        if to.secret:
            headers["X-Hub-Signature"] = f"sha1={hmac.new(to.secret.encode(), body, 'sha1').hexdigest()}"

        def delivered(status: int, _seconds: float) -> None:
            to.last_status = status
            self._log.append(Delivery(self._stage.serial(), to, kind, body, self._now(), is_again, status))
            if status == _GONE:
                self.forget(to)
            elif not 200 <= status < 300 and attempt < len(_RETRY_SECONDS):
                self._try_again(to, kind, body, attempt)

        self._courier.post(to.callback, headers, body, delivered)

    def _try_again(self, to: Subscription, kind: str, body: bytes, attempt: int) -> None:
        async def again() -> None:
            if self.get(to.id) is not None:
                self._post(to, kind, body, attempt + 1, is_again=True)

        self._stage.agenda.add(again, in_seconds=_RETRY_SECONDS[attempt])

    def show(self) -> Sequence[Mapping[str, Any]]:
        """The subscriptions as the control page lists webhooks."""
        return [
            {
                "id": one.id,
                "owner": "",
                "target": one.channel_id,
                "url": one.callback,
                "active": True,
                "events": ["video", "deleted"],
                "last_status": one.last_status or "unused",
            }
            for one in self
        ]


def _problem(form: Mapping[str, str]) -> str:
    """Why a request is refused; "" for nothing."""
    if form.get("hub.mode") not in {"subscribe", "unsubscribe"}:
        return "hub.mode: must be subscribe or unsubscribe"
    if not _channel(form.get("hub.topic", "")):
        return "hub.topic: is no feed of a channel"
    callback = form.get("hub.callback", "")
    if not callback.startswith(("http://", "https://")) or urlsplit(callback).fragment:
        return "hub.callback: must be an http or https address without a fragment"
    if len(form.get("hub.secret", "").encode()) >= _MOST_SECRET_BYTES:
        return "hub.secret: is too long"
    return ""


def _channel(address: str) -> str:
    try:
        named = parse_qs(urlsplit(address).query).get("channel_id", [])
    except ValueError:
        return ""
    return named[0] if len(named) == 1 else ""


def _asking(callback: str, parameters: Mapping[str, str]) -> str:
    return f"{callback}{'&' if urlsplit(callback).query else '?'}{urlencode(parameters)}"


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else 0
