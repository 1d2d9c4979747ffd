"""What other processes do to the database, noticed: rights that end, and what is kept in memory here.

The CLI beside the server makes such changes, and other nodes do, so this looks again and again: each time at a few
numbers, and further only where one has changed.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Final

from tidings.errors import Unavailable
from tidings.event import UserId
from tidings.facts import DEVICES_CHANGED, PROVISIONS_CHANGED, REGISTRATIONS_CHANGED, counted
from tidings.rights import RightsWatch
from tidings.services import Services
from tidings.tickets import TicketPrincipal, extend_tickets

_CHANGES: Final = (REGISTRATIONS_CHANGED, PROVISIONS_CHANGED, DEVICES_CHANGED)
_TICKET_SECONDS: Final = 60.0


async def _learn(services: Services, changes: Collection[str]) -> None:
    """Have the parts that keep something in memory take note of what other processes changed."""
    if REGISTRATIONS_CHANGED in changes:
        services.webhooks.forget_targets()
    if PROVISIONS_CHANGED in changes:
        await services.upkeep.provisioning.load()
    if DEVICES_CHANGED in changes and services.pushing is not None:
        await services.pushing.learn()


async def watch_others(services: Services, every_seconds: float) -> None:
    """Close what lives by ended rights, keep the tickets of open streams, and notice changes, until cancelled.

    Args:
        services: The parts of this server.
        every_seconds: How often to look.
    """
    watch = RightsWatch(services.database, services.clock)
    known: list[int] = [0] * len(_CHANGES)
    watching: set[UserId] = set()
    tickets: dict[bytes, TicketPrincipal] = {}
    extended_at = services.clock.monotonic()
    while True:
        await services.clock.sleep(every_seconds)
        connected = [subscription.principal for subscription in services.fanout.subscriptions()]
        before, watched = tickets, watching
        watching = {one.user_id for one in connected}
        tickets = {one.ticket_hash: one for one in connected if isinstance(one, TicketPrincipal)}
        now = services.clock.monotonic()
        due = now - extended_at >= _TICKET_SECONDS
        extend = [one for key, one in before.items() if due or key not in tickets]
        try:
            if ended := await watch.ended(connected):
                await services.fanout.end(ended)
            counts = await services.database.read(lambda sql: [counted(sql, one) for one in _CHANGES])
            if counts != known:
                await _learn(
                    services,
                    {one for one, old, new in zip(_CHANGES, known, counts, strict=True) if old != new},
                )
                known = counts
            if newcomers := sorted(watching - watched):
                await services.upkeep.welcome(newcomers)
            if extend:
                at = services.clock.now()
                await services.writer.run_unit(partial(extend_tickets, principals=extend, now=at))
            if due:
                extended_at = now
        except Unavailable:
            tickets = before | tickets  # what could not be extended now is extended when the database is back
