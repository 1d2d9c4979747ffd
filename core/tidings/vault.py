"""Encryption of secrets at rest.

A sealed secret is the text `v1.KEYID.DATA`: the id of the key and, in base64url, a random 96-bit nonce with
the AES-256-GCM ciphertext. The place (table, column, row) and the key's id are bound in as associated data,
so that a sealed secret moved to another row does not open.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tidings.errors import TidingsError
from tidings.keys import VAULT_VARIABLE, KeyRing

_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_SEALED = re.compile(r"v1\.([A-Za-z0-9]{1,16})\.([A-Za-z0-9_-]+)", re.ASCII)


class VaultError(TidingsError):
    """A sealed secret can't be opened."""


class Vault:
    """Seals and opens secrets.

    Args:
        ring: The keys; the active one seals, all of them open.
    """

    def __init__(self, ring: KeyRing) -> None:
        self._active_id = ring.active_id
        self._ciphers = {key_id: AESGCM(key) for key_id, key in ring.keys.items()}

    def __repr__(self) -> str:
        return f"Vault(key_ids={list(self._ciphers)})"

    def seal(self, plaintext: bytes, *, table: str, column: str, row: str) -> str:
        """Encrypt `plaintext` for this place alone."""
        nonce = os.urandom(_NONCE_BYTES)
        place = _place(self._active_id, table, column, row)
        data = nonce + self._ciphers[self._active_id].encrypt(nonce, plaintext, place)
        return f"v1.{self._active_id}.{base64.urlsafe_b64encode(data).decode().rstrip('=')}"

    def open(self, sealed: str, *, table: str, column: str, row: str) -> bytes:
        """Decrypt what `seal` made for the same place.

        Raises:
            VaultError: It is no sealed secret, was sealed with a key that is not there, or belongs elsewhere.
        """
        where = f"The secret in {table}.{column}, row {row}"
        match = _SEALED.fullmatch(sealed)
        if match is None:
            raise VaultError(f"{where}, is not a sealed secret. Restore the database from a backup.")
        key_id = match[1]
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise VaultError(
                f"{where}, was sealed with the key {key_id}, which is not in the vault's key file (it has "
                f"{', '.join(self._ciphers)}). Put that key's line back, or set {VAULT_VARIABLE}."
            )
        data = _decode(match[2])
        try:
            return cipher.decrypt(
                data[:_NONCE_BYTES], data[_NONCE_BYTES:], _place(key_id, table, column, row)
            )
        except (InvalidTag, ValueError):
            # From None: the reason is in the text, and a cipher's frames have nothing to add.
            raise VaultError(
                f"{where}, was changed, or was moved there from another row. Make the secret anew, or "
                "restore the database from a backup."
            ) from None


def _place(key_id: str, table: str, column: str, row: str) -> bytes:
    return json.dumps(["tidings", "v1", key_id, table, column, row]).encode()


def _decode(text: str) -> bytes:
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return b""
    return data if len(data) >= _NONCE_BYTES + _TAG_BYTES else b""
