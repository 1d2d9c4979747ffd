"""What proves to a NATS server who connects: the JWT and the Ed25519 seed of a `.creds` file (NATS ADR-14)."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tidings.errors import ConfigError

_JWT: Final = re.compile(r"-+BEGIN NATS USER JWT-+\s+(\S+)\s+-+END NATS USER JWT-+")
_SEED: Final = re.compile(r"-+BEGIN USER NKEY SEED-+\s+(\S+)\s+-+END USER NKEY SEED-+")
_CHECKSUM_BYTES: Final = 2  # CRC-16/XMODEM, of the two bytes that say what it is and the 32 of the seed


@dataclasses.dataclass(frozen=True, slots=True)
class Credentials:
    """A user of a NATS server that trusts JWTs.

    Attributes:
        jwt: As the server's operator signed it.
    """

    jwt: str
    _key: Ed25519PrivateKey = dataclasses.field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a `.creds` file.

        Raises:
            ConfigError: It is none.
        """
        jwt, seed = _JWT.search(text), _SEED.search(text)
        if jwt is None or seed is None:
            raise ConfigError(
                "plugins.bus.nats.credentials: this is not the content of a .creds file, with a user's JWT and "
                "seed. `nsc generate creds` writes one; name it as {file: nats.creds}."
            )
        return cls(jwt[1], _key(seed[1]))

    def sign(self, nonce: str) -> bytes:
        """The signature of a server's nonce, in base64."""
        return base64.b64encode(self._key.sign(nonce.encode()))


def _key(seed: str) -> Ed25519PrivateKey:
    try:
        raw = base64.b32decode(seed + "=" * (-len(seed) % 8))
    except binascii.Error:
        raw = b""
    body, checksum = raw[:-_CHECKSUM_BYTES], raw[-_CHECKSUM_BYTES:]
    good = seed.startswith("SU") and len(body) == 34
    if not good or binascii.crc_hqx(body, 0).to_bytes(2, "little") != checksum:
        raise ConfigError(
            "plugins.bus.nats.credentials: its seed is not that of a user, or was damaged. A user's begins with SU; "
            "copy the file once more."
        )
    return Ed25519PrivateKey.from_private_bytes(body[2:])
