"""What happened, by the emulators' own record, and what tidings tells of it, by `/api/events`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import msgspec

from installation import Asgi, ask
from residents import Resident
from tidings.accounts import find_users
from tidings.api_tokens import add_token
from tidings.services import Services
from tidings_sandbox.happenings import Happening
from tidings_sandbox.world import World

_PAGE = 500
# Threads of an inbox sum up happenings that are told by themselves; the others tell of webhooks and of consents.
_BESIDE = frozenset(
    {
        "com.github.notification",
        "com.github.ping",
        "com.github.meta",
        "com.discord.application_authorized",
        "com.discord.application_deauthorized",
    }
)


def compare(
    world: World, happened: Iterable[Happening], events: Iterable[dict[str, Any]]
) -> tuple[list[Happening], list[dict[str, Any]]]:
    """What happened and is not told, and what is told without need."""
    left = {f"{one.platform}/{one.key}": one for one in happened}
    surplus = [event for event in events if left.pop(told_by(world, event), None) is None]
    return list(left.values()), surplus


def told_by(world: World, event: dict[str, Any]) -> str:
    platform = event["platform"]
    return f"{platform}/{world.emulators[platform].told_by(event)}"


async def read_events(services: Services, app: Asgi, resident: Resident) -> Sequence[dict[str, Any]]:
    name = resident.principal.user_name
    found = await services.database.read(partial(find_users, refs=[name]))
    _, token = await services.writer.run_unit(
        partial(add_token, user=found[name], scopes=("read",), now=services.clock.now())
    )
    headers = {"authorization": f"Bearer {token}", "host": "127.0.0.1:8080"}
    events: list[dict[str, Any]] = []
    after: str | None = "0"
    while after is not None:
        query = f"after={after}&limit={_PAGE}&platforms={','.join(resident.connections)}"
        status, _, body = await ask(app, "GET", "/api/events", query, headers, b"")
        if status != 200:
            raise SystemExit(f"/api/events answered {status}: {body[:300]!r}")
        page = msgspec.json.decode(body)
        events += [event for event in page["events"] if event["type"] not in _BESIDE]
        after = page["next"]
    return events
