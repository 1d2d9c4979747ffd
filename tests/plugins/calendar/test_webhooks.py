"""What Google sends: whether it was Google, and what it says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendar_exchanges import NOW, connector
from tidings.contracts import Keys, Parsed, Reply, WebhookRequest
from tidings.errors import NotFound, Rejected
from tidings_calendar.verify import channel_token

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("notification__*.json"))
SECRET = b"k" * 32
CHANNEL = "01234567-89ab-cdef-0123456789ab"
TOKEN = "9f184de3924bac6e36839de6adc9d739dec7140186698dab153a8afb1f04a1b0"
CALENDAR = connector()
HEADERS = {
    "x-goog-channel-id": CHANNEL,
    "x-goog-channel-token": TOKEN,
    "x-goog-resource-state": "exists",
    "x-goog-message-number": "10",
}


def request(headers: Mapping[str, str | None], body: bytes = b"") -> WebhookRequest:
    """A notification with these headers instead; one that is None is left out."""
    sent = {name: value for name, value in {**HEADERS, **headers}.items() if value is not None}
    return WebhookRequest("POST", "/api/webhooks/calendar/w1", "", sent, body)


def verify(headers: Mapping[str, str | None], *secrets: bytes, body: bytes = b"") -> None:
    CALENDAR.verify(request(headers, body), Keys(secrets), NOW)


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_a_notification_is_verified_and_says_what_it_says(path: Path) -> None:
    fixture: dict[str, Any] = json.loads(path.read_text())
    sent = WebhookRequest("POST", "/", "", fixture["headers"], fixture["body"].encode())
    CALENDAR.verify(sent, Keys((SECRET,)), NOW)
    parsed, says = CALENDAR.parse(sent), fixture["says"]
    assert (parsed.kind, parsed.delivery_id, parsed.signal) == (
        says["kind"],
        says["delivery_id"],
        says["signal"],
    )
    assert (parsed.hint is not None) is says["hints"]
    assert parsed.hint is not None
    assert parsed.hint.in_seconds == 0.5
    assert (parsed.hint.targets, parsed.events, parsed.addresses, parsed.answer) == ((), (), (), None)


def test_a_token_is_as_long_as_google_allows_and_belongs_to_its_channel() -> None:
    assert channel_token(SECRET, CHANNEL) == TOKEN
    assert len(TOKEN) <= 256
    assert channel_token(SECRET, CHANNEL.upper()) != TOKEN
    assert channel_token(b"K" * 32, CHANNEL) != TOKEN


@pytest.mark.parametrize("keys", [(SECRET, b"new"), (b"new", SECRET), (b"", SECRET), (b"a", b"b", SECRET)])
def test_any_one_of_several_keys_will_do(keys: tuple[bytes, ...]) -> None:
    verify({}, *keys)


REFUSED: list[tuple[str, Mapping[str, str | None], tuple[bytes, ...], str]] = [
    ("no key", {}, (), "no secret"),
    ("an empty key", {}, (b"",), "no secret"),
    ("a blank key", {}, (b" \n", b"\t"), "no secret"),
    ("no token", {"x-goog-channel-token": None}, (SECRET,), "no X-Goog-Channel-Token"),
    ("an empty token", {"x-goog-channel-token": ""}, (SECRET,), "no X-Goog-Channel-Token"),
    ("another key", {}, (b"other",), "not that of this channel"),
    ("a longer key", {}, (SECRET + b"\n",), "not that of this channel"),
    ("a key in capitals", {}, (SECRET.upper(),), "not that of this channel"),
    ("several other keys", {}, (b"one", b"two", b""), "not that of this channel"),
    ("the token in capitals", {"x-goog-channel-token": TOKEN.upper()}, (SECRET,), "no X-Goog-Channel-Token"),
    ("a token with a blank", {"x-goog-channel-token": f" {TOKEN}"}, (SECRET,), "no X-Goog-Channel-Token"),
    ("a token with a line", {"x-goog-channel-token": f"{TOKEN}\n"}, (SECRET,), "no X-Goog-Channel-Token"),
    ("a short token", {"x-goog-channel-token": TOKEN[:-1]}, (SECRET,), "no X-Goog-Channel-Token"),
    ("a long token", {"x-goog-channel-token": f"{TOKEN}0"}, (SECRET,), "no X-Goog-Channel-Token"),
    ("two tokens", {"x-goog-channel-token": f"{TOKEN}, {TOKEN}"}, (SECRET,), "no X-Goog-Channel-Token"),
    ("zeros", {"x-goog-channel-token": "0" * 64}, (SECRET,), "not that of this channel"),
    ("no hexadecimal", {"x-goog-channel-token": "g" * 64}, (SECRET,), "no X-Goog-Channel-Token"),
    ("other digits", {"x-goog-channel-token": "\u0663" * 64}, (SECRET,), "no X-Goog-Channel-Token"),
    ("the secret itself", {"x-goog-channel-token": SECRET.decode()}, (SECRET,), "no X-Goog-Channel-Token"),
    ("the channel as token", {"x-goog-channel-token": CHANNEL}, (SECRET,), "no X-Goog-Channel-Token"),
    (
        "the token of another channel",
        {"x-goog-channel-token": channel_token(SECRET, "another")},
        (SECRET,),
        "not that of this channel",
    ),
    ("another channel", {"x-goog-channel-id": "another"}, (SECRET,), "not that of this channel"),
    ("a channel in capitals", {"x-goog-channel-id": CHANNEL.upper()}, (SECRET,), "not that of this channel"),
    ("no channel", {"x-goog-channel-id": None}, (SECRET,), "no usable X-Goog-Channel-ID"),
    ("an empty channel", {"x-goog-channel-id": ""}, (SECRET,), "no usable X-Goog-Channel-ID"),
    ("two channels", {"x-goog-channel-id": f"{CHANNEL}, {CHANNEL}"}, (SECRET,), "no usable"),
    ("a channel with a blank", {"x-goog-channel-id": f"{CHANNEL} "}, (SECRET,), "no usable"),
    ("a channel with a NUL", {"x-goog-channel-id": f"{CHANNEL}\0"}, (SECRET,), "no usable"),
    ("a long channel", {"x-goog-channel-id": "a" * 65}, (SECRET,), "no usable"),
    ("an odd channel", {"x-goog-channel-id": "caf\xe9"}, (SECRET,), "no usable"),
    (
        "a bearer token instead",
        {"authorization": f"Bearer {TOKEN}", "x-goog-channel-token": None},
        (SECRET,),
        "no X",
    ),
    (
        "a plain digest",
        {"x-goog-channel-token": "5ca28d3f8ae1a6c9f4fb5f1a2d8ab9e9b1a0a4b31e2ccf0a3d7a4d3d3c8b7a65"},
        (SECRET,),
        "not that of this channel",
    ),
]


@pytest.mark.parametrize(
    ("headers", "secrets", "reason"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_what_google_did_not_send_is_refused(
    headers: Mapping[str, str | None], secrets: tuple[bytes, ...], reason: str
) -> None:
    with pytest.raises(Rejected, match=reason) as caught:
        verify(headers, *secrets)
    assert caught.value.status == 401
    assert TOKEN not in str(caught.value)
    assert SECRET.decode() not in str(caught.value)


def test_the_body_says_nothing() -> None:
    verify({}, SECRET, body=b"\xff{")
    assert CALENDAR.parse(request({}, b'{"kind": "calendar#event"}')) == CALENDAR.parse(request({}))


@pytest.mark.parametrize("state", [None, "", " "])
def test_a_notification_without_a_state_says_nothing(state: str | None) -> None:
    with pytest.raises(Rejected) as caught:
        CALENDAR.parse(request({"x-goog-resource-state": state}))
    assert caught.value.status == 400


def test_a_channel_that_nobody_knows_any_more_is_thanked() -> None:
    """Any other answer is, to Google, a message to send again or one that was lost."""
    assert CALENDAR.unknown(request({})) == Reply(200)
    assert CALENDAR.unknown(
        request({"x-goog-resource-state": "sync", "x-goog-channel-token": None})
    ) == Reply(200)


@pytest.mark.parametrize(
    "headers",
    [{"x-goog-channel-id": None}, {"x-goog-channel-id": "no channel"}, {"x-goog-resource-state": None}],
)
def test_what_is_no_notification_is_not(headers: Mapping[str, str | None]) -> None:
    assert CALENDAR.unknown(request(headers)) is None


def test_a_sample_is_taken_for_googles_and_every_one_is_another() -> None:
    keys = Keys((SECRET, b"older"))
    samples = [CALENDAR.sample(keys, NOW, serial) for serial in ("1", "2", "1")]
    for sample in samples:
        CALENDAR.verify(sample, keys, NOW)
    first, second, again = (CALENDAR.parse(sample).delivery_id for sample in samples)
    assert first
    assert first == again != second
    assert samples[0].headers["x-goog-channel-expiration"] == "Mon, 30 Nov 2026 12:00:00 GMT"
    with pytest.raises(NotFound):
        CALENDAR.sample(Keys(), NOW, "1")


texts = st.text(st.characters(max_codepoint=255), max_size=80)
names = st.sampled_from([*HEADERS, "x-goog-resource-id", "x-goog-channel-expiration", "x-other"])


@given(st.dictionaries(names, texts, max_size=6), st.binary(max_size=50))
def test_anything_else_is_refused_and_nothing_worse(headers: dict[str, str], body: bytes) -> None:
    sent = WebhookRequest("POST", "/", "", headers, body)
    with pytest.raises(Rejected):
        CALENDAR.verify(sent, Keys((SECRET,)), datetime(2026, 1, 1, tzinfo=UTC))
    assert CALENDAR.unknown(sent) in {None, Reply(200)}


@given(st.dictionaries(names, texts, max_size=6), st.binary(max_size=50))
def test_whatever_is_signed_is_read_or_refused(headers: dict[str, str], body: bytes) -> None:
    sent = request(headers, body)
    try:
        parsed = CALENDAR.parse(sent)
    except Rejected as error:
        assert error.status == 400
        return
    assert isinstance(parsed, Parsed)
    assert parsed == CALENDAR.parse(sent)
    assert len(parsed.delivery_id) <= 128
