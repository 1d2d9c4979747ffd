"""JWTs that are signed with an RSA key: one that is configured, or those that an issuer publishes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from hypothesis import given
from hypothesis import strategies as st

from tidings.config import Jwt, load
from tidings.errors import ConfigError, Denied, Unavailable
from tidings.jwt import JwtVerifier
from tidings.keysets import KeySets
from tidings.outbound import Outbound
from tidings.testing.clock import FakeClock

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
URL = "https://app.example/keys"
GOOD: dict[str, Any] = {
    "iss": "https://app.example",
    "aud": "tidings",
    "sub": "anna",
    "exp": NOW.timestamp() + 600,
}
COMMON: dict[str, Any] = {"algorithm": "RS256", "issuer": "https://app.example", "audience": "tidings"}


def private(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """The key of this name."""
    return _made(name, bits)


@cache  # making one takes a while
def _made(_name: str, bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=bits)


def pem(name: str, bits: int = 2048) -> str:
    return (
        private(name, bits)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def part(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def number(value: int) -> str:
    return part(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def jwk(name: str, kid: object = ..., *, bits: int = 2048, **more: Any) -> dict[str, Any]:
    public = private(name, bits).public_key().public_numbers()
    kid = name if kid is ... else kid
    return {
        "kty": "RSA",
        "n": number(public.n),
        "e": number(public.e),
        **({"kid": kid} if kid else {}),
        **more,
    }


def token(key: str, claims: dict[str, Any] = GOOD, *, bits: int = 2048, **header: Any) -> str:
    given = {"alg": "RS256", "kid": key, **header}
    signed = f"{part({k: v for k, v in given.items() if v is not None})}.{part(claims)}"
    signature = private(key, bits).sign(signed.encode(), padding.PKCS1v15(), SHA256())
    return f"{signed}.{part(signature)}"


class Issuer:
    """Publishes keys, or fails to; and who verifies with them."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.clock = FakeClock(NOW)
        self.keys: Sequence[Any] = keys
        self.status = 200
        self.asked = 0
        sets = KeySets(Outbound(transport=httpx.MockTransport(self.answer)), self.clock)
        self.verifier = JwtVerifier(Jwt(jwks_url=URL, **COMMON), sets)

    def answer(self, request: httpx.Request) -> httpx.Response:
        assert str(request.url) == URL
        self.asked += 1
        return httpx.Response(self.status, content=json.dumps({"keys": list(self.keys)}))

    async def subject(self, text: str) -> str:
        return (await self.verifier.verify(text, NOW)).subject


def configured() -> JwtVerifier:
    return JwtVerifier(Jwt(public_key=pem("a"), **COMMON), KeySets(Outbound(), FakeClock()))


# --- a key that is configured -------------------------------------------------------------------------------


async def test_a_token_signed_with_the_private_half_is_taken() -> None:
    assert (await configured().verify(token("a"), NOW)).subject == "anna"
    assert (await configured().verify(token("a", kid=None), NOW)).subject == "anna"


async def test_another_key_is_refused() -> None:
    with pytest.raises(Denied):
        await configured().verify(token("b", kid="a"), NOW)


def confused() -> list[str]:
    """Tokens that only a verifier takes which lets them choose how they are verified."""
    unsigned = f"{part({'alg': 'none', 'kid': 'a'})}.{part(GOOD)}."
    found = [unsigned, *(token("a", alg=name) for name in ("none", "RS384", "PS256", "rs256", "HS256"))]
    # Rightly signed, with an algorithm that nobody has configured.
    for name, scheme, digest_ in (
        ("RS384", padding.PKCS1v15(), SHA384()),
        ("RS512", padding.PKCS1v15(), SHA512()),
        ("PS256", padding.PSS(padding.MGF1(SHA256()), padding.PSS.DIGEST_LENGTH), SHA256()),
    ):
        signed = f"{part({'alg': name, 'kid': 'a'})}.{part(GOOD)}"
        found.append(f"{signed}.{part(private('a').sign(signed.encode(), scheme, digest_))}")
    for name, digest in (("HS256", hashlib.sha256), ("HS384", hashlib.sha384), ("HS512", hashlib.sha512)):
        signed = f"{part({'alg': name, 'kid': 'a'})}.{part(GOOD)}"
        der = (
            private("a")
            .public_key()
            .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        publics = (pem("a").encode(), pem("a").strip().encode(), der, jwk("a")["n"].encode())
        found += [f"{signed}.{part(hmac.digest(public, signed.encode(), digest))}" for public in publics]
    own = jwk("mallory")
    found.append(token("mallory", kid=None, jwk=own))
    found.append(token("mallory", kid="a", jwk=own))
    found.append(token("mallory", kid="a", jku="https://evil.example/keys"))
    found.append(token("mallory", kid="a", x5u="https://evil.example/cert", x5c=["AAAA"]))
    found.append(token("a", crit=["exp"], exp=1))
    return found


@pytest.mark.parametrize("place", range(len(confused())))
@pytest.mark.parametrize("how", ["configured", "published"])
async def test_a_token_does_not_choose_how_it_is_verified(place: int, how: str) -> None:
    issuer = Issuer(jwk("a"))
    verifier = configured() if how == "configured" else issuer.verifier
    with pytest.raises(Denied) as caught:
        await verifier.verify(confused()[place], NOW)
    assert caught.value.status == 401
    assert issuer.asked <= 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"aud": "other"}, "for another audience"),
        ({"iss": "https://evil.example"}, "from another issuer"),
        ({"exp": NOW.timestamp() - 1}, "has expired"),
        ({"nbf": NOW.timestamp() + 60}, "not valid yet"),
        ({"sub": None}, "sub"),
    ],
)
async def test_claims_are_judged_as_with_a_secret(changes: dict[str, Any], reason: str) -> None:
    for verifier in (configured(), Issuer(jwk("a")).verifier):
        with pytest.raises(Denied, match=reason):
            await verifier.verify(token("a", {**GOOD, **changes}), NOW)


# --- keys that are published --------------------------------------------------------------------------------


async def test_published_keys_are_found_by_their_id_and_kept() -> None:
    issuer = Issuer(jwk("a"), jwk("b"))
    for name in ("a", "b", "a"):
        assert await issuer.subject(token(name)) == "anna"
    assert issuer.asked == 1


async def test_a_key_that_is_new_is_found_at_once_and_one_that_is_gone_no_longer_holds() -> None:
    issuer = Issuer(jwk("a"))
    assert await issuer.subject(token("a")) == "anna"
    issuer.keys = [jwk("b")]
    await issuer.clock.advance(61)
    assert await issuer.subject(token("b")) == "anna"
    assert issuer.asked == 2
    await issuer.clock.advance(61)
    with pytest.raises(Denied, match="not published"):
        await issuer.subject(token("a"))


async def test_a_key_that_is_withdrawn_holds_no_longer_than_the_set_is_kept() -> None:
    issuer = Issuer(jwk("a"), jwk("b"))
    assert await issuer.subject(token("a")) == "anna"
    issuer.keys = [jwk("b")]
    await issuer.clock.advance(3601)
    with pytest.raises(Denied, match="not published"):
        await issuer.subject(token("a"))


async def test_who_invents_key_ids_does_not_have_the_issuer_asked_each_time() -> None:
    issuer = Issuer(jwk("a"))
    for number_ in range(20):
        with pytest.raises(Denied, match="not published"):
            await issuer.subject(token("a", kid=f"invented{number_}"))
    assert issuer.asked == 1
    await issuer.clock.advance(61)
    for number_ in range(20):
        with pytest.raises(Denied):
            await issuer.subject(token("a", kid=f"invented{number_}"))
    assert issuer.asked == 2
    assert await issuer.subject(token("a")) == "anna"


async def test_a_token_without_a_key_id_is_taken_where_there_is_one_key_alone() -> None:
    assert await Issuer(jwk("a", None)).subject(token("a", kid=None)) == "anna"
    with pytest.raises(Denied):
        await Issuer(jwk("a"), jwk("b")).subject(token("a", kid=None))


@pytest.mark.parametrize(
    "useless",
    [
        jwk("a", use="enc"),
        jwk("a", alg="RS512"),
        jwk("a", alg="none"),
        {"kty": "oct", "kid": "a", "k": part(b"x" * 32)},
        {"kty": "EC", "kid": "a", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "RSA", "kid": "a"},
        {"kty": "RSA", "kid": "a", "n": 7, "e": "AQAB"},
        {"kty": "RSA", "kid": "a", "n": "!!", "e": "AQAB"},
        {"kty": "RSA", "kid": "a", "n": jwk("a")["n"], "e": ""},
        {"kid": "a"},
        "a",
        None,
    ],
)
async def test_what_else_a_set_holds_is_passed_over(useless: Any) -> None:
    issuer = Issuer(useless, jwk("b"))
    assert await issuer.subject(token("b")) == "anna"
    with pytest.raises(Denied, match="not published"):
        await issuer.subject(token("a"))


async def test_a_short_key_signs_nothing() -> None:
    issuer = Issuer(jwk("short", bits=1024), jwk("b"))
    with pytest.raises(Denied, match="not published"):
        await issuer.subject(token("short", bits=1024))


async def test_while_the_keys_can_not_be_read_nobody_is_called_wrong() -> None:
    issuer = Issuer(jwk("a"))
    issuer.status = 503
    with pytest.raises(Unavailable, match="can't be read: the answer is 503"):
        await issuer.subject(token("a"))
    issuer.status = 200
    await issuer.clock.advance(61)
    assert await issuer.subject(token("a")) == "anna"
    issuer.status = 503
    await issuer.clock.advance(7200)
    assert await issuer.subject(token("a")) == "anna"  # the old ones serve


@pytest.mark.parametrize(
    "text", ["", ".", "a.b.c", f"{part([1])}..", f"{part({'kid': 7})}..", f"{part(b'[' * 5000)}.."]
)
async def test_what_is_no_token_does_not_have_the_issuer_asked(text: str) -> None:
    issuer = Issuer(jwk("a"))
    with pytest.raises(Denied):
        await issuer.subject(text)
    assert issuer.asked == 0


_json = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.lists(st.text(max_size=4), max_size=2)
)


@given(
    st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "jku", "x5c", "zip"]), _json)
)
async def test_a_header_of_any_shape_is_never_an_error(header: dict[str, Any]) -> None:
    signed = f"{part({'alg': 'RS256', 'kid': 'a', **header})}.{part(GOOD)}"
    signature = private("a").sign(signed.encode(), padding.PKCS1v15(), SHA256())
    try:
        await Issuer(jwk("a")).subject(f"{signed}.{part(signature)}")
    except Denied:
        return
    assert header.get("alg", "RS256") == "RS256"
    assert header.get("kid", "a") in {"a", None}


# --- the configuration --------------------------------------------------------------------------------------


def problems(folder: Path, lines: str) -> str:
    path = folder / "config.yaml"
    path.write_text(f"auth:\n  jwt:\n    issuer: i\n    audience: a\n{lines}")
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    return str(caught.value)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("    create_users: true\n", "HS256 needs a secret"),
        (f"    jwks_url: {URL}\n", "HS256 needs a secret, and neither"),
        (f"    secret: {'x' * 32}\n    jwks_url: {URL}\n", "HS256 needs a secret, and neither"),
        ("    algorithm: RS256\n", "RS256 needs one of"),
        (f"    algorithm: RS256\n    secret: {'x' * 32}\n", "RS256 needs one of"),
        (f"    algorithm: RS256\n    secret: {'x' * 32}\n    jwks_url: {URL}\n", "and no secret"),
        ("    algorithm: none\n", "algorithm"),
        ("    algorithm: RS256\n    jwks_url: http://app.example/keys\n", "without TLS"),
        ("    algorithm: RS256\n    jwks_url: https://me:you@app.example/keys\n", "user name or a password"),
        ("    algorithm: RS256\n    jwks_url: file:///etc/passwd\n", "is not a web address"),
        ("    algorithm: RS256\n    public_key: nonsense\n", "no public RSA key"),
        ("    algorithm: RS256\n    public_key: {file: nowhere.pem}\n", "nowhere.pem"),
    ],
)
def test_a_configuration_that_would_verify_nothing_is_refused(tmp_path: Path, lines: str, said: str) -> None:
    assert said in problems(tmp_path, lines)


def _write(folder: Path, key: Any, *, public: bool = True) -> None:
    if public:
        encoded = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    else:
        encoded = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    (folder / "key.pem").write_bytes(encoded)


def test_a_key_of_the_wrong_sort_is_refused_and_never_shown(tmp_path: Path) -> None:
    lines = "    algorithm: RS256\n    public_key: {file: key.pem}\n"
    for key in (private("short", 1024), ec.generate_private_key(ec.SECP256R1())):
        _write(tmp_path, key)
        assert "no public RSA key" in problems(tmp_path, lines)
    _write(tmp_path, private("a"), public=False)
    said = problems(tmp_path, lines)
    assert "this is a private key" in said
    assert not any(line in said for line in (tmp_path / "key.pem").read_text().splitlines())
    _write(tmp_path, private("a"))
    assert "not a secret" in problems(tmp_path, "    secret: {file: key.pem}\n")


def test_a_key_may_stand_in_a_file_or_in_the_configuration(tmp_path: Path) -> None:
    _write(tmp_path, private("a"))
    indented = "".join(f"      {line}\n" for line in pem("a").splitlines())
    for lines in ("    public_key: {file: key.pem}\n", f"    public_key: |\n{indented}"):
        path = tmp_path / "config.yaml"
        path.write_text(f"auth:\n  jwt:\n    algorithm: RS256\n    issuer: i\n    audience: a\n{lines}")
        rules = load(path, {}).auth.jwt
        assert rules is not None
        assert (rules.public_key or "").strip() == pem("a").strip()
    path.write_text(
        "auth:\n  jwt:\n    algorithm: RS256\n    issuer: i\n    audience: a\n    jwks_url: http://127.0.0.1:1/keys\n"
    )
    assert load(path, {}).auth.jwt is not None  # on this machine itself
