"""What goes through a push service can be read by the browser alone, byte for byte as RFC 8291 has it."""

import base64

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from browser_keys import BrowserKeys, from_base64url
from tidings_transports.webpush.encoding import decode, encode
from tidings_transports.webpush.encryption import MOST_BYTES, encrypt, read_public

# RFC 8291, appendix A.
PLAINTEXT = b"When I grow up, I want to be a watermelon"
AS_PRIVATE = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
UA_PRIVATE = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
UA_PUBLIC = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
SALT = "DGv6ra1nlYgDCS1FRnbzlw"
BODY = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_y"
    "l95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


def _private(text: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(from_base64url(text)), ec.SECP256R1())


def test_the_message_of_the_rfc_is_made_byte_for_byte() -> None:
    body = encrypt(
        PLAINTEXT,
        receiver=decode(UA_PUBLIC),
        auth=decode(AUTH),
        sender=_private(AS_PRIVATE),
        salt=decode(SALT),
    )
    assert encode(body) == BODY


def test_the_tests_browser_reads_the_message_of_the_rfc() -> None:
    browser = BrowserKeys(_private(UA_PRIVATE), from_base64url(AUTH))
    assert browser.open(from_base64url(BODY)) == PLAINTEXT


BROWSER = BrowserKeys()


@given(st.binary(max_size=MOST_BYTES))
def test_the_browser_reads_whatever_was_sent(plaintext: bytes) -> None:
    body = encrypt(plaintext, receiver=BROWSER.public, auth=BROWSER.auth)
    assert len(body) == 86 + len(plaintext) + 17 <= 4096
    assert BROWSER.open(body) == plaintext


def test_the_longest_message_fills_what_push_services_take() -> None:
    assert len(encrypt(b"x" * MOST_BYTES, receiver=BROWSER.public, auth=BROWSER.auth)) == 4096
    with pytest.raises(ValueError, match="3993 fit"):
        encrypt(b"x" * (MOST_BYTES + 1), receiver=BROWSER.public, auth=BROWSER.auth)


def test_each_message_has_a_key_and_a_salt_of_its_own() -> None:
    bodies = [encrypt(b"same", receiver=BROWSER.public, auth=BROWSER.auth) for _ in range(20)]
    assert len({body[:16] for body in bodies}) == len({body[21:86] for body in bodies}) == 20


def test_another_browser_reads_nothing() -> None:
    body = encrypt(b"secret", receiver=BROWSER.public, auth=BROWSER.auth)
    for other in (BrowserKeys(auth=BROWSER.auth), BrowserKeys(BROWSER.private)):
        with pytest.raises(InvalidTag):
            other.open(body)


@pytest.mark.parametrize(
    "key",
    [
        b"",
        BROWSER.public[:-1],
        BROWSER.public + b"\0",
        b"\2" + BROWSER.public[1:33],  # compressed
        b"\5" + BROWSER.public[1:],
        b"\4" + b"\1" * 64,  # not on the curve
        b"\4" + b"\0" * 64,
    ],
    ids=["none", "short", "long", "compressed", "of no form", "off the curve", "zeros"],
)
def test_what_is_no_point_of_the_curve_is_no_key(key: bytes) -> None:
    with pytest.raises(ValueError, match=r"P-256|[Pp]oint|curve|EC key"):
        read_public(key)


@pytest.mark.parametrize("length", [0, 15, 17])
def test_auth_has_sixteen_bytes(length: int) -> None:
    with pytest.raises(ValueError, match="auth"):
        encrypt(b"", receiver=BROWSER.public, auth=b"x" * length)


@given(st.binary())
def test_base64url_reads_what_it_wrote_padded_or_not(data: bytes) -> None:
    assert decode(encode(data)) == data
    assert decode(base64.urlsafe_b64encode(data).decode()) == data


@pytest.mark.parametrize("text", ["a+b/", "a b", "ä", "a", "=a", "a\n"])
def test_what_is_not_base64url_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        decode(text)
