"""VAPID (RFC 8292): by which key a push service knows this installation, and whom it can write to about it."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tidings_transports.webpush.encoding import encode
from tidings_transports.webpush.encryption import public_bytes

# The order of P-256 (SEC 2, §2.4.2): private keys are the numbers from 1 to this, exclusive.
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_HALF_BYTES: Final = 32
_LIFE_SECONDS: Final = 12 * 3600  # push services take at most 24 hours (RFC 8292 §2)
_RENEW_SECONDS: Final = 6 * 3600
_MOST_ORIGINS: Final = 1000
_MAIL = re.compile(r"mailto:[^@\s?]+@([^@\s?]+)", re.IGNORECASE)
_DOMAIN = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])", re.IGNORECASE
)
# Apple answers 403 BadJwtToken where nobody can be written to.
_NO_DOMAINS = re.compile(r".*\.(localhost|local|internal|invalid|test|home\.arpa)", re.IGNORECASE)


def check_subject(text: str) -> str:
    """A subject that push services accept: `mailto:` or `https:`, with a domain that can be real.

    Raises:
        ValueError: It isn't one.
    """
    match = _MAIL.fullmatch(text)
    domain = match[1] if match else ""
    if not match:
        try:
            parts = urlsplit(text)
            if parts.scheme == "https" and "@" not in parts.netloc:
                domain = parts.hostname or ""
        except ValueError:
            pass  # said below
    if not _DOMAIN.fullmatch(domain) or _NO_DOMAINS.fullmatch(domain):
        raise ValueError(
            f"{text[:80]!r} is no address that a push service can write to. Write mailto:you@your-domain.org or "
            "https://your-domain.org, with a real domain: Apple refuses all others."
        )
    return text


@dataclasses.dataclass(frozen=True, slots=True)
class _Signed:
    token: str
    renew_at: float  # seconds since 1970


class VapidKey:
    """One key pair of this installation, on P-256.

    Args:
        secret: 32 random bytes, from which the private key is made.
    """

    def __init__(self, secret: bytes) -> None:
        # Every 32 bytes must do. Few are beyond the order (one in 2³²), so that hardly any key is likelier.
        number = int.from_bytes(secret) % (_ORDER - 1) + 1
        self._private = ec.derive_private_key(number, ec.SECP256R1())
        #: As browsers want it for `applicationServerKey`: base64url of an uncompressed point.
        self.public = encode(public_bytes(self._private.public_key()))
        self._signed: dict[tuple[str, str], _Signed] = {}

    def authorization(self, origin: str, subject: str, now: datetime) -> str:
        """The `Authorization` header for requests to a push service; signed anew every six hours.

        Args:
            origin: Of the endpoint: `https://fcm.googleapis.com`.
            subject: Whom its operator can write to: `mailto:` or `https:`.
            now: The present instant.
        """
        seconds = now.timestamp()
        known = self._signed.get((origin, subject))
        if known is None or not known.renew_at - _RENEW_SECONDS <= seconds < known.renew_at:
            if len(self._signed) >= _MOST_ORIGINS:
                self._signed.clear()
            claims = {"aud": origin, "exp": int(seconds) + _LIFE_SECONDS, "sub": subject}
            known = _Signed(self._sign(claims), seconds + _RENEW_SECONDS)
            self._signed[origin, subject] = known
        return f"vapid t={known.token}, k={self.public}"

    def forget(self) -> None:
        """Sign anew next time: a push service has refused what was signed."""
        self._signed.clear()

    def _sign(self, claims: Mapping[str, object]) -> str:
        head = encode(b'{"typ":"JWT","alg":"ES256"}')
        text = f"{head}.{encode(json.dumps(claims, separators=(',', ':')).encode())}"
        # A JWT has both numbers in 32 bytes each (RFC 7518 §3.4), and not in DER.
        r, s = decode_dss_signature(self._private.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{encode(r.to_bytes(_HALF_BYTES) + s.to_bytes(_HALF_BYTES))}"
