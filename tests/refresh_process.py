"""A process that renews a grant's tokens with real HTTP: `python refresh_process.py '{"folder": …}'`.

It prints one line of JSON: what each caller got, or why it got nothing.
"""

import asyncio
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

import refreshes
from tidings.clock import SystemClock
from tidings.connecting import Answer
from tidings.engines import open_database
from tidings.errors import AuthExpired, Unavailable
from tidings.event import UserId
from tidings.health import Health
from tidings.outbound import Outbound
from tidings.writer import Writer


@dataclasses.dataclass(frozen=True)
class Orders:
    """What the process is to do.

    Attributes:
        database: Its URL.
        token_url: Of the provider.
        callers: So many at once, in each round.
        rounds: Each wants newer tokens than the round before.
        ahead_seconds: How far its clock goes ahead, so that nobody has to wait for leases.
        dies: Whether it kills itself when the provider's first answer has come.
    """

    database: str
    token_url: str
    grant_id: str
    user_id: UserId
    callers: int = 1
    rounds: int = 1
    ahead_seconds: float = 0.0
    dies: bool = False


class AheadClock(SystemClock):
    """The machine's clock, some time from now."""

    def __init__(self, ahead_seconds: float) -> None:
        self._ahead = timedelta(seconds=ahead_seconds)

    def now(self) -> datetime:
        return super().now() + self._ahead


class Deadly(Outbound):
    """Kills its process between the provider's answer and everything that would come next."""

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        answer = await super().send(method, url, headers=headers, body=body)
        assert answer.status == 200
        os.kill(os.getpid(), signal.SIGKILL)
        return answer


async def _run(orders: Orders) -> dict[str, Any]:
    clock = AheadClock(orders.ahead_seconds)
    database = open_database(orders.database)
    writer = Writer(database, Health(clock, refreshes.quiet).component("database"), clock.monotonic)
    http = Deadly() if orders.dies else Outbound()
    oauth = msgspec.structs.replace(refreshes.OAUTH, token_url=orders.token_url)
    holder = refreshes.holder(writer, clock, http, refreshes.Provider(oauth))

    async def renew(than: int) -> tuple[str, int, str]:
        try:
            token = await holder.tokens.renew(
                orders.grant_id, than=than, because="401", user_id=orders.user_id
            )
        except (AuthExpired, Unavailable) as error:
            return "", 0, f"{type(error).__name__}: {error}"
        return token.text, token.version, ""

    got = []
    for than in range(1, orders.rounds + 1):
        got += await asyncio.gather(*[renew(than) for _ in range(orders.callers)])
    said = {
        "got": got,
        "outcomes": holder.told.outcomes,
        "parks": [reason for _, reason in holder.told.parks],
        "metrics": holder.metrics.expose().decode(),
    }
    await holder.tokens.finish()
    await http.close()
    writer.close()
    await writer.drained()
    await database.close()
    return said


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_run(Orders(**json.loads(sys.argv[1]))))))
