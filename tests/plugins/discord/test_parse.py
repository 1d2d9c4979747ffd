"""What a verified webhook event tells, and whom."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from discord_exchanges import FIXTURES, delivery, fixture
from tidings.errors import Rejected
from tidings.event import rfc3339
from tidings_discord.connector import DiscordConnector

NELLY, BUYER = "80351110224678912", "111178765189277770"

TOLD: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    # fixture: type, title, text, addresses
    "application_authorized__user": (
        "com.discord.application_authorized",
        "You let the app see your account",
        "It may: identify, guilds, guilds.members.read.",
        (f"user:{NELLY}",),
    ),
    "application_authorized__guild": (
        "com.discord.application_authorized",
        "The app was added to the server Discord Testers",
        "It may: bot, applications.commands.",
        (f"user:{NELLY}",),
    ),
    "application_deauthorized": (
        "com.discord.application_deauthorized",
        "You took the app's access to your account back",
        "All its tokens have ended. Connect again to go on hearing of this account.",
        (f"user:{NELLY}",),
    ),
    "entitlement_create": (
        "com.discord.entitlement_create",
        "An entitlement was given",
        "",
        (f"user:{BUYER}",),
    ),
    "entitlement_delete": (
        "com.discord.entitlement_delete",
        "An entitlement was taken back",
        "",
        (f"user:{BUYER}",),
    ),
    "lobby_message_create": (
        "com.discord.lobby_message_create",
        "A message in a lobby",
        "",
        (f"user:{NELLY}",),
    ),
    "unheard_of": ("com.discord.something_new", "Something new", "", (f"user:{NELLY}",)),
}
SILENT = {"ping": "PING", "quest_user_enrollment": "QUEST_USER_ENROLLMENT"}


def test_every_fixture_is_looked_at() -> None:
    assert {path.stem for path in FIXTURES.glob("*.json")} == {*TOLD, *SILENT}


@pytest.mark.parametrize("name", TOLD)
def test_what_is_told_is_readable_and_for_whom_it_concerns(connector: DiscordConnector, name: str) -> None:
    parsed = connector.parse(delivery(fixture(name)))
    (event,) = parsed.events
    kind, title, text, addresses = TOLD[name]
    assert (event.type, event.data["title"], event.data["text"], parsed.addresses) == (
        kind,
        title,
        text,
        addresses,
    )
    assert event.id.startswith(f"discord:{addresses[0].removeprefix('user:')}:{parsed.kind.lower()}:")
    assert event.time is not None
    assert rfc3339(event.time).startswith("2024-10-18T1")


@pytest.mark.parametrize("name", [*TOLD, *SILENT])
def test_every_delivery_is_answered_204_without_a_body_but_with_a_type(
    connector: DiscordConnector, name: str
) -> None:
    answer = connector.parse(delivery(fixture(name))).answer
    assert answer is not None
    assert (answer.status, answer.body, answer.content_type) == (204, b"", "application/json")


@pytest.mark.parametrize("name", SILENT)
def test_greetings_and_what_concerns_nobody_tell_nothing(connector: DiscordConnector, name: str) -> None:
    parsed = connector.parse(delivery(fixture(name)))
    assert (parsed.events, parsed.addresses, parsed.signal, parsed.kind) == ((), (), "", SILENT[name])


def test_who_takes_the_consent_back_says_so_with_its_instant(connector: DiscordConnector) -> None:
    parsed = connector.parse(delivery(fixture("application_deauthorized")))
    assert parsed.signal == "revoked"
    assert parsed.signalled_at is not None
    assert rfc3339(parsed.signalled_at) == "2024-10-18T14:42:53.064834Z"
    (event,) = parsed.events
    assert event.data["attention"] is True
    assert event.data["actor"] == {
        "name": "Nelly",
        "avatar_url": f"https://cdn.discordapp.com/avatars/{NELLY}/8342729096ea3675442027381ff50dfe.png",
        "url": f"https://discord.com/users/{NELLY}",
    }


@pytest.mark.parametrize("name", [one for one in TOLD if one != "application_deauthorized"])
def test_nothing_else_ends_a_consent(connector: DiscordConnector, name: str) -> None:
    parsed = connector.parse(delivery(fixture(name)))
    assert (parsed.signal, parsed.signalled_at) == ("", None)


@pytest.mark.parametrize("name", TOLD)
def test_a_retry_is_the_same_delivery_and_event_whenever_it_is_signed(
    connector: DiscordConnector, name: str
) -> None:
    first = connector.parse(delivery(fixture(name)))
    again = connector.parse(delivery(json.dumps(fixture(name)).encode(), "1700000500"))
    assert first == again
    assert len(first.delivery_id) == 64


def changed(name: str, *path: str, to: Any) -> Any:
    payload = copy.deepcopy(fixture(name))
    holder = payload
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = to
    return payload


def test_whatever_tells_two_deliveries_apart_makes_two_of_them(connector: DiscordConnector) -> None:
    payloads = [
        fixture("application_deauthorized"),
        changed("application_deauthorized", "application_id", to="5"),
        changed("application_deauthorized", "event", "type", to="APPLICATION_AUTHORIZED"),
        changed("application_deauthorized", "event", "timestamp", to="2024-10-18T14:42:53.064835"),
        changed("application_deauthorized", "event", "data", "user", "id", to="6"),
        fixture("entitlement_create"),
        changed("entitlement_create", "event", "data", "id", to="7"),
    ]
    parsed = [connector.parse(delivery(one)) for one in payloads]
    assert len({one.delivery_id for one in parsed}) == len(payloads)
    assert len({one.events[0].id for one in parsed}) == len(payloads)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2024-10-18T14:42:53.064834", "2024-10-18T14:42:53.064834Z"),  # as Discord writes it, in UTC
        ("2024-10-18T14:42:53.064834+00:00", "2024-10-18T14:42:53.064834Z"),
        ("2024-10-18T16:42:53+02:00", "2024-10-18T14:42:53Z"),
        ("yesterday", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("9999-12-31T23:59:59-23:59", None),
        (7, None),
    ],
)
def test_instants_are_read_with_and_without_an_offset(
    connector: DiscordConnector, text: Any, shown: str | None
) -> None:
    parsed = connector.parse(delivery(changed("application_deauthorized", "event", "timestamp", to=text)))
    assert (parsed.signalled_at and rfc3339(parsed.signalled_at)) == shown
    assert parsed.signal == "revoked"


ODD: list[tuple[str, Any]] = [
    ("another type of webhook", changed("application_deauthorized", "type", to=2)),
    ("an interaction's greeting", {"type": 1, "id": "1", "token": "t", "version": 1}),
    ("a type in words", changed("application_deauthorized", "type", to="1")),
    ("a true type", changed("application_deauthorized", "type", to=True)),
    ("no type", {"version": 1}),
    ("an empty object", {}),
    ("no event", {"version": 1, "type": 1}),
    ("a list as event", {"version": 1, "type": 1, "event": []}),
    ("an event without a type", changed("application_deauthorized", "event", "type", to=None)),
    (
        "a type in lower case",
        changed("application_deauthorized", "event", "type", to="application_deauthorized"),
    ),
    ("a type with a colon", changed("application_deauthorized", "event", "type", to="A:B")),
    ("a very long type", changed("application_deauthorized", "event", "type", to="A" * 65)),
    ("a type with a line feed", changed("application_deauthorized", "event", "type", to="PING\n")),
    ("no data", changed("application_deauthorized", "event", "data", to=None)),
    ("a list as data", changed("application_deauthorized", "event", "data", to=[1])),
    ("no user", changed("application_deauthorized", "event", "data", "user", to=None)),
    ("a user without id", changed("application_deauthorized", "event", "data", "user", to={})),
    ("an id that is a number", changed("application_deauthorized", "event", "data", "user", to={"id": 5})),
    ("an id with a sign", changed("application_deauthorized", "event", "data", "user", to={"id": "-5"})),
    ("an id with a zero", changed("application_deauthorized", "event", "data", "user", to={"id": "05"})),
    (
        "an id beyond 64 bits",
        changed("application_deauthorized", "event", "data", "user", to={"id": "9" * 20}),
    ),
    (
        "an id in other digits",
        changed("application_deauthorized", "event", "data", "user", to={"id": "\u0665"}),
    ),
    ("a word as id", changed("application_deauthorized", "event", "data", "user", to={"id": "everybody"})),
    ("an id with a wildcard", changed("application_deauthorized", "event", "data", "user", to={"id": "8*"})),
    ("an id with NUL", changed("application_deauthorized", "event", "data", "user", to={"id": "8\x00"})),
]


@pytest.mark.parametrize("payload", [case[1] for case in ODD], ids=[case[0] for case in ODD])
def test_what_is_odd_concerns_nobody_and_is_answered_204(connector: DiscordConnector, payload: Any) -> None:
    parsed = connector.parse(delivery(payload))
    assert (parsed.events, parsed.addresses, parsed.signal) == ((), (), "")
    assert parsed.answer is not None
    assert parsed.answer.status == 204


UNREADABLE: list[tuple[str, bytes]] = [
    ("nothing", b""),
    ("blanks", b"  \n"),
    ("a list", b"[]"),
    ("a word", b'"ping"'),
    ("a number", b"0"),
    ("null", b"null"),
    ("cut", b'{"type":0'),
    ("two objects", b'{"type":0}{"type":0}'),
    ("digits before", b'000{"type":0}'),
    ("a form", b"payload=%7B%7D"),
    ("bytes that are no text", b"\xff\xfe\x00"),
]


@pytest.mark.parametrize("body", [case[1] for case in UNREADABLE], ids=[case[0] for case in UNREADABLE])
def test_what_is_no_object_is_refused(connector: DiscordConnector, body: bytes) -> None:
    with pytest.raises(Rejected) as refused:
        connector.parse(delivery(body))
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "body",
    [
        b'{"type":0,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"type":0,"x":' + b"9" * 5000 + b"}",
        b'{"type":0,"x":"\\ud800"}',
        b'{"type":0,"x":NaN}',
        b'{"type":0,"x":"\x00"}',
        b'{"type":0,"x":"\xff"}',
    ],
)
def test_what_is_odd_but_signed_is_answered_204(connector: DiscordConnector, body: bytes) -> None:
    answer = connector.parse(delivery(body)).answer
    assert answer is not None
    assert answer.status == 204
