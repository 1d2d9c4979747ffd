"""Only what the app's key signed, lately, is believed; everything else is answered 401."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from discord_exchanges import NOW, PUBLIC, SEED, sign
from tidings.contracts import Keys, WebhookRequest
from tidings.errors import Rejected
from tidings_discord.connector import DiscordConnector

BODY = b'{"version":1,"application_id":"1234560123453231555","type":0}'
TIME = "1700000000"
SIGNED = (
    "83d35aeeb23d34c3e0572495b93db093918f58fcf5517c16922f918df4c07d94"
    "30091b614c2e24323793ee09863a3eb428c88a3be45e5924ae773c044276c708"
)
OTHER_SEED = bytes(range(1, 33))
OTHER = Ed25519PrivateKey.from_private_bytes(OTHER_SEED).public_key().public_bytes_raw().hex().encode()
KEYS = (PUBLIC,)


def request(headers: dict[str, str], body: bytes = BODY) -> WebhookRequest:
    return WebhookRequest("POST", "/api/webhooks/discord", "", headers, body)


def headers(signature: str = SIGNED, timestamp: str = TIME) -> dict[str, str]:
    return {"x-signature-ed25519": signature, "x-signature-timestamp": timestamp}


def test_the_primitive_is_that_of_the_standard() -> None:
    """RFC 8032 §7.1, test 2."""
    secret = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    public = Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
    Ed25519PublicKey.from_public_bytes(public).verify(signature, bytes.fromhex("72"))


def test_what_discord_signed_is_accepted(connector: DiscordConnector) -> None:
    assert sign(TIME.encode() + BODY) == SIGNED
    connector.verify(request(headers()), Keys(KEYS), NOW)


@pytest.mark.parametrize(
    "keys", [(PUBLIC, OTHER), (OTHER, PUBLIC), (PUBLIC.upper(),), (b" " + PUBLIC + b"\n",), (b"x", PUBLIC)]
)
def test_any_one_of_several_keys_will_do(connector: DiscordConnector, keys: tuple[bytes, ...]) -> None:
    connector.verify(request(headers()), Keys(keys), NOW)


@pytest.mark.parametrize("minutes", [-29, -10, 10, 29])
def test_a_late_retry_and_a_wrong_clock_are_forgiven(connector: DiscordConnector, minutes: int) -> None:
    connector.verify(request(headers()), Keys(KEYS), NOW + timedelta(minutes=minutes))


def test_digits_in_upper_case_are_the_same_signature(connector: DiscordConnector) -> None:
    connector.verify(request(headers(SIGNED.upper())), Keys(KEYS), NOW)


def without(name: str) -> dict[str, str]:
    return {key: value for key, value in headers().items() if key != name}


REFUSED: list[tuple[str, dict[str, str], bytes, tuple[bytes, ...], str]] = [
    # case, headers, body, keys, part of the reason
    ("no headers", {}, BODY, KEYS, "has no"),
    ("no signature", without("x-signature-ed25519"), BODY, KEYS, "has no X-Signature-Ed25519"),
    ("no timestamp", without("x-signature-timestamp"), BODY, KEYS, "has no X-Signature-Timestamp"),
    ("empty signature", headers(""), BODY, KEYS, "has no"),
    ("empty timestamp", headers(timestamp=""), BODY, KEYS, "has no"),
    ("all zeros", headers("0" * 128), BODY, KEYS, "does not match"),
    ("all ones", headers("f" * 128), BODY, KEYS, "does not match"),
    ("first digit changed", headers("9" + SIGNED[1:]), BODY, KEYS, "does not match"),
    ("last digit changed", headers(SIGNED[:-1] + "9"), BODY, KEYS, "does not match"),
    ("halves exchanged", headers(SIGNED[64:] + SIGNED[:64]), BODY, KEYS, "does not match"),
    ("one digit too few", headers(SIGNED[:-1]), BODY, KEYS, "128 hexadecimal"),
    ("one digit too many", headers(SIGNED + "0"), BODY, KEYS, "128 hexadecimal"),
    ("half of it", headers(SIGNED[:64]), BODY, KEYS, "128 hexadecimal"),
    ("no hexadecimal", headers("g" + SIGNED[1:]), BODY, KEYS, "128 hexadecimal"),
    ("full-width digits", headers("\uff11" * 128), BODY, KEYS, "128 hexadecimal"),
    ("a space before", headers(" " + SIGNED), BODY, KEYS, "128 hexadecimal"),
    ("a line feed behind", headers(SIGNED + "\n"), BODY, KEYS, "128 hexadecimal"),
    ("NUL behind", headers(SIGNED + "\x00"), BODY, KEYS, "128 hexadecimal"),
    ("with a name before", headers("ed25519=" + SIGNED), BODY, KEYS, "128 hexadecimal"),
    ("signature sent twice", headers(f"{SIGNED}, {SIGNED}"), BODY, KEYS, "more than once"),
    ("timestamp sent twice", headers(timestamp=f"{TIME}, {TIME}"), BODY, KEYS, "more than once"),
    ("a word as timestamp", headers(timestamp="now"), BODY, KEYS, "seconds since 1970"),
    ("a negative timestamp", headers(timestamp="-1700000000"), BODY, KEYS, "seconds since 1970"),
    ("a fraction", headers(timestamp="1700000000.5"), BODY, KEYS, "seconds since 1970"),
    ("a very long timestamp", headers(timestamp="1" * 500), BODY, KEYS, "seconds since 1970"),
    ("Arabic digits", headers(timestamp="\u0661" * 10), BODY, KEYS, "seconds since 1970"),
    ("another second", headers(timestamp="1700000001"), BODY, KEYS, "does not match"),
    ("a leading zero", headers(timestamp="01700000000"), BODY, KEYS, "does not match"),
    ("another body", headers(), BODY.replace(b"0}", b"1}"), KEYS, "does not match"),
    ("a line feed more", headers(), BODY + b"\n", KEYS, "does not match"),
    ("a body cut", headers(), BODY[:-1], KEYS, "does not match"),
    ("no body", headers(), b"", KEYS, "does not match"),
    ("signed without the timestamp", headers(sign(BODY)), BODY, KEYS, "does not match"),
    ("signed with the body first", headers(sign(BODY + TIME.encode())), BODY, KEYS, "does not match"),
    (
        "another app's signature",
        headers(sign(TIME.encode() + BODY, OTHER_SEED)),
        BODY,
        KEYS,
        "does not match",
    ),
    ("another app's key", headers(), BODY, (OTHER,), "does not match"),
    ("no keys", headers(), BODY, (), "No public key"),
    ("an empty key", headers(), BODY, (b"",), "No public key"),
    ("a blank key", headers(), BODY, (b"  ",), "No public key"),
    ("a key too short", headers(), BODY, (PUBLIC[:-2],), "No public key"),
    ("a key in raw bytes", headers(), BODY, (bytes.fromhex(PUBLIC.decode()),), "No public key"),
    ("a shared secret as key", headers(), BODY, (b"hush-hush-hush-hush",), "No public key"),
    ("the private key", headers(), BODY, (SEED.hex().encode(),), "does not match"),
    ("no keys and unsigned", {}, BODY, (), "No public key"),
]


@pytest.mark.parametrize(
    ("sent", "body", "keys", "reason"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_anything_else_is_refused(
    connector: DiscordConnector, sent: dict[str, str], body: bytes, keys: tuple[bytes, ...], reason: str
) -> None:
    with pytest.raises(Rejected, match=reason) as refused:
        connector.verify(request(sent, body), Keys(keys), NOW)
    assert refused.value.status == 401
    assert SIGNED[:12] not in str(refused.value)


@pytest.mark.parametrize("minutes", [-31, 31, 60 * 24, -60 * 24 * 365])
def test_an_old_signature_is_refused(connector: DiscordConnector, minutes: int) -> None:
    with pytest.raises(Rejected, match="30 minutes") as refused:
        connector.verify(request(headers()), Keys(KEYS), NOW + timedelta(minutes=minutes))
    assert refused.value.status == 401


@pytest.mark.parametrize("moved", [1, 3])
def test_digits_moved_between_timestamp_and_body_make_nothing_that_can_be_read(
    connector: DiscordConnector, moved: int
) -> None:
    """The signature covers a plain concatenation, and so it fits both."""
    shifted = request(headers(timestamp=TIME[:-moved]), TIME[-moved:].encode() + BODY)
    with pytest.raises(Rejected) as refused:
        connector.verify(shifted, Keys(KEYS), NOW)
    assert refused.value.status == 401  # its time is long ago
    with pytest.raises(Rejected) as refused:
        connector.parse(shifted)
    assert refused.value.status == 400


@given(
    sent=st.dictionaries(st.sampled_from(sorted(headers())), st.text(max_size=140)),
    body=st.binary(max_size=80),
)
def test_nothing_that_a_stranger_sends_raises_anything_else(
    connector: DiscordConnector, sent: dict[str, str], body: bytes
) -> None:
    with pytest.raises(Rejected):
        connector.verify(request(sent, body), Keys(KEYS), NOW)
