"""The service account that an installation uses itself, and its tokens: a signed assertion brings one (RFC 7523).

https://developers.google.com/identity/protocols/oauth2/service-account (2026).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from tidings_sandbox.tokens import MARK
from tidings_sandbox.wire import Answer, Call, json_answer

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

PROJECT: Final = "tidings-sandbox"
SERVICE_ACCOUNT: Final = f"tidings@{PROJECT}.iam.gserviceaccount.example"
JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"

_LIFE_SECONDS: Final = 3600
_SKEW_SECONDS: Final = 300
_EXPONENT: Final = 65_537
# Everybody may know the key of this account: it opens nothing but invented mailboxes.
_P: Final = int(
    "d029c4f743c9048bf90d1ca9fe2d7b915f1c2927e402e2fc75ca6114c22bd147"
    "e3ce008fa20560dc98f4315f32e581e87ffb2928dda456a2704cd963e6cff3d3"
    "4ee69946324d4eaaa1dc8b222c1b7306313f611538a77cf0136489a84ee61ba6"
    "9787cb3ff82c3b5a83f506a6a0f7b435c27be5b32928c7b3ae2ad71acf0ac47b",
    16,
)
_Q: Final = int(
    "e1756ebe8a3d62441ac37d6e2cacd68f00402696bf9251175e814ebca6dce016"
    "c45b752f946c1d53d33e634a7fa12e13aef5da805fdba66ca59b0c16acc0fa2e"
    "2c053417b4976cc31f33c2a96addcd5cdde651e25c703c06d77c4148b60473ba"
    "ffd2b86c6c1cec60bbf8d446a1dbe79e9208a3cc0c3a376a8a0aeee13ac187e9",
    16,
)


def service_account_key(token_url: str) -> Mapping[str, str]:
    """The key file of the service account, as Google's console gives it out; the same in every world.

    Args:
        token_url: Where a token is had for it.
    """
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - few need it
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    pem = _key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "0" * 40,
        "private_key": pem.decode(),
        "client_email": SERVICE_ACCOUNT,
        "client_id": "1" * 21,
        "token_uri": token_url,
    }


class ServiceAccounts:
    """Gives the service account tokens, and knows them again.

    Args:
        now: Google's clock.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._tokens: dict[str, tuple[frozenset[str], float]] = {}

    def exchange(self, assertion: str) -> Answer:
        """The token endpoint's answer to an assertion."""
        claims = self._claims(assertion)
        if claims is None:
            return _refused("Invalid JWT Signature.")
        issued, ends = claims.get("iat"), claims.get("exp")
        now = self._now().timestamp()
        if (
            not isinstance(issued, int)
            or not isinstance(ends, int)
            or not issued - _SKEW_SECONDS <= now < ends <= issued + _LIFE_SECONDS
        ):
            return _refused(
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
            )
        if claims.get("iss") != SERVICE_ACCOUNT or not str(claims.get("aud")).endswith("/token"):
            return _refused("Invalid JWT: Failed audience check.")
        token = f"ya29.c.{MARK}{secrets.token_urlsafe(40)}"
        self._tokens = {text: kept for text, kept in self._tokens.items() if kept[1] > now}
        self._tokens[token] = frozenset(str(claims.get("scope")).split()), now + _LIFE_SECONDS
        return json_answer(
            {"access_token": token, "expires_in": _LIFE_SECONDS - 1, "token_type": "Bearer"},
            headers=[(b"cache-control", b"no-store")],
        )

    def scopes(self, call: Call) -> frozenset[str] | None:
        """What the request's token may; None without a living one."""
        scheme, _, text = call.header(b"authorization").partition(" ")
        scopes, ends = self._tokens.get(text if scheme == "Bearer" else "", (None, 0.0))
        return scopes if self._now().timestamp() < ends else None

    def expire(self) -> None:
        """Let all tokens end now."""
        self._tokens.clear()

    def _claims(self, assertion: str) -> Mapping[str, Any] | None:
        from joserfc import jwt  # noqa: PLC0415 - 10 MB that few need
        from joserfc.errors import JoseError  # noqa: PLC0415 - likewise
        from joserfc.jwk import RSAKey  # noqa: PLC0415 - likewise

        try:
            return jwt.decode(assertion, RSAKey.import_key(_key().public_key()), algorithms=["RS256"]).claims
        except (JoseError, ValueError):
            return None


def _refused(description: str) -> Answer:
    return json_answer({"error": "invalid_grant", "error_description": description}, 400)


@cache
def _key() -> RSAPrivateKey:
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415 - few need it

    d = pow(_EXPONENT, -1, (_P - 1) * (_Q - 1))
    return rsa.RSAPrivateNumbers(
        _P,
        _Q,
        d,
        rsa.rsa_crt_dmp1(d, _P),
        rsa.rsa_crt_dmq1(d, _Q),
        rsa.rsa_crt_iqmp(_P, _Q),
        rsa.RSAPublicNumbers(_EXPONENT, _P * _Q),
    ).private_key()
