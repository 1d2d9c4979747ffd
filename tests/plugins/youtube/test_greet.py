"""The hub asks an address whether it wants a channel's news: yes for what was asked for, no for anything else."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.contracts import Reply, WebhookRequest
from tidings.errors import Rejected
from tidings_youtube.connector import YouTubeConnector
from tidings_youtube.greet import greet

CHANNEL = "UC_x5XG1OV2P6uZZ5FSM9Ttw"
TARGET = f"channel:{CHANNEL}"
TOPIC = f"https://www.youtube.com/xml/feeds/videos.xml?channel_id={CHANNEL}"
CHALLENGE = "14131226139385230000"


def _question(**changes: str | None) -> WebhookRequest:
    """What the hub asks; a parameter set to None is left out."""
    asked: dict[str, str | None] = {
        "hub.mode": "subscribe",
        "hub.topic": TOPIC,
        "hub.challenge": CHALLENGE,
        "hub.lease_seconds": "864000",
        **{f"hub.{name}": value for name, value in changes.items()},
    }
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    return WebhookRequest("GET", "/api/webhooks/youtube/whk", query, {}, b"")


def _with(more: str) -> WebhookRequest:
    return WebhookRequest("GET", "/api/webhooks/youtube/whk", _question().query + more, {}, b"")


def test_what_was_asked_for_is_confirmed_with_the_challenge(connector: YouTubeConnector) -> None:
    greeted = connector.greet(_question(), TARGET, is_wanted=True)
    assert greeted.reply == Reply(200, CHALLENGE.encode(), "text/plain; charset=utf-8")
    assert (greeted.expires_in_seconds, greeted.problem) == (864_000, "")


@pytest.mark.parametrize(
    "topic",
    [
        f"https://www.youtube.com/feeds/videos.xml?channel_id={CHANNEL}",
        f"http://www.youtube.com/xml/feeds/videos.xml?channel_id={CHANNEL}",
        f"https://youtube.com/xml/feeds/videos.xml?a=b&channel_id={CHANNEL}#c",
    ],
)
def test_a_topic_is_known_by_its_channel_however_it_is_written(topic: str) -> None:
    assert greet(_question(topic=topic), TARGET, is_wanted=True).reply.status == 200


@pytest.mark.parametrize("challenge", ["<script>", "a+b c%&=", "ü✓", "x" * 4096])
def test_the_challenge_is_given_back_exactly_and_as_text(challenge: str) -> None:
    reply = greet(_question(challenge=challenge), TARGET, is_wanted=True).reply
    assert reply.body == challenge.encode()
    assert reply.content_type.startswith("text/plain")


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("432000", 432_000),
        ("1", 1),
        ("9" * 15, 30 * 86_400),
        ("9" * 400, 432_000),
        (None, 432_000),
        ("", 432_000),
        ("0", 432_000),
        ("-5", 432_000),
        ("1e9", 432_000),
        ("٣", 432_000),
        ("soon", 432_000),
    ],
)
def test_a_lease_is_believed_within_reason(said: str | None, seconds: int) -> None:
    assert greet(_question(lease_seconds=said), TARGET, is_wanted=True).expires_in_seconds == seconds


REFUSED: list[tuple[str, WebhookRequest, str | None, bool]] = [
    ("another channel", _question(topic=TOPIC[:-1]), TARGET, True),
    ("a channel in another case", _question(topic=TOPIC.lower()), TARGET, True),
    ("no topic", _question(topic=None), TARGET, True),
    ("an empty topic", _question(topic=""), TARGET, True),
    ("a topic without a channel", _question(topic="https://www.youtube.com/feeds"), TARGET, True),
    ("a topic of two channels", _question(topic=f"{TOPIC}&channel_id=UCx"), TARGET, True),
    ("a topic that is no address", _question(topic="http://[::1"), TARGET, True),
    ("a topic of many parameters", _question(topic=TOPIC + "&a=b" * 60), TARGET, True),
    ("what is not wanted", _question(), TARGET, False),
    ("an unknown address", _question(), None, False),
    ("an unknown address that says it is known", _question(), None, True),
    ("a target of another sort", _question(), "repo:5", True),
    ("no challenge", _question(challenge=None), TARGET, True),
    ("an empty challenge", _question(challenge=""), TARGET, True),
    ("a huge challenge", _question(challenge="x" * 4097), TARGET, True),
    ("no mode", _question(mode=None), TARGET, True),
    ("an unknown mode", _question(mode="publish"), TARGET, True),
    ("a mode in another case", _question(mode="SUBSCRIBE"), TARGET, True),
    ("unsubscribing what is wanted", _question(mode="unsubscribe"), TARGET, True),
    ("unsubscribing without a challenge", _question(mode="unsubscribe", challenge=None), None, False),
    ("denying another channel", _question(mode="denied", topic=TOPIC[:-1], challenge=None), TARGET, True),
    ("denying what is not wanted", _question(mode="denied", challenge=None), TARGET, False),
    ("denying an unknown address", _question(mode="denied", challenge=None), None, False),
    ("a mode twice", _with("&hub.mode=subscribe"), TARGET, True),
    ("a topic twice", _with(f"&{urlencode({'hub.topic': TOPIC})}"), TARGET, True),
    ("too many parameters", _with("&a=b" * 60), TARGET, True),
    ("nothing at all", WebhookRequest("GET", "/", "", {}, b""), TARGET, True),
]


@pytest.mark.parametrize(
    ("request_", "target", "is_wanted"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_nothing_else_is_confirmed(request_: WebhookRequest, target: str | None, is_wanted: bool) -> None:
    with pytest.raises(Rejected) as refused:
        greet(request_, target, is_wanted=is_wanted)
    assert refused.value.status == 404


@pytest.mark.parametrize("target", [TARGET, None])
def test_an_address_that_wants_nothing_may_be_unsubscribed(target: str | None) -> None:
    greeted = greet(_question(mode="unsubscribe", topic="anything"), target, is_wanted=False)
    assert (greeted.reply.status, greeted.reply.body) == (200, CHALLENGE.encode())
    assert greeted.expires_in_seconds is None


def test_that_the_hub_denies_is_told_with_its_reason() -> None:
    denied = _question(mode="denied", challenge=None, reason="No such\n topic \x00.")
    greeted = greet(denied, TARGET, is_wanted=True)
    assert greeted.reply == Reply(200)
    assert greeted.problem == "The hub will not deliver this channel: No such topic .."
    assert "gives no reason" in greet(_question(mode="denied"), TARGET, is_wanted=True).problem


@given(st.text(), st.sampled_from([TARGET, None, "", "channel:"]), st.booleans())
def test_whatever_is_asked_nothing_but_a_refusal_is_raised(query: str, target: Any, is_wanted: bool) -> None:
    for text in (query, f"hub.mode={query}", f"hub.mode=subscribe&hub.challenge=a&hub.topic={query}"):
        try:
            greet(WebhookRequest("GET", "/", text, {}, b""), target, is_wanted=is_wanted)
        except Rejected as refused:
            assert refused.status == 404
