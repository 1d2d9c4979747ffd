"""What a notification says, in at most 2 KB of JSON that browsers and scripts can read."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.devices import News
from tidings.event import Cursor, Entry, UserId
from tidings_transports.webpush.payload import MOST_BYTES, compose, compose_brief, compose_test, topic

URL = "https://tidings.example.org"
NAMES = {"github": "GitHub", "slack": "Slack", "gmail": "Gmail", "spotify": "Spotify"}


def entry(
    seq: int = 7, platform: str = "github", source: str = "//github.com/octo/repo", **data: Any
) -> Entry:
    return Entry(
        user_id=UserId(1),
        cursor=Cursor("epoch", seq),
        id=f"{platform}:{seq}",
        type=f"com.{platform}.push",
        source=source,
        subject="",
        time=None,
        recorded_at=datetime(2026, 1, 1, tzinfo=UTC),
        platform=platform,
        connection_id="",
        via="webhook",
        data=msgspec.Raw(msgspec.json.encode(data)),
    )


def news(*entries: Entry, more: int = 0) -> News:
    sources = Counter((one.platform, one.source) for one in entries)
    sources[entries[0].platform, entries[0].source] += more
    return News(entries, len(entries) + more, dict(sources), NAMES, entries[0].cursor, entries[-1].cursor)


def shown(of: News, url: str = URL) -> dict[str, Any]:
    """A message as a browser reads it: declarative as WebKit wants it."""
    plaintext = compose(of, url)
    assert len(plaintext) <= MOST_BYTES
    message = json.loads(plaintext)
    assert message["web_push"] == 8030
    notification: dict[str, Any] = message["notification"]
    assert isinstance(notification["title"], str)
    assert notification["title"]
    assert urlsplit(notification["navigate"]).scheme in {"http", "https"}
    assert urlsplit(notification["navigate"]).netloc
    return notification


@pytest.mark.parametrize(
    ("data", "title", "body"),
    [
        ({"title": "Pushed", "text": "Fix it"}, "Pushed", "Fix it"),
        ({"title": " Two\n lines "}, "Two lines", ""),
        ({"title": "P", "actor": {"name": "ann"}, "repository": "octo/repo"}, "P", "ann · octo/repo"),
        ({"title": "ann in #general", "actor": {"name": "ann"}, "channel": {"name": "general"}, "text": "hi"},
         "ann in #general", "hi"),
        ({"title": "P", "actor": {"name": ""}, "channel": {"id": "C1"}}, "P", ""),
        ({}, "com.github.push", ""),
        ({"title": "", "text": None, "actor": "bob", "url": 7}, "com.github.push", "bob"),
        ({"title": ["x"], "text": {}, "actor": {"name": 1}}, "com.github.push", ""),
    ],
)  # fmt: skip
def test_one_event(data: dict[str, Any], title: str, body: str) -> None:
    notification = shown(news(entry(**data)))
    assert (notification["title"], notification["body"]) == (title, body)
    assert notification["navigate"] == f"{URL}/?event=epoch-7"
    assert notification["tag"] == "tidings-epoch-7"


@pytest.mark.parametrize(
    ("entries", "more", "title"),
    [
        ([entry(title="a", repository="octo/repo")] * 7, 0, "7 new in octo/repo"),
        ([entry(title="a", repository="octo/repo")] * 2, 1998, "2,000 new in octo/repo"),
        ([entry(title="a")] * 2, 0, "2 new from GitHub"),
        ([entry(repository="a/b"), entry(source="//github.com/c/d", repository="c/d")], 0, "2 new from GitHub"),
        ([entry(), entry(platform="slack"), entry(platform="slack")], 0, "3 new: Slack 2, GitHub 1"),
        ([entry(platform=name) for name in (*NAMES, "other")], 0, "5 new: GitHub 1, Slack 1, Gmail 1, others 2"),
        ([entry(platform="other")] * 2, 0, "2 new from other"),
    ],
)  # fmt: skip
def test_a_burst(entries: list[Entry], more: int, title: str) -> None:
    assert shown(news(*entries, more=more))["title"] == title


def test_a_burst_names_the_newest_first() -> None:
    of = news(*[entry(seq, title=f"Event {seq}") for seq in range(1, 21)], more=80)
    notification = shown(of)
    assert notification["body"].split("\n") == ["Event 20", "Event 19", "Event 18", "Event 17", "and 96 more"]
    assert notification["navigate"] == f"{URL}/?since=epoch-1"
    assert notification["data"] == {"cursor": "epoch-20", "count": 100, "platform": "github"}


@pytest.mark.parametrize(
    ("link", "kept"),
    [
        ("https://github.com/octo/repo", "https://github.com/octo/repo"),
        ("/#connections/con1", f"{URL}/#connections/con1"),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("https://[", None),
        ("https://example.org/" + "x" * 500, None),
        ("", None),
    ],
)
def test_a_link_is_a_web_address_or_none(link: str, kept: str | None) -> None:
    assert shown(news(entry(title="x", url=link)))["data"].get("url") == kept


_texts = (
    st.sampled_from(["\x01" * 3000, "😀" * 3000, '"é' * 1500])
    | st.text(max_size=4000)
    | st.text(alphabet='"\\\x01é€😀\u202e', min_size=500, max_size=4000)
)
_data = st.fixed_dictionaries(
    {},
    optional={
        "title": _texts,
        "text": _texts,
        "actor": st.fixed_dictionaries({"name": _texts}) | _texts,
        "repository": _texts,
        "channel": st.fixed_dictionaries({"name": _texts}),
        "url": _texts | st.just("https://example.org/" + "é" * 470),
    },
)


@given(st.lists(_data, min_size=1, max_size=20), st.integers(0, 10**9), st.integers(1, 700))
def test_whatever_is_in_it_it_fits_and_can_be_read(
    datas: list[dict[str, Any]], more: int, host_letters: int
) -> None:
    entries = [entry(seq, **data) for seq, data in enumerate(datas, 1)]
    url = f"https://{'x' * host_letters}.example.org"
    notification = shown(news(*entries, more=more), url)
    assert notification["navigate"].startswith(url)
    assert notification["data"]["count"] == len(datas) + more


@pytest.mark.parametrize("letter", ["a", '"', "\\", "\x01", "é", "€", "😀", "👩‍👩‍👧"])
def test_a_long_text_is_cut_between_code_points_and_fills_what_there_is(letter: str) -> None:
    of = news(entry(title=letter * 3000, text=letter * 3000, repository="octo/repo"))
    notification = shown(of)
    for part in ("title", "body"):
        assert notification[part].endswith("…")
        assert "\ufffd" not in notification[part]
        assert len(notification[part]) > 20


def test_the_least_that_can_be_said_is_short() -> None:
    one, many = news(entry(title="x" * 3000)), news(*[entry(seq, title="x") for seq in (1, 2)])
    for of, title in ((one, "Something new"), (many, "2 new"), (None, "Notifications work")):
        plaintext = compose_brief(of, URL)
        message = json.loads(plaintext)
        assert len(plaintext) < 200
        assert (message["web_push"], message["notification"]["title"]) == (8030, title)
    assert json.loads(compose_brief(many, URL))["notification"]["tag"] == shown(many)["tag"]


def test_a_test_says_that_it_works() -> None:
    assert json.loads(compose_test(URL))["notification"]["title"] == "Notifications work"


@given(st.text(), st.integers(0, 2**63))
def test_a_topic_is_32_letters_of_its_device_and_its_first_event(device: str, seq: int) -> None:
    name = topic(device, Cursor("e", seq))
    assert len(name) == 32
    assert name == topic(device, Cursor("e", seq))
    assert name not in {topic(device, Cursor("e", seq + 1)), topic(device + "x", Cursor("e", seq))}
