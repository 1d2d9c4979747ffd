"""The token of a service account: a signed assertion brings one (RFC 7523).

developers.google.com/identity/protocols/oauth2/service-account (2026).
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

import msgspec

from tidings.contracts import Clock, Http
from tidings.errors import ConfigError, Rejected, Unavailable
from tidings.fields import as_object, one_line, raw

_SCOPE: Final = "https://www.googleapis.com/auth/pubsub"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFE_SECONDS: Final = 3600
_AHEAD_SECONDS: Final = 300.0


class Key(msgspec.Struct, frozen=True):
    """A key file as Google's console gives it out; the rest of it is not needed."""

    client_email: str
    private_key: str
    token_uri: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address

    def __repr__(self) -> str:
        return f"Key({self.client_email!r})"  # never the key


def read_key(written: str) -> Key:
    """The key in a key file.

    Raises:
        ConfigError: It is none.
    """
    try:
        return msgspec.json.decode(written, type=Key)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise ConfigError(
            "plugins.connectors.gmail.service_account_key: this is no key file of a service account. Give the JSON "
            "file that Google Cloud's console made: {file: /run/secrets/gmail.json}."
        ) from None


class ServiceAccount:
    """Has a token at hand.

    Args:
        key: Whose.
        http: Asks for it.
        clock: All time.
    """

    def __init__(self, key: Key, http: Http, clock: Clock) -> None:
        self._key = key
        self._http = http
        self._clock = clock
        self._token = ""
        self._until = 0.0

    async def token(self) -> str:
        """A token that holds for a while.

        Raises:
            Unavailable: Google gives none now.
            Rejected: Google refuses; the operator must mend something.
        """
        if self._token and self._clock.monotonic() < self._until:
            return self._token
        form = urlencode({"grant_type": _GRANT, "assertion": self._assertion()}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded"}
        answer = await self._http.send("POST", self._key.token_uri, headers=headers, body=form)
        if answer.status >= 500 or answer.status == 429:
            raise Unavailable(f"Google gives the service account no token: it answers {answer.status}.")
        said = as_object(answer.json())
        token, lives = raw(said, "access_token"), said.get("expires_in")
        if answer.status != 200 or not token:
            why = one_line(raw(said, "error_description") or raw(said, "error")) or str(answer.status)
            raise Rejected(f"Google refuses the service account's key: {why}", status=422)
        seconds = float(lives) if isinstance(lives, int | float) else float(_LIFE_SECONDS)
        self._token = token
        self._until = self._clock.monotonic() + max(0.0, seconds - _AHEAD_SECONDS)
        return token

    def forget(self) -> None:
        """Ask for another token the next time."""
        self._token = ""

    def _assertion(self) -> str:
        from joserfc import jwt  # noqa: PLC0415 - 10 MB that only installations with Pub/Sub need
        from joserfc.errors import JoseError  # noqa: PLC0415 - likewise
        from joserfc.jwk import RSAKey  # noqa: PLC0415 - likewise

        begins = int(self._clock.now().timestamp())
        claims = {
            "iss": self._key.client_email,
            "scope": _SCOPE,
            "aud": self._key.token_uri,
            "iat": begins,
            "exp": begins + _LIFE_SECONDS,
        }
        try:
            return jwt.encode({"alg": "RS256"}, claims, RSAKey.import_key(self._key.private_key))
        except (JoseError, ValueError, TypeError):
            raise Rejected(
                "plugins.connectors.gmail.service_account_key holds no usable private key.", status=422
            ) from None
