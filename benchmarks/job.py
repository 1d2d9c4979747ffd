"""What a due job costs that does nothing: claimed under a lease, run, ended, written down.

`python benchmarks/job.py [--jobs 5000]`. Beside it what an event takes on disk. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import tempfile
import time
from pathlib import Path

import structlog
import uvloop

from tidings.accounts import add_user
from tidings.clock import SystemClock
from tidings.contracts import Item, JobRequest
from tidings.engines import open_database
from tidings.event import Event
from tidings.health import Health
from tidings.jobs import Ended, Job, request_jobs
from tidings.journal import SqlJournal
from tidings.metrics import Metrics
from tidings.migrate import ensure_schema
from tidings.scheduler import Scheduler
from tidings.schema import to_stored
from tidings.writer import Writer

_TEXT = "A title of the usual length, and a line of text below it. " * 6


def drop(_logger: object, _method: str, _event: object) -> str:
    raise structlog.DropEvent


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def measure(jobs: int, folder: Path) -> dict[str, float]:
    log = structlog.wrap_logger(None, processors=[drop])
    clock = SystemClock()
    database = open_database(f"sqlite+aiosqlite:///{folder / 'tidings.db'}")
    await ensure_schema(database)
    writer = Writer(database, Health(clock, log).component("database"), clock.monotonic)
    journal = SqlJournal(database, writer, clock)
    scheduler = Scheduler(journal, writer, clock, log, Metrics(), longest_rest_seconds=5)
    done = asyncio.Event()
    left = jobs

    async def run(_job: Job) -> Ended:
        nonlocal left
        left -= 1
        if not left:
            done.set()
        return Ended(3600.0)

    scheduler.handle("nothing", run)
    now = clock.now()
    user = await writer.run_unit(lambda sql: add_user(sql, name="alice", is_admin=False, now=now))
    requests = [(user.id, JobRequest("nothing", str(number))) for number in range(jobs)]
    await writer.run_unit(lambda sql: request_jobs(sql, requests, to_stored(now)))
    cpu, began = cpu_seconds(), time.perf_counter()
    running = asyncio.create_task(scheduler.run())
    await done.wait()
    await scheduler.stop()
    report = {
        "jobs_per_second": round(jobs / (time.perf_counter() - began)),
        "cpu_us_per_job": round((cpu_seconds() - cpu) / jobs * 1e6),
    }
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    before = (folder / "tidings.db").stat().st_size
    events = [
        Event(id=f"x:{n}", type="com.x", source="//x", platform="x", data={"title": "x", "text": _TEXT})
        for n in range(20_000)
    ]
    for start in range(0, len(events), 500):
        await journal.append(Item(user.id, events[start : start + 500], via="webhook"))
    await database.checkpoint()
    writer.close()
    await writer.drained()
    await database.close()
    report["bytes_per_event"] = round(((folder / "tidings.db").stat().st_size - before) / len(events))
    return report


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=5_000)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        print(json.dumps(runner.run(measure(arguments.jobs, Path(folder)))))


if __name__ == "__main__":
    main()
