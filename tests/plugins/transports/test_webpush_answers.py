"""Every answer of a push service, and what becomes of the subscription and its news by it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.devices import Fate
from tidings_transports.webpush.answers import TABLE, judge

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)

#: What is expected of each status, whatever is in the body; of those that push services are known to give.
KNOWN = {
    200: Fate.TAKEN, 201: Fate.TAKEN, 202: Fate.TAKEN, 204: Fate.TAKEN,
    301: Fate.LATER, 302: Fate.LATER, 307: Fate.LATER, 308: Fate.LATER,
    400: Fate.REFUSED, 401: Fate.BLOCKED, 402: Fate.BLOCKED, 403: Fate.BLOCKED,
    404: Fate.GONE, 405: Fate.REFUSED, 406: Fate.LATER, 408: Fate.LATER, 409: Fate.REFUSED, 410: Fate.GONE,
    411: Fate.REFUSED, 412: Fate.REFUSED, 413: Fate.REFUSED, 415: Fate.REFUSED, 421: Fate.REFUSED, 422: Fate.REFUSED,
    425: Fate.LATER, 428: Fate.REFUSED, 429: Fate.LATER, 431: Fate.REFUSED, 451: Fate.REFUSED,
    500: Fate.LATER, 501: Fate.LATER, 502: Fate.LATER, 503: Fate.LATER, 504: Fate.LATER, 507: Fate.LATER,
}  # fmt: skip

#: What the bodies of known services make of it.
BODIES = [
    (403, b"the VAPID credentials in the authorization header do not correspond to the credentials used", Fate.GONE),
    (401, b'{"reason":"VapidPkHashMismatch"}', Fate.GONE),
    (400, b'{"reason":"VapidPkHashMismatch"}', Fate.GONE),
    (403, b'{"reason":"BadJwtToken"}', Fate.BLOCKED),
    (400, b'{"reason":"BadJwtToken"}', Fate.BLOCKED),
    (401, b'{"code":401,"errno":109,"error":"Unauthorized","message":"Invalid Authorization"}', Fate.BLOCKED),
    (400, b'{"reason":"BadWebPushTopic"}', Fate.REFUSED),
    (400, b'{"code":400,"errno":111,"error":"Bad Request","message":"Missing TTL value"}', Fate.REFUSED),
    (503, b'{"code":503,"errno":201,"error":"Service Unavailable"}', Fate.LATER),
    (410, b'{"reason":"Unregistered"}', Fate.GONE),
    (404, b"A valid push subscription endpoint should be specified", Fate.GONE),
    (413, b'{"reason":"PayloadTooLarge"}', Fate.REFUSED),
    (429, b'{"reason":"TooManyRequests"}', Fate.LATER),
]  # fmt: skip


def fate(status: int, body: bytes = b"") -> Fate:
    return judge(status, {}, body, secrets=[], now=NOW).fate


@pytest.mark.parametrize(("status", "expected"), KNOWN.items(), ids=str)
def test_each_status_has_its_fate(status: int, expected: Fate) -> None:
    assert fate(status) == expected
    assert fate(status, b"whatever it says") == expected


@pytest.mark.parametrize(("status", "body", "expected"), BODIES)
def test_what_known_services_say_is_understood(status: int, body: bytes, expected: Fate) -> None:
    assert fate(status, body) == expected


def test_every_row_of_the_table_is_what_becomes_of_some_answer() -> None:
    answers = [*((status, b"") for status in [*KNOWN, 700]), *((status, body) for status, body, _ in BODIES)]
    fitting = {
        next(at for at, rule in enumerate(TABLE) if rule.fits(status, body.decode()))
        for status, body in answers
    }
    assert fitting == set(range(len(TABLE)))


@given(st.integers(0, 999), st.binary(max_size=300))
def test_every_answer_has_a_fate_and_says_it_in_a_line(status: int, body: bytes) -> None:
    pushed = judge(status, {}, body, secrets=[], now=NOW)
    assert pushed.status == status
    assert (pushed.detail == "") == (pushed.fate is Fate.TAKEN)
    assert pushed.detail.isprintable()
    assert len(pushed.detail) < 600
    if 500 <= status < 600:
        assert pushed.fate is Fate.LATER


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("999999999", 86400.0),  # nobody is put off for longer than a day
        (format_datetime(NOW + timedelta(minutes=5), usegmt=True), 300.0),
        ("soon", None),
        ("", None),
    ],
)
def test_what_it_asks_to_wait_is_kept(text: str, seconds: float | None) -> None:
    assert judge(429, {"retry-after": text}, b"", secrets=[], now=NOW).retry_after_seconds == seconds


def test_what_it_quotes_of_the_address_is_blacked_out() -> None:
    endpoint = "https://fcm.googleapis.com/fcm/send/secret-secret"
    body = f"no such endpoint {endpoint} or /fcm/send/secret-secret".encode()
    pushed = judge(
        400, {"x-wns-error": endpoint}, body, secrets=[endpoint, "/fcm/send/secret-secret", "/"], now=NOW
    )
    assert "secret-secret" not in pushed.detail
    assert "no such endpoint … or …" in pushed.detail
