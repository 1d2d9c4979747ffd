"""JWTs signed by an application that embeds tidings.

The algorithm is the configured one whatever the token's header says; issuer, audience, subject and expiry
must be there. joserfc is imported only where JWTs are configured.
"""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tidings.config import Jwt
from tidings.errors import Denied

_LEEWAY_SECONDS = 30  # clocks differ: for `nbf` and `iat`; `exp` is exact, streams end by it
_LONGEST_TOKEN_BYTES = 8_192
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DEFAULT_SCOPE: Final = "read"


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
    """

    def __init__(self, rules: Jwt) -> None:
        from joserfc.jwk import OctKey  # noqa: PLC0415 - 10 MB that most installations never need

        self._rules = rules
        self._key = OctKey.import_key(rules.secret.get_secret_value())

    def verify(self, token: str, now: datetime) -> Claims:
        """What the token says, if it is one.

        Raises:
            Denied: It is not signed by us, not for us, not yet or no longer valid. Never says more than which
                claim is at fault.
        """
        from joserfc import jwt  # noqa: PLC0415 - loaded by __init__ already
        from joserfc.errors import ClaimError, JoseError  # noqa: PLC0415 - likewise

        if len(token) > _LONGEST_TOKEN_BYTES:
            raise Denied(f"The JWT is longer than {_LONGEST_TOKEN_BYTES} bytes. Send a shorter one.")
        try:
            claims = jwt.decode(token, self._key, algorithms=[self._rules.algorithm]).claims
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
            raise Denied(
                f"The JWT's claim {error.claim!r} is missing or not acceptable. Ask for a new one."
            ) from None
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
            # Anybody may send anything here. From None: a token has no place in a traceback.
            raise Denied("This is neither an API token nor a JWT that is valid here.") from None

    def _claims(self, claims: dict[str, Any], now: datetime) -> Claims:
        expires_at = _EPOCH + timedelta(seconds=claims["exp"])
        if expires_at <= now:
            raise Denied("The JWT has expired. Ask for a new one.")
        scope = claims.get("scope", _DEFAULT_SCOPE)
        if not isinstance(scope, str):
            raise Denied("The JWT's claim 'scope' is not a text of words with spaces between them.")
        return Claims(claims["sub"], frozenset(scope.split()), expires_at)
