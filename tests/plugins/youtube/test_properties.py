"""Whatever a signed body holds, it becomes valid events with steady ids, or it is refused."""

from __future__ import annotations

import re
from datetime import UTC
from xml.sax.saxutils import escape, quoteattr

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tidings.contracts import Parsed, WebhookRequest
from tidings.errors import Rejected
from tidings.fields import as_instant, as_link, one_line
from tidings_youtube.fields import identity
from tidings_youtube.parse import parse
from youtube_exchanges import FIXTURES

SOURCE = re.compile(r"//www\.youtube\.com(/channel/[A-Za-z0-9_-]+)?")
LINK = re.compile(r"(https://www\.youtube\.com/\S+)?")
BODIES = [path.read_bytes() for path in sorted(FIXTURES.glob("*.xml"))]
TAGS = [
    "entry", "yt:videoId", "yt:channelId", "title", "author", "name", "uri", "published", "updated", "at:by",
    "at:deleted-entry", "at:name", "at:uri", "id", "link", "feed",
]  # fmt: skip
TEXTS = [
    "abc", "UCabc", "2026-11-20T09:00:00Z", "2026-11-20T09:00:00.123456789+00:00", "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59", "2026-11-20", "https://www.youtube.com/channel/UCabc", "javascript:alert(1)", "\x85",
    "x" * 5000, "\ufffe", "yt:video:abc",
]  # fmt: skip

texts = st.sampled_from(TEXTS) | st.text(st.characters(codec="utf-8"), max_size=20)
elements = st.recursive(
    texts.map(escape),
    lambda inner: st.builds(
        lambda tag, ref, children: (
            f"<{tag} ref={quoteattr(ref)} when={quoteattr(ref)}>{''.join(children)}</{tag}>"
        ),
        st.sampled_from(TAGS),
        texts,
        st.lists(inner, max_size=5),
    ),
    max_leaves=25,
)


def _parsed(body: bytes) -> Parsed | None:
    """Parse twice, and check what every event must be; None where it is refused."""
    request = WebhookRequest("POST", "/", "", {}, body)
    try:
        parsed = parse(request)
    except Rejected as refused:
        assert refused.status == 202
        assert len(str(refused)) < 300
        return None
    assert parsed == parse(request)
    assert len({event.id for event in parsed.events}) == len(parsed.events)
    for event in parsed.events:
        assert 0 < len(event.id) <= 100
        assert event.id.isascii()
        assert event.id.isprintable()
        assert event.id.startswith(("youtube:video:", "youtube:video_deleted:"))
        assert event.type in {"com.youtube.video", "com.youtube.video_deleted"}
        assert SOURCE.fullmatch(event.source)
        assert event.time is None or event.time.tzinfo is UTC
        data = event.data
        assert 0 < len(data["title"]) <= 200
        assert data["title"].isprintable() or not data["title"].strip()
        assert "\n" not in data["title"] + data["text"]
        assert LINK.fullmatch(data["url"])
        assert LINK.fullmatch(data["actor"]["url"])
        assert len(msgspec.json.encode(data)) < 5_000
    return parsed


@given(st.binary(max_size=300))
def test_any_bytes(body: bytes) -> None:
    _parsed(body)


@settings(max_examples=300, deadline=None)
@given(st.lists(elements, max_size=6))
def test_any_feed(children: list[str]) -> None:
    namespaces = (
        'xmlns="http://www.w3.org/2005/Atom" xmlns:yt="http://www.youtube.com/xml/schemas/2015" '
        'xmlns:at="http://purl.org/atompub/tombstones/1.0"'
    )
    _parsed(f"<feed {namespaces}>{''.join(children)}</feed>".encode())


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(BODIES), st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=3)), max_size=4))
def test_any_damage(body: bytes, damages: list[tuple[int, bytes]]) -> None:
    for place, bytes_ in damages:
        body = body[:place] + bytes_ + body[place + len(bytes_) :]
    _parsed(body)


anything = st.one_of(st.none(), st.integers(), st.floats(), st.text(st.characters()), st.lists(st.text()))


@given(anything)
def test_no_value_of_an_answer_raises(value: object) -> None:
    for text in (one_line(value), identity(value), as_link(value)):
        text.encode()
        assert "\x00" not in text
    assert as_instant(value) is None or isinstance(value, str | int)
