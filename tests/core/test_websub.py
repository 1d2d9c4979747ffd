"""The subscriber's half of WebSub, against what hubs send: right, wrong and odd."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from tidings.contracts import Api, Connector, Keys, Parsed, Target, WebhookRequest
from tidings.errors import Rejected, Unavailable
from tidings.testing import RecordedHttp, answer
from tidings.websub import IGNORED, Subscriber, signed

HUB, TOPIC = "https://hub.example.org/", "https://blog.example.org/feed"
TARGET = Target(f"{HUB} {TOPIC}", "Blog")
CALLBACK = "https://tidings.example.org/api/webhooks/blog/whk"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEYS = Keys((b"planted-0123456789",))


class Blog(Connector, Subscriber):
    platform = "blog"
    display_name = "Blog"

    async def targets(self, api: Api, settings: Mapping[str, Any]) -> Sequence[Target]:
        return [TARGET]

    def parse(self, request: WebhookRequest) -> Parsed:
        return Parsed(())

    def sample(self, keys: Keys, now: datetime, serial: str) -> WebhookRequest:
        return signed(serial.encode(), keys, "text/plain")


API: Any = None


def question(**query: str) -> WebhookRequest:
    given = {f"hub.{name}": value for name, value in query.items()}
    return WebhookRequest("GET", "/", urlencode(given), {}, b"")


async def test_a_subscription_names_topic_address_secret_and_lease() -> None:
    http = RecordedHttp({f"POST {HUB}": answer(b"", 202)})
    made = await Blog(http).register(API, TARGET, CALLBACK, "planted")
    assert (made.is_pending, made.target) == (True, TARGET)
    form = dict(parse_qsl(http.asked[0].body.decode()))
    assert form == {
        "hub.mode": "subscribe",
        "hub.topic": TOPIC,
        "hub.callback": CALLBACK,
        "hub.secret": "planted",
        "hub.lease_seconds": "864000",
    }
    await Blog(http).unregister(API, made)
    form = dict(parse_qsl(http.asked[1].body.decode()))
    assert form == {"hub.mode": "unsubscribe", "hub.topic": TOPIC, "hub.callback": CALLBACK}


@pytest.mark.parametrize(("status", "error"), [(500, Unavailable), (429, Unavailable), (404, Rejected)])
async def test_a_hub_that_refuses_is_told_apart_from_one_that_is_down(
    status: int, error: type[Exception]
) -> None:
    http = RecordedHttp({f"POST {HUB}": answer(b"", status)})
    with pytest.raises(error, match=f"The hub answers {status}"):
        await Blog(http).register(API, TARGET, CALLBACK, "planted")


def test_a_question_about_what_is_wanted_is_answered_with_its_challenge() -> None:
    asked = question(mode="subscribe", topic=TOPIC, challenge="c1", lease_seconds="3600")
    greeted = Blog(RecordedHttp()).greet(asked, TARGET.key, is_wanted=True)
    assert (greeted.reply.status, greeted.reply.body) == (200, b"c1")
    assert greeted.expires_in_seconds == 3600


@pytest.mark.parametrize("lease", ["", "soon", "-5", "²", "9" * 40])
def test_a_lease_that_is_no_number_is_none(lease: str) -> None:
    asked = question(mode="subscribe", topic=TOPIC, challenge="c1", lease_seconds=lease)
    assert Blog(RecordedHttp()).greet(asked, TARGET.key, is_wanted=True).expires_in_seconds is None


@pytest.mark.parametrize(
    ("query", "target", "is_wanted"),
    [
        ({"mode": "subscribe", "topic": "https://other.example.org/", "challenge": "c"}, TARGET.key, True),
        ({"mode": "subscribe", "topic": TOPIC, "challenge": "c"}, TARGET.key, False),
        ({"mode": "subscribe", "topic": TOPIC, "challenge": "c"}, None, True),
        ({"mode": "subscribe", "topic": TOPIC}, TARGET.key, True),
        ({"mode": "unsubscribe", "topic": TOPIC, "challenge": "c"}, TARGET.key, True),
        ({"mode": "dance", "topic": TOPIC, "challenge": "c"}, TARGET.key, True),
        ({}, TARGET.key, True),
    ],
)
def test_a_question_about_anything_else_is_refused(
    query: dict[str, str], target: str | None, is_wanted: bool
) -> None:
    with pytest.raises(Rejected) as caught:
        Blog(RecordedHttp()).greet(question(**query), target, is_wanted=is_wanted)
    assert caught.value.status == 404


def test_an_end_that_was_asked_for_is_confirmed_and_a_refusal_is_a_problem() -> None:
    blog = Blog(RecordedHttp())
    end = question(mode="unsubscribe", topic=TOPIC, challenge="c2")
    assert blog.greet(end, TARGET.key, is_wanted=False).reply.body == b"c2"
    assert (
        blog.greet(question(mode="denied", reason="No room."), TARGET.key, is_wanted=True).problem
        == "No room."
    )
    assert blog.greet(question(mode="denied"), TARGET.key, is_wanted=True).problem


@pytest.mark.parametrize("method", ["sha1", "sha256", "sha384", "sha512", "SHA256"])
def test_every_method_of_the_standard_is_verified(method: str) -> None:
    digest = hmac.digest(KEYS.secrets[0], b"body", method.lower()).hex()
    request = WebhookRequest("POST", "/", "", {"x-hub-signature": f"{method}={digest}"}, b"body")
    Blog(RecordedHttp()).verify(request, Keys((b"other-0123456789", *KEYS.secrets)), NOW)


@pytest.mark.parametrize(
    "header", ["", "sha256=", "md5=" + "0" * 32, "sha256=" + "0" * 63, "sha256=" + "é" * 64]
)
def test_anything_else_is_taken_and_thrown_away(header: str) -> None:
    request = WebhookRequest("POST", "/", "", {"x-hub-signature": header}, b"body")
    with pytest.raises(Rejected) as caught:
        Blog(RecordedHttp()).verify(request, KEYS, NOW)
    assert caught.value.status == IGNORED


def test_without_a_subscription_nothing_is_verified() -> None:
    blog = Blog(RecordedHttp())
    with pytest.raises(Rejected) as caught:
        blog.verify(blog.sample(KEYS, NOW, "1"), Keys((b" ",)), NOW)
    assert caught.value.status == 401
