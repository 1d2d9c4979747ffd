"""A push is taken where Google signed its token, for this address and the operator's own service account."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gmail_exchanges import AUDIENCE, SENDER, google_key, keys, other_key, push, token
from tidings.contracts import Keys
from tidings.errors import Rejected, UnknownKey
from tidings_gmail.verify import Sender, verify

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
Authorization = Callable[[], str]


def bearer(**more: Any) -> Authorization:
    return lambda: f"Bearer {token(NOW, **more)}"


def at(seconds: float, **more: Any) -> Authorization:
    return lambda: f"Bearer {token(NOW + timedelta(seconds=seconds), **more)}"


def _encoded(part: bytes) -> str:
    return urlsafe_b64encode(part).rstrip(b"=").decode()


def _edited() -> str:
    """The payload of another token with the signature of a good one."""
    good, evil = token(NOW).split("."), token(NOW, email="mallory@example.com").split(".")
    return f"Bearer {good[0]}.{evil[1]}.{good[2]}"


def _unsigned() -> str:
    header = urlsafe_b64encode(json.dumps({"alg": "none", "kid": "the-key-of-this-week"}).encode()).rstrip(
        b"="
    )
    return f"Bearer {header.decode()}.{token(NOW).split('.')[1]}."


def _symmetric() -> str:
    """HS256 with Google's public key as the secret."""
    header = {"alg": "HS256", "kid": "the-key-of-this-week"}
    signed = f"{_encoded(json.dumps(header).encode())}.{token(NOW).split('.')[1]}"
    return f"Bearer {signed}.{_encoded(hmac.digest(google_key().as_pem(private=False), signed.encode(), 'sha256'))}"


@pytest.mark.parametrize(
    "authorization",
    [
        bearer(),
        bearer(iss="accounts.google.com"),
        at(-3610),  # ended ten seconds ago
        at(20),  # this machine's clock is a little behind
        lambda: f"bearer {token(NOW)}",
    ],
)
def test_a_good_token_is_taken(authorization: Authorization) -> None:
    verify(push(b"{}", authorization()), keys(), NOW, SENDER)


REFUSED: dict[str, Authorization] = {
    "no token": lambda: "",
    "no scheme": lambda: token(NOW),
    "another scheme": lambda: f"Basic {token(NOW)}",
    "an empty token": lambda: "Bearer ",
    "two tokens": lambda: f"Bearer {token(NOW)}, Bearer {token(NOW)}",
    "garbage": lambda: "Bearer garbage",
    "three parts of garbage": lambda: "Bearer a.b.c",
    "not ASCII": lambda: "Bearer é.é.é",
    "an endless token": lambda: "Bearer " + "a" * 9000,
    "a header that is no object": lambda: "Bearer W10.e30.e30",
    "nested without end": lambda: "Bearer " + urlsafe_b64encode(b"[" * 5000).decode() + ".e30.e30",
    "half a token": lambda: f"Bearer {token(NOW)[:-20]}",
    "no signature": lambda: f"Bearer {token(NOW).rpartition('.')[0]}.",
    "another payload": _edited,
    "alg none": _unsigned,
    "HS256 with the public key": _symmetric,
    "another's key of the same name": bearer(key=other_key()),
    "no kid": bearer(kid=None),
    "an empty kid": bearer(kid=""),
    "another audience": bearer(aud="https://elsewhere.example.org/api/webhooks/gmail"),
    "an audience with a slash too many": bearer(aud=f"{AUDIENCE}/"),
    "several audiences": bearer(aud=[AUDIENCE, "https://elsewhere.example.org"]),
    "no audience": bearer(aud=None),
    "an audience that is a number": bearer(aud=7),
    "another service account": bearer(email="push@another-project.iam.gserviceaccount.com"),
    "no address": bearer(email=None),
    "an unverified address": bearer(email_verified=False),
    "verified in words": bearer(email_verified="true"),
    "another issuer": bearer(iss="https://accounts.evil.example"),
    "no issuer": bearer(iss=None),
    "ended forty seconds ago": at(-3640),
    "issued in an hour": at(3600),
    "no end": bearer(exp=None),
    "no beginning": bearer(iat=None),
    "an end that is a word": bearer(exp="never"),
    "an end that is true": bearer(exp=True),
}


@pytest.mark.parametrize("name", REFUSED)
def test_any_other_is_refused_with_401(name: str) -> None:
    with pytest.raises(Rejected) as refused:
        verify(push(b"{}", REFUSED[name]()), keys(), NOW, SENDER)
    assert refused.value.status == 401


def test_an_unknown_key_may_be_a_new_one() -> None:
    with pytest.raises(UnknownKey):
        verify(push(b"{}", f"Bearer {token(NOW, kid='next-week')}"), keys(), NOW, SENDER)
    for published in ({}, {"keys": None}, {"keys": [7, {}, {"kid": 7}]}):
        with pytest.raises(UnknownKey):
            verify(push(b"{}", f"Bearer {token(NOW)}"), Keys((), published), NOW, SENDER)


@pytest.mark.parametrize("sender", [Sender("", SENDER.account), Sender(AUDIENCE, ""), Sender("", "")])
def test_without_a_service_account_in_the_configuration_nothing_is_taken(sender: Sender) -> None:
    with pytest.raises(Rejected, match="service_account"):
        verify(push(b"{}", f"Bearer {token(NOW, email=sender.account)}"), keys(), NOW, sender)


def test_a_published_key_that_is_broken_refuses() -> None:
    broken = {"keys": [{"kty": "RSA", "kid": "the-key-of-this-week", "n": 5, "e": None}]}
    with pytest.raises(Rejected):
        verify(push(b"{}", f"Bearer {token(NOW)}"), Keys((), broken), NOW, SENDER)
