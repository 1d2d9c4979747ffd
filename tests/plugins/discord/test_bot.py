"""The operator's bot: within the limits, silent when it is refused, and its token goes nowhere else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from discord_exchanges import API, CREW, HOME, TALK, TOKEN, Discord, answered, channel
from tidings.errors import Rejected, Unavailable

LIMITED = {"message": "You are being rate limited.", "retry_after": 2.5, "global": False}


async def test_what_was_looked_at_is_believed_for_as_long_as_the_caller_likes(discord: Discord) -> None:
    bot = discord.bot()
    for _ in range(3):
        assert ((await bot.channel(TALK, 60)).found or {})["name"] == "talk"
    assert len(discord.asked_by_bot) == 1
    await discord.clock.advance(61)
    seen = await bot.channel(TALK, 90)
    assert bot.age_seconds(seen) == 61
    assert len(discord.asked_by_bot) == 1
    await bot.channel(TALK, 60)
    assert len(discord.asked_by_bot) == 2


async def test_the_channels_of_a_server_are_asked_for_in_one_call_once_they_are_known(
    discord: Discord,
) -> None:
    discord.channels[CREW] = channel(CREW)
    bot = discord.bot()
    for _ in range(2):
        discord.asked_by_bot.clear()
        seen = [await bot.channel(one, 60) for one in (TALK, CREW)]
        assert [(one.found or {})["id"] for one in seen] == [TALK, CREW]
        await discord.clock.advance(61)
    assert discord.asked_by_bot == [f"/guilds/{HOME}/channels"]


async def test_who_asks_while_another_asks_for_the_same_has_the_same_answer(discord: Discord) -> None:
    bot = discord.bot()
    send = discord.send

    async def slow(*given: Any, **more: Any) -> Any:
        await discord.clock.sleep(1)
        return await send(*given, **more)

    discord.send = slow  # type: ignore[method-assign] - an answer that takes its time
    asked = [bot.channel(TALK, 60), bot.channel(TALK, 60), bot.crowd(HOME, 60), bot.crowd(HOME, 60)]
    heard = [bot.hear(TALK, after, 60) for after in ("5", "5", "6")]
    asking = [asyncio.ensure_future(one) for one in (*asked, *heard)]
    await discord.clock.advance(10)
    await asyncio.gather(*asking)
    assert len(discord.asked_by_bot) == 3


async def test_messages_from_further_back_than_another_account_asked_for_are_asked_for(
    discord: Discord,
) -> None:
    bot = discord.bot()
    for number in (4, 6, 8):
        discord.say(number)
    later = await bot.hear(TALK, "5", 60)
    earlier = await bot.hear(TALK, "3", 60)
    assert [len(one.messages) for one in (later, earlier) if one is not None] == [2, 3]
    assert await bot.hear(TALK, "7", 60) == earlier
    assert len(discord.asked_by_bot) == 2


async def test_a_full_page_of_messages_is_nobody_else_s(discord: Discord) -> None:
    """There may be more behind it."""
    bot = discord.bot()
    for number in range(1, 102):
        discord.say(number)
    for _ in range(2):
        heard = await bot.hear(TALK, "1", 60)
        assert heard is not None
        assert len(heard.messages) == 100
    assert len(discord.asked_by_bot) == 2


async def test_without_the_intent_for_members_nobody_is_listed_and_that_is_not_asked_for_again_soon(
    discord: Discord,
) -> None:
    bot = discord.bot()
    discord.hidden[f"/guilds/{HOME}/members?limit=1000"] = 403
    for _ in range(3):
        assert (await bot.crowd(HOME, 0)).members is None
        await discord.clock.advance(3600)
    assert len(discord.asked_by_bot) == 1


async def test_a_server_of_more_members_than_a_call_lists_has_no_list(discord: Discord) -> None:
    bot = discord.bot()
    discord.members = {str(number) for number in range(1, 1001)}
    assert (await bot.crowd(HOME, 60)).members is None
    discord.members.discard("1")
    assert (await bot.crowd(HOME, 60)).members is None  # for some hours
    await discord.clock.advance(6 * 3600 + 1)
    assert len((await bot.crowd(HOME, 60)).members or ()) == 999


async def test_that_the_bot_can_t_tell_is_another_thing_than_no_member(discord: Discord) -> None:
    bot = discord.bot()
    assert await bot.member(HOME, "5") == {}
    discord.scripted = [answered(404, {"message": "Unknown Guild", "code": 10004})]
    assert await bot.member(HOME, "5") is None
    discord.scripted = [answered(403, {"message": "Missing Access", "code": 50001})]
    assert await bot.member(HOME, "5") is None


@pytest.mark.parametrize("status", [403, 404])
async def test_what_the_bot_may_not_see_is_not_asked_for_again_soon(discord: Discord, status: int) -> None:
    """Refusals are counted, and who has too many of them is shut out."""
    bot = discord.bot()
    discord.hidden[f"/channels/{TALK}"] = status
    for _ in range(5):
        assert (await bot.channel(TALK)).found is None
        await discord.clock.advance(100)
    assert len(discord.asked_by_bot) == 1
    await discord.clock.advance(200)
    assert (await bot.channel(TALK)).found is None
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
    assert (await bot.channel(TALK)).found is not None  # another route


async def test_a_limit_that_was_exceeded_is_waited_out_and_then_asked_again(discord: Discord) -> None:
    bot = discord.bot()
    discord.scripted = [answered(429, LIMITED, x_ratelimit_scope="user")]
    asking = asyncio.create_task(bot.guild(HOME))
    await discord.clock.advance(2)
    assert not asking.done()
    await discord.clock.advance(1)
    assert ((await asking).found or {})["name"] == "The Lantern"


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
    assert (await bot.channel(TALK)).found is not None


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
