"""Whatever a signed body holds, nothing but `Rejected` is raised, and every event can be stored and shown."""

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

from slack_bodies import FIXTURES, fixture, known_names, request_of
from tidings.contracts import Parsed
from tidings.errors import Rejected
from tidings_slack.mrkdwn import plain
from tidings_slack.names import Names
from tidings_slack.parse import parse
from tidings_slack.stamps import earlier, instant_of, is_later, latest, stamp, stamp_of

BODIES = [fixture(path.stem) for path in FIXTURES]
SOURCE = re.compile(r"//slack\.com/[A-Z0-9]+/[A-Z0-9]+")
LINK = re.compile(r"(https?://\S+)?")
ADDRESS = re.compile(r"(team:[A-Z0-9]+|(user|channel):[A-Z0-9]+:[A-Z0-9]+)")

anything = st.text(st.characters(), max_size=20)  # surrogates and NUL among them
odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, -(2**63) - 1, 10**400, 0, -1, 1_763_632_800]),
    st.floats(),
    anything,
    st.sampled_from(
        [
            "",
            "\ud800",
            "\x00",
            "<@U0ADA>",
            "<" * 3000,
            "<@U1|x>" * 3000,
            "javascript:alert(1)",
            "https://example.org/\ud800",
            "x" * 50_000,
            "\n" * 5_000,
            "9999999999.999999",
            "0.0",
            "1763632800.000100",
            "channel_join",
            "message_changed",
            "C0GARDEN",
            "U0ADA",
            "É" * 10,
        ]
    ),
)
json_values = st.recursive(
    odd,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(anything, inner, max_size=3),
    max_leaves=6,
)


def _paths(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from _paths(child, (*path, key))


PLACES = [list(_paths(body)) for body in BODIES]


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A body that Slack could send, with some of its nodes replaced or dropped."""
    place = draw(st.sampled_from(range(len(BODIES))))
    body = copy.deepcopy(BODIES[place])
    for path in draw(st.lists(st.sampled_from(PLACES[place]), min_size=1, max_size=5)):
        node: Any = body
        try:
            for step in path[:-1]:
                node = node[step]
            if draw(st.booleans()):
                node[path[-1]] = draw(json_values)
            else:
                del node[path[-1]]
        except (KeyError, IndexError, TypeError):
            continue  # an earlier mutation took this place away
    return body


def _holds(content: bytes, names: Names) -> Parsed | None:
    """Parse twice and check what every event must be; None where it is refused."""
    request = request_of(content)
    try:
        parsed = parse(request, names, own_messages=False)
    except Rejected as refused:
        assert refused.status == 400
        return None
    assert parsed == parse(request, names, own_messages=False)
    assert all(ADDRESS.fullmatch(one) for one in (*parsed.addresses, *parsed.apart_from))
    assert all(
        len(target) <= 64 and target.isascii() for target in (parsed.hint.targets if parsed.hint else ())
    )
    assert parsed.signal in {"", "revoked"}
    assert len(parsed.delivery_id) <= 64
    for event in parsed.events:
        assert 0 < len(event.id) <= 300
        assert event.id.isascii()
        assert event.id.isprintable()
        assert event.id.startswith("slack:")
        assert re.fullmatch(r"com\.slack\.[a-z_]+", event.type)
        assert SOURCE.fullmatch(event.source)
        assert event.time is None or event.time.tzinfo is UTC
        data = event.data
        assert 0 < len(data["title"]) <= 200
        assert "\n" not in data["title"]
        assert len(data["text"]) <= 2000
        for link in (data["url"], data["actor"]["avatar_url"]):
            assert LINK.fullmatch(link)
        _storable(data)
        assert len(msgspec.json.encode(data)) < 60_000
    return parsed


def _storable(value: Any) -> None:
    """No lone surrogate, NUL or long list is left anywhere."""
    if isinstance(value, str):
        assert "\x00" not in value
        value.encode()
    elif isinstance(value, dict):
        for key, child in value.items():
            assert isinstance(key, str)
            _storable(child)
    elif isinstance(value, list):
        assert len(value) <= 10
        for child in value:
            _storable(child)
    else:
        raise AssertionError(f"{value!r} is no text")


@settings(max_examples=400, deadline=None)
@given(body=mutated())
def test_no_signed_body_raises_whatever_is_in_it(body: Any) -> None:
    content = json.dumps(body).encode()
    known, unknown = _holds(content, known_names()), _holds(content, Names())
    assert (known is None) == (unknown is None)
    if known is not None and unknown is not None:
        assert [one.id for one in known.events] == [one.id for one in unknown.events]


@settings(max_examples=150, deadline=None)
@given(
    event=st.dictionaries(anything, json_values, max_size=6),
    kind=st.sampled_from(["message", "reaction_added"]),
)
def test_no_event_raises(event: dict[str, Any], kind: str) -> None:
    body = {"type": "event_callback", "team_id": "T1", "event": {**event, "type": kind}}
    assert _holds(json.dumps(body).encode(), known_names()) is not None


@settings(max_examples=150, deadline=None)
@given(content=st.binary(max_size=80))
def test_no_bytes_raise_but_rejected(content: bytes) -> None:
    _holds(content, known_names())


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=60) | st.text("<>@#!|^&;U1 C", max_size=60))
def test_any_text_becomes_plain(text: str) -> None:
    found = plain(known_names(), "T061EG9R6", text)
    assert len(found) <= 2000
    found.encode()


stamps = st.builds(
    lambda whole, part: f"{whole}.{part:06d}",
    st.integers(1_300_000_000, 2_000_000_000),
    st.integers(0, 999_999),
)


@given(one=stamps, other=stamps)
def test_stamps_are_compared_to_the_last_digit(one: str, other: str) -> None:
    whole = [int(text.replace(".", "")) for text in (one, other)]
    assert is_later(one, other) is (whole[0] > whole[1])
    assert latest([one, "", other]) == (one if whole[0] >= whole[1] else other)
    assert stamp_of(instant_of(one)) == one
    assert is_later(one, earlier(one, 1))


@given(value=json_values)
def test_what_is_no_stamp_is_none(value: Any) -> None:
    found = stamp({"ts": value}, "ts")
    assert found == "" or found == value
    if found:
        instant_of(found)
