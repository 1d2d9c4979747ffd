"""What a notification says: a declarative push message, short enough for every push service.

Declarative Web Push (https://www.w3.org/TR/push-api/#declarative-push-message, as WebKit reads it in 2026): a browser
that knows it shows `notification` without any script; in others, the service worker's `push` handler shows the same
from the same JSON. `title` and an absolute `navigate` are required.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import msgspec

from tidings.devices import News
from tidings.event import Cursor, Entry, encode_json
from tidings_transports.webpush.encoding import encode

#: The longest plaintext: bridges to other networks carry less than the 4 KB of RFC 8030.
MOST_BYTES: Final = 2048
DECLARATIVE: Final = 8030  # the number of RFC 8030, by which a declarative message is known

_LONGEST_TITLE: Final = 150
_LONGEST_BODY: Final = 600
_LONGEST_URL: Final = 500
_MOST_LINES: Final = 4
_LONGEST_LINE: Final = 110
_MOST_PLATFORMS: Final = 3
_TOPIC_LETTERS: Final = 32  # RFC 8030 §5.4
_ELLIPSIS: Final = "…"
# Where within its platform something happened, as the data of events has it: a text, or an object with a `name`.
_PLACES: Final = ("repository", "channel", "calendar", "playlist")


def topic(device: str, first: Cursor) -> str:
    """By what a push service knows that a message replaces an earlier one: the same news, tried again.

    32 letters of base64url: Apple decodes it, and takes no length that base64 can't have.
    """
    return encode(hashlib.sha256(f"{device} {first}".encode()).digest())[:_TOPIC_LETTERS]


def compose(news: News, public_url: str) -> bytes:
    """The plaintext for news, at most `MOST_BYTES`.

    Args:
        news: One thing, or a burst of which only the number and the newest are told.
        public_url: Where a click leads, with the event or the position in its query.
    """
    newest = news.entries[-1]
    data: dict[str, Any] = {"cursor": str(newest.cursor), "count": news.count, "platform": newest.platform}
    if news.count == 1:
        card = _card(newest)
        title, body = _one(card)
        if link := _link(card.url, public_url):
            data["url"] = link
        data["type"] = newest.type
        navigate = f"{public_url}/?event={newest.cursor}"
    else:
        title, body = _burst(news)
        navigate = f"{public_url}/?since={news.first}"
    return _fit(
        {
            "title": _cut(title, _LONGEST_TITLE),
            "body": _cut(body, _LONGEST_BODY),
            "navigate": navigate,
            "lang": "en",
            "dir": "auto",
            "tag": f"tidings-{news.first}",
            "silent": False,
            "data": data,
        }
    )


def compose_test(public_url: str) -> bytes:
    """The plaintext of a test."""
    return _fit(
        {
            "title": "Notifications work",
            "body": "This device is told of your news.",
            "navigate": f"{public_url}/",
            "lang": "en",
            "dir": "auto",
            "tag": "tidings-test",
            "silent": False,
            "data": {"count": 0},
        }
    )


def compose_brief(news: News | None, public_url: str) -> bytes:
    """The least that can be said, for a push service that found the rest too long."""
    count = 0 if news is None else news.count
    title = "Something new" if count == 1 else f"{count:,} new"
    tag = "tidings-test" if news is None else f"tidings-{news.first}"
    notification = {
        "title": title if count else "Notifications work",
        "navigate": f"{public_url}/",
        "tag": tag,
    }
    return encode_json({"web_push": DECLARATIVE, "notification": notification})


@dataclasses.dataclass(frozen=True, slots=True)
class _Card:
    """What of an event is shown; what a plugin made otherwise than it should is none."""

    title: str
    text: str
    actor: str
    place: str
    url: str


def _card(entry: Entry) -> _Card:
    data = msgspec.json.decode(entry.data)
    fields: Mapping[str, Any] = data if isinstance(data, dict) else {}
    places = (_named(fields.get(noun)) for noun in _PLACES)
    return _Card(
        title=_line(fields.get("title")) or entry.type,
        text=_text(fields.get("text")).strip(),
        actor=_named(fields.get("actor")),
        place=next((place for place in places if place), ""),
        url=_text(fields.get("url")),
    )


def _one(card: _Card) -> tuple[str, str]:
    """Title and body for one event."""
    where = [part for part in (card.actor, card.place) if part and part not in card.title]
    return card.title, "\n".join(part for part in (" · ".join(where), card.text) if part)


def _burst(news: News) -> tuple[str, str]:
    """Title and body for several events: how many and where, then the newest, newest first."""

    def name(platform: str) -> str:
        return news.names.get(platform, platform)

    cards = [_card(entry) for entry in news.entries]
    platforms: Counter[str] = Counter()
    for (platform, _), count in news.sources.items():
        platforms[platform] += count
    places = {card.place for card in cards}
    if len(news.sources) == len(places) == 1 and "" not in places:
        title = f"{news.count:,} new in {places.pop()}"
    elif len(platforms) == 1:
        title = f"{news.count:,} new from {name(*platforms)}"
    else:
        most = platforms.most_common(_MOST_PLATFORMS)
        named = [f"{name(platform)} {count:,}" for platform, count in most]
        if rest := news.count - sum(count for _, count in most):
            named.append(f"others {rest:,}")
        title = f"{news.count:,} new: {', '.join(named)}"
    newest = [_cut(card.title, _LONGEST_LINE) for card in reversed(cards[-_MOST_LINES:])]
    if news.count > len(newest):
        newest.append(f"and {news.count - len(newest):,} more")
    return title, "\n".join(newest)


def _named(value: object) -> str:
    """A name as events have it: a text, or the `name` of an object."""
    return _line(value.get("name") if isinstance(value, dict) else value)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _line(value: object) -> str:
    return " ".join(_text(value).split())


def _link(link: str, public_url: str) -> str:
    """The event's own link, made absolute; "" where it is no web address, or too long."""
    if not link or len(link) > _LONGEST_URL:
        return ""
    try:
        absolute = urljoin(f"{public_url}/", link)
        return absolute if urlsplit(absolute).scheme in {"http", "https"} else ""
    except ValueError:
        return ""


def _cut(text: str, longest: int) -> str:
    """At most so many code points, the last of which then says that there is more."""
    text = text.replace("\0", "")
    return text if len(text) <= longest else text[: longest - 1].rstrip() + _ELLIPSIS


def _fit(notification: dict[str, Any]) -> bytes:
    """Encode it, with the link, the body and in the end the title as short as they must be."""
    plaintext = _encode(notification)
    if len(plaintext) > MOST_BYTES:
        notification["data"].pop("url", None)
        plaintext = _encode(notification)
    for part in ("body", "title"):
        if len(plaintext) > MOST_BYTES:
            plaintext = _shorten(notification, part)
    return plaintext


def _shorten(notification: dict[str, Any], part: str) -> bytes:
    """Cut one text by code points until all of it fits, or next to nothing of it is left."""
    whole: str = notification[part]
    shortest, longest = 1, len(whole)  # `longest` is too long, as far as is known
    while shortest < longest - 1:
        middle = (shortest + longest) // 2
        notification[part] = _cut(whole, middle)
        if len(_encode(notification)) > MOST_BYTES:
            longest = middle
        else:
            shortest = middle
    notification[part] = _cut(whole, shortest)
    return _encode(notification)


def _encode(notification: Mapping[str, Any]) -> bytes:
    return encode_json({"web_push": DECLARATIVE, "notification": notification})
