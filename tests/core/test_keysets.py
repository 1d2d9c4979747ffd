from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tidings.errors import Unavailable
from tidings.keysets import KeySets
from tidings.outbound import Outbound
from tidings.testing.clock import FakeClock

URL = "https://keys.example.org/certs"


class Publisher:
    """Publishes keys, or fails to."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.keys: Any = {"keys": [{"kid": "a"}]}
        self.cache_control = "public, max-age=600, must-revalidate"
        self.status = 200
        self.asked = 0
        self.sets = KeySets(Outbound(transport=httpx.MockTransport(self.answer)), self.clock)

    def answer(self, request: httpx.Request) -> httpx.Response:
        assert str(request.url) == URL
        self.asked += 1
        headers = {"cache-control": self.cache_control}
        return httpx.Response(self.status, headers=headers, content=json.dumps(self.keys))


async def test_keys_are_kept_for_as_long_as_their_answer_says() -> None:
    publisher = Publisher()
    assert await publisher.sets.get(URL) == {"keys": [{"kid": "a"}]}
    await publisher.clock.advance(599)
    await publisher.sets.get(URL)
    assert publisher.asked == 1
    publisher.keys = {"keys": [{"kid": "b"}]}
    await publisher.clock.advance(2)
    assert await publisher.sets.get(URL) == {"keys": [{"kid": "b"}]}


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("no-cache", 3600), ("max-age=1", 300), ("max-age=999999", 86_400), ("s-maxage=9, max-age=700", 700)],
)
async def test_they_are_kept_neither_too_long_nor_too_short(said: str, seconds: int) -> None:
    publisher = Publisher()
    publisher.cache_control = said
    await publisher.sets.get(URL)
    await publisher.clock.advance(seconds - 1)
    await publisher.sets.get(URL)
    assert publisher.asked == 1
    await publisher.clock.advance(2)
    await publisher.sets.get(URL)
    assert publisher.asked == 2


async def test_an_unknown_key_has_them_read_anew_once_a_minute() -> None:
    publisher = Publisher()
    await publisher.sets.get(URL)
    await publisher.clock.advance(61)
    publisher.keys = {"keys": [{"kid": "a"}, {"kid": "b"}]}
    for _ in range(5):
        assert await publisher.sets.renew(URL) == publisher.keys
    assert publisher.asked == 2


@pytest.mark.parametrize(("status", "keys"), [(503, {"keys": []}), (200, []), (200, {"keys": 1})])
async def test_old_keys_serve_while_no_new_ones_can_be_had(status: int, keys: Any) -> None:
    publisher = Publisher()
    await publisher.sets.get(URL)
    await publisher.clock.advance(3600)
    publisher.status, publisher.keys = status, keys
    assert await publisher.sets.get(URL) == {"keys": [{"kid": "a"}]}


async def test_without_any_keys_a_delivery_is_to_be_sent_again() -> None:
    publisher = Publisher()
    publisher.status = 500
    for _ in range(3):
        with pytest.raises(Unavailable):
            await publisher.sets.get(URL)
    assert publisher.asked == 1
    await publisher.clock.advance(61)
    publisher.status = 200
    assert await publisher.sets.get(URL) == {"keys": [{"kid": "a"}]}
