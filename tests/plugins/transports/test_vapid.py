"""By which key push services know an installation: as RFC 8292 has it, and as joserfc verifies it."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import ECKey

from browser_keys import base64url, from_base64url
from tidings_transports.webpush.vapid import VapidKey, check_subject

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
# RFC 8292 §2.4.
RFC_KEY = "BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs"
RFC_TOKEN = (
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1MjM3NjgsInN1YiI6"
    "Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0.i3CYb7t4xfxCDquptFOepC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjvW2L9OkSSHz"
    "voD1oA"
)
SUBJECT = "mailto:push@example.com"


def verified(token: str, key: str) -> tuple[dict[str, object], dict[str, object]]:
    """The header and the claims of a token that this key signed; raises if it did not."""
    point = from_base64url(key)
    jwk = {"kty": "EC", "crv": "P-256", "x": base64url(point[1:33]), "y": base64url(point[33:])}
    decoded = jwt.decode(token, ECKey.import_key(jwk), algorithms=["ES256"])
    return dict(decoded.header), dict(decoded.claims)


def parts(authorization: str) -> tuple[str, str]:
    scheme, _, rest = authorization.partition(" ")
    assert scheme == "vapid"
    values = dict(part.strip().split("=", 1) for part in rest.split(","))
    assert values.keys() == {"t", "k"}
    return values["t"], values["k"]


def test_the_check_accepts_the_token_of_the_rfc() -> None:
    _, claims = verified(RFC_TOKEN, RFC_KEY)
    assert claims == {"aud": "https://push.example.net", "exp": 1453523768, "sub": SUBJECT}


@settings(max_examples=30)
@given(st.binary(min_size=32, max_size=32))
def test_every_32_bytes_make_a_key_whose_signature_holds(secret: bytes) -> None:
    key = VapidKey(secret)
    token, public = parts(key.authorization("https://push.example.net", SUBJECT, NOW))
    assert public == key.public
    assert len(from_base64url(public)) == 65
    header, claims = verified(token, public)
    assert header == {"typ": "JWT", "alg": "ES256"}
    assert claims == {
        "aud": "https://push.example.net",
        "exp": int(NOW.timestamp()) + 12 * 3600,
        "sub": SUBJECT,
    }


@pytest.mark.parametrize("secret", [bytes(32), b"\xff" * 32])
def test_bytes_beyond_the_curves_order_make_a_key_too(secret: bytes) -> None:
    token, public = parts(VapidKey(secret).authorization("https://push.example.net", SUBJECT, NOW))
    verified(token, public)


def test_a_tampered_token_does_not_verify() -> None:
    token, public = parts(VapidKey(b"k" * 32).authorization("https://push.example.net", SUBJECT, NOW))
    head, _, signature = token.split(".")
    forged = base64url(json.dumps({"aud": "https://other.example.net"}).encode())
    with pytest.raises(BadSignatureError):
        verified(f"{head}.{forged}.{signature}", public)


def test_the_same_secret_is_the_same_key() -> None:
    assert VapidKey(b"k" * 32).public == VapidKey(b"k" * 32).public != VapidKey(b"l" * 32).public


def test_one_signature_serves_an_origin_for_six_hours() -> None:
    key = VapidKey(b"k" * 32)
    first = key.authorization("https://push.example.net", SUBJECT, NOW)
    assert (
        key.authorization("https://push.example.net", SUBJECT, NOW + timedelta(hours=5, minutes=59)) == first
    )
    assert key.authorization("https://other.example.net", SUBJECT, NOW) != first
    later = key.authorization("https://push.example.net", SUBJECT, NOW + timedelta(hours=6))
    _, claims = verified(*parts(later))
    assert claims["exp"] == int((NOW + timedelta(hours=18)).timestamp())


def test_a_clock_that_was_set_back_signs_anew() -> None:
    key = VapidKey(b"k" * 32)
    key.authorization("https://push.example.net", SUBJECT, NOW + timedelta(days=400))
    _, claims = verified(*parts(key.authorization("https://push.example.net", SUBJECT, NOW)))
    assert claims["exp"] == int(NOW.timestamp()) + 12 * 3600


def test_what_was_refused_is_signed_anew() -> None:
    key = VapidKey(b"k" * 32)
    first = key.authorization("https://push.example.net", SUBJECT, NOW)
    key.forget()
    assert key.authorization("https://push.example.net", SUBJECT, NOW) != first


@pytest.mark.parametrize(
    "subject",
    [
        "mailto:me@example.org",
        "MAILTO:a.b+c@sub.example.co.uk",
        "https://example.org",
        "https://a.example.org/contact",
    ],
)
def test_a_subject_with_a_real_domain_will_do(subject: str) -> None:
    assert check_subject(subject) == subject


@pytest.mark.parametrize(
    "subject",
    [
        "", "me@example.org", "mailto:", "mailto:me", "mailto:me@localhost", "mailto:me@host", "mailto:me@a.local",
        "mailto:me@127.0.0.1", "mailto:a b@example.org", "mailto:me@example.org?subject=x", "mailto:a@b@example.org",
        "http://example.org", "https://localhost", "https://127.0.0.1", "https://[::1]/", "https://me@example.org",
        "https://[", "ftp://example.org", "mailto:me@-.org", "mailto:me@example.test", "mailto:me@example..org",
    ],
)  # fmt: skip
def test_a_subject_that_nobody_can_be_reached_at_is_refused(subject: str) -> None:
    with pytest.raises(ValueError, match="Write mailto:you@"):
        check_subject(subject)
