"""Whether Slack sent a request.

Slack signs `v0:{timestamp}:{raw body}` with HMAC-SHA256 by the app's signing secret and sends `X-Slack-Signature:
v0=<64 lower-case hex>` beside `X-Slack-Request-Timestamp` in seconds since 1970; what is more than five minutes off is
a replay (https://docs.slack.dev/authentication/verifying-requests-from-slack). The older `token` in the body is never
looked at.
"""

from __future__ import annotations

import hmac
import re
from datetime import datetime
from typing import Final

from tidings.contracts import Keys, WebhookRequest
from tidings.errors import Rejected

SIGNATURE: Final = "x-slack-signature"
TIMESTAMP: Final = "x-slack-request-timestamp"

_LONGEST_SECONDS: Final = 300
_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}", re.ASCII)
_TIMESTAMP = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)


def verify(request: WebhookRequest, keys: Keys, now: datetime) -> None:
    """Return if any of the keys signed exactly this body at about this time.

    Raises:
        Rejected: 401. No usable key; no signature or timestamp, a malformed one or two; too old or from the future;
            one that no key made.
    """
    secrets = [secret for secret in keys.secrets if secret.strip()]
    if not secrets:
        raise Rejected(
            "No signing secret is set, so nothing can be verified. Copy it from the Slack app's Basic Information "
            "into plugins.connectors.slack.signing_secret."
        )
    signature = request.headers.get(SIGNATURE, "")
    if _SIGNATURE.fullmatch(signature) is None:
        raise Rejected("X-Slack-Signature is missing, or not `v0=` and 64 lower-case hexadecimal digits.")
    timestamp = request.headers.get(TIMESTAMP, "")
    if _TIMESTAMP.fullmatch(timestamp) is None:
        raise Rejected("X-Slack-Request-Timestamp is missing, or not one instant in seconds.")
    off_seconds = now.timestamp() - int(timestamp)
    if abs(off_seconds) > _LONGEST_SECONDS:
        raise Rejected(
            f"The request was signed {abs(off_seconds):.0f} seconds {'ago' if off_seconds > 0 else 'in the future'}, "
            "and five minutes are the most. If that was just now, this machine's clock is wrong."
        )
    signed = b"v0:" + timestamp.encode() + b":" + request.body
    given = bytes.fromhex(signature[3:])
    matches = False
    for secret in secrets:  # all of them, always: the time taken must not tell which one matched
        matches |= hmac.compare_digest(hmac.digest(secret, signed, "sha256"), given)
    if not matches:
        raise Rejected(
            "The signature does not match. The signing secret in config.yaml is not this Slack app's, or something on "
            "the way changed the body."
        )


def sign(secret: bytes, timestamp: int, body: bytes) -> str:
    """The signature of a body, as Slack makes it."""
    return f"v0={hmac.digest(secret, b'v0:%d:%b' % (timestamp, body), 'sha256').hex()}"
