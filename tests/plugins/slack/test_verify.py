"""Only what Slack signed just now is believed."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest

from tidings.contracts import Keys, WebhookRequest
from tidings.errors import Rejected
from tidings_slack.verify import sign, verify

# Slack's own example (docs.slack.dev, "Verifying requests from Slack"), and a JSON body with the same secret.
SECRET = b"8f742231b10e8888abcd99yyyzzz85a5"
AT = 1531420618
FORM = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&"
    b"channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&"
    b"response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&"
    b"trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
FORM_SIGNED = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
BODY = (
    b'{"token":"Jhj5dZrVaK7ZwHHjRyZWjbDl","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P",'
    b'"type":"url_verification"}'
)
SIGNED = "v0=f9bd80929259f3f6d5fe3a3186c453c89cd1ad4862815a15837584f31c993652"
HEX = SIGNED.removeprefix("v0=")
NOW = datetime.fromtimestamp(AT, UTC)


def _request(signature: str | None = SIGNED, at: str | None = str(AT), body: bytes = BODY) -> WebhookRequest:
    headers = {"x-slack-signature": signature, "x-slack-request-timestamp": at}
    sent = {name: value for name, value in headers.items() if value is not None}
    return WebhookRequest("POST", "/api/webhooks/slack", "", sent, body)


@pytest.mark.parametrize(("body", "signature"), [(FORM, FORM_SIGNED), (BODY, SIGNED)])
def test_what_slack_signed_is_accepted(body: bytes, signature: str) -> None:
    verify(_request(signature, body=body), Keys((SECRET,)), NOW)


@pytest.mark.parametrize("keys", [(SECRET, b"new"), (b"new", SECRET), (b"", SECRET), (b"a", b"b", SECRET)])
def test_any_one_of_several_keys_will_do(keys: tuple[bytes, ...]) -> None:
    verify(_request(), Keys(keys), NOW)


@pytest.mark.parametrize("off_seconds", [-300, -299.5, 0, 1, 300])
def test_five_minutes_are_the_most(off_seconds: float) -> None:
    verify(_request(), Keys((SECRET,)), NOW + timedelta(seconds=off_seconds))


@pytest.mark.parametrize("off_seconds", [-301, -300.5, 300.5, 301, 86_400, -86_400, 1e9])
def test_a_replay_or_a_wrong_clock_is_refused(off_seconds: float) -> None:
    with pytest.raises(Rejected, match="five minutes") as caught:
        verify(_request(), Keys((SECRET,)), NOW + timedelta(seconds=off_seconds))
    assert caught.value.status == 401


def _other(secret: bytes, message: bytes, method: str = "sha256") -> str:
    return "v0=" + hmac.new(secret, message, method).hexdigest()


BASE = b"v0:%d:" % AT
LATER = str(AT + 1)
REFUSED: list[tuple[str, WebhookRequest, tuple[bytes, ...], str]] = [
    # case, request, keys, part of the reason
    ("unsigned", _request(None), (SECRET,), "missing"),
    ("empty signature", _request(""), (SECRET,), "missing"),
    ("no timestamp", _request(at=None), (SECRET,), "Timestamp is missing"),
    ("empty timestamp", _request(at=""), (SECRET,), "Timestamp is missing"),
    ("another timestamp", _request(at=LATER), (SECRET,), "does not match"),
    ("timestamp with a fraction", _request(at=f"{AT}.0"), (SECRET,), "Timestamp"),
    ("timestamp with a sign", _request(at=f"+{AT}"), (SECRET,), "Timestamp"),
    ("negative timestamp", _request(at=f"-{AT}"), (SECRET,), "Timestamp"),
    ("timestamp with a leading zero", _request(at=f"0{AT}"), (SECRET,), "Timestamp"),
    ("timestamp in other digits", _request(at="\u0661" * 10), (SECRET,), "Timestamp"),
    ("timestamp with a blank", _request(at=f"{AT} "), (SECRET,), "Timestamp"),
    ("timestamp with an underscore", _request(at="1_531_420_618"), (SECRET,), "Timestamp"),
    ("huge timestamp", _request(at="9" * 400), (SECRET,), "Timestamp"),
    ("timestamp sent twice", _request(at=f"{AT}, {AT}"), (SECRET,), "Timestamp"),
    ("timestamp of words", _request(at="now"), (SECRET,), "Timestamp"),
    ("signature sent twice", _request(f"{SIGNED}, {SIGNED}"), (SECRET,), "X-Slack-Signature"),
    ("wrong key", _request(_other(b"guess", BASE + BODY)), (SECRET,), "does not match"),
    ("key with a line feed", _request(_other(SECRET + b"\n", BASE + BODY)), (SECRET,), "does not match"),
    ("signed with the empty key", _request(_other(b"", BASE + BODY)), (SECRET,), "does not match"),
    ("body alone signed", _request(_other(SECRET, BODY)), (SECRET,), "does not match"),
    ("without the version", _request(_other(SECRET, b"%d:" % AT + BODY)), (SECRET,), "does not match"),
    ("another version", _request(_other(SECRET, b"v1:%d:" % AT + BODY)), (SECRET,), "does not match"),
    ("version in the header", _request("v1=" + HEX), (SECRET,), "X-Slack-Signature"),
    ("upper-case digits", _request("v0=" + HEX.upper()), (SECRET,), "X-Slack-Signature"),
    ("upper-case version", _request("V0=" + HEX), (SECRET,), "X-Slack-Signature"),
    ("version missing", _request(HEX), (SECRET,), "X-Slack-Signature"),
    ("one digit too few", _request(SIGNED[:-1]), (SECRET,), "X-Slack-Signature"),
    ("one digit too many", _request(SIGNED + "0"), (SECRET,), "X-Slack-Signature"),
    ("no digits", _request("v0="), (SECRET,), "X-Slack-Signature"),
    ("full-width digits", _request("v0=" + "\uff11" * 64), (SECRET,), "X-Slack-Signature"),
    ("line feed behind", _request(SIGNED + "\n"), (SECRET,), "X-Slack-Signature"),
    ("blank before", _request(" " + SIGNED), (SECRET,), "X-Slack-Signature"),
    ("sha1", _request(_other(SECRET, BASE + BODY, "sha1")), (SECRET,), "X-Slack-Signature"),
    ("sha512", _request(_other(SECRET, BASE + BODY, "sha512")), (SECRET,), "X-Slack-Signature"),
    ("last digit changed", _request(SIGNED[:-1] + "3"), (SECRET,), "does not match"),
    ("first digit changed", _request("v0=0" + HEX[1:]), (SECRET,), "does not match"),
    ("all zeros", _request("v0=" + "0" * 64), (SECRET,), "does not match"),
    ("hash without a key", _request("v0=" + hashlib.sha256(BASE + BODY).hexdigest()), (SECRET,), "match"),
    ("signature of another body", _request(FORM_SIGNED), (SECRET,), "does not match"),
    ("body with a line feed more", _request(body=BODY + b"\n"), (SECRET,), "does not match"),
    ("body cut", _request(body=BODY[:-1]), (SECRET,), "does not match"),
    ("body missing", _request(body=b""), (SECRET,), "does not match"),
    ("body written again", _request(body=json.dumps(json.loads(BODY)).encode()), (SECRET,), "does not match"),
    ("wrong among several keys", _request(), (b"one", b"two"), "does not match"),
    ("no keys at all", _request(), (), "No signing secret"),
    ("an empty key", _request(_other(b"", BASE + BODY)), (b"",), "No signing secret"),
    ("a blank key", _request(_other(b" ", BASE + BODY)), (b" ",), "No signing secret"),
]


@pytest.mark.parametrize(
    ("request_", "keys", "reason"), [one[1:] for one in REFUSED], ids=[one[0] for one in REFUSED]
)
def test_anything_else_is_refused(request_: WebhookRequest, keys: tuple[bytes, ...], reason: str) -> None:
    with pytest.raises(Rejected, match=reason) as caught:
        verify(request_, Keys(keys), NOW)
    assert caught.value.status == 401
    assert not any(key.strip() and key.decode() in str(caught.value) for key in keys)


def test_the_old_token_in_the_body_is_no_proof() -> None:
    with pytest.raises(Rejected):
        verify(_request(None, None), Keys((b"Jhj5dZrVaK7ZwHHjRyZWjbDl",)), NOW)


def test_a_signature_is_made_as_it_is_checked() -> None:
    assert sign(SECRET, AT, BODY) == SIGNED
