"""What happens is written down once, and webhooks go out as the faults say."""

import asyncio
import itertools
from datetime import UTC, date, datetime, timedelta
from random import Random

import anyio
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidings.testing.clock import FakeClock
from tidings_sandbox.agenda import Agenda
from tidings_sandbox.courier import Courier
from tidings_sandbox.faults import Faults
from tidings_sandbox.happenings import Happening, Record, plan_day
from tidings_sandbox.people import People
from tidings_sandbox.stage import HttpSend, Stage
from tidings_sandbox.world import World

OTTILIE, BRAM = "ottilie-otterbourne", "bram-quillfeather"


def happening(number: int, person: str = OTTILIE) -> Happening:
    return Happening("spotify", person, "play", datetime(2026, 1, 1, tzinfo=UTC), f"play:{number}")


# --- the record ---


def test_the_record_tells_each_person_what_is_theirs_in_order():
    record = Record()
    for number in range(3):
        record.add(happening(number))
        record.add(happening(number, BRAM))
    assert [one.key for one in record.of(OTTILIE)] == ["play:0", "play:1", "play:2"]
    assert record.of(OTTILIE, "github") == []
    assert [one.key for one in record.newest(2)] == ["play:2", "play:2"]


def test_a_bounded_record_keeps_the_newest_and_counts_all():
    record = Record(keep=2)
    for number in range(5):
        record.add(happening(number))
    assert [one.key for one in record] == ["play:3", "play:4"]
    assert record.total == 5


@settings(deadline=None)
@given(st.integers(1, 100), st.integers(0, 10_000))
def test_a_day_has_as_many_things_for_everybody_as_was_asked_for(each, seed):
    day = date(2026, 2, 28)
    kinds = {"github": ["push", "star"], "spotify": ["play"]}
    moments = plan_day(day, [OTTILIE, BRAM], kinds, each=each, chance=Random(seed))
    assert moments == sorted(moments, key=lambda moment: moment.at)
    assert {moment.at.date() for moment in moments} == {day}
    for person in (OTTILIE, BRAM):
        for platform in kinds:
            mine = [one.at for one in moments if (one.person, one.platform) == (person, platform)]
            assert len(mine) == each
            assert all(later - sooner > timedelta(minutes=4) for sooner, later in itertools.pairwise(mine))
    assert moments == plan_day(day, [OTTILIE, BRAM], kinds, each=each, chance=Random(seed))


def test_people_are_the_same_in_every_run_and_no_two_alike():
    people = list(People(600))
    assert people == list(People(600))
    assert len({person.key for person in people}) == len({person.github_id for person in people}) == 600
    assert len({person.spotify_account_id for person in people}) == 600
    assert people[0].key == OTTILIE


# --- worlds ---


def test_the_same_seed_at_the_same_instant_gives_the_same_world_and_no_other():
    def tracks(seed: int, *, day: int = 1) -> list[str]:
        world = World(FakeClock(datetime(2026, 1, day, tzinfo=UTC)), seed=seed)
        return [world.act("spotify", "play", OTTILIE).key.split(":")[1] for _ in range(5)]

    assert tracks(1) == tracks(1)
    assert tracks(1) != tracks(2)
    assert tracks(1) != tracks(1, day=2)


async def test_serial_numbers_grow_over_restarts(clock):
    first = World(clock).stage
    numbers = [first.serial() for _ in range(5)]
    await clock.advance(1)
    again = World(clock).stage
    numbers += [again.serial(), again.serial()]
    assert numbers == sorted(set(numbers))


async def test_a_lively_world_makes_small_things_happen_to_those_who_are_connected(world, clock, spotify):
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: world.run(lively=True))
        await clock.advance(300)
        assert world.happenings() == []
        await spotify.connect(BRAM)
        await clock.advance(300)
        group.cancel_scope.cancel()
    happened = world.happenings()
    assert 7 <= len(happened) <= 15
    assert {one.person for one in happened} == {BRAM}
    assert {one.platform for one in happened} == {"spotify"}


async def test_a_daily_life_has_just_so_many_things_a_day(world, clock, spotify):
    await clock.advance(12 * 3600)  # to midnight
    await spotify.connect(BRAM)
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: world.run(daily=4))
        for _ in range(3):
            await clock.advance(86_400)
        group.cancel_scope.cancel()
    days = [one.at.date() for one in world.happenings(BRAM, "spotify")]
    assert [days.count(date(2026, 1, day)) for day in (2, 3, 4)] == [4, 4, 4]


async def test_reset_begins_anew_and_knows_the_living_tokens(world, spotify, http):
    tokens = await spotify.connect()
    world.act("spotify", "play", OTTILIE)
    world.reset()
    assert world.happenings() == []
    headers = {"authorization": f"Bearer {tokens['access_token']}"}
    answer = await http.get("/sandbox/spotify/v1/me/player", headers=headers)
    assert answer.status_code == 403  # known, without that scope


# --- the agenda ---


async def test_the_agenda_performs_each_thing_at_its_instant(clock):
    agenda = Agenda(clock)
    done: list[tuple[str, float]] = []

    def note(name: str):
        async def action() -> None:
            done.append((name, clock.monotonic()))

        return action

    agenda.add(note("late"), in_seconds=20)
    async with anyio.create_task_group() as group:
        group.start_soon(agenda.run)
        await clock.advance(5)
        agenda.add(note("now"))
        agenda.add(note("soon"), in_seconds=5)
        await clock.advance(30)
        agenda.add(note("after all"), in_seconds=1)
        await clock.advance(1)
        group.cancel_scope.cancel()
    assert done == [("now", 5.0), ("soon", 10.0), ("late", 20.0), ("after all", 36.0)]


async def test_settle_performs_what_is_due_and_what_follows_from_it(clock):
    agenda = Agenda(clock)
    done: list[str] = []

    async def second() -> None:
        done.append("second")

    async def first() -> None:
        done.append("first")
        agenda.add(second)

    agenda.add(first)
    agenda.add(second, in_seconds=1)
    await agenda.settle()
    assert done == ["first", "second"]


# --- webhooks ---


class Post:
    """A courier with an inbox at the other end."""

    def __init__(self, clock: FakeClock, status: int = 200) -> None:
        self.inbox: list[bytes] = []
        self.outcomes: list[int] = []
        self.status = status
        self.stage = Stage(
            clock,
            seed=1,
            public_url="http://127.0.0.1",
            send=self,
            ask=self.ask,
            people=1,
            keep_happenings=None,
        )
        self.faults = Faults(clock, Random(1))
        self.courier = Courier(self.stage, self.faults)

    async def __call__(self, url, headers, body) -> int:
        if self.status == 0:
            raise httpx.ConnectError("refused")
        self.inbox.append(body)
        return self.status

    async def ask(self, url) -> tuple[int, bytes]:
        if self.status == 0:
            raise httpx.ConnectError("refused")
        return self.status, url.encode()

    async def send(self, count: int = 1) -> None:
        for number in range(count):
            self.courier.post(
                "http://127.0.0.1/", {}, str(number).encode(), lambda status, _: self.outcomes.append(status)
            )
        await self.stage.agenda.settle()


async def test_a_webhook_arrives_and_its_status_is_told(clock):
    post = Post(clock, status=202)
    await post.send()
    assert (post.inbox, post.outcomes) == ([b"0"], [202])


async def test_a_webhook_that_finds_nobody_has_status_zero(clock):
    post = Post(clock, status=0)
    await post.send()
    assert post.outcomes == [0]


async def test_a_share_of_webhooks_is_lost(clock):
    post = Post(clock)
    post.faults.lose_webhooks = 0.3
    await post.send(300)
    assert len(post.inbox) == post.outcomes.count(200) == 300 - post.outcomes.count(0)
    assert 60 < post.outcomes.count(0) < 120


async def test_a_doubled_webhook_arrives_twice_and_is_told_once(clock):
    post = Post(clock)
    post.faults.duplicate_webhooks = 1
    await post.send()
    assert (post.inbox, post.outcomes) == ([b"0", b"0"], [200])


async def test_a_delayed_webhook_arrives_later(clock):
    post = Post(clock)
    post.faults.delay_webhooks_seconds = 60
    await post.send()
    assert post.inbox == []
    await clock.advance(60)
    await post.stage.agenda.settle()
    assert post.inbox == [b"0"]


@pytest.mark.parametrize(("status", "told"), [(200, (200, b"http://127.0.0.1/?a=b")), (0, (0, b""))])
async def test_an_address_is_asked_whether_it_wants_webhooks(clock, status, told):
    post = Post(clock, status=status)
    answers: list[tuple[int, bytes]] = []
    post.courier.ask("http://127.0.0.1/?a=b", lambda *answer: answers.append(answer))
    assert answers == []
    await post.stage.agenda.settle()
    assert answers == [told]


async def answering(status: int) -> asyncio.Server:
    """An HTTP server that answers everything alike."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"POST /hook HTTP/1.1\r\n")
        assert b"x-signed: yes" in head.lower()
        assert await reader.readexactly(5) == b"hello"
        writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status)
        await writer.drain()
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


async def test_webhooks_go_over_http_to_this_installation_and_nowhere_else():
    async with await answering(207) as server:
        port = server.sockets[0].getsockname()[1]
        send = HttpSend(f"http://127.0.0.1:{port}/")
        assert await send(f"http://127.0.0.1:{port}/hook", {"X-Signed": "yes"}, b"hello") == 207
        for stranger in (
            f"http://127.0.0.1:{port}1/hook",
            f"http://127.0.0.1:{port}@10.0.0.1/",
            "http://10.0.0.1/",
        ):
            with pytest.raises(httpx.ConnectError, match="alone"):
                await send(stranger, {"X-Signed": "yes"}, b"hello")
        await send.close()
