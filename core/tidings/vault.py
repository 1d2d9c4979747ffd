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
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tidings.errors import ConfigError, TidingsError
from tidings.keys import VAULT_VARIABLE, KeyRing

_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_SEALED = re.compile(r"v1\.([A-Za-z0-9]{1,16})\.([A-Za-z0-9_-]+)", re.ASCII)


class VaultError(TidingsError):
    """A sealed secret can't be opened."""


class KeySource(Protocol):
    """Where the keys come from, if they can change while the server runs."""

    def read(self) -> KeyRing:
        """The keys as they are now.

        Raises:
            ConfigError: They can't be had.
        """

    def changed(self) -> KeyRing | None:
        """The keys, if they have changed since they were read last."""


class Vault:
    """Seals and opens secrets.

    Args:
        ring: The keys; the active one seals, all of them open.
        source: Looked at again before a secret is sealed, and when one was sealed with a key that is not there:
            another process may have put a new key first.
    """

    def __init__(self, ring: KeyRing, source: KeySource | None = None) -> None:
        self._source = source
        self._active_id = ring.active_id
        self._ciphers = {key_id: AESGCM(key) for key_id, key in ring.keys.items()}

    def __repr__(self) -> str:
        return f"Vault(key_ids={list(self._ciphers)})"

    @property
    def active_id(self) -> str:
        """The id of the key that seals."""
        return self._active_id

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of all keys."""
        return tuple(self._ciphers)

    def seal(self, plaintext: bytes, *, table: str, column: str, row: str) -> str:
        """Encrypt `plaintext` for this place alone."""
        if self._source is not None and (ring := self._source.changed()) is not None:
            self._use(ring)
        nonce = os.urandom(_NONCE_BYTES)
        key_id = self._active_id
        data = nonce + self._ciphers[key_id].encrypt(nonce, plaintext, _place(key_id, table, column, row))
        return f"v1.{key_id}.{base64.urlsafe_b64encode(data).decode().rstrip('=')}"

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
        if key_id not in self._ciphers:
            self._look_again(where, key_id)
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

    def _look_again(self, where: str, key_id: str) -> None:
        if self._source is None:
            return
        try:
            self._use(self._source.read())
        except ConfigError as error:
            raise VaultError(
                f"{where}, was sealed with the key {key_id}, which is not at hand: {error}"
            ) from error

    def _use(self, ring: KeyRing) -> None:
        """Take new keys over; those that are gone from their source still open what they sealed."""
        self._ciphers = {key_id: AESGCM(key) for key_id, key in ring.keys.items()} | {
            key_id: cipher for key_id, cipher in self._ciphers.items() if key_id not in ring.keys
        }
        self._active_id = ring.active_id


def _place(key_id: str, table: str, column: str, row: str) -> bytes:
    return json.dumps(["tidings", "v1", key_id, table, column, row]).encode()


def _decode(text: str) -> bytes:
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return b""
    return data if len(data) >= _NONCE_BYTES + _TAG_BYTES else b""
