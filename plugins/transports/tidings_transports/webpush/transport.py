"""The transport: admits subscriptions and pushes news to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from tidings.context import Context
from tidings.devices import Admitted, Device, Fate, News, Pushed, Pushes
from tidings.errors import Rejected, Unavailable
from tidings_transports.webpush import answers, payload
from tidings_transports.webpush.encoding import decode, encode
from tidings_transports.webpush.encryption import AUTH_BYTES, encrypt, read_public
from tidings_transports.webpush.sending import Sender
from tidings_transports.webpush.services import Endpoint, NotListed, Services
from tidings_transports.webpush.vapid import VapidKey, check_subject

_TOO_LONG: Final = 413
_TEST_TTL_SECONDS: Final = 300
_UNSET: Final = (
    "Web Push needs an address at which push services can reach who runs this server. Set "
    "plugins.transports.webpush.subject to mailto:you@your-domain.org, or server.public_url to an https address."
)
_PRIVATE: Final = (
    "plugins.transports.webpush.allow_private is on: whoever is signed in can make this server send requests into its "
    "own network, to the hosts listed under `services`. It is for tests; remove it."
)


@dataclasses.dataclass(frozen=True, slots=True)
class Delivery:
    """How notifications are to be delivered.

    Attributes:
        subject: Whom push services can write to; "" for what `server.public_url` says.
        ttl_seconds: How long a push service keeps what it can't deliver.
        urgency: RFC 8030 §5.3: `low` ones wait for power or Wi-Fi.
    """

    subject: str = ""
    ttl_seconds: int = 86400
    urgency: str = "normal"


class WebPush(Pushes):
    """Pushes news to browsers; see `tidings.devices.Pushes`."""

    name = "webpush"

    def __init__(
        self,
        context: Context,
        delivery: Delivery,
        services: Services,
        sender: Sender,
        *,
        allow_private: bool = False,
    ) -> None:
        self._context = context
        self._delivery = delivery
        self._services = services
        self._sender = sender
        self._keys: Mapping[str, VapidKey] = {}
        self._subject = delivery.subject or _subject_of(context.public_url)
        self.problem = "" if self._subject else _UNSET
        self.warning = _PRIVATE if allow_private else ""

    async def run(self) -> None:
        """Say what an operator must not overlook."""
        if self.warning:
            self._context.log.warning("webpush_allows_private", warning=self.warning)
        if self.problem:
            self._context.log.info("webpush_not_ready", reason=self.problem)

    def use_keys(self, keys: Mapping[str, bytes]) -> None:
        """See `Pushes.use_keys`."""
        self._keys = {key_id: VapidKey(secret) for key_id, secret in keys.items()}

    @property
    def public_keys(self) -> Mapping[str, str]:
        """See `Pushes.public_keys`."""
        return {key_id: key.public for key_id, key in self._keys.items()}

    async def admit(self, wish: Mapping[str, str]) -> Admitted:
        """See `Pushes.admit`."""
        endpoint = self._services.read(wish["endpoint"])
        receiver, auth = _bytes("keys.p256dh", wish["p256dh"]), _bytes("keys.auth", wish["auth"])
        try:
            read_public(receiver)
        except ValueError:
            raise Rejected("keys.p256dh is not a public key of P-256, uncompressed.", status=400) from None
        if len(auth) != AUTH_BYTES:
            raise Rejected(f"keys.auth must have {AUTH_BYTES} bytes.", status=400)
        await self._services.locate(endpoint)
        address = {"endpoint": wish["endpoint"], "p256dh": encode(receiver), "auth": encode(auth)}
        return Admitted(address, wish["endpoint"], endpoint.host)

    async def push(self, device: Device, news: News | None) -> Pushed:
        """See `Pushes.push`."""
        public_url = self._context.public_url
        plaintext = payload.compose_test(public_url) if news is None else payload.compose(news, public_url)
        try:
            endpoint = self._services.read(device.address["endpoint"])
            addresses = await self._services.locate(endpoint)
            pushed = await self._send(device, news, endpoint, addresses, plaintext)
            if pushed.status == _TOO_LONG:
                plaintext = payload.compose_brief(news, public_url)
                pushed = await self._send(device, news, endpoint, addresses, plaintext)
        except NotListed as error:
            return Pushed(Fate.GONE, detail=str(error))
        except (Rejected, Unavailable) as error:
            return Pushed(Fate.LATER, detail=str(error))
        if pushed.fate is Fate.BLOCKED:
            self._keys[device.key_id].forget()  # the clock may have been wrong when it was signed
        return pushed

    async def _send(
        self,
        device: Device,
        news: News | None,
        endpoint: Endpoint,
        addresses: Sequence[str],
        plaintext: bytes,
    ) -> Pushed:
        now = self._context.clock.now()
        headers = {
            "TTL": str(_TEST_TTL_SECONDS if news is None else self._delivery.ttl_seconds),
            "Urgency": "high" if news is None else self._delivery.urgency,
            "Content-Type": "application/octet-stream",
            "Content-Encoding": "aes128gcm",
            "Authorization": self._keys[device.key_id].authorization(endpoint.origin, self._subject, now),
        }
        if news is not None:
            headers["Topic"] = payload.topic(device.id, news.first)
        body = encrypt(
            plaintext, receiver=decode(device.address["p256dh"]), auth=decode(device.address["auth"])
        )
        answer = await self._sender.post(endpoint, addresses, headers=headers, body=body)
        secrets = [device.address["endpoint"], endpoint.target, headers["Authorization"]]
        return answers.judge(answer.status, answer.headers, answer.body, secrets=secrets, now=now)


def _subject_of(public_url: str) -> str:
    """The installation's own address, where it will do."""
    parts = urlsplit(public_url)
    try:
        return check_subject(f"{parts.scheme}://{parts.netloc}")
    except ValueError:
        return ""


def _bytes(name: str, text: str) -> bytes:
    try:
        return decode(text)
    except ValueError:
        raise Rejected(f"{name} is not base64url.", status=400) from None
