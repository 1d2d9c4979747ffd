"""Whether the hub sent a delivery.

`X-Hub-Signature: sha1=<hex>` is the HMAC of the raw body with the subscription's secret (PubSubHubbub 0.4 §8; YouTube's
hub signs with sha1). WebSub 1.0 §8 (https://www.w3.org/TR/websub/#recognized-algorithm-names) knows sha256, sha384
and sha512 too.

Both say that a delivery whose signature is wrong or missing is answered 2xx and ignored: any other answer is an outage
to a hub, which sends the same again and may end the subscription.
"""

from __future__ import annotations

import hmac
import re
from typing import Final

from tidings.contracts import Keys, WebhookRequest
from tidings.errors import Rejected

HEADER: Final = "x-hub-signature"
#: The status of what is taken from the hub, and thrown away.
IGNORED: Final = 202

_SIGNATURE: Final = re.compile(r"([A-Za-z0-9]{1,16})=([0-9A-Fa-f]{2,256})", re.ASCII)
_DIGITS: Final = {"sha1": 40, "sha256": 64, "sha384": 96, "sha512": 128}


def verify(request: WebhookRequest, keys: Keys) -> None:
    """Return if any of the keys signed exactly this body.

    Raises:
        Rejected: 401 where there is no key: nobody subscribed with this address. 202 where there is no signature, a
            malformed one or two, or one that no key made.
    """
    secrets = [secret for secret in keys.secrets if secret.strip()]
    if not secrets:
        raise Rejected(
            "No subscription was made with this address, so nothing can be verified. tidings makes one for each "
            "channel of a connected account."
        )
    header = request.headers.get(HEADER, "").strip()
    if not header:
        raise Rejected("The delivery has no X-Hub-Signature.", status=IGNORED)
    if "," in header:
        raise Rejected("X-Hub-Signature was sent more than once.", status=IGNORED)
    signature = _SIGNATURE.fullmatch(header)
    algorithm = signature[1].lower() if signature is not None else ""
    if signature is None or len(signature[2]) != _DIGITS.get(algorithm):
        raise Rejected(
            "X-Hub-Signature is not `sha1=` and 40 hexadecimal digits, nor one of sha256, sha384 and sha512.",
            status=IGNORED,
        )
    given = bytes.fromhex(signature[2])
    matches = False
    for secret in secrets:  # all of them, always: the time taken must not tell which one matched
        matches |= hmac.compare_digest(hmac.digest(secret, request.body, algorithm), given)
    if not matches:
        raise Rejected(
            "The signature does not match the body: it is of an older subscription, or not from the hub.",
            status=IGNORED,
        )
