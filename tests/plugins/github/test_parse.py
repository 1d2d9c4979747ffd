from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest

from tidings.contracts import WebhookRequest
from tidings.errors import Rejected
from tidings.event import Event, rfc3339
from tidings_github.connector import GitHubConnector
from tidings_github.parse import parse

HERE = Path(__file__).parent
FIXTURES = sorted((HERE / "fixtures").glob("*.json"))
GOLDENS = HERE / "goldens.json"
GUID = "72d3162e-cc78-11e3-81ab-4c9367dc0958"

Make = Callable[..., WebhookRequest]
Json = dict[str, Any]


def _outcome(parsed: Any) -> Json | None:
    """What a reader of the feed gets to see; short enough to be read by eye."""
    if not parsed.events:
        return None
    (event,) = parsed.events
    shown = {
        "title": event.data["title"],
        "text": event.data["text"],
        "url": event.data["url"],
        "actor": event.data["actor"]["name"],
        "source": event.source,
        "subject": event.subject,
        "time": event.time and rfc3339(event.time),
        "id": event.id,
        "attention": event.data.get("attention"),
    }
    return {key: value for key, value in shown.items() if value}


def _fixture(name: str) -> Json:
    payload: Json = json.loads((HERE / "fixtures" / f"{name}.json").read_text())
    return payload


def _told(connector: GitHubConnector, request: WebhookRequest) -> Event:
    (event,) = connector.parse(request).events
    return event


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.stem)
def test_every_kind_is_told_as_reviewed(connector: GitHubConnector, delivery: Make, fixture: Path) -> None:
    parsed = connector.parse(delivery(fixture.stem.partition("__")[0], fixture.read_bytes()))
    assert _outcome(parsed) == json.loads(GOLDENS.read_text())[fixture.stem]
    assert parsed.delivery_id == GUID
    assert parsed.kind == fixture.stem.partition("__")[0]


def test_every_golden_has_its_fixture() -> None:
    assert set(json.loads(GOLDENS.read_text())) == {fixture.stem for fixture in FIXTURES}


def test_a_card_has_the_fields_that_any_page_can_show(connector: GitHubConnector, delivery: Make) -> None:
    data = _told(connector, delivery("issues", _fixture("issues__opened"))).data
    assert data == {
        "title": "Issue #7 opened in octo/repo: The octopus drops the third ball",
        "text": "Two balls are fine.\n\nWith **three** it lets one go after a second.",
        "url": "https://github.com/octo/repo/issues/7",
        "actor": {
            "name": "mona-lisa",
            "avatar_url": "https://avatars.githubusercontent.com/u/2042112?v=4",
            "url": "https://github.com/mona-lisa",
        },
        "repository": "octo/repo",
        "organization": "octo",
        "action": "opened",
        "number": 7,
        "state": "open",
        "labels": ["bug"],
    }


def test_merged_is_told_apart_from_closed(connector: GitHubConnector, delivery: Make) -> None:
    merged = _told(connector, delivery("pull_request", _fixture("pull_request__merged"))).data
    closed = _told(connector, delivery("pull_request", _fixture("pull_request__closed"))).data
    assert (merged["action"], merged["merged"]) == ("closed", True)
    assert (closed["action"], closed["merged"]) == ("closed", False)
    assert "merged" in merged["title"]
    assert "merged" not in closed["title"]


@pytest.mark.parametrize(
    "action", ["created", "edited", "prereleased", "released", "unpublished", "deleted", "", "Published"]
)
def test_of_a_release_only_the_publishing_is_told(
    connector: GitHubConnector, delivery: Make, action: str
) -> None:
    payload = {**_fixture("release__published"), "action": action}
    parsed = connector.parse(delivery("release", payload))
    assert (list(parsed.events), parsed.delivery_id, parsed.kind) == ([], GUID, "release")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; charset=utf-8",
        "Application/X-WWW-Form-Urlencoded",
    ],
)
@pytest.mark.parametrize("unescaped", ["", "=", '=:,{}"/ü'])
@pytest.mark.parametrize("form", ["payload={}", "payload={}&x=1", "x=1&payload={}", "mypayload=1&payload={}"])
def test_a_form_says_the_same_as_json(
    connector: GitHubConnector, delivery: Make, content_type: str, form: str, unescaped: str
) -> None:
    payload = _fixture("issues__opened")
    payload["issue"]["body"] = "50% + ü & = ✓ =3D =\n%41 %%41 ==41 \r\n\t="
    body = form.format(quote_plus(json.dumps(payload, ensure_ascii=False), safe=unescaped)).encode()
    as_form = connector.parse(delivery("issues", body, {"content-type": content_type}))
    assert as_form == connector.parse(delivery("issues", payload))
    assert as_form.events[0].data["text"] == "50% + ü & = ✓ =3D =\n%41 %%41 ==41 \n\t="


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON ;x=y"]
)
def test_json_is_read_with_any_charset_parameter(
    connector: GitHubConnector, delivery: Make, content_type: str
) -> None:
    assert connector.parse(
        delivery("ping", _fixture("ping__repository"), {"content-type": content_type})
    ).events


UNREADABLE: list[tuple[str, dict[str, str | None], bytes, int]] = [
    ("no content type", {"content-type": None}, b"{}", 415),
    ("empty content type", {"content-type": ""}, b"{}", 415),
    ("plain text", {"content-type": "text/plain"}, b"{}", 415),
    ("multipart", {"content-type": "multipart/form-data; boundary=x"}, b"{}", 415),
    ("another json", {"content-type": "application/vnd.github+json"}, b"{}", 415),
    ("two content types", {"content-type": "application/json, application/json"}, b"{}", 415),
    ("no event", {"x-github-event": None}, b"{}", 400),
    ("empty event", {"x-github-event": ""}, b"{}", 400),
    ("event in upper case", {"x-github-event": "Push"}, b"{}", 400),
    ("event with a dot", {"x-github-event": "push.x"}, b"{}", 400),
    ("event with a line feed", {"x-github-event": "push\n"}, b"{}", 400),
    ("event sent twice", {"x-github-event": "push, issues"}, b"{}", 400),
    ("event with other digits", {"x-github-event": "push\uff11"}, b"{}", 400),
    ("event too long", {"x-github-event": "p" * 65}, b"{}", 400),
    ("no delivery id", {"x-github-delivery": None}, b"{}", 400),
    ("empty delivery id", {"x-github-delivery": ""}, b"{}", 400),
    ("delivery id with a space", {"x-github-delivery": "a b"}, b"{}", 400),
    ("delivery id with a line feed", {"x-github-delivery": "a\n"}, b"{}", 400),
    ("delivery id sent twice", {"x-github-delivery": "a, b"}, b"{}", 400),
    ("delivery id too long", {"x-github-delivery": "a" * 129}, b"{}", 400),
    ("delivery id beyond ASCII", {"x-github-delivery": "ä"}, b"{}", 400),
    ("empty body", {}, b"", 400),
    ("no JSON", {}, b"hello", 400),
    ("JSON cut short", {}, b'{"action":"open', 400),
    ("something behind the JSON", {}, b"{} {}", 400),
    ("a list", {}, b"[]", 400),
    ("a string", {}, b'"push"', 400),
    ("null", {}, b"null", 400),
    ("NaN", {}, b"NaN", 400),
    ("a number of 5000 digits", {}, b"9" * 5000, 400),
    ("only bytes that are no UTF-8", {}, b"\xff\xfe", 400),
    ("UTF-16", {}, "{}".encode("utf-16"), 400),
    ("a form as JSON", {}, b"payload={}", 400),
    ("JSON as a form", {"content-type": "application/x-www-form-urlencoded"}, b"{}", 400),
    ("a form without payload", {"content-type": "application/x-www-form-urlencoded"}, b"a=b", 400),
    ("a form with an empty payload", {"content-type": "application/x-www-form-urlencoded"}, b"payload=", 400),
    ("a form with a list", {"content-type": "application/x-www-form-urlencoded"}, b"payload=[]", 400),
    (
        "a form whose field ends like payload",
        {"content-type": "application/x-www-form-urlencoded"},
        b"mypayload={}",
        400,
    ),
]


@pytest.mark.parametrize(
    ("headers", "body", "status"), [case[1:] for case in UNREADABLE], ids=[case[0] for case in UNREADABLE]
)
def test_what_cannot_be_read_is_refused(
    connector: GitHubConnector, delivery: Make, headers: dict[str, str | None], body: bytes, status: int
) -> None:
    with pytest.raises(Rejected) as refused:
        connector.parse(delivery("push", body, headers))
    assert refused.value.status == status


READABLE = [
    ("an empty object", b"{}"),
    ("a byte order mark", b"\xef\xbb\xbf{}"),
    ("a lone surrogate", b'{"action":"\\ud800"}'),
    ("NUL", b'{"action":"a\\u0000b"}'),
    ("a bare NUL", b'{"action":"a\x00b"}'),
    ("bytes that are no UTF-8", b'{"action":"\xff"}'),
    ("NaN and Infinity", b'{"number":NaN,"id":-Infinity}'),
    ("a float beyond all bounds", b'{"number":1e999}'),
    ("an integer of 30 digits", b'{"hook_id":' + b"9" * 30 + b"}"),
    ("an integer of 5000 digits", b'{"hook_id":' + b"9" * 5000 + b"}"),
    ("nested 100,000 deep", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    ("objects nested 100,000 deep", b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    (
        "nested deep and a lone surrogate first",
        b'{"b":"\\ud800","a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ),
]


@pytest.mark.parametrize("event", ["push", "issues", "ping", "star", "deployment", "not_invented"])
@pytest.mark.parametrize("body", [case[1] for case in READABLE], ids=[case[0] for case in READABLE])
def test_odd_json_is_still_told(connector: GitHubConnector, delivery: Make, event: str, body: bytes) -> None:
    told = _told(connector, delivery(event, body))
    assert told.id == f"github:{event}:delivery:{GUID}"
    assert told.source == "//github.com"
    assert told.data["title"]
    assert not {"\x00", "\ud800"} & set(told.data["title"] + told.data["action"])


def test_nothing_readable_makes_the_generic_card(connector: GitHubConnector, delivery: Make) -> None:
    deep = b'{"ref":"refs/heads/main","a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert _told(connector, delivery("push", deep)).data["title"] == "Push"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        " https://github.com/octo",
        "data:text/html,<script>",
        "file:///etc/passwd",
        "//github.com/octo",
        "https://",
        "https:///x",
        "https://github.com/a b",
        "https://github.com/\n",
        'https://github.com/"onmouseover=',
        "https://github.com/<script>",
        "https://github.com/\ud800",
        "https://github.com/" + "x" * 3000,
        7,
        None,
        ["https://github.com"],
    ],
)
def test_only_web_addresses_become_links(connector: GitHubConnector, delivery: Make, url: object) -> None:
    payload = _fixture("issues__opened")
    payload["issue"]["html_url"] = payload["repository"]["html_url"] = url
    payload["sender"].update(html_url=url, avatar_url=url)
    body = json.dumps(payload).encode()
    told = _told(connector, delivery("issues", body))
    assert told.data["url"] == "https://github.com/octo/repo"
    assert (told.data["actor"]["url"], told.data["actor"]["avatar_url"]) == ("", "")
    assert told.source == "//github.com/octo/repo"


@pytest.mark.parametrize(
    "name", ["octo", "octo/repo/x", "octo/re po", "../..//x", "", 7, None, "octo/" + "r" * 101]
)
def test_an_odd_repository_name_never_gets_into_the_source(
    connector: GitHubConnector, delivery: Make, name: object
) -> None:
    payload = _fixture("star__created")
    payload["repository"]["full_name"] = name
    assert _told(connector, delivery("star", payload)).source == "//github.com/octo"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-20T10:00:00Z", datetime(2026, 11, 20, 10, tzinfo=UTC)),
        ("2026-11-20T10:00:00+02:00", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        ("2026-11-20T10:00:00.500Z", datetime(2026, 11, 20, 10, 0, 0, 500_000, tzinfo=UTC)),
        (1_763_632_800, datetime(2025, 11, 20, 10, tzinfo=UTC)),
        ("2026-11-20T10:00:00", None),
        ("2026-11-20", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("1970-01-01T00:00:00Z", None),
        ("2100-01-01T00:00:00Z", None),
        ("yesterday", None),
        ("", None),
        (0, None),
        (-1, None),
        (10**18, None),
        (2**70, None),
        (True, None),
        (1.5, None),
        ({}, None),
    ],
)
def test_an_instant_is_sane_and_utc_or_none(
    connector: GitHubConnector, delivery: Make, value: object, expected: datetime | None
) -> None:
    payload = _fixture("issues__opened")
    payload["issue"]["created_at"] = value
    told = _told(connector, delivery("issues", json.dumps(payload).encode()))
    assert told.time == expected
    assert told.time is None or told.time.tzinfo is UTC


@pytest.mark.parametrize(
    ("value", "expected"),
    [(7, 7), (-(2**63), -(2**63)), (2**63, None), (10**400, None), (True, None), (7.0, None), ("7", None)],
)
def test_a_number_is_an_integer_of_64_bits_or_none(
    connector: GitHubConnector, delivery: Make, value: object, expected: int | None
) -> None:
    payload = _fixture("issues__opened")
    payload["issue"]["number"] = value
    told = _told(connector, delivery("issues", json.dumps(payload).encode()))
    assert told.data["number"] is expected or told.data["number"] == expected
    assert told.subject == ("" if expected is None else f"issues/{expected}")


def test_a_push_happened_when_it_was_pushed_not_when_it_was_committed(
    connector: GitHubConnector, delivery: Make
) -> None:
    payload = _fixture("push__one_commit")
    payload["repository"]["pushed_at"] = 1_763_632_800
    assert _told(connector, delivery("push", payload)).time == datetime(2025, 11, 20, 10, tzinfo=UTC)
    del payload["repository"]["pushed_at"]
    assert _told(connector, delivery("push", payload)).time == datetime(2026, 11, 20, 8, 29, 58, tzinfo=UTC)


def test_long_texts_and_lists_are_bounded(connector: GitHubConnector, delivery: Make) -> None:
    issue = _fixture("issues__opened")
    issue["issue"].update(
        title="🐙" * 100_000, body="é" * 100_000, labels=[{"name": f"label {n}"} for n in range(500)]
    )
    data = _told(connector, delivery("issues", issue)).data
    assert (len(data["title"]), len(data["text"]), len(data["labels"])) == (200, 2000, 20)
    assert data["title"].endswith("🐙…")
    assert data["text"].endswith("é…")

    push = _fixture("push__one_commit")
    push["commits"] *= 2048
    data = _told(connector, delivery("push", push)).data
    assert data["title"] == "At least 2048 commits pushed to main in octo/repo"
    assert data["text"].endswith("\n… and 2038 more")
    assert (data["commit_count"], len(data["commits"])) == (2048, 20)


def test_control_characters_leave_and_lines_stay(connector: GitHubConnector, delivery: Make) -> None:
    payload = _fixture("issues__opened")
    payload["issue"].update(title="a\x00b\r\nc\td\x1b[31m\ud800", body="one\r\ntwo\x00\tthree\x07\udfff")
    data = _told(connector, delivery("issues", json.dumps(payload).encode())).data
    assert data["title"].endswith(": ab c d[31m\ufffd")
    assert data["text"] == "one\ntwo\tthree\ufffd"


@pytest.mark.parametrize(
    ("name", "signal"),
    [
        ("ping__repository", "verified"),
        ("ping__app", "verified"),
        ("meta__deleted", "removed"),
        ("github_app_authorization__revoked", "revoked"),
        ("push__one_commit", ""),
        ("installation__deleted", "reach"),
        ("installation_repositories__added", "reach"),
    ],
)
def test_a_delivery_says_what_befell_the_webhook_or_the_grant(delivery: Make, name: str, signal: str) -> None:
    parsed = parse(delivery(name.partition("__")[0], _fixture(name)))
    assert parsed.signal == signal


def test_a_github_app_s_delivery_names_its_installation_and_what_is_about_the_app_the_person(
    delivery: Make,
) -> None:
    push = _fixture("push__one_commit") | {"installation": {"id": 5, "node_id": "x"}}
    assert parse(delivery("push", push)).addresses == ("installation:5",)
    installed = _fixture("installation__created")
    person, installation = installed["sender"]["id"], installed["installation"]["id"]
    assert parse(delivery("installation", installed)).addresses == (
        f"installation:{installation}",
        f"user:{person}",
    )
    revoked = _fixture("github_app_authorization__revoked")
    assert parse(delivery("github_app_authorization", revoked)).addresses == (
        f"user:{revoked['sender']['id']}",
    )
    assert parse(delivery("fork", _fixture("fork") | {"installation": None})).addresses == ()


@pytest.mark.parametrize("odd", [None, "5", [], {}, {"id": "5"}, {"id": True}, {"id": 2**64}])
def test_an_odd_installation_is_no_address(delivery: Make, odd: Any) -> None:
    assert parse(delivery("issues", _fixture("issues__opened") | {"installation": odd})).addresses == ()


def _rewrite() -> None:
    """Write the goldens again: `python test_parse.py`. Read the difference by eye before it is kept."""
    goldens = {}
    for fixture in FIXTURES:
        event = fixture.stem.partition("__")[0]
        headers = {"content-type": "application/json", "x-github-event": event, "x-github-delivery": GUID}
        goldens[fixture.stem] = _outcome(
            parse(WebhookRequest("POST", "/", "", headers, fixture.read_bytes()))
        )
    GOLDENS.write_text(json.dumps(goldens, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    _rewrite()
