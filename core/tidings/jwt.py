"""JWTs signed by an application that embeds tidings.

The algorithm is the configured one whatever the token's header says; issuer, audience, subject and expiry
must be there. joserfc is imported only where JWTs are configured.
"""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from tidings.config import Jwt
from tidings.errors import Denied
from tidings.jwtkeys import signing_keys
from tidings.keysets import KeySets

if TYPE_CHECKING:
    from joserfc.errors import ClaimError

_LEEWAY_SECONDS = 30  # clocks differ: for `nbf` and `iat`; `exp` is exact, streams end by it
_LONGEST_TOKEN_BYTES = 8_192
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DEFAULT_SCOPE: Final = "read"
_EXPIRED: Final = "The JWT has expired. Ask for a new one."
# The signature was good, so whoever asks may know what is wrong; but never what a claim holds.
_NOT_ACCEPTABLE: Final = {
    "aud": "The JWT is for another audience: its 'aud' is not auth.jwt.audience of config.yaml.",
    "iss": "The JWT is from another issuer: its 'iss' is not auth.jwt.issuer of config.yaml.",
    "nbf": "The JWT is not valid yet: its 'nbf' is in the future, or no time. Compare the clocks.",
    "iat": "The JWT is not valid yet: its 'iat' is in the future, or no time. Compare the clocks.",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says: `sub` (a user's id or name), `scope` (`read` where it has none) and `exp`."""

    subject: str
    scopes: frozenset[str]
    expires_at: datetime


class JwtVerifier:
    """Verifies tokens.

    Args:
        rules: `auth.jwt` of the configuration.
        key_sets: Keeps published keys at hand.
    """

    def __init__(self, rules: Jwt, key_sets: KeySets) -> None:
        self._rules = rules
        self._keys = signing_keys(rules, key_sets)

    async def verify(self, token: str, now: datetime) -> Claims:
        """What the token says, if it is one.

        Raises:
            Denied: It is not signed by the application, not for us, not yet or no longer valid. Says which claim is
                at fault and why, never what the token holds.
            Unavailable: The application's keys can't be read now.
        """
        from joserfc import jwt  # noqa: PLC0415 - 10 MB that most installations never need
        from joserfc.errors import ClaimError, JoseError  # noqa: PLC0415 - likewise

        if len(token) > _LONGEST_TOKEN_BYTES:
            raise Denied(f"The JWT is longer than {_LONGEST_TOKEN_BYTES} bytes. Send a shorter one.")
        key = await self._keys.key_for(token)
        try:
            claims = jwt.decode(token, key, algorithms=[self._rules.algorithm]).claims
            jwt.JWTClaimsRegistry(
                now=int(now.timestamp()),
                leeway=_LEEWAY_SECONDS,
                iss={"essential": True, "value": self._rules.issuer},
                aud={"essential": True, "value": self._rules.audience},
                sub={"essential": True},
                exp={"essential": True},
            ).validate(claims)
            return self._claims(claims, now)
        except ClaimError as error:
            raise Denied(_refusal(error)) from None
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
            # Anybody may send anything here. From None: a token has no place in a traceback.
            raise Denied("This is neither an API token nor a JWT that is valid here.") from None

    def _claims(self, claims: dict[str, Any], now: datetime) -> Claims:
        expires_at = _EPOCH + timedelta(seconds=claims["exp"])
        if expires_at <= now:
            raise Denied(_EXPIRED)
        scope = claims.get("scope", _DEFAULT_SCOPE)
        if not isinstance(scope, str):
            raise Denied("The JWT's claim 'scope' is not a text of words with spaces between them.")
        return Claims(claims["sub"], frozenset(scope.split()), expires_at)


def _refusal(error: ClaimError) -> str:
    """What is wrong with a claim, by the library's own word for it."""
    if error.error == "expired_token":
        return _EXPIRED
    if error.error == "missing_claim":
        return f"The JWT lacks a claim: {error.claim}. Ask for a new one."
    return _NOT_ACCEPTABLE.get(
        error.claim, f"The JWT's claim {error.claim!r} is not acceptable. Ask for a new one."
    )
