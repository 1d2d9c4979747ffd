"""What every bus must do, between two nodes: run unchanged over all that are shipped."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest

from broker import Broker
from buses import KINDS, Node, at_rest, two_nodes
from tidings.bus import Glance, Notice, Question, WakeUp
from tidings.event import Cursor, UserId

_subjects = itertools.count()
ALICE, BOB = UserId(1), UserId(2)
NOTICE = Notice(ALICE, "token_refresh", "org.tidings.token.refreshed", "x", '{"title": "ü"}'.encode())


@pytest.fixture(params=KINDS)
async def nodes(request: pytest.FixtureRequest, broker: Broker) -> AsyncIterator[tuple[Node, Node]]:
    async with two_nodes(request.param, broker, subject=f"contract.{next(_subjects)}") as nodes:
        yield nodes


async def test_who_watches_is_woken_by_the_other_node_and_by_its_own(nodes: tuple[Node, Node]) -> None:
    here, there = nodes
    await here.bus.watch(ALICE)
    await there.bus.publish([WakeUp(ALICE, 7), WakeUp(BOB, 3)])
    await here.until(WakeUp(ALICE, 7))
    await here.bus.publish([WakeUp(ALICE, 8)])
    await here.until(WakeUp(ALICE, 8))
    assert WakeUp(BOB, 3) not in here.arrived


async def test_a_watch_is_certain_when_it_returns(nodes: tuple[Node, Node]) -> None:
    """The other node may publish in the next moment, over a connection that is quicker."""
    here, there = nodes
    await there.bus.watch(UserId(999))
    for number in range(100, 200):
        user_id = UserId(number)
        await here.bus.watch(user_id)
        await there.bus.publish([WakeUp(user_id, number)])
    await here.until(*[WakeUp(UserId(number), number) for number in range(100, 200)])


async def test_many_can_be_watched_at_once(nodes: tuple[Node, Node]) -> None:
    here, there = nodes
    users = [UserId(number) for number in range(1_000)]
    await asyncio.gather(*[here.bus.watch(user_id) for user_id in users])
    await there.bus.publish([WakeUp(user_id, 1) for user_id in users])
    await here.until(*[WakeUp(user_id, 1) for user_id in users])


async def test_who_is_watched_twice_is_woken_once(nodes: tuple[Node, Node]) -> None:
    here, there = nodes
    await asyncio.gather(here.bus.watch(ALICE), here.bus.watch(ALICE))
    await here.bus.watch(ALICE)
    await there.bus.tell(NOTICE)
    await here.until(NOTICE)
    await at_rest(there.bus)
    await at_rest(here.bus)
    assert here.arrived.count(NOTICE) == 1


async def test_what_a_node_tells_arrives_once_at_itself_too(nodes: tuple[Node, Node]) -> None:
    here, _ = nodes
    await here.bus.watch(ALICE)
    await here.bus.tell(NOTICE)
    await here.until(NOTICE)
    await at_rest(here.bus)
    await at_rest(here.bus)
    assert here.arrived.count(NOTICE) == 1


async def test_who_is_watched_no_more_is_not_woken(nodes: tuple[Node, Node]) -> None:
    here, there = nodes
    await here.bus.watch(ALICE)
    await here.bus.watch(BOB)
    await here.bus.unwatch(ALICE)
    await at_rest(here.bus)
    await there.bus.publish([WakeUp(ALICE, 7)])
    await there.bus.publish([WakeUp(BOB, 8)])
    await here.until(WakeUp(BOB, 8))
    assert WakeUp(ALICE, 7) not in here.arrived
    await here.bus.watch(ALICE)
    await there.bus.publish([WakeUp(ALICE, 9)])
    await here.until(WakeUp(ALICE, 9))


async def test_what_is_not_journaled_arrives_as_it_was_told(nodes: tuple[Node, Node]) -> None:
    here, there = nodes
    await here.bus.watch(ALICE)
    glance = Glance(ALICE, "page", visible=True)
    await there.bus.tell(NOTICE)
    await there.bus.tell(glance)
    await here.until(NOTICE, glance)
    assert [one for one in here.arrived if not isinstance(one, WakeUp)][-2:] == [NOTICE, glance]


async def test_wake_ups_that_nobody_takes_don_t_pile_up(nodes: tuple[Node, Node]) -> None:
    """Of many for one user the newest is enough."""
    here, there = nodes
    await here.bus.watch(ALICE)
    for seq in range(1, 2_001):
        await there.bus.publish([WakeUp(ALICE, seq)])
    await here.until(WakeUp(ALICE, 2_000))
    assert len(here.arrived) <= 2_001


async def test_nobody_answers_where_nobody_watches(nodes: tuple[Node, Node]) -> None:
    here, there = nodes
    await here.bus.watch(BOB)
    assert not await there.bus.ask(Question(ALICE))


async def test_a_question_is_answered_by_the_other_node(nodes: tuple[Node, Node]) -> None:
    here, there = nodes
    if here is there:
        assert not await there.bus.ask(Question(ALICE))  # nobody else is there to be asked
        return
    await here.bus.watch(ALICE)
    question = Question(ALICE, Cursor("e1", 7))
    asking = asyncio.create_task(there.bus.ask(question))
    asked = await here.first(Question)
    assert (asked.user_id, asked.shown) == (ALICE, Cursor("e1", 7))
    await here.bus.answer(asked)
    assert await asking
    assert not await there.bus.ask(question), "who keeps silent says no"
