"""Whatever Google's API answers: nothing but the three words, ids that stay, events that are fit to keep."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calendar_exchanges import LIST, ScriptedApi, answer, asked, connector, later, polled, told
from tidings.errors import AuthExpired, Rejected, Unavailable
from tidings.event import Event

FIXTURES = [
    fixture
    for path in sorted((Path(__file__).parent / "fixtures").glob("event__*.json"))
    if (fixture := json.loads(path.read_text()))["answer"]
]
ME = "ada@example.org"
EVENTS = "GET /calendars/ada%40example.org/events"
CALENDAR = {"id": ME, "summary": "Ada", "primary": True, "accessRole": "owner", "timeZone": "Europe/Berlin"}
OF = connector()

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
            "javascript:alert(1)",
            "x" * 100_000,
            "<" * 5_000,
            "9999-12-31T23:59:59-23:59",
            "0001-01-01T00:00:00+14:00",
            "2026-11-20T10:00:00",
            "2026-12-24",
            "cancelled",
            "standup",
            "needsAction",
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


@st.composite
def mutated(draw: st.DrawFn) -> tuple[Any, Any]:
    """What a calendar held, and an answer that Google could give, with some of its nodes replaced or dropped."""
    fixture = draw(st.sampled_from(FIXTURES))
    items = copy.deepcopy(fixture["answer"])
    for path in draw(st.lists(st.sampled_from([*_paths(items)]), min_size=1, max_size=6)):
        node = items
        try:
            for key in path[:-1]:
                node = node[key]
            if draw(st.booleans()):
                node[path[-1]] = draw(json_values)
            else:
                del node[path[-1]]
        except (KeyError, IndexError, TypeError):
            continue  # another change took it away
    return fixture["before"], items


def said(items: Any, token: str) -> Any:
    """An answer, as JSON can say it."""
    body = (
        json.dumps({"items": items, "nextSyncToken": token})
        .replace("NaN", "null")
        .replace("Infinity", "1e999")
    )
    return answer(body.encode())


async def tell(before: Any, items: Any) -> tuple[list[Event], Any]:
    lists = {"items": [CALENDAR], "nextSyncToken": "l"}
    api = ScriptedApi({f"GET {LIST}": answer(lists), EVENTS: [said(before, "t1"), said(items, "t2")]})
    first = await polled(OF, api, asked(at=later(hours=-1)))
    given_checkpoint = asked(json.loads(json.dumps(first[-1].checkpoint)))
    try:
        pieces = await polled(OF, api, given_checkpoint)
    except Unavailable:  # the answer is no JSON that can be read: it holds a number beyond all bounds
        return [], first[-1].checkpoint
    return told(pieces), pieces[-1].checkpoint


@given(mutated())
@settings(max_examples=200, deadline=None)
def test_whatever_an_event_says_is_told_in_the_same_way_each_time(given_items: tuple[Any, Any]) -> None:
    events, checkpoint = _run(tell, *given_items)
    again, _ = _run(tell, *given_items)
    assert [event.id for event in events] == [event.id for event in again]
    assert len({event.id for event in events}) == len(events)
    msgspec.json.encode(checkpoint)
    for event in events:
        _is_fit(event)


def _is_fit(event: Event) -> None:
    assert event.id.startswith(f"calendar:{ME}:")
    assert event.type.startswith("com.google.calendar.")
    assert event.time is None or event.time.tzinfo is not None
    encoded = msgspec.json.encode(event.data)  # so nothing is a lone surrogate or beyond 64 bits
    assert b"\\u0000" not in encoded
    assert 0 < len(event.data["title"]) <= 200
    assert len(event.data["text"]) <= 1000
    assert event.data["url"] == "" or event.data["url"].startswith("https://")
    assert len(encoded) < 20_000


@given(json_values, json_values)
@settings(max_examples=100, deadline=None)
def test_whatever_is_answered_instead_of_a_list_is_one_of_three_words(one: Any, other: Any) -> None:
    async def ask() -> None:
        api = ScriptedApi(
            {f"GET {LIST}": said([CALENDAR], "l"), EVENTS: [said([], "t1"), *map(_raw, (one, other))]}
        )
        first = await polled(OF, api, asked(at=later(hours=-1)))
        await polled(OF, api, asked(first[-1].checkpoint))
        api.say(f"GET {LIST}", _raw(other))
        await polled(OF, api, asked(first[-1].checkpoint))

    try:
        _run(ask)
    except (Unavailable, Rejected, AuthExpired):
        return


def _raw(value: Any) -> Any:
    return answer(json.dumps(value).encode())


def _run(work: Any, *given_things: Any) -> Any:
    """Run to the end what waits for nothing."""
    coroutine = work(*given_things)
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("It waits for something.")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[" * 100_000, b'{"items":' * 50_000, b"\xff", b"null", b"1e400"]
)
async def test_a_body_that_is_no_json_is_the_platform_being_away(body: bytes) -> None:
    api = ScriptedApi({f"GET {LIST}": answer(body)})
    with pytest.raises(Unavailable):
        await polled(OF, api, asked())
