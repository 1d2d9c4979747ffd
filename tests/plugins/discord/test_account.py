"""An answer that does not show what was asked for is no news: nobody has left all their servers because of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from discord_exchanges import ANN, BEN, HOME, NOW, TALK, Discord, answered, channel, guild, member
from tidings.connecting import Answer
from tidings.contracts import Asked, Polled
from tidings.errors import Unavailable
from tidings_discord.poll import Terms, poll
from tidings_discord.site import DISCORD

GUILDS = "/users/@me/guilds?limit=200"
ME = "/users/@me"


class Confused(Discord):
    """Discord, or what answers in its place: some paths get another answer than theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.instead: dict[str, Any] = {}

    async def request(self, method: str, url: str, **more: Any) -> Answer:
        if url in self.instead:
            return Answer(200, {}, json.dumps(self.instead[url]).encode())
        return await super().request(method, url, **more)


async def polled(discord: Confused, checkpoint: Any, *channels: str) -> list[Polled]:
    asked = Asked(checkpoint=checkpoint, now=NOW, every_seconds=3600)
    bot = discord.bot() if channels else None
    return [piece async for piece in poll(discord, asked, Terms(DISCORD, bot, channels, roles=False))]


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        (GUILDS, {}),
        (GUILDS, None),
        (GUILDS, {"message": "Try again", "code": 0}),
        (GUILDS, [{"name": "no id"}]),
        (GUILDS, [{"id": HOME, "name": "Home"}, "x"]),
        (GUILDS, [{"id": 197038439483310086, "name": "a number"}]),
        (ME, {}),
        (ME, []),
        (ME, {"message": "Try again", "code": 0}),
        (ME, {"id": f"{ANN}1", "username": "somebody else"}),
    ],
)
async def test_an_answer_about_something_else_is_asked_for_again(path: str, answer: Any) -> None:
    discord = Confused()
    first = (await polled(discord, {}))[-1]
    discord.instead[path] = answer
    with pytest.raises(Unavailable):
        await polled(discord, first.checkpoint)
    del discord.instead[path]
    after = await polled(discord, first.checkpoint)
    assert [event for piece in after for event in piece.events] == []


@pytest.mark.parametrize("answer", [{}, [], None, {"id": HOME, "message": "Try again"}, {"user": {}}])
@pytest.mark.parametrize("good", [0, 1, 2], ids=["channel", "guild", "member"])
async def test_messages_are_not_passed_over_because_of_an_answer_about_something_else(
    answer: Any, good: int
) -> None:
    discord = Confused()
    first = await polled(discord, {}, TALK)
    discord.say(1 << 60, "while Discord was confused")
    right = [channel(last_message_id=str(1 << 60)), guild(), member()][:good]
    wrong = {**answer, "id": BEN} if isinstance(answer, dict) else answer
    discord.scripted = [*[answered(200, one) for one in right], answered(200, wrong)]
    with pytest.raises(Unavailable):
        await polled(discord, first[-1].checkpoint, TALK)
    after = await polled(discord, first[-1].checkpoint, TALK)
    assert [event.data["text"] for piece in after for event in piece.events] == ["while Discord was confused"]
