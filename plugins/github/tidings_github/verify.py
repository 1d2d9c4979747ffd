"""Whether GitHub sent a request.

GitHub signs the raw body with HMAC-SHA256 and sends `X-Hub-Signature-256: sha256=<64 lower-case hex>`
(https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries). The older SHA-1 header
is never looked at.
"""

from __future__ import annotations

import hmac
import re
from typing import Final

from tidings.contracts import Keys, WebhookRequest
from tidings.errors import Rejected

HEADER: Final = "x-hub-signature-256"

_SIGNATURE = re.compile(r"sha256=[0-9a-f]{64}", re.ASCII)


def verify(request: WebhookRequest, keys: Keys) -> None:
    """Return if any of the keys signed exactly this body.

    Raises:
        Rejected: 401. No usable key; no signature, a malformed one or two; one that no key made.
    """
    secrets = [secret for secret in keys.secrets if secret.strip()]
    if not secrets:
        raise Rejected(
            "No webhook secret is set for this address, so nothing can be verified. Make one with "
            "`tidings webhook add github USER`, or set plugins.connectors.github.webhook_secret."
        )
    signature = request.headers.get(HEADER)
    if not signature:
        raise Rejected("The request has no X-Hub-Signature-256. Set a secret on the webhook at GitHub.")
    if "," in signature:
        raise Rejected("X-Hub-Signature-256 was sent more than once.")
    if _SIGNATURE.fullmatch(signature) is None:
        raise Rejected("X-Hub-Signature-256 is not `sha256=` and 64 lower-case hexadecimal digits.")
    given = bytes.fromhex(signature[7:])
    matches = False
    for secret in secrets:  # all of them, always: the time taken must not tell which one matched
        matches |= hmac.compare_digest(hmac.digest(secret, request.body, "sha256"), given)
    if not matches:
        raise Rejected(
            "The signature does not match the body. The webhook's secret at GitHub is not the one that "
            "tidings knows, or something on the way changed the body."
        )
