"""Encryption of one push message: RFC 8291 (keys) on RFC 8188 (the coding `aes128gcm`), always one record.

A message is encrypted with a key pair and a salt of its own to the two keys of the browser's subscription, so that
the push service, through which it goes, can't read it.
"""

from __future__ import annotations

import hmac
import os
import struct
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_RECORD_BYTES: Final = 4096  # RFC 8291 §4: what every push service takes
_SALT_BYTES: Final = 16
_KEY_BYTES: Final = 65  # an uncompressed point of P-256
_HEADER = struct.Struct(f"!{_SALT_BYTES}sIB{_KEY_BYTES}s")
_TAG_BYTES: Final = 16
_LAST_RECORD = b"\x02"  # RFC 8188 §2: this record is the last one, and no padding follows

AUTH_BYTES: Final = 16
#: The longest plaintext of a single record (RFC 8291 §4).
MOST_BYTES: Final = _RECORD_BYTES - _HEADER.size - _TAG_BYTES - len(_LAST_RECORD)


def public_bytes(key: ec.EllipticCurvePublicKey) -> bytes:
    """A public key as an uncompressed point: 65 bytes."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def read_public(data: bytes) -> ec.EllipticCurvePublicKey:
    """A public key from an uncompressed point.

    Raises:
        ValueError: It is none of P-256.
    """
    if len(data) != _KEY_BYTES or data[0] != 4:
        raise ValueError("not an uncompressed point of P-256: 65 bytes, the first of them 4")
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), data)


def encrypt(
    plaintext: bytes,
    *,
    receiver: bytes,
    auth: bytes,
    sender: ec.EllipticCurvePrivateKey | None = None,
    salt: bytes | None = None,
) -> bytes:
    """The body of a push message.

    Args:
        plaintext: At most `MOST_BYTES`.
        receiver: The subscription's `p256dh`, as an uncompressed point.
        auth: The subscription's `auth`, 16 bytes.
        sender: The message's own key; a new one if None, as it must be but where a known message is checked.
        salt: 16 random bytes; new ones if None.

    Raises:
        ValueError: The plaintext is too long, or a key is none.
    """
    if len(plaintext) > MOST_BYTES:
        raise ValueError(f"{len(plaintext)} bytes are too long for one record; {MOST_BYTES} fit")
    sender = sender or ec.generate_private_key(ec.SECP256R1())
    salt = salt or os.urandom(_SALT_BYTES)
    own = public_bytes(sender.public_key())
    shared = sender.exchange(ec.ECDH(), read_public(receiver))
    key, nonce = _keys(shared, auth, salt, receiver=receiver, sender=own)
    header = _HEADER.pack(salt, _RECORD_BYTES, _KEY_BYTES, own)
    return header + AESGCM(key).encrypt(nonce, plaintext + _LAST_RECORD, None)


def _keys(shared: bytes, auth: bytes, salt: bytes, *, receiver: bytes, sender: bytes) -> tuple[bytes, bytes]:
    """The content encryption key and the nonce: HKDF-SHA-256 of one block each (RFC 8291 §3.4)."""
    if len(auth) != AUTH_BYTES:
        raise ValueError(f"auth must have {AUTH_BYTES} bytes")
    keyed = _hmac(auth, shared)
    material = _hmac(keyed, b"WebPush: info\0" + receiver + sender + b"\x01")
    extracted = _hmac(salt, material)
    key = _hmac(extracted, b"Content-Encoding: aes128gcm\0\x01")[:16]
    nonce = _hmac(extracted, b"Content-Encoding: nonce\0\x01")[:12]
    return key, nonce


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")
