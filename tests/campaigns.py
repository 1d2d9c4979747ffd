"""What soak tests do for long and flow tests for a moment: killing servers, and watching what they sync."""

import asyncio
import dataclasses
import itertools
import os
import random
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import deliveries
import server_process
from server_process import ServerProcess
from tidings.exchange import is_reset_while_connecting

CONNECTIONS = 16


@dataclasses.dataclass
class Toll:
    """What a campaign of kills has seen.

    Attributes:
        acknowledged: The serials answered 2xx.
        unanswered: The serials sent whose answer never came: they may be stored or not.
        stored: How often each serial is in the journal.
    """

    acknowledged: list[int]
    unanswered: set[int]
    stored: Counter[int]

    @property
    def lost(self) -> set[int]:
        return {serial for serial in self.acknowledged if not self.stored[serial]}

    @property
    def doubled(self) -> set[int]:
        return {serial for serial, count in self.stored.items() if count > 1}


async def kill_again_and_again(folder: Path, *, kills: int, seed: int) -> Toll:
    """Kill a server at random instants while webhooks come in; what got no answer is sent again."""
    chance = random.Random(seed)
    serials = itertools.count()
    toll = Toll([], set(), Counter())
    server_process.write_config(folder)
    for _ in range(kills):
        server = server_process.start(folder)
        try:
            await _send_until_killed(server, toll, serials, after_seconds=chance.uniform(0.02, 0.5))
        finally:
            server.close()
    server = server_process.start(folder)
    try:
        pushes = {_event_id(serial): serial for serial in range(next(serials))}
        toll.stored = Counter(pushes[event["id"]] for event in await server.events())
    finally:
        server.close()
    return toll


async def _send_until_killed(
    server: ServerProcess, toll: Toll, serials: Iterator[int], *, after_seconds: float
) -> None:
    again = sorted(toll.unanswered)
    async with server.client() as client, asyncio.TaskGroup() as group:

        async def send() -> None:
            while True:
                serial = again.pop() if again else next(serials)
                toll.unanswered.add(serial)
                hook = server.hooks[serial % len(server.hooks)]
                try:
                    answer = await deliveries.send(
                        client, hook, deliveries.push(serial), delivery=f"soak-{serial}"
                    )
                except httpx.TransportError:
                    return
                except AttributeError as error:
                    assert is_reset_while_connecting(error), error
                    return
                assert answer.status_code == 200, answer.text
                toll.unanswered.discard(serial)
                toll.acknowledged.append(serial)

        for _ in range(CONNECTIONS):
            group.create_task(send())
        await asyncio.sleep(after_seconds)
        server.process.kill()


def _event_id(serial: int) -> str:
    push = deliveries.push(serial)
    return f"github:push:1:{push['ref']}:{push['before']}:{push['after']}"


# --- what is synced -------------------------------------------------------------------------------------------

TRACE = "read,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,pwritev,fsync,fdatasync"
_CALL = re.compile(r"^(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\((\d+)<([^>]*)>)(.*)$", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Call:
    """A system call in a trace. `began` and `ended` are places in the order of all."""

    name: str
    file: str
    text: str
    began: int
    ended: int


def tracer(output: Path) -> list[str]:
    """The command that traces another one's reads, writes and syncs."""
    return ["strace", "-f", "-y", "-qq", "-s", "8192", "-e", f"trace={TRACE}", "-o", str(output)]


def _need_tracing(folder: Path) -> None:
    """Skip the test where processes can't be traced."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    if os.spawnvp(os.P_WAIT, "strace", [*tracer(folder / "probe"), "true"]):
        pytest.skip("processes can't be traced here")


async def unsynced_answers(folder: Path, *, synchronous: str, requests: int) -> tuple[int, list[str]]:
    """Send webhooks to a traced server; skip the test where nothing can be traced.

    Returns:
        How many were answered 2xx, and those of them whose answer was written before a sync of the
        write-ahead log that began after their rows were in it had ended.
    """
    _need_tracing(folder)
    output = folder / "trace"
    server_process.write_config(folder)
    server = server_process.start(folder, prefix=tracer(output), synchronous=synchronous)
    try:
        async with server.client() as client:
            for batch in range(0, requests, 8):
                answers = await asyncio.gather(
                    *[
                        deliveries.send(
                            client, server.hooks[0], deliveries.push(serial), delivery=f"traced-{serial:06d}."
                        )
                        for serial in range(batch, min(batch + 8, requests))
                    ]
                )
                assert {answer.status_code for answer in answers} == {200}
        server.stop()
    finally:
        server.close()
    calls = list(_calls(output))
    wrong = [marker for marker in _markers(requests) if not _synced_first(calls, marker)]
    return requests, wrong


def _markers(requests: int) -> list[str]:
    return [f"traced-{serial:06d}." for serial in range(requests)]


def _calls(output: Path) -> Iterator[Call]:
    """The calls of a trace. A call that others interrupt stands in two lines, `unfinished` and `resumed`."""
    open_calls: dict[str, Call] = {}
    with output.open(encoding="latin-1") as lines:
        for place, line in enumerate(lines):
            match = _CALL.match(line.rstrip("\n"))
            if match is None:
                continue
            thread, resumed, name, _, file, rest = match.groups()
            if resumed is not None:
                begun = open_calls.pop(thread, None)
                if begun is not None:  # a read shows its data only here
                    yield dataclasses.replace(begun, text=begun.text + rest, ended=place)
            elif rest.endswith("<unfinished ...>"):
                open_calls[thread] = Call(name, file, rest, place, -1)
            else:
                yield Call(name, file, rest, place, place)


def _synced_first(calls: list[Call], marker: str) -> bool:
    """Whether marker's rows were in the log before a sync of it began, which ended before the answer."""
    asked = min((c for c in calls if c.name in READS and marker in c.text), key=_ended, default=None)
    if asked is None:
        raise AssertionError(f"The trace has no request {marker}.")
    answers = (
        c
        for c in calls
        if c.name in WRITES and c.file == asked.file and c.began >= asked.ended and "HTTP/1.1 200" in c.text
    )
    answered = min(answers, key=_began)
    rows = [c for c in calls if c.name in LOG_WRITES and c.file.endswith("-wal") and marker in c.text]
    if not rows:
        return False
    written = min(rows, key=_ended)
    return any(
        written.ended < c.began and c.ended < answered.began
        for c in calls
        if c.name in SYNCS and c.file.endswith("-wal")
    )


READS = {"read", "recvfrom", "recvmsg"}
WRITES = {"write", "writev", "sendto", "sendmsg"}
LOG_WRITES = {"pwrite64", "pwritev", "write"}
SYNCS = {"fsync", "fdatasync"}


def _began(call: Call) -> int:
    return call.began


def _ended(call: Call) -> int:
    return call.ended
