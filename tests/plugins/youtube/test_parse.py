"""What the hub delivers becomes events: uploads and deletions once each, edits never."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tidings.contracts import Hint, Parsed, WebhookRequest
from tidings.errors import Rejected
from tidings.event import rfc3339
from tidings_youtube.connector import YouTubeConnector

HERE = Path(__file__).parent
FIXTURES = sorted((HERE / "fixtures").glob("*.xml"))
GOLDENS = json.loads((HERE / "goldens.json").read_text())
CHANNEL = "UC_x5XG1OV2P6uZZ5FSM9Ttw"

Deliver = Callable[[str], WebhookRequest]


def _told(parsed: Parsed) -> dict[str, Any]:
    """What a reader of the feed gets to see; short enough to be read by eye."""
    return {
        "kind": parsed.kind,
        "events": [
            {
                "id": event.id,
                "type": event.type,
                "time": event.time and rfc3339(event.time),
                "title": event.data["title"],
                "text": event.data["text"],
                "url": event.data["url"],
                "actor": event.data["actor"]["name"],
                "source": event.source,
            }
            for event in parsed.events
        ],
    }


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.stem)
def test_every_delivery_is_told_as_reviewed(
    connector: YouTubeConnector, delivery: Deliver, fixture: Path
) -> None:
    assert _told(connector.parse(delivery(fixture.stem))) == GOLDENS[fixture.stem]


def test_a_new_video_says_that_something_has_happened_and_an_edit_does_not(
    connector: YouTubeConnector, delivery: Deliver
) -> None:
    parsed = connector.parse(delivery("upload"))
    (event,) = parsed.events
    assert parsed.hint == Hint(("active", f"pushed:{CHANNEL}:{event.subject}"))
    assert connector.parse(delivery("edited_old")).hint is None


def test_every_golden_has_its_fixture() -> None:
    assert set(GOLDENS) == {fixture.stem for fixture in FIXTURES}


def test_a_card_has_the_fields_that_any_page_can_show(connector: YouTubeConnector, delivery: Deliver) -> None:
    (event,) = connector.parse(delivery("upload")).events
    assert event.subject == "qN4aXr0d9_8"
    assert event.data == {
        "title": "Knots & splices, explained",
        "text": "Octo Garden published a video.",
        "url": "https://www.youtube.com/watch?v=qN4aXr0d9_8",
        "actor": {
            "name": "Octo Garden",
            "avatar_url": "",
            "url": f"https://www.youtube.com/channel/{CHANNEL}",
        },
        "video": {
            "id": "qN4aXr0d9_8",
            "channel_id": CHANNEL,
            "channel": "Octo Garden",
            "published_at": "2026-11-20T09:31:57Z",
            "duration_seconds": None,
            "live": "",
        },
    }


def test_redelivered_it_has_the_same_id_and_no_delivery_id(
    connector: YouTubeConnector, delivery: Deliver
) -> None:
    once, again = connector.parse(delivery("upload")), connector.parse(delivery("upload"))
    assert once == again
    assert once.delivery_id == ""


ATOM = 'xmlns:yt="http://www.youtube.com/xml/schemas/2015" xmlns="http://www.w3.org/2005/Atom"'
GOOD = "<entry><yt:videoId>{id}</yt:videoId><published>2026-11-20T09:00:00Z</published></entry>"


def _feed(entries: str, *, declared: str = "") -> bytes:
    return f"{declared}<feed {ATOM}>{entries}</feed>".encode("utf-8", "surrogatepass")


def _parse(connector: YouTubeConnector, body: bytes) -> Parsed:
    return connector.parse(WebhookRequest("POST", "/", "", {}, body))


_LAUGHS = (
    "<!DOCTYPE f [<!ENTITY a 'ha'>"
    + "".join(
        f"<!ENTITY {name} '{f'&{before};' * 10}'>"
        for before, name in zip("abcdefghi", "bcdefghij", strict=True)
    )
    + "]>"
)
UNREADABLE: list[tuple[str, bytes]] = [
    ("nothing", b""),
    ("blank", b" \n"),
    ("words", b"hello"),
    ("JSON", b'{"feed": {}}'),
    ("a web page", b"<!doctype html><html><body>502</body></html>"),
    ("cut", _feed(GOOD)[:-5]),
    ("cut in an entry", _feed(GOOD)[:150]),
    ("two roots", _feed("") + _feed("")),
    ("text behind it", _feed("") + b"x"),
    ("another root", b"<rss/>"),
    ("Atom of another namespace", b'<feed xmlns="http://purl.org/atom/ns#"/>'),
    ("no namespace", b"<feed><entry/></feed>"),
    ("an undeclared prefix", b'<feed xmlns="http://www.w3.org/2005/Atom"><yt:videoId/></feed>'),
    ("an unknown entity", _feed("&hellip;")),
    ("a document type", _feed(GOOD, declared="<!DOCTYPE feed>")),
    ("an entity of its own", _feed("&a;", declared='<!DOCTYPE feed [<!ENTITY a "b">]>')),
    (
        "entities of a file",
        _feed("&a;", declared='<!DOCTYPE feed [<!ENTITY a SYSTEM "file:///etc/passwd">]>'),
    ),
    ("entities of a server", _feed("&a;", declared='<!DOCTYPE f [<!ENTITY % a SYSTEM "http://x/"> %a;]>')),
    ("a billion laughs", _feed("&j;", declared=_LAUGHS)),
    ("a document type in UTF-16", _feed(GOOD, declared="<!DOCTYPE feed>").decode().encode("utf-16")),
    ("UTF-32", _feed(GOOD).decode().encode("utf-32")),
    ("Latin-1", _feed("<title>\xe9</title>").decode().encode("latin-1")),
    ("a NUL", _feed("\x00")),
    ("a NUL as a reference", _feed("&#0;")),
    ("a surrogate", _feed("\ud800")),
    ("a surrogate as a reference", _feed("&#xd800;")),
    ("more than 256 KiB", _feed("<title>" + "x" * 262_144 + "</title>")),
    ("depth", _feed("<a>" * 20_000 + "</a>" * 20_000)),
    ("a little too much depth", _feed("<a>" * 32 + "</a>" * 32)),
]


@pytest.mark.parametrize("body", [case[1] for case in UNREADABLE], ids=[case[0] for case in UNREADABLE])
def test_what_is_no_feed_is_taken_and_thrown_away(connector: YouTubeConnector, body: bytes) -> None:
    with pytest.raises(Rejected) as refused:
        _parse(connector, body)
    assert refused.value.status == 202


@pytest.mark.parametrize(
    "entries",
    [
        "",
        "text <a>of <b>no</b> interest</a>",
        "<entry/>",
        "<entry><yt:videoId/></entry>",
        "<entry><yt:videoId>not an id</yt:videoId></entry>",
        "<entry><yt:videoId>../../x</yt:videoId></entry>",
        f"<entry><yt:videoId>{'x' * 65}</yt:videoId></entry>",
        "<entry><yt:videoId>javascript:alert(1)</yt:videoId></entry>",
        "<entry><id>yt:video:abc</id></entry>",
        "<entry><deep><yt:videoId>abc</yt:videoId></deep></entry>",
        "<deep><entry><yt:videoId>abc</yt:videoId></entry></deep>",
        '<at:deleted-entry xmlns:at="http://purl.org/atompub/tombstones/1.0"/>',
        '<at:deleted-entry xmlns:at="http://purl.org/atompub/tombstones/1.0" ref="yt:channel:abc"/>',
        '<at:deleted-entry xmlns:at="http://purl.org/atompub/tombstones/1.0" ref="yt:video:a b"/>',
        '<deleted-entry ref="yt:video:abc"/>',
    ],
)
def test_a_feed_without_a_video_tells_nothing(connector: YouTubeConnector, entries: str) -> None:
    assert _parse(connector, _feed(entries)).events == []


@pytest.mark.parametrize(
    "declared", ['<?xml version="1.0" encoding="latin-1"?>', '<?xml version="1.0" encoding="rot13"?>']
)
def test_whatever_encoding_is_claimed_it_is_read_as_utf_8(connector: YouTubeConnector, declared: str) -> None:
    title = GOOD.replace("</entry>", "<title>Grüße ✓</title></entry>").format(id="abc")
    (event,) = _parse(connector, _feed(title, declared=declared)).events
    assert event.data["title"] == "Grüße ✓"


def test_what_an_entry_says_twice_is_what_it_said_first(connector: YouTubeConnector) -> None:
    twice = GOOD.format(id="abc").replace("</entry>", "<yt:videoId>xyz</yt:videoId></entry>")
    (event,) = _parse(connector, _feed(twice)).events
    assert event.id == "youtube:video:abc"


def test_long_and_odd_titles_are_cut_and_cleaned(connector: YouTubeConnector) -> None:
    title = "a\tb\n c&#x9f;&#x2028;d" + "x" * 1000
    entry = GOOD.format(id="abc").replace("</entry>", f"<title>{title}</title></entry>")
    (event,) = _parse(connector, _feed(entry)).events
    assert event.data["title"].startswith("a b c dx")
    assert len(event.data["title"]) == 200
