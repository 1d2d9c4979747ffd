"""A GitHub App's own proof: a JSON Web Token that its private key signs.

RS256, issued a minute ago because clocks differ, good for less than the ten minutes that GitHub allows at most
(https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app).
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tidings.errors import Rejected
from tidings.event import encode_json

_ISSUED_AGO_SECONDS: Final = 60
_LIFE_SECONDS: Final = 540


class AppKey:
    """Signs for one GitHub App.

    Args:
        issuer: The App's id; Enterprise Servers know no other issuer.
        pem: Its private key.
    """

    def __init__(self, issuer: str, pem: str) -> None:
        self._issuer = issuer
        self._pem = pem
        self._key: RSAPrivateKey | None = None

    def __repr__(self) -> str:
        return f"AppKey({self._issuer!r})"  # never the key

    def token(self, now: datetime) -> str:
        """A token for calls in the next minutes.

        Raises:
            Rejected: The private key is none.
        """
        at = int(now.timestamp())
        claims = {"iat": at - _ISSUED_AGO_SECONDS, "exp": at + _LIFE_SECONDS, "iss": self._issuer}
        signed = f"{_part({'alg': 'RS256', 'typ': 'JWT'})}.{_part(claims)}"
        return f"{signed}.{_encoded(self._opened().sign(signed.encode(), PKCS1v15(), SHA256()))}"

    def _opened(self) -> RSAPrivateKey:
        if self._key is None:
            try:
                key = load_pem_private_key(self._pem.encode(), None)
            except (ValueError, TypeError):  # what it says may quote the key
                key = None
            if not isinstance(key, RSAPrivateKey):
                raise Rejected(
                    "The GitHub App's private key is no RSA key in PEM. Make a new one on the App's page, and set "
                    "plugins.connectors.github.app.private_key to what the file holds.",
                    status=401,
                )
            self._key = key
        return self._key


def _part(value: object) -> str:
    return _encoded(encode_json(value))


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
