"""What the tests of the YouTube connector share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tidings.contracts import WebhookRequest
from tidings_youtube.connector import YouTubeConnector
from youtube_exchanges import Bench, make_bench
from youtube_exchanges import delivery as read_delivery


@pytest.fixture
def bench() -> Callable[..., Bench]:
    return make_bench


@pytest.fixture
def connector() -> YouTubeConnector:
    return make_bench().connector


@pytest.fixture
def delivery() -> Callable[[str], WebhookRequest]:
    return read_delivery
