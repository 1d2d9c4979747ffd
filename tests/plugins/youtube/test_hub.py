"""The hub is asked without any token, and left in peace while it is down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tidings.connecting import Answer
from tidings.contracts import Target, Upstream
from tidings.errors import NotSent, Rejected, Unavailable
from tidings_youtube.cards import PUSHED_KINDS
from youtube_exchanges import Bench

CALLBACK = "https://tidings.example.org/api/webhooks/youtube/whkabc"
TARGET = Target("channel:UCabc", "Octo Garden")
NOTHING: Any = None  # an API that nobody may call: the hub is none of it

Make = Callable[..., Bench]


async def _register(bench: Bench) -> Upstream:
    return await bench.connector.register(NOTHING, TARGET, CALLBACK, "s3cr3t")


async def test_a_subscription_waits_for_the_hub_to_ask_back(bench: Make) -> None:
    one = bench()
    upstream = await _register(one)
    assert one.hub.asked == [
        {
            "hub.mode": "subscribe",
            "hub.topic": "https://www.youtube.com/xml/feeds/videos.xml?channel_id=UCabc",
            "hub.callback": CALLBACK,
            "hub.secret": "s3cr3t",
            "hub.lease_seconds": "864000",
            "hub.verify": "async",
        }
    ]
    assert one.hub.urls == ["https://pubsubhubbub.appspot.com/subscribe"]
    assert "authorization" not in one.hub.sent_headers[0]
    assert (upstream.target, upstream.kinds, upstream.is_pending) == (TARGET, PUSHED_KINDS, True)
    assert upstream.expires_at is None
    assert "s3cr3t" not in str(upstream)
    assert await one.connector.check(NOTHING, upstream) == upstream


async def test_topic_hub_and_lease_are_the_operators(bench: Make) -> None:
    topic = "https://www.youtube.com/feeds/videos.xml?channel_id={channel}"
    one = bench(topic=topic, hub_url="https://hub.example/", lease="2d")
    await _register(one)
    assert one.hub.urls == ["https://hub.example"]
    assert one.hub.asked[0]["hub.topic"] == topic.replace("{channel}", "UCabc")
    assert one.hub.asked[0]["hub.lease_seconds"] == "172800"


async def test_unsubscribing_names_topic_and_address_and_forgives_what_is_gone(bench: Make) -> None:
    one = bench()
    upstream = await _register(one)
    one.hub.answer = Answer(404, {}, b"no such subscription")
    await one.connector.unregister(NOTHING, upstream)
    assert one.hub.asked[-1] == {
        "hub.mode": "unsubscribe",
        "hub.topic": upstream.id,
        "hub.callback": CALLBACK,
        "hub.verify": "async",
    }


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_any_2xx_is_an_agreement(bench: Make, status: int) -> None:
    one = bench()
    one.hub.answer = Answer(status, {}, b"")
    assert (await _register(one)).is_pending


@pytest.mark.parametrize("status", [400, 403, 404, 413])
async def test_a_refusal_says_why(bench: Make, status: int) -> None:
    one = bench()
    one.hub.answer = Answer(status, {}, b"hub.callback:\n is \xff wrong")
    with pytest.raises(Rejected, match=r"The hub refuses: hub\.callback: is . wrong") as refused:
        await _register(one)
    assert refused.value.status == status
    one.hub.answer = Answer(status, {}, b"")
    with pytest.raises(Rejected, match=f"it answers {status}"):  # and the next one is asked all the same
        await _register(one)


DOWN = [
    Answer(503, {"retry-after": "120"}, b"Transient error; please try again later"),
    Answer(500, {}, b""),
    Answer(429, {}, b""),
    Answer(408, {}, b""),
    Answer(302, {"location": "https://accounts.google.com/"}, b""),
    Unavailable("pubsubhubbub.appspot.com did not answer within 12 seconds."),
    NotSent("No connection came about."),
]


@pytest.mark.parametrize("answer", DOWN, ids=lambda one: str(getattr(one, "status", type(one).__name__)))
async def test_while_it_is_down_nobody_asks_for_a_while(bench: Make, answer: Any) -> None:
    one = bench()
    one.hub.answer = answer
    with pytest.raises(Unavailable, match="YouTube's hub can't be asked") as failed:
        await _register(one)
    assert failed.value.retry_after_seconds == 120
    await one.clock.advance(60)
    with pytest.raises(Unavailable) as failed:
        await _register(one)
    assert failed.value.retry_after_seconds == 60
    assert len(one.hub.asked) == 1


async def test_peace_grows_up_to_an_hour_and_ends_with_the_first_answer(bench: Make) -> None:
    one = bench()
    one.hub.answer = Answer(503, {}, b"")
    waited = []
    for _ in range(7):
        with pytest.raises(Unavailable) as failed:
            await _register(one)
        assert failed.value.retry_after_seconds is not None
        waited.append(failed.value.retry_after_seconds)
        await one.clock.advance(failed.value.retry_after_seconds)
    assert waited == [120, 300, 900, 1800, 3600, 3600, 3600]
    one.hub.answer = Answer(202, {}, b"")
    await _register(one)
    one.hub.answer = Answer(503, {"retry-after": "7200"}, b"")
    with pytest.raises(Unavailable) as failed:
        await _register(one)
    assert failed.value.retry_after_seconds == 7200


async def test_unsubscribing_waits_for_a_hub_that_is_down(bench: Make) -> None:
    one = bench()
    upstream = await _register(one)
    one.hub.answer = Answer(503, {}, b"")
    with pytest.raises(Unavailable):
        await one.connector.unregister(NOTHING, upstream)


@pytest.mark.parametrize(
    ("callback", "hub", "reaches"),
    [
        ("https://tidings.example.org/x", "https://pubsubhubbub.appspot.com/subscribe", True),
        ("http://127.0.0.1:8080/x", "https://pubsubhubbub.appspot.com/subscribe", False),
        ("http://192.168.1.5/x", "https://pubsubhubbub.appspot.com/subscribe", False),
        ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080/sandbox/youtube/hub", True),
    ],
)
def test_the_hub_reaches_public_addresses_and_one_in_this_network_others(
    bench: Make, callback: str, hub: str, reaches: bool
) -> None:
    assert bench(hub_url=hub).connector.reaches(callback) is reaches


def test_an_address_that_ended_here_ends_at_the_hub_too(bench: Make) -> None:
    reply = bench().connector.unknown(NOTHING)
    assert reply is not None
    assert reply.status == 410
