"""A message as a card: who, where, and what in words."""

from __future__ import annotations

from typing import Any

import pytest

from discord_exchanges import ANN, BEN, HOME, TALK, channel, guild, message, user
from tidings.event import rfc3339
from tidings_discord.message import message_event
from tidings_discord.site import DISCORD


def told(**more: Any) -> Any:
    event = message_event(message(7_000_000_000_000_000, **more), channel(), guild(), DISCORD)
    assert event is not None
    return event


def test_a_message_is_shown_with_its_place_and_author() -> None:
    event = told()
    assert event.id == f"discord:message:{TALK}:7000000000000000"
    assert (event.type, event.subject) == ("com.discord.message", "7000000000000000")
    assert event.source == f"//discord.com/channels/{HOME}/{TALK}"
    assert rfc3339(event.time) == "2026-11-01T12:00:00Z"
    assert event.data == {
        "title": "Ben in #talk, The Lantern",
        "text": "hello",
        "url": f"https://discord.com/channels/{HOME}/{TALK}/7000000000000000",
        "actor": {
            "name": "Ben",
            "avatar_url": f"https://cdn.discordapp.com/embed/avatars/{(int(BEN) >> 22) % 6}.png",
            "url": f"https://discord.com/users/{BEN}",
        },
        "channel": {"id": TALK, "name": "talk"},
        "server": {"id": HOME, "name": "The Lantern"},
        "attachments": [],
        "is_bot": False,
    }


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (
            {"content": f"Hi <@{ANN}> and <@!{BEN}>", "mentions": [user(), user(BEN, "ben")]},
            "Hi @Ann and @Ben",
        ),
        ({"content": f"Hi <@{ANN}>"}, f"Hi @{ANN}"),
        ({"content": "fine <:thumb:12345> <a:dance:678>"}, "fine :thumb: :dance:"),
        ({"content": "one\ntwo\x00\x07"}, "one\ntwo"),
        ({"content": "  padded "}, "padded"),
        (
            {"content": "", "attachments": [{"filename": "map.png"}, {"filename": "b.txt"}]},
            "Files: map.png, b.txt.",
        ),
        ({"content": "", "sticker_items": [{"name": "Wave"}]}, "Stickers: Wave."),
        ({"content": "", "embeds": [{"title": "v2 is out"}]}, "v2 is out"),
        ({"content": "", "embeds": [{}, {"description": "All is well"}]}, "All is well"),
        ({"content": "", "poll": {"question": {"text": "Tea?"}}}, "A poll."),
        ({"content": "", "type": 7}, "joined the server."),
        ({"content": "", "type": 6}, "pinned a message."),
        ({"content": "", "type": 999}, "A note of Discord's own."),
        ({"content": "a thread's name", "type": 18}, "a thread's name"),
    ],
)
def test_what_was_said_is_readable(more: dict[str, Any], text: str) -> None:
    assert told(**more).data["text"] == text


def test_a_message_that_the_bot_may_not_read_is_shown_as_such() -> None:
    assert "Message Content intent" in told(content="").data["text"]
    assert "Message Content intent" not in told(content="x").data["text"]


def test_a_long_message_is_cut() -> None:
    text = told(content="ab " * 4000).data["text"]
    assert len(text) <= 2000
    assert text.endswith("…")


def test_an_instant_that_is_missing_is_read_from_the_id() -> None:
    # https://docs.discord.com/developers/reference, "Convert Snowflake to DateTime"
    event = message_event(message(175928847299117063, timestamp=None), channel(), guild(), DISCORD)
    assert event is not None
    assert event.time is not None
    assert rfc3339(event.time) == "2016-04-30T11:18:25.796000Z"


@pytest.mark.parametrize("odd", [None, 5, "", "x", "-1", "0"])
def test_what_has_no_id_is_no_message(odd: Any) -> None:
    assert message_event({**message(5), "id": odd}, channel(), guild(), DISCORD) is None
    assert message_event(message(5), {**channel(), "id": odd}, guild(), DISCORD) is None
