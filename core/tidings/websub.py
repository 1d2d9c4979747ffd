"""WebSub 1.0 (https://www.w3.org/TR/websub/), the subscriber's half: for any connector whose news come by a hub.

A target's key is `{hub} {topic}`. Asked to subscribe an address, a hub asks that address back whether it wants the
topic (§5.3), and signs what it sends with the subscription's secret (§8).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import parse_qs, urlencode

from tidings.connecting import Api, Http
from tidings.connectors import Greeted, Greets, Receives, Registers, Target, Upstream
from tidings.deliveries import Keys, Reply, WebhookRequest
from tidings.errors import Rejected, Unavailable

#: What is signed wrongly is taken, and thrown away (§8): to a hub any other answer is an outage.
IGNORED: Final = 202

_SIGNATURE: Final = "x-hub-signature"
_METHODS: Final = {"sha1": 40, "sha256": 64, "sha384": 96, "sha512": 128}
_LEASE_SECONDS: Final = 10 * 86_400
_MOST_SECONDS: Final = 365 * 86_400
_FORM: Final = {"content-type": "application/x-www-form-urlencoded"}


class Subscriber(Receives, Greets, Registers):
    """A connector that subscribes at hubs. Implement `targets`, `parse` and `sample`. Since API 1.

    Attributes:
        lease_seconds: How long a subscription shall last; the hub decides, and it is renewed before it ends.
    """

    lease_seconds: int = _LEASE_SECONDS
    shared_keys = Keys()  # each subscription has a secret of its own

    def __init__(self, http: Http) -> None:
        self.http = http

    async def register(self, api: Api, target: Target, callback_url: str, secret: str) -> Upstream:
        """Ask the hub to tell this address; the same again renews the lease."""
        lease = {"hub.secret": secret, "hub.lease_seconds": str(self.lease_seconds)}
        await self._ask(target, "subscribe", callback_url, lease)
        return Upstream(id=target.key, target=target, is_pending=True, data={"callback": callback_url})

    async def check(self, api: Api, upstream: Upstream) -> Upstream:
        """As it was: a hub tells nobody how a subscription stands. It is renewed before its lease ends."""
        return upstream

    async def unregister(self, api: Api, upstream: Upstream) -> None:
        """Ask the hub to tell it no more."""
        await self._ask(upstream.target, "unsubscribe", str(upstream.data.get("callback", "")), {})

    async def _ask(self, target: Target, mode: str, callback_url: str, more: Mapping[str, str]) -> None:
        hub, _, topic = target.key.partition(" ")
        wish = {"hub.mode": mode, "hub.topic": topic, "hub.callback": callback_url, **more}
        answer = await self.http.send("POST", hub, headers=_FORM, body=urlencode(wish).encode())
        if answer.status >= 500 or answer.status == 429:
            raise Unavailable(f"The hub answers {answer.status}.")
        if answer.status >= 300:
            raise Rejected(f"The hub answers {answer.status}.", status=answer.status)

    def greet(self, request: WebhookRequest, target: str | None, *, is_wanted: bool) -> Greeted:
        """See `Greets.greet`: yes to what was asked for, yes to an end that was asked for, and no to anything else."""
        query = {name: values[0] for name, values in parse_qs(request.query).items()}
        mode, challenge = query.get("hub.mode", ""), query.get("hub.challenge", "")
        if mode == "denied":
            return Greeted(Reply(200), problem=query.get("hub.reason") or "The hub refuses the subscription.")
        is_kept = target is not None and is_wanted and target.partition(" ")[2] == query.get("hub.topic")
        if challenge and mode == "subscribe" and is_kept:
            return Greeted(Reply(200, challenge.encode()), expires_in_seconds=_lease(query))
        if challenge and mode == "unsubscribe" and not is_kept:
            return Greeted(Reply(200, challenge.encode()))
        raise Rejected("Nobody here wants that.", status=404)

    def verify(self, request: WebhookRequest, keys: Keys, now: datetime) -> None:
        """See `Receives.verify`."""
        secrets = [secret for secret in keys.secrets if secret.strip()]
        if not secrets:
            raise Rejected("No subscription was made with this address, so nothing can be verified.")
        method, _, given = request.headers.get(_SIGNATURE, "").partition("=")
        if len(given) != _METHODS.get(method.lower()) or not given.isascii():
            raise Rejected("X-Hub-Signature is missing, or none of WebSub's.", status=IGNORED)
        matches = False
        for secret in secrets:  # all of them, always: the time taken must not tell which one matched
            wanted = hmac.digest(secret, request.body, method.lower()).hex()
            matches |= hmac.compare_digest(wanted, given.lower())
        if not matches:
            raise Rejected("X-Hub-Signature is not that of the subscription's secret.", status=IGNORED)


def signed(body: bytes, keys: Keys, content_type: str) -> WebhookRequest:
    """A delivery as a hub signs it with the first of the keys, for `Receives.sample`."""
    signature = f"sha256={hmac.digest(keys.secrets[0], body, 'sha256').hex()}"
    return WebhookRequest("POST", "/", "", {"content-type": content_type, _SIGNATURE: signature}, body)


def _lease(query: Mapping[str, str]) -> float | None:
    text = query.get("hub.lease_seconds", "")
    return (
        float(min(int(text), _MOST_SECONDS)) if text.isascii() and text.isdigit() and len(text) < 12 else None
    )
