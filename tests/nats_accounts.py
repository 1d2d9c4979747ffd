"""Accounts of a NATS server that trusts JWTs (NATS ADR-14), and a `.creds` file for a user of one."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PREFIXES = {"operator": 14 << 3, "account": 0, "user": 20 << 3}
UNLIMITED = {"subs": -1, "data": -1, "payload": -1}


class Nkey:
    """A key pair as NATS writes it."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.key = Ed25519PrivateKey.generate()
        self.public = _text(bytes([PREFIXES[kind]]) + self.key.public_key().public_bytes_raw())

    @property
    def seed(self) -> str:
        prefix = PREFIXES[self.kind]
        head = bytes([18 << 3 | prefix >> 5, (prefix & 31) << 3])
        return _text(head + self.key.private_bytes_raw())

    def sign(self, subject: Nkey, **claims: Any) -> str:
        header = {"typ": "JWT", "alg": "ed25519-nkey"}
        body = {
            "jti": "test",
            "iat": 1_700_000_000,
            "iss": self.public,
            "name": subject.kind,
            "sub": subject.public,
            "nats": {"type": subject.kind, "version": 2, **claims},
        }
        signed = ".".join(_base64(json.dumps(part).encode()) for part in (header, body))
        return f"{signed}.{_base64(self.key.sign(signed.encode()))}"


def accounts() -> tuple[str, str]:
    """The part of a server's configuration that trusts an operator, and a user's credentials."""
    operator, account, user = Nkey("operator"), Nkey("account"), Nkey("user")
    limits = {**UNLIMITED, "imports": -1, "exports": -1, "wildcards": True, "conn": -1, "leaf": -1}
    account_jwt = operator.sign(account, limits=limits)
    user_jwt = account.sign(user, **UNLIMITED, pub={}, sub={})
    config = (
        f"operator: {operator.sign(operator)}\n"
        f"resolver: MEMORY\nresolver_preload: {{ {account.public}: {account_jwt} }}\n"
    )
    credentials = (
        f"-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
    )
    return config, credentials


def _text(body: bytes) -> str:
    return base64.b32encode(body + binascii.crc_hqx(body, 0).to_bytes(2, "little")).decode().rstrip("=")


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
