"""Whether Discord sent a request.

Discord signs with the app's Ed25519 key, over the timestamp in `X-Signature-Timestamp` followed by the raw body, and
sends the signature in hexadecimal in `X-Signature-Ed25519`
(https://docs.discord.com/developers/events/webhook-events, "Validating Security Request Headers", 2026). It also sends
wrong signatures on purpose, and takes the address away from an app that accepts them: the answer must be 401.

What is signed is a plain concatenation. Digits that move from the timestamp to the body, or back, leave it the same; so
the timestamp must be digits alone, and a body that begins with digits is no JSON object, which `parse` refuses.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tidings.contracts import Keys, WebhookRequest
from tidings.errors import Rejected

SIGNATURE: Final = "x-signature-ed25519"
TIMESTAMP: Final = "x-signature-timestamp"

# Discord tries again for ten minutes, perhaps with the first signature; clocks may differ by some minutes, too.
_LONGEST_SECONDS: Final = 1800.0

_PUBLIC: Final = re.compile(rb"[0-9a-fA-F]{64}")
_SIGNED: Final = re.compile(r"[0-9a-fA-F]{128}", re.ASCII)
_SECONDS: Final = re.compile(r"[0-9]{1,12}", re.ASCII)


def verify(request: WebhookRequest, keys: Keys, now: datetime) -> None:
    """Return if the holder of one of the keys signed exactly this body, within the last half hour.

    Raises:
        Rejected: 401. No usable key; a header that is missing, malformed or sent twice; a signature that no key made,
            or an old one.
    """
    publics = [one for one in map(public_key, keys.secrets) if one is not None]
    if not publics:
        raise Rejected(
            "No public key is set, so nothing can be verified. Put the app's public key, from its page General "
            "Information, into plugins.connectors.discord.public_key."
        )
    signature = _header(request, SIGNATURE, _SIGNED, "128 hexadecimal digits")
    timestamp = _header(request, TIMESTAMP, _SECONDS, "seconds since 1970")
    message = timestamp.encode("ascii") + request.body
    if not any(_signed(one, bytes.fromhex(signature), message) for one in publics):
        raise Rejected(
            "The signature does not match the body. The public key in config.yaml is not this app's, or something on "
            "the way changed the body."
        )
    if abs(now.timestamp() - int(timestamp)) > _LONGEST_SECONDS:
        raise Rejected(
            f"The signature is not of the last {_LONGEST_SECONDS / 60:g} minutes. Are both clocks right?"
        )


def public_key(secret: bytes) -> Ed25519PublicKey | None:
    """The key that `secret` is in hexadecimal, as the app's page shows it; None where it is none."""
    digits = secret.strip()
    if _PUBLIC.fullmatch(digits) is None:
        return None
    return Ed25519PublicKey.from_public_bytes(bytes.fromhex(digits.decode("ascii")))


def _header(request: WebhookRequest, name: str, form: re.Pattern[str], said: str) -> str:
    shown = name.title()
    value = request.headers.get(name, "")
    if not value:
        raise Rejected(f"The request has no {shown}.")
    if "," in value:
        raise Rejected(f"{shown} was sent more than once.")
    if form.fullmatch(value) is None:
        raise Rejected(f"{shown} is not {said}.")
    return value


def _signed(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True
