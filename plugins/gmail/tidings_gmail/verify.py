"""Whether Google's Pub/Sub sent a push, on behalf of the operator's own subscription.

Its OpenID token must be signed by Google, be meant for this address, and be of the operator's service account: any
customer of Google can have a token made for any address
(cloud.google.com/pubsub/docs/authenticate-push-subscriptions, 2026).
"""

from __future__ import annotations

import binascii
import hmac
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from tidings.contracts import Keys, WebhookRequest
from tidings.errors import Rejected, UnknownKey

_ISSUERS: Final = frozenset({"https://accounts.google.com", "accounts.google.com"})
_ALGORITHM: Final = "RS256"
_LEEWAY_SECONDS: Final = 30.0
_LONGEST_TOKEN: Final = 8192


class Sender(msgspec.Struct, frozen=True):
    """Whose pushes are taken.

    Attributes:
        audience: What their tokens are for.
        account: The address of the service account; "" for nobody's.
    """

    audience: str
    account: str


def verify(request: WebhookRequest, keys: Keys, now: datetime, sender: Sender) -> None:
    """Return if the push has a token of that service account, for that audience, signed by Google.

    Raises:
        Rejected: 401. Nobody's pushes are taken; no token, or one that does not hold.
        UnknownKey: 401. Google may have published the token's key since its keys were read.
    """
    if not sender.account or not sender.audience:
        raise Rejected(
            "No service account is configured, so nothing can be verified. Set "
            "plugins.connectors.gmail.service_account to that of the push subscription."
        )
    token = _bearer(request.headers.get("authorization", ""))
    claims = _claims(token, _key(_header(token), keys.jwks))
    _judge(claims, now.timestamp(), sender)


def _bearer(header: str) -> str:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token or not token.isascii() or len(token) > _LONGEST_TOKEN:
        raise Rejected(
            "The request has no bearer token: Pub/Sub did not send it, or authentication is off there."
        )
    return token


def _header(token: str) -> Mapping[str, Any]:
    encoded = token.partition(".")[0]
    try:
        header = msgspec.json.decode(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (binascii.Error, ValueError, RecursionError):  # a DecodeError is a ValueError
        header = None
    if not isinstance(header, dict) or header.get("alg") != _ALGORITHM:
        raise Rejected(f"The token is not signed with {_ALGORITHM}.")
    return header


def _key(header: Mapping[str, Any], jwks: Mapping[str, Any]) -> Mapping[str, Any]:
    kid, published = header.get("kid"), jwks.get("keys")
    if not isinstance(kid, str) or not kid:
        raise Rejected("The token does not say which key signed it.")
    for key in published if isinstance(published, list) else ():
        if isinstance(key, dict) and key.get("kid") == kid and key.get("kty") == "RSA":
            return key
    raise UnknownKey("The token is signed with a key that Google does not publish.")


def _claims(token: str, key: Mapping[str, Any]) -> Mapping[str, Any]:
    from joserfc import jwt  # noqa: PLC0415 - 10 MB that only installations with Pub/Sub need
    from joserfc.errors import JoseError  # noqa: PLC0415 - likewise
    from joserfc.jwk import RSAKey  # noqa: PLC0415 - likewise

    try:
        public = RSAKey.import_key({name: value for name, value in key.items() if name in {"kty", "n", "e"}})
        return jwt.decode(token, public, algorithms=[_ALGORITHM]).claims
    except (JoseError, ValueError, TypeError, RecursionError):
        raise Rejected("The token is not signed by Google.") from None


def _judge(claims: Mapping[str, Any], now_seconds: float, sender: Sender) -> None:
    ends, begins = _number(claims.get("exp")), _number(claims.get("iat"))
    if ends is None or begins is None:
        raise Rejected("The token does not say from when until when it holds.")
    if now_seconds > ends + _LEEWAY_SECONDS or now_seconds < begins - _LEEWAY_SECONDS:
        raise Rejected("The token has ended, or does not hold yet. Is this machine's clock right?")
    if claims.get("iss") not in _ISSUERS:
        raise Rejected("The token is not of Google's accounts.")
    audience = claims.get("aud")
    if not isinstance(audience, str) or not _same(audience, sender.audience):
        raise Rejected(
            "The token is for another audience. Set plugins.connectors.gmail.audience to that of the subscription."
        )
    address = claims.get("email")
    if not isinstance(address, str) or not _same(address, sender.account):
        raise Rejected(
            "The token is of another service account than plugins.connectors.gmail.service_account."
        )
    if claims.get("email_verified") is not True:
        raise Rejected("Google has not verified the service account's address.")


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode("utf-8", "replace"))
