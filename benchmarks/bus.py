"""What 100,000 watched users cost a node on NATS, and how long everything else waits when the broker comes back.

`python benchmarks/bus.py [--users 100000]`. The last line is JSON: KiB of each user, the worst stall of the event loop
in milliseconds while all are watched and while all are told to a broker that was stopped and started, and how long the
latter took.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path

import uvloop

from tidings.clock import SystemClock
from tidings.contracts import Outage, WakeUp
from tidings.event import UserId
from tidings.server import settle_process
from tidings_buses.dialling import Dialler
from tidings_buses.nats import NatsBus
from tidings_buses.settings import NatsOptions

SERVER = Path(sysconfig.get_path("scripts")) / "nats-server"
PORT = 42229
_WATCHING = 5_000  # streams that open at a time


def start(folder: Path) -> subprocess.Popen[bytes]:
    log = folder / "log"
    log.unlink(missing_ok=True)
    process = subprocess.Popen([SERVER, "-a", "127.0.0.1", "-p", str(PORT), "-l", log])
    while not log.exists() or "Server is ready" not in log.read_text():
        time.sleep(0.01)
    return process


def resident_kib() -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


class Stalls:
    """The longest that a task which is always ready had to wait for its turn."""

    def __init__(self) -> None:
        self.worst_seconds = 0.0
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            self.worst_seconds = max(self.worst_seconds, now - last)
            last = now

    def take_ms(self) -> float:
        worst, self.worst_seconds = self.worst_seconds, 0.0
        return round(worst * 1000, 1)


async def listen(bus: NatsBus, outages: asyncio.Queue[Outage], woken: set[UserId]) -> None:
    async for arrival in bus.wakeups():
        if isinstance(arrival, Outage):
            outages.put_nowait(arrival)
        elif isinstance(arrival, WakeUp):
            woken.add(arrival.user_id)


async def measure(users: int, folder: Path) -> dict[str, float]:
    process = start(folder)
    options = NatsOptions(servers=(f"nats://127.0.0.1:{PORT}",))
    bus, other = (NatsBus(Dialler(options, name="benchmark"), SystemClock()) for _ in range(2))
    outages: asyncio.Queue[Outage] = asyncio.Queue()
    woken: set[UserId] = set()
    tasks = [
        asyncio.create_task(listen(bus, outages, woken)),
        asyncio.create_task(listen(other, asyncio.Queue(), set())),
    ]
    await other.watch(UserId(users))
    settle_process()
    stalls, before = Stalls(), resident_kib()
    watched_at = time.perf_counter()
    for start_at in range(0, users, _WATCHING):
        await asyncio.gather(*[bus.watch(UserId(start_at + number)) for number in range(_WATCHING)])
    report = {
        "users": users,
        "kib_per_user": round((resident_kib() - before) / users, 2),
        "watch_seconds": round(time.perf_counter() - watched_at, 1),
        "watch_stall_ms": stalls.take_ms(),
    }
    process.terminate()
    process.wait()
    await outages.get()
    process = start(folder)
    stalls.take_ms()
    back_at = time.perf_counter()
    assert (await outages.get()).reason == ""
    report |= {
        "return_seconds": round(time.perf_counter() - back_at, 1),
        "return_stall_ms": stalls.take_ms(),
        "kib_per_user_after": round((resident_kib() - before) / users, 2),
    }
    await other.watch(UserId(users))
    await other.publish([WakeUp(UserId(number), 1) for number in range(0, users, 97)])
    while len(woken) < len(range(0, users, 97)):
        await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    process.terminate()
    process.wait()
    return report


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=100_000)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        print(json.dumps(runner.run(measure(arguments.users, Path(folder)))))


if __name__ == "__main__":
    main()
