"""Whatever is in a signed body or in an answer: nothing but `Rejected`, the same ids, and events that can be stored."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from datetime import UTC
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from discord_exchanges import FIXTURES, channel, delivery, guild, member, message
from tidings.errors import Rejected
from tidings.event import Event
from tidings_discord.connector import DiscordConnector
from tidings_discord.message import message_event
from tidings_discord.permissions import may_read
from tidings_discord.site import DISCORD

PAYLOADS = [json.loads(path.read_text()) for path in sorted(FIXTURES.glob("*.json"))]
LINK = re.compile(r"(https?://\S+)?")

anything = st.text(st.characters(), max_size=20)  # surrogates and NUL among them
odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, -(2**63) - 1, 10**400, 0, -1]),
    st.floats(),
    anything,
    st.sampled_from(
        ["", "\ud800", "\x00", "javascript:alert(1)", "x" * 50_000, "\n" * 5_000, "80351110224678912"]
    ),
    st.sampled_from(["9999-12-31T23:59:59-23:59", "2026-11-20T10:00:00", "<@80351110224678912>", "<:a:1>"]),
)
json_values = st.recursive(
    odd,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(anything, inner, max_size=3),
    max_leaves=6,
)


def paths(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from paths(child, (*path, key))


@st.composite
def mutated(draw: st.DrawFn, examples: list[Any]) -> Any:
    """One of the examples, with some of its nodes replaced or dropped."""
    payload = copy.deepcopy(draw(st.sampled_from(examples)))
    places = list(paths(payload))
    for path in draw(st.lists(st.sampled_from(places), min_size=1, max_size=6)) if places else ():
        node = payload
        try:
            for step in path[:-1]:
                node = node[step]
            if draw(st.booleans()):
                node[path[-1]] = draw(json_values)
            else:
                del node[path[-1]]
        except (KeyError, IndexError, TypeError):
            continue  # an earlier mutation took this place away
    return payload


def storable(value: Any) -> None:
    """No lone surrogate, NUL or odd number is left anywhere."""
    if isinstance(value, str):
        assert "\x00" not in value
        value.encode()
    elif isinstance(value, dict):
        for key, child in value.items():
            assert isinstance(key, str)
            storable(child)
    elif isinstance(value, list):
        assert len(value) <= 20
        for child in value:
            storable(child)
    else:
        assert value is None or isinstance(value, bool) or -(2**63) <= value < 2**63


def is_good(event: Event) -> None:
    assert 0 < len(event.id) <= 200
    assert event.id.isascii()
    assert event.id.isprintable()
    assert event.id.startswith("discord:")
    assert re.fullmatch(r"com\.discord\.[a-z0-9_]+", event.type)
    assert event.source.startswith("//discord.com/")
    assert event.time is None or event.time.tzinfo is UTC
    data = event.data
    assert 0 < len(data["title"]) <= 200
    assert "\n" not in data["title"]
    assert len(data["text"]) <= 2000
    for link in (data["url"], data["actor"]["url"], data["actor"]["avatar_url"]):
        assert LINK.fullmatch(link)
    storable(data)
    assert len(msgspec.json.encode(data)) < 20_000


def holds(connector: DiscordConnector, body: bytes) -> None:
    request = delivery(body)
    try:
        parsed = connector.parse(request)
    except Rejected as refused:
        assert refused.status == 400
        return
    assert parsed == connector.parse(request)
    assert parsed.answer is not None
    assert parsed.answer.status == 204
    assert all(re.fullmatch(r"user:[1-9][0-9]*", one) for one in parsed.addresses)
    assert bool(parsed.events) == bool(parsed.addresses)
    for event in parsed.events:
        is_good(event)


@settings(max_examples=400, deadline=None)
@given(payload=mutated(PAYLOADS))
def test_no_signed_payload_raises_whatever_is_in_it(connector: DiscordConnector, payload: Any) -> None:
    holds(connector, json.dumps(payload).encode())


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_no_body_raises(connector: DiscordConnector, body: bytes) -> None:
    holds(connector, body)


MESSAGES = [
    message(
        41,
        "Hi <@80351110224678912>, look <:shiny:99>",
        mentions=[{"id": "80351110224678912", "username": "nelly"}],
    ),
    message(42, "", attachments=[{"id": "1", "filename": "map.png"}], sticker_items=[{"name": "Wave"}]),
    message(43, "", embeds=[{"title": "A release", "description": "of something"}], poll={"question": {}}),
    message(44, "", type=7),
]


@settings(max_examples=300, deadline=None)
@given(payload=mutated(MESSAGES), place=mutated([channel()]), server=mutated([guild()]))
def test_no_message_raises_and_its_event_is_always_good(payload: Any, place: Any, server: Any) -> None:
    event = message_event(payload, place, server, DISCORD)
    assert event == message_event(payload, place, server, DISCORD)
    if event is not None:
        is_good(event)


@settings(max_examples=300, deadline=None)
@given(server=mutated([guild()]), place=mutated([channel()]), who=mutated([member()]))
def test_who_may_read_is_decided_for_any_answer(server: Any, place: Any, who: Any) -> None:
    assert may_read("80351110224678912", server, place, {}, who) in {True, False}
