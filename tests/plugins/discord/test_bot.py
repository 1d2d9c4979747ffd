"""The operator's bot: within the limits, silent when it is refused, and its token goes nowhere else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from discord_exchanges import API, HOME, TALK, TOKEN, Discord, answered
from tidings.errors import Rejected, Unavailable

LIMITED = {"message": "You are being rate limited.", "retry_after": 2.5, "global": False}


async def test_what_was_looked_at_is_believed_for_a_minute(discord: Discord) -> None:
    bot = discord.bot()
    for _ in range(3):
        assert (await bot.channel(TALK) or {})["name"] == "talk"
    assert len(discord.asked_by_bot) == 1
    await discord.clock.advance(61)
    await bot.channel(TALK)
    assert len(discord.asked_by_bot) == 2


@pytest.mark.parametrize("status", [403, 404])
async def test_what_the_bot_may_not_see_is_not_asked_for_again_soon(discord: Discord, status: int) -> None:
    """Refusals are counted, and who has too many of them is shut out."""
    bot = discord.bot()
    discord.hidden[f"/channels/{TALK}"] = status
    for _ in range(5):
        assert await bot.channel(TALK) is None
        await discord.clock.advance(100)
    assert len(discord.asked_by_bot) == 1
    await discord.clock.advance(200)
    assert await bot.channel(TALK) is None
    assert len(discord.asked_by_bot) == 2


async def test_a_route_that_is_used_up_is_waited_for(discord: Discord) -> None:
    bot = discord.bot()
    discord.scripted = [answered(200, [], x_ratelimit_remaining="0", x_ratelimit_reset_after="3")]
    await bot.messages(TALK)
    waiting = asyncio.create_task(bot.messages(TALK))
    await discord.clock.advance(2.5)
    assert not waiting.done()
    await discord.clock.advance(1)
    assert await waiting == []


async def test_a_long_wait_is_left_to_core(discord: Discord) -> None:
    bot = discord.bot()
    discord.scripted = [answered(200, [], x_ratelimit_remaining="0", x_ratelimit_reset_after="300")]
    await bot.messages(TALK)
    with pytest.raises(Unavailable) as refused:
        await bot.messages(TALK)
    assert refused.value.retry_after_seconds == 300
    assert len(discord.asked_by_bot) == 1
    assert await bot.channel(TALK) is not None  # another route


async def test_a_limit_that_was_exceeded_is_waited_out_and_then_asked_again(discord: Discord) -> None:
    bot = discord.bot()
    discord.scripted = [answered(429, LIMITED, x_ratelimit_scope="user")]
    asking = asyncio.create_task(bot.guild(HOME))
    await discord.clock.advance(2)
    assert not asking.done()
    await discord.clock.advance(1)
    assert (await asking or {})["name"] == "The Lantern"


async def test_a_limit_that_stays_is_given_up(discord: Discord) -> None:
    bot = discord.bot()
    discord.scripted = [answered(429, {**LIMITED, "retry_after": 0.1}, x_ratelimit_scope="user")] * 5
    asking = asyncio.create_task(bot.guild(HOME))
    await discord.clock.advance(5)
    with pytest.raises(Unavailable, match="rate limit"):
        await asking
    assert len(discord.asked_by_bot) == 3


async def test_a_refused_token_is_shown_once_in_an_hour(discord: Discord) -> None:
    bot = discord.bot()
    discord.scripted = [answered(401, {"message": "401: Unauthorized"})]
    for _ in range(4):
        with pytest.raises(Rejected, match="bot_token") as refused:
            await bot.channel(TALK)
        assert TOKEN not in str(refused.value)
    assert len(discord.asked_by_bot) == 1
    await discord.clock.advance(3601)
    assert await bot.channel(TALK) is not None


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (answered(429, b"<html>", retry_after="3600"), "shuts out"),
        (answered(403, b"error code: 1010"), "User-Agent"),
    ],
)
async def test_the_doorkeeper_s_refusal_stops_everything(discord: Discord, answer: Any, words: str) -> None:
    bot = discord.bot()
    discord.scripted = [answer]
    for ask in (bot.channel, bot.guild):
        with pytest.raises(Unavailable) as refused:
            await ask(TALK)
        assert (refused.value.retry_after_seconds or 0) > 3000
    assert len(discord.asked_by_bot) == 1
    assert words in str(refused.value) or "rate limit" in str(refused.value)


@pytest.mark.parametrize("status", [500, 502, 503, 408, 302])
async def test_an_outage_or_a_redirect_is_tried_again_later(discord: Discord, status: int) -> None:
    discord.scripted = [answered(status, b"", location="https://elsewhere.example/")]
    with pytest.raises(Unavailable):
        await discord.bot().channel(TALK)
    assert discord.sent_to == [f"{API}/channels/{TALK}"]  # and nowhere else


async def test_calls_are_made_one_after_the_other(discord: Discord) -> None:
    bot = discord.bot()
    inside = most = 0
    send = discord.send

    async def slow(*given: Any, **more: Any) -> Any:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0)
        inside -= 1
        return await send(*given, **more)

    discord.send = slow  # type: ignore[method-assign] - to look inside
    await asyncio.gather(*[bot.member(HOME, str(number)) for number in range(1, 9)])
    assert most == 1
