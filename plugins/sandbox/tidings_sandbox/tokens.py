"""Tokens that say themselves what they are, so that they outlive a restart of an emulator that keeps no files."""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from tidings_sandbox.people import Person

#: Stands in every secret that an emulator gives out. Whoever comes across one knows that it opens nothing real;
#: and a test that looks for it in all that tidings lets out knows that no secret has left.
MARK: Final = "sAnDbOx"

_MAC_BYTES = 12


class Token(msgspec.Struct, frozen=True, array_like=True):
    """What stands in a token.

    Attributes:
        kind: `a` for access, `r` for refresh.
        consent_id: The consent that it comes from.
        serial: Greater than that of every token before it.
        person: Whose account it opens.
        client_id: Which app it was given to.
        scopes: What it may.
        public: Whether the app consented with PKCE, and so may refresh without a secret.
        consented_at_seconds: When the person agreed, seconds since 1970.
        expires_at_seconds: When it ends, seconds since 1970; 0 for never.
    """

    kind: Literal["a", "r"]
    consent_id: int
    serial: int
    person: str
    client_id: str
    scopes: tuple[str, ...]
    public: bool
    consented_at_seconds: int
    expires_at_seconds: int

    def expired(self, now: datetime) -> bool:
        """Whether its own life is over."""
        return self.expires_at_seconds != 0 and now.timestamp() >= self.expires_at_seconds


class Access(msgspec.Struct, frozen=True):
    """What a living access token opens.

    Attributes:
        person: Whose account.
        client_id: For which app.
        scopes: What it may.
        token: All that stands in it.
    """

    person: Person
    client_id: str
    scopes: frozenset[str]
    token: Token


class Code(msgspec.Struct, frozen=True):
    """An authorization code that waits to be exchanged.

    Attributes:
        challenge: That of PKCE, "" for none.
        asked: The parameters of the authorization request, of which some platforms heed more than others.
    """

    client_id: str
    person: str
    scopes: tuple[str, ...]
    redirect_uri: str
    challenge: str
    expires_at: datetime
    asked: Mapping[str, str] = {}


class Consent(msgspec.Struct, kw_only=True):
    """What an authorization server remembers of one consent. Serials only grow, over restarts too.

    Attributes:
        dead_access: Access tokens up to this serial are dead.
        dead_refresh: Likewise.
        rotated_at: When the refresh token of this serial died by rotation; of the newest such one.
        last_answer: What was answered then, for a time of grace.
        known: The consent's access tokens that were issued or used in this run, oldest first.
        ended: Whether the person took it back.
    """

    id: int
    person: str
    client_id: str
    scopes: tuple[str, ...]
    public: bool
    consented_at: datetime
    dead_access: int = 0
    dead_refresh: int = 0
    rotated_at: dict[int, datetime] = {}
    last_answer: dict[str, Any] = {}
    known: deque[str] = msgspec.field(default_factory=deque)
    ended: bool = False

    @classmethod
    def of(cls, token: Token) -> Consent:
        """The consent of a token that an earlier run issued: what that run declared dead is forgotten."""
        return cls(
            id=token.consent_id,
            person=token.person,
            client_id=token.client_id,
            scopes=token.scopes,
            public=token.public,
            consented_at=datetime.fromtimestamp(token.consented_at_seconds, UTC),
        )


class Mint:
    """Makes tokens and reads them.

    The key follows from the seed alone, so that a restarted sandbox knows the tokens of the run before. They
    open nothing but invented accounts.

    Args:
        seed: The world's.
        platform: Its tokens are refused elsewhere.
    """

    def __init__(self, seed: int, platform: str) -> None:
        self._key = hashlib.sha256(f"tidings sandbox {seed} {platform}".encode()).digest()

    def make(self, token: Token, prefix: str) -> str:
        """The token as text."""
        packed = _encode(token)
        return prefix + MARK + urlsafe_b64encode(packed + self._mac(packed)).decode().rstrip("=")

    def read(self, text: str, prefix: str) -> Token | None:
        """What stands in a token; None where this mint never made it."""
        start = prefix + MARK
        if not text.startswith(start) or not text.isascii():
            return None
        try:
            raw = urlsafe_b64decode(text[len(start) :] + "==")
        except binascii.Error:
            return None
        packed, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(packed)):
            return None
        return _decode(packed)

    def secret(self, client_id: str) -> str:
        """The secret of an app."""
        return MARK + hmac.new(self._key, client_id.encode(), hashlib.sha256).hexdigest()[:33]

    def _mac(self, packed: bytes) -> bytes:
        return hmac.digest(self._key, packed, "sha256")[:_MAC_BYTES]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Token).decode
