"""Whatever GitHub answers, the connector says it in one of three words."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from github_exchanges import CLIENT, NOW, JumpClock, asked, connector, judged, polled
from tidings.contracts import Answer, LoggedDelivery, Target, Upstream
from tidings.errors import AuthExpired, Rejected, Unavailable
from tidings.event import encode_json
from tidings_github.app import App
from tidings_github.feed import FEED

FIXTURES = Path(__file__).parent / "fixtures"
PAYLOADS = [
    json.loads((FIXTURES / f"{name}.json").read_text())
    for name in (
        "issues__closed",
        "pull_request__merged",
        "push__one_commit",
        "fork",
        "gollum",
        "release__published",
    )
]
WORDS = (AuthExpired, Rejected, Unavailable)
URL = "https://tidings.example.org/api/webhooks/github/w1"

text = st.text(max_size=12)
odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from(
        [0, -1, 1, 2**63, 10**30, 1.5, "", "1", "9" * 19, "9" * 400, "2026-11-23T12:00:00Z", "9999-12-31"]
    ),
    text,
    st.lists(st.integers(), max_size=2),
)
instants = st.sampled_from(
    ["2026-11-23T11:59:00Z", "2026-11-23T13:00:00+02:00", "1800-01-01T00:00:00Z", "", None, 5]
)


def likely(value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly what it should be."""
    return st.one_of(value, value, value, odd)


items = st.fixed_dictionaries(
    {},
    optional={
        "id": likely(st.integers(1, 500).map(str)),
        "type": likely(st.sampled_from([*FEED, "CreateEvent"])),
        "actor": likely(
            st.fixed_dictionaries({"id": likely(st.integers(1, 9)), "login": likely(st.just("fan"))})
        ),
        "repo": likely(
            st.fixed_dictionaries({"id": likely(st.just(1)), "name": likely(st.just("octo/hello"))})
        ),
        "payload": likely(
            st.sampled_from(PAYLOADS)
            | st.fixed_dictionaries(
                {
                    "action": likely(st.sampled_from(["opened", "closed", "merged", "created", "started"])),
                    "pull_request": likely(
                        st.fixed_dictionaries({"id": likely(st.just(5)), "number": likely(st.just(3))})
                    ),
                    "issue": likely(
                        st.fixed_dictionaries(
                            {"id": likely(st.just(6)), "number": odd, "closed_at": instants}
                        )
                    ),
                    "ref": odd,
                    "before": likely(st.sampled_from(["0" * 40, "a" * 40])),
                    "head": likely(st.just("b" * 40)),
                }
            )
        ),
        "org": odd | st.fixed_dictionaries({"login": odd}),
        "created_at": instants,
    },
)
things = st.fixed_dictionaries(
    {},
    optional={
        "id": likely(st.integers(0, 9)),
        "guid": likely(st.sampled_from(["a", "b"])),
        "login": likely(st.just("octo")),
        "full_name": likely(st.sampled_from(["octo/hello", "octo/world"])),
        "permissions": likely(st.just({"admin": True})),
        "active": odd,
        "events": odd | st.lists(odd, max_size=3),
        "config": odd | st.fixed_dictionaries({"url": likely(st.just(URL))}),
        "last_response": odd | st.fixed_dictionaries({"code": odd, "status": odd, "message": odd}),
        "delivered_at": instants,
        "updated_at": instants,
        "status": odd,
        "event": odd,
        "subject": odd | st.fixed_dictionaries({"title": odd, "type": odd, "url": odd}),
        "repository": odd | st.fixed_dictionaries({"full_name": odd, "html_url": odd, "owner": odd}),
        "request": odd | st.fixed_dictionaries({"headers": odd | st.dictionaries(text, odd), "payload": odd}),
        "commits": odd
        | st.lists(odd | st.fixed_dictionaries({"sha": odd, "commit": odd, "author": odd}), max_size=3),
        "total_commits": odd,
        "message": odd,
        "errors": odd | st.lists(odd | st.fixed_dictionaries({"message": odd}), max_size=2),
        "installations": odd | st.lists(st.fixed_dictionaries({"id": odd}), max_size=2),
        "repositories": odd | st.lists(st.fixed_dictionaries({"id": odd, "full_name": odd}), max_size=2),
    },
)
bodies = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([b"", b"<html>", b"[" * 5000, b'{"a":' * 5000, b"\xff", b'["\\ud800"]']),
    st.one_of(odd, things, st.lists(items, max_size=6), st.lists(things, max_size=4)).map(
        lambda one: json.dumps(one).encode()
    ),
)
headers = st.fixed_dictionaries(
    {},
    optional={
        "link": st.sampled_from(
            [
                '<https://api.github.com/page>; rel="next"',
                '<https://evil.example.org>; rel="next"',
                "<>; rel=next",
                "\x00",
            ]
        ),
        "etag": text,
        "last-modified": text,
        "x-poll-interval": st.sampled_from(["60", "0", "-1", "x", "9" * 30, "٣"]),
        "retry-after": st.sampled_from(["1", "-1", "x", "9" * 400, "Mon, 23 Nov 2026 12:00:00 GMT"]),
        "x-ratelimit-remaining": st.sampled_from(["0", "1", "x"]),
        "x-ratelimit-reset": st.sampled_from(["0", "9" * 30, "x"]),
    },
)
answers = st.builds(
    Answer,
    st.sampled_from([200, 200, 200, 200, 201, 204, 304, 400, 401, 403, 404, 422, 429, 500]),
    headers,
    bodies,
)


class OddApi:
    """Answers anything to anything."""

    account_key = "583231"

    def __init__(self, said: list[Answer]) -> None:
        self._said = said
        self._count = 0

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        accept: Collection[int] = (),
    ) -> Answer:
        self._count += 1
        if url.startswith("https://") and not url.startswith("https://api.github.com"):
            raise Rejected("The token stays at home.", status=502)
        return judged(self._said[self._count % len(self._said)], accept)


class OddHttp:
    def __init__(self, said: Answer) -> None:
        self._said = said

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        return self._said


TARGETS = [Target("repo:1", "octo/hello"), Target("org:5", "octo"), Target("name:x", "x")]
CHOICES: list[dict[str, Any]] = [
    {},
    {"repositories": ["octo/hello", "a/b"], "organizations": ["octo"]},
    {"repositories": "octo/hello"},
    {"repositories": 5, "organizations": {"a": 1}},
]


async def _tried(awaitable: Any) -> Any:
    try:
        return await awaitable
    except WORDS:
        return None


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(said=st.lists(answers, min_size=1, max_size=8), choice=st.sampled_from(CHOICES), by_app=st.booleans())
async def test_a_poll_says_it_in_one_of_three_words(
    said: list[Answer], choice: dict[str, Any], by_app: bool
) -> None:
    of = connector(app=App("7", "tidings", CLIENT) if by_app else None)
    checkpoint: Mapping[str, Any] = {}
    for number in range(3):
        given_ = asked(checkpoint, at=NOW + number * timedelta(hours=7), **choice)
        pieces = await _tried(polled(of, OddApi(said[number:] or said), given_))
        for piece in pieces or ():
            checkpoint = piece.checkpoint
            assert json.loads(encode_json(checkpoint)) == checkpoint  # it comes back as it was stored
            for event in piece.events:
                assert event.id.startswith("github:")
                assert ":delivery:" not in event.id
                assert event.time is not None
                assert 0 < len(event.data["title"]) <= 200
                encode_json(event.data)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(said=st.lists(answers, min_size=1, max_size=6), target=st.sampled_from(TARGETS), by_app=st.booleans())
async def test_every_other_call_says_it_in_one_of_three_words(
    said: list[Answer], target: Target, by_app: bool
) -> None:
    of = connector(clock=JumpClock(), app=App("7", "tidings", CLIENT) if by_app else None)
    upstream = Upstream(id="12", target=target, data={"url": URL})
    line = LoggedDelivery("g", "9", "push", NOW, succeeded=False)
    await _tried(of.identify(OddApi(said)))
    for choice in CHOICES:
        for found in await _tried(of.targets(OddApi(said), choice)) or ():
            assert found.name.isprintable()
    made = await _tried(of.register(OddApi(said), target, URL, "secret"))
    assert made is None or made.id.isdigit()
    await _tried(of.check(OddApi(said), upstream))
    await _tried(of.unregister(OddApi(said), upstream))
    await _tried(_read(of.deliveries(OddApi(said), upstream, NOW - timedelta(days=3))))
    request = await _tried(of.fetch_delivery(OddApi(said), upstream, line))
    if request is not None:
        with suppress(Rejected):
            of.parse(request)
    await _tried(of.provision(OddHttp(said[0]), "c0de"))
    await _tried(of.revoke(OddHttp(said[0]), CLIENT, of.read_tokens({"access_token": "x"})))


async def _read(lines: Any) -> None:
    count = 0
    async for _ in lines:
        count += 1
        assert count < 10_000
