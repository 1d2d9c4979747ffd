"""Which key a JWT of the embedding application must be signed with: a secret, a public key, or one of a published set.

Never what the token itself brings or names (`jwk`, `jku`, `x5u`), and always for the configured algorithm alone.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from tidings.config import Jwt
from tidings.errors import Denied
from tidings.keysets import KeySets

if TYPE_CHECKING:
    from joserfc.jwk import OctKey, RSAKey

LEAST_BITS: Final = 2048  # RFC 7518, section 3.3
_UNKNOWN: Final = "The JWT is signed with a key that is not published at auth.jwt.jwks_url of config.yaml."


class SigningKeys(Protocol):
    """Finds the key for a token."""

    async def key_for(self, token: str) -> OctKey | RSAKey:
        """The key that the token must be signed with; nothing about the token is verified yet.

        Raises:
            Denied: There is none for it.
            Unavailable: The keys can't be read now.
        """


class OneKey:
    """The same for every token.

    Args:
        key: A secret, or a public key.
    """

    def __init__(self, key: OctKey | RSAKey) -> None:
        self._key = key

    async def key_for(self, _token: str) -> OctKey | RSAKey:
        """See `SigningKeys.key_for`."""
        return self._key


class PublishedKeys:
    """Those that an issuer publishes, found by the token's `kid`; read anew, once a minute at most, for an unknown one.

    Args:
        key_sets: Keeps the set at hand.
        url: Where it is published.
    """

    def __init__(self, key_sets: KeySets, url: str) -> None:
        self._key_sets = key_sets
        self._url = url
        self._set: Mapping[str, Any] = {}
        self._keys: list[tuple[object, RSAKey]] = []  # of that set, each with its id

    async def key_for(self, token: str) -> OctKey | RSAKey:
        """See `SigningKeys.key_for`."""
        kid = _kid_of(token)
        key = self._find(kid, await self._key_sets.get(self._url))
        if key is None:
            key = self._find(kid, await self._key_sets.renew(self._url))
        if key is None:
            raise Denied(_UNKNOWN)
        return key

    def _find(self, kid: str | None, key_set: Mapping[str, Any]) -> RSAKey | None:
        if key_set is not self._set:
            self._set, self._keys = key_set, list(_usable(key_set))
        if kid is None:
            # A set of one key needs no names.
            return self._keys[0][1] if len(self._keys) == 1 else None
        return next((key for name, key in self._keys if name == kid), None)


def signing_keys(rules: Jwt, key_sets: KeySets) -> SigningKeys:
    """The keys that `auth.jwt` of the configuration names."""
    from joserfc.jwk import OctKey, RSAKey  # noqa: PLC0415 - 10 MB that most installations never need

    if rules.jwks_url is not None:
        return PublishedKeys(key_sets, rules.jwks_url)
    if rules.public_key is not None:
        return OneKey(RSAKey.import_key(rules.public_key))
    assert rules.secret is not None, "the configuration demands one of them"
    return OneKey(OctKey.import_key(rules.secret.get_secret_value()))


def _kid_of(token: str) -> str | None:
    """The key that the token says it is signed with, or None where it doesn't say."""
    encoded = token.partition(".")[0]
    try:
        header = msgspec.json.decode(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (binascii.Error, ValueError, RecursionError):  # a DecodeError is a ValueError
        header = None
    if not isinstance(header, dict):
        raise Denied("This is neither an API token nor a JWT that is valid here.")
    kid = header.get("kid")
    if kid is None:
        return None
    if not isinstance(kid, str):
        raise Denied(_UNKNOWN)
    return kid


def _usable(key_set: Mapping[str, Any]) -> Iterator[tuple[object, RSAKey]]:
    """The keys of a set that may sign tokens, each with its id. What a set has besides is for others."""
    from joserfc.errors import JoseError  # noqa: PLC0415 - loaded by `signing_keys` already
    from joserfc.jwk import RSAKey  # noqa: PLC0415 - likewise

    for published in key_set.get("keys", ()):
        if not isinstance(published, dict) or published.get("kty") != "RSA":
            continue
        if published.get("use", "sig") != "sig" or published.get("alg", "RS256") != "RS256":
            continue
        try:
            if int.from_bytes(_bytes(published["n"]), "big").bit_length() < LEAST_BITS:
                continue
            key = RSAKey.import_key({"kty": "RSA", "n": published["n"], "e": published["e"]})
        except (JoseError, binascii.Error, ValueError, TypeError, KeyError, OverflowError):
            continue
        yield published.get("kid"), key


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
