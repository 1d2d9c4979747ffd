"""The keys with which Google signs OpenID Connect tokens, and their publication.

https://www.googleapis.com/oauth2/v3/certs and cloud.google.com/pubsub/docs/authenticate-push-subscriptions (2026).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:  # at run time it is imported when first something is signed: 10 MB that few need
    from joserfc.jwk import RSAKey

ISSUER: Final = "https://accounts.google.com"
_LIFE_SECONDS: Final = 3600
# A token is used for many messages, and replaced long before it ends.
_REUSED_SECONDS: Final = 1800


class SigningKeys:
    """Makes tokens that the published keys verify: RS256, with a `kid`.

    Args:
        now: Google's clock.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._keys: list[RSAKey] = []
        self._reused: dict[tuple[str, str], tuple[str, float]] = {}

    @cached_property
    def _number(self) -> int:
        return 100_000_000_000_000_000_000 + secrets.randbelow(10**20)

    def jwks(self) -> Mapping[str, Any]:
        """The published set (RFC 7517): the key that signs now, and those before it that are still shown."""
        self._key()
        return {"keys": [key.as_dict(private=False) for key in self._keys]}

    def rotate(self, *, keep_old: bool = True) -> None:
        """Sign with a new key from now on; the old one is still published, or no longer."""
        from joserfc.jwk import RSAKey  # noqa: PLC0415 - see above

        if not keep_old:
            self._keys.clear()
        kid = secrets.token_hex(20)
        self._keys.append(RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"}))
        self._reused.clear()

    def sign(self, claims: Mapping[str, Any]) -> str:
        """A token with just these claims."""
        from joserfc import jwt  # noqa: PLC0415 - see above

        key = self._key()
        return jwt.encode({"alg": "RS256", "kid": key.kid, "typ": "JWT"}, dict(claims), key)

    def service_token(self, email: str, audience: str) -> str:
        """The token of a service account for an audience, as Pub/Sub sends it with pushes."""
        seconds = int(self._now().timestamp())
        token, issued = self._reused.get((email, audience), ("", 0.0))
        if token and 0 <= seconds - issued < _REUSED_SECONDS:
            return token
        token = self.sign(self.service_claims(email, audience))
        self._reused[email, audience] = token, seconds
        return token

    def service_claims(self, email: str, audience: str) -> dict[str, Any]:
        """What stands in such a token."""
        seconds, number = int(self._now().timestamp()), str(self._number)
        return {
            "aud": audience,
            "azp": number,
            "email": email,
            "email_verified": True,
            "exp": seconds + _LIFE_SECONDS,
            "iat": seconds,
            "iss": ISSUER,
            "sub": number,
        }

    def _key(self) -> RSAKey:
        if not self._keys:
            self.rotate()
        return self._keys[-1]
