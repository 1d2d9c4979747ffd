"""One event to streams at several nodes: at the one that took it, and by way of the broker at the others."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import uvloop

from fanout import TRANSPORTS, Audience, middle, send_request, stream_request
from nodes import Nodes, at_work

_ROUNDS = 20
_WARM_UP = 3


async def _hear(audiences: list[Audience], token: str, number: int) -> list[float]:
    """Publish one event at the first node; when each node's last stream had it."""
    for audience in audiences:
        audience.expect()
    started = time.perf_counter()
    audiences[0].post(send_request(token, number))
    ends = await asyncio.gather(*[audience.complete() for audience in audiences])
    await asyncio.sleep(0.2)
    return [end - started for end in ends]


async def _measure(nodes: Nodes, token: str, subscribers: int, transport: str) -> dict:
    audiences = [Audience(server, transport) for server in nodes.servers]
    for audience in audiences:
        await audience.gather([stream_request(token, transport)] * (subscribers // len(audiences)))
    for number in range(_WARM_UP):
        await _hear(audiences, token, number)
    cpu, database_cpu = nodes.cpu_seconds(), nodes.database_cpu_seconds()
    heard = [await _hear(audiences, token, number) for number in range(_ROUNDS)]
    used, database_used = nodes.cpu_seconds() - cpu, nodes.database_cpu_seconds() - database_cpu
    here, *others = ([one[place] for one in heard] for place in range(len(audiences)))
    return {
        "last_ms": middle(here),
        "last_elsewhere_ms": middle([second for node in others for second in node]) if others else None,
        "cpu_us_per_delivery": round(used / _ROUNDS / subscribers * 1e6, 2),
        "database_cpu_us_per_event": round(database_used / _ROUNDS * 1e6),
    }


def one_user_at(folder: Path, subscribers: int, transport: str, database: str, count: int) -> dict:
    """Streams of one user, spread over the nodes."""
    with at_work(folder, users=1, database=database, count=count, transports=TRANSPORTS[transport]) as nodes:
        (token,) = nodes.servers[0].tokens(1)
        measured = uvloop.run(_measure(nodes, token, subscribers, transport))
    return {
        "scenario": "one_user",
        "transport": transport,
        "database": database,
        "nodes": count,
        "subscribers": subscribers,
        **measured,
    }
