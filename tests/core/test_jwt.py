import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt as jose
from joserfc.jwk import OctKey

from tidings.config import Jwt
from tidings.errors import Denied
from tidings.jwt import Claims, JwtVerifier
from tidings.keysets import KeySets
from tidings.outbound import Outbound
from tidings.testing.clock import FakeClock

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
SECRET = "an embedding application's secret"
RULES = Jwt(secret=SECRET, issuer="https://app.example", audience="tidings")
VERIFIER = JwtVerifier(RULES, KeySets(Outbound(), FakeClock()))
GOOD: dict[str, Any] = {
    "iss": "https://app.example",
    "aud": "tidings",
    "sub": "anna",
    "exp": NOW.timestamp() + 60,
}


def part(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def token(claims: object = GOOD, *, secret: str = SECRET, hash_name: str = "sha256", **header: Any) -> str:
    signed = f"{part({'alg': 'HS256', **header})}.{part(claims)}"
    return f"{signed}.{part(hmac.digest(secret.encode(), signed.encode(), hash_name))}"


def claims(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**GOOD, **changes}.items() if value is not ...}


async def test_a_valid_token_says_who_and_how_long():
    expected = Claims("anna", frozenset({"read"}), NOW + timedelta(seconds=60))
    assert await VERIFIER.verify(token(), NOW) == expected


async def test_a_token_from_another_library_is_read():
    text = jose.encode({"alg": "HS256"}, dict(GOOD), OctKey.import_key(SECRET))
    assert (await VERIFIER.verify(text, NOW)).subject == "anna"


@pytest.mark.parametrize(
    ("scope", "scopes"),
    [("read send", {"read", "send"}), ("", set()), ("openid  read", {"openid", "read"})],
)
async def test_its_scopes_are_words(scope: str, scopes: set[str]):
    assert (await VERIFIER.verify(token(claims(scope=scope)), NOW)).scopes == scopes


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["other", "tidings"]},
        {"nbf": NOW.timestamp() + 30},
        {"iat": NOW.timestamp() + 30},
        {"exp": NOW.timestamp() + 0.5},
        {"jti": "1", "custom": {"deep": [1]}},
    ],
)
async def test_what_is_acceptable(changes: dict[str, Any]):
    await VERIFIER.verify(token(claims(**changes)), NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": ...},
        {"iss": "https://evil.example"},
        {"iss": ["https://app.example"]},
        {"iss": None},
        {"aud": ...},
        {"aud": "other"},
        {"aud": []},
        {"aud": ["other"]},
        {"aud": {"tidings": 1}},
        {"sub": ...},
        {"sub": 1},
        {"sub": ""},
        {"sub": None},
        {"exp": ...},
        {"exp": None},
        {"exp": "2027-01-01"},
        {"exp": True},
        {"exp": NOW.timestamp()},
        {"exp": NOW.timestamp() - 1},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"exp": 10**400},
        {"exp": 1e18},
        {"nbf": NOW.timestamp() + 32},
        {"nbf": "now"},
        {"iat": NOW.timestamp() + 32},
        {"scope": ["read"]},
        {"scope": None},
    ],
)
async def test_a_claim_that_is_missing_or_wrong_is_refused(changes: dict[str, Any]):
    with pytest.raises(Denied) as caught:
        await VERIFIER.verify(token(claims(**changes)), NOW)
    assert caught.value.status == 401


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": NOW.timestamp() - 1}, "The JWT has expired."),
        ({"exp": NOW.timestamp() - 3600}, "The JWT has expired."),
        ({"aud": "planted"}, "The JWT is for another audience: its 'aud' is not auth.jwt.audience"),
        ({"aud": ["planted"]}, "The JWT is for another audience: its 'aud' is not auth.jwt.audience"),
        ({"iss": "planted"}, "The JWT is from another issuer: its 'iss' is not auth.jwt.issuer"),
        ({"nbf": NOW.timestamp() + 60}, "The JWT is not valid yet: its 'nbf' is in the future"),
        ({"iat": NOW.timestamp() + 60}, "The JWT is not valid yet: its 'iat' is in the future"),
        ({"aud": ..., "sub": ...}, "The JWT lacks a claim: aud,sub."),
        ({"sub": ["planted"]}, "The JWT's claim 'sub' is not acceptable."),
    ],
)
async def test_a_refusal_says_which_claim_is_wrong_and_why_but_not_what_it_holds(
    changes: dict[str, Any], reason: str
):
    text = token(claims(**changes))
    with pytest.raises(Denied) as caught:
        await VERIFIER.verify(text, NOW)
    said = str(caught.value)
    assert said.startswith(reason)
    assert not any(secret in said for secret in ("planted", *text.split("."), "https://app.example"))


@pytest.mark.parametrize(
    "text",
    [
        token(alg="none"),
        token(alg="None"),
        token(alg="none").rpartition(".")[0] + ".",
        token(alg="HS384", hash_name="sha384"),
        token(alg="HS512", hash_name="sha512"),
        token(alg="RS256"),
        token(alg=["HS256"]),
        token(alg=None),
        token(secret="another application's secret, long"),
        token(secret=""),
        token(crit=["exp"], exp=1),
        token(b64=False, crit=["b64"]),
        token()[:-2],
        token() + "x",
        token().replace(".", ".."),
        token() + ".",
        token([1]),
        token("anna"),
        token(b"\xff"),
        token(b"{"),
        token(b"[" * 5000),
        f"{part(b'[' * 5000)}..",
        f"{part(b'[1]')}.{part(b'{}')}.{part(b'')}",
        "",
        ".",
        "..",
        "....",
        "not a token",
        "ä.ö.ü",
        "x" * 8193,
    ],
)
async def test_what_is_not_signed_by_us_is_refused(text: str):
    with pytest.raises(Denied) as caught:
        await VERIFIER.verify(text, NOW)
    assert caught.value.status == 401
    assert len(text) < 5 or text not in str(caught.value)


@given(st.text(max_size=200) | st.binary(max_size=60).map(part).map(lambda text: f"{text}.{text}.{text}"))
async def test_anything_else_is_refused_and_never_an_error(text: str):
    with pytest.raises(Denied):
        await VERIFIER.verify(text, NOW)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*GOOD, "nbf", "iat", "jti", "scope", "", "exp_"]), json_values))
async def test_signed_claims_of_any_type_are_never_an_error(changes: dict[str, Any]):
    try:
        said = await VERIFIER.verify(token(claims(**changes)), NOW)
    except Denied:
        return
    assert said.expires_at > NOW
    assert isinstance(said.subject, str)


@given(
    st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "x5c", "jwk", "zip"]), json_values)
)
async def test_a_header_of_any_shape_is_never_an_error(header: dict[str, Any]):
    try:
        await VERIFIER.verify(token(**header), NOW)
    except Denied:
        return
    assert header.get("alg", "HS256") == "HS256"


async def test_a_token_has_a_longest_length():
    await VERIFIER.verify(token(claims(extra="x" * 5_000)), NOW)
    with pytest.raises(Denied, match="longer than 8192 bytes"):
        await VERIFIER.verify(token(claims(extra="x" * 6_000)), NOW)


def test_the_secret_is_never_shown():
    assert SECRET not in repr(RULES)
    assert hashlib.sha256(SECRET.encode()).hexdigest() not in repr(RULES)
