"""Whether Google sent a notification.

Google signs nothing: it repeats the `token` that a channel was made with in `X-Goog-Channel-Token`, beside the
channel's id (developers.google.com/workspace/calendar/api/guides/push, 2026). So a channel's token is an HMAC-SHA256
of its id, keyed with the secret of the registration at whose address it delivers: it holds for that channel alone, and
nothing but the secret must be kept.
"""

from __future__ import annotations

import hmac
import re
from typing import Final

from tidings.contracts import Keys, WebhookRequest
from tidings.errors import Rejected

CHANNEL: Final = "x-goog-channel-id"
TOKEN: Final = "x-goog-channel-token"  # noqa: S105 - a header's name

#: What a channel's id may be made of (discovery document of calendar v3, `Channel.id`: at most 64 characters).
CHANNEL_ID: Final = re.compile(r"[A-Za-z0-9_+/=-]{1,64}")
_TOKEN = re.compile(r"[0-9a-f]{64}")


def channel_token(secret: bytes, channel_id: str) -> str:
    """The token of a channel: 64 hexadecimal digits; Google allows 256 characters."""
    return hmac.digest(secret, b"gcal:" + channel_id.encode("utf-8", "replace"), "sha256").hex()


def verify(request: WebhookRequest, keys: Keys) -> None:
    """Return if the token belongs to the channel by any of the keys.

    Raises:
        Rejected: 401. No usable key; no channel or no token, a malformed one or two; one that no key made.
    """
    secrets = [secret for secret in keys.secrets if secret.strip()]
    if not secrets:
        raise Rejected("There is no secret for this address, so nothing can be verified.")
    channel = request.headers.get(CHANNEL, "")
    if CHANNEL_ID.fullmatch(channel) is None:
        raise Rejected("The request has no usable X-Goog-Channel-ID: Google Calendar did not send it.")
    given = request.headers.get(TOKEN, "")
    if _TOKEN.fullmatch(given) is None:
        raise Rejected("The request has no X-Goog-Channel-Token that tidings would have given to a channel.")
    matches = False
    for secret in secrets:  # all of them, always: the time taken must not tell which one matched
        matches |= hmac.compare_digest(channel_token(secret, channel), given)
    if not matches:
        raise Rejected("X-Goog-Channel-Token is not that of this channel at this address.")
