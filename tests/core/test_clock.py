import asyncio
from datetime import timedelta

from tidings.testing.clock import FakeClock


async def test_sleepers_wake_in_order_each_at_its_own_instant():
    clock, woken = FakeClock(), []
    start = clock.now()

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, (clock.now() - start).total_seconds(), clock.monotonic()))

    tasks = [asyncio.create_task(sleeper(name, seconds)) for name, seconds in (("late", 3), ("soon", 1))]
    await clock.advance(0.5)
    assert woken == []
    await clock.advance(2.5)
    assert woken == [("soon", 1.0, 1.0), ("late", 3.0, 3.0)]
    await asyncio.gather(*tasks)
    assert clock.now() == start + timedelta(seconds=3)


async def test_who_sleeps_again_on_the_way_wakes_again():
    clock, ticks = FakeClock(), []

    async def tick() -> None:
        while True:
            await clock.sleep(1)
            ticks.append(clock.monotonic())

    task = asyncio.create_task(tick())
    await clock.advance(3.5)
    assert ticks == [1.0, 2.0, 3.0]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await clock.advance(10)
    assert len(ticks) == 3


async def test_no_sleep_at_all_only_lets_others_run():
    await FakeClock().sleep(0)


async def test_the_clock_moves_on_only_when_its_companions_are_at_rest():
    clock, seen = FakeClock(), []
    work: list[asyncio.Task[None]] = []

    async def toil() -> None:
        await clock.sleep(1)
        for _ in range(500):  # longer than the turns that everybody gets
            await asyncio.sleep(0)
        seen.append(clock.monotonic())

    async def at_rest() -> None:
        if clock.monotonic() == 1:
            await asyncio.gather(*work)

    clock.join(at_rest)
    work.append(asyncio.create_task(toil()))
    await clock.advance(10)
    assert seen == [1.0]
    clock.leave(at_rest)
    work[:] = [asyncio.create_task(toil())]
    await clock.advance(10)
    await asyncio.gather(*work)
    assert seen == [1.0, 20.0]


async def test_a_sleep_counts_from_its_call_though_its_task_begins_later():
    for turns in range(60):  # in one of them the clock moves between the two
        clock = FakeClock()
        moving = asyncio.create_task(clock.advance(60))
        for _ in range(turns):
            await asyncio.sleep(0)
        began = clock.monotonic()
        sleeping = asyncio.create_task(clock.sleep(5))
        await moving
        for _ in range(5):
            await asyncio.sleep(0)
        assert sleeping.done() == (began == 0)
        sleeping.cancel()
