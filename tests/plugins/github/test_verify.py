from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest

from tidings.contracts import Keys, WebhookRequest
from tidings.errors import Rejected
from tidings_github.connector import GitHubConnector

NOW = datetime(2026, 11, 23, tzinfo=UTC)
SECRET = b"It's a Secret to Everybody"
BODY = b"Hello, World!"
SIGNED = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
HEX = SIGNED.removeprefix("sha256=")
JSON_BODY = '{"action":"opened","issue":{"number":7,"title":"héllo ✓"}}'.encode()
JSON_SIGNED = "sha256=ed8c4b48156010609b4db0b037442edd999c3b539ab17355ae6116db9819f1d1"


def _sha1(secret: bytes, body: bytes) -> str:
    return f"sha1={hmac.new(secret, body, hashlib.sha1).hexdigest()}"


def _signed(secret: bytes, body: bytes, method: str = "sha256") -> str:
    return f"{method}={hmac.new(secret, body, method).hexdigest()}"


def _request(headers: dict[str, str], body: bytes = BODY) -> WebhookRequest:
    return WebhookRequest("POST", "/api/webhooks/github/x", "", headers, body)


def _header(value: str) -> dict[str, str]:
    return {"x-hub-signature-256": value}


@pytest.mark.parametrize(("body", "signature"), [(BODY, SIGNED), (JSON_BODY, JSON_SIGNED)])
def test_what_github_signed_is_accepted(connector: GitHubConnector, body: bytes, signature: str) -> None:
    connector.verify(_request(_header(signature), body), Keys((SECRET,)), NOW)


@pytest.mark.parametrize("keys", [(SECRET, b"new"), (b"new", SECRET), (b"", SECRET), (b"a", b"b", SECRET)])
def test_any_one_of_several_keys_will_do(connector: GitHubConnector, keys: tuple[bytes, ...]) -> None:
    connector.verify(_request(_header(SIGNED)), Keys(keys), NOW)


def test_an_empty_body_can_be_signed_too(connector: GitHubConnector) -> None:
    connector.verify(_request(_header(_signed(SECRET, b"")), b""), Keys((SECRET,)), NOW)


REFUSED: list[tuple[str, dict[str, str], bytes, tuple[bytes, ...], str]] = [
    # case, headers, body, keys, part of the reason
    ("unsigned", {}, BODY, (SECRET,), "has no"),
    ("empty header", _header(""), BODY, (SECRET,), "has no"),
    ("sha1 only", {"x-hub-signature": _sha1(SECRET, BODY)}, BODY, (SECRET,), "has no"),
    ("sha1 in the sha256 header", _header(_sha1(SECRET, BODY)), BODY, (SECRET,), "is not"),
    ("header of another name", {"x-signature-256": SIGNED}, BODY, (SECRET,), "has no"),
    ("sha256 in the sha1 header", {"x-hub-signature": SIGNED}, BODY, (SECRET,), "has no"),
    ("wrong key", _header(_signed(b"guess", BODY)), BODY, (SECRET,), "does not match"),
    ("key with a line feed", _header(_signed(SECRET + b"\n", BODY)), BODY, (SECRET,), "does not match"),
    ("key in another case", _header(_signed(SECRET.lower(), BODY)), BODY, (SECRET,), "does not match"),
    ("signed with the empty key", _header(_signed(b"", BODY)), BODY, (SECRET,), "does not match"),
    ("wrong among several keys", _header(SIGNED), BODY, (b"one", b"two"), "does not match"),
    (
        "plain hash of the body",
        _header("sha256=" + hashlib.sha256(BODY).hexdigest()),
        BODY,
        (SECRET,),
        "match",
    ),
    (
        "hash of key and body",
        _header("sha256=" + hashlib.sha256(SECRET + BODY).hexdigest()),
        BODY,
        (SECRET,),
        "does not match",
    ),
    ("all zeros", _header("sha256=" + "0" * 64), BODY, (SECRET,), "does not match"),
    ("last digit changed", _header(SIGNED[:-1] + "8"), BODY, (SECRET,), "does not match"),
    ("first digit changed", _header("sha256=8" + HEX[1:]), BODY, (SECRET,), "does not match"),
    ("one digit too few", _header(SIGNED[:-1]), BODY, (SECRET,), "is not"),
    ("one digit too many", _header(SIGNED + "0"), BODY, (SECRET,), "is not"),
    ("half of it", _header(SIGNED[:39]), BODY, (SECRET,), "is not"),
    ("no digits", _header("sha256="), BODY, (SECRET,), "is not"),
    ("upper-case digits", _header("sha256=" + HEX.upper()), BODY, (SECRET,), "is not"),
    ("upper-case prefix", _header("SHA256=" + HEX), BODY, (SECRET,), "is not"),
    ("prefix missing", _header(HEX), BODY, (SECRET,), "is not"),
    ("prefix of sha512", _header(_signed(SECRET, BODY, "sha512")), BODY, (SECRET,), "is not"),
    ("colon for the equals sign", _header("sha256:" + HEX), BODY, (SECRET,), "is not"),
    ("space before", _header(" " + SIGNED), BODY, (SECRET,), "is not"),
    ("space behind", _header(SIGNED + " "), BODY, (SECRET,), "is not"),
    ("line feed behind", _header(SIGNED + "\n"), BODY, (SECRET,), "is not"),
    ("space within", _header("sha256= " + HEX), BODY, (SECRET,), "is not"),
    ("in quotes", _header(f'"{SIGNED}"'), BODY, (SECRET,), "is not"),
    ("a digit that is no hexadecimal", _header("sha256=g" + HEX[1:]), BODY, (SECRET,), "is not"),
    ("full-width digits", _header("sha256=" + "\uff11" * 64), BODY, (SECRET,), "is not"),
    ("NUL behind", _header(SIGNED + "\x00"), BODY, (SECRET,), "is not"),
    ("sent twice", _header(f"{SIGNED}, {SIGNED}"), BODY, (SECRET,), "more than once"),
    ("a wrong one first", _header(f"sha256={'0' * 64}, {SIGNED}"), BODY, (SECRET,), "more than once"),
    ("signature of another body", _header(SIGNED), b"Hello, World?", (SECRET,), "does not match"),
    ("body with a line feed more", _header(SIGNED), BODY + b"\n", (SECRET,), "does not match"),
    ("body cut", _header(SIGNED), BODY[:-1], (SECRET,), "does not match"),
    ("body missing", _header(SIGNED), b"", (SECRET,), "does not match"),
    (
        "body written again",
        _header(JSON_SIGNED),
        json.dumps(json.loads(JSON_BODY)).encode(),
        (SECRET,),
        "does not match",
    ),
    (
        "body in Latin-1",
        _header(JSON_SIGNED),
        JSON_BODY.replace("é".encode(), b"\xe9"),
        (SECRET,),
        "does not",
    ),
    ("no keys at all", _header(SIGNED), BODY, (), "No webhook secret"),
    ("an empty key", _header(_signed(b"", BODY)), BODY, (b"",), "No webhook secret"),
    ("a blank key", _header(_signed(b" \n", BODY)), BODY, (b" \n",), "No webhook secret"),
    ("empty keys only", _header(_signed(b"", BODY)), BODY, (b"", b""), "No webhook secret"),
    ("no keys and unsigned", {}, BODY, (), "No webhook secret"),
]


@pytest.mark.parametrize(
    ("headers", "body", "keys", "reason"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_anything_else_is_refused(
    connector: GitHubConnector, headers: dict[str, str], body: bytes, keys: tuple[bytes, ...], reason: str
) -> None:
    with pytest.raises(Rejected, match=reason) as refused:
        connector.verify(_request(headers, body), Keys(keys), NOW)
    assert refused.value.status == 401


@pytest.mark.parametrize(
    ("headers", "body", "keys"), [case[1:4] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_refusal_tells_neither_key_nor_signature(
    connector: GitHubConnector, headers: dict[str, str], body: bytes, keys: tuple[bytes, ...]
) -> None:
    with pytest.raises(Rejected) as refused:
        connector.verify(_request(headers, body), Keys(keys), NOW)
    told = str(refused.value)
    assert SECRET.decode() not in told
    assert HEX[:12] not in told
    assert _signed(SECRET, body)[7:19] not in told


def test_every_key_is_tried_even_after_one_matched(
    connector: GitHubConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[bytes] = []

    def compare(ours: bytes, theirs: bytes) -> bool:
        compared.append(ours)
        return ours == theirs

    monkeypatch.setattr(hmac, "compare_digest", compare)
    connector.verify(_request(_header(SIGNED)), Keys((SECRET, b"two", b"three")), NOW)
    assert len(compared) == 3
