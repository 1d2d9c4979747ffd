"""`tidings audit`: a platform's own log of what it sent, beside what is held here."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial

import click

from tidings.addressing import reached
from tidings.budgets import Budgets
from tidings.cli.installation import Installation
from tidings.cli.output import note, say, verbatim
from tidings.cli.rehearsal import SILENT, Rehearsal, rehearse
from tidings.commoncomparison import application_api
from tidings.commoncomparison import compare as compare_common
from tidings.connecting import Api, Connects
from tidings.connections import list_connections
from tidings.connectors import Receives, Recovers
from tidings.contracts import Notice, RecoversCommon
from tidings.database import Database
from tidings.discretion import begin_discretion, redact
from tidings.durations import parse_duration
from tidings.errors import NotFound, TidingsError
from tidings.health import Health
from tidings.journal import SqlJournal
from tidings.metrics import Metrics
from tidings.outbound import Outbound
from tidings.parking import Parking
from tidings.platforms import Platforms
from tidings.provisioning import Provisioning
from tidings.recovery import compare, settled
from tidings.refreshing import Refresher
from tidings.runtime import open_vault
from tidings.tokens import Tokens
from tidings.upstreams import platform_registrations
from tidings.writer import Writer


@dataclasses.dataclass(frozen=True, slots=True)
class _Audited:
    """One registration: what the platform sent to it and what is held, or why nobody can tell."""

    name: str
    sent: int = 0
    held: int = 0
    problem: str = ""


@click.command(
    "audit",
    epilog=verbatim(
        "Prints, for each webhook and then in all:",
        "  sent N, held N",
        "",
        "Example:",
        "  tidings audit github --since 24h",
    ),
)
@click.argument("platform")
@click.option("--since", default="24h", show_default=True, metavar="DURATION", help="How far to look back.")
@click.pass_obj
def command(installation: Installation, platform: str, since: str) -> int:
    """Compare PLATFORM's log of the webhooks it sent with those that arrived.

    Nothing of it is changed. A token that has ended is refreshed on the way, as the server would do it.

    Exit code 1 if something is missing, or if a log can't be read. What is missing is fetched by the running
    server by itself.
    """
    try:
        since_seconds = parse_duration(since)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--since") from None
    audited = asyncio.run(_audit(installation, platform, since_seconds))
    for one in audited:
        say(f"{one.name}: {one.problem or f'sent {one.sent}, held {one.held}'}")
    sent, held = sum(one.sent for one in audited), sum(one.held for one in audited)
    say(f"sent {sent}, held {held}")
    if not audited:
        note(f"tidings has made no webhooks at {platform} so far.")
    return 1 if sent != held or any(one.problem for one in audited) else 0


async def _audit(installation: Installation, platform: str, since_seconds: float) -> list[_Audited]:
    begin_discretion()
    rehearsal = rehearse(installation.settings)
    connectors = {connector.platform: connector for connector in rehearsal.connectors}
    connector: object = connectors.get(platform)
    if not isinstance(connector, Recovers | RecoversCommon):
        able = [name for name, one in connectors.items() if isinstance(one, Recovers | RecoversCommon)]
        raise NotFound(
            f"No platform {platform[:80]!r} with a log of deliveries is loaded. Those that have one: "
            f"{', '.join(able) or 'none'}."
        )
    now = installation.clock.now()
    audited = []
    async with _platforms(installation, rehearsal) as (platforms, database):
        if isinstance(connector, Recovers):
            since = now - timedelta(seconds=min(since_seconds, connector.log_seconds))
            audited += await _registrations(connector, platform, platforms, database, since, now)
        if isinstance(connector, RecoversCommon) and isinstance(connector, Receives):
            since = now - timedelta(seconds=min(since_seconds, connector.common_log_seconds))
            api = application_api(platforms, platform, connector, installation.clock)
            known = await database.read(partial(reached, platform=platform))
            if api is not None and known:
                audited.append(await _common(connector, connector, api, platform, database, since, now))
    return audited


async def _registrations(
    connector: Recovers,
    platform: str,
    platforms: Platforms,
    database: Database,
    since: datetime,
    now: datetime,
) -> list[_Audited]:
    audited = []
    for connection in await database.read(partial(list_connections, platform=platform)):
        api = platforms.api(connection)
        rows = await database.read(partial(platform_registrations, connection_id=connection.id))
        for row in rows:
            if row.upstream is None:
                continue
            name = f"{connection.account_name}, {row.upstream.target.name}"
            begin = max(since, row.created_at)
            try:
                found = await compare(connector, api, row, begin, settled(now), database)
            except TidingsError as error:
                audited.append(_Audited(name, problem=f"its log can't be read: {redact(str(error))}"))
            else:
                audited.append(_Audited(name, found.sent, found.held))
    return audited


async def _common(
    recovers: RecoversCommon,
    receives: Receives,
    api: Api,
    platform: str,
    database: Database,
    since: datetime,
    now: datetime,
) -> _Audited:
    """What was sent to the platform's common address."""
    name = f"/api/webhooks/{platform}, for all accounts"
    try:
        found = await compare_common(recovers, receives, api, platform, since, settled(now), database)
    except TidingsError as error:
        return _Audited(name, problem=f"its log can't be read: {redact(str(error))}")
    return _Audited(name, found.sent, found.held)


@asynccontextmanager
async def _platforms(
    installation: Installation, rehearsal: Rehearsal
) -> AsyncIterator[tuple[Platforms, Database]]:
    """The platforms as accounts may call them, beside a server that may be running."""
    clock, metrics = installation.clock, Metrics()
    async with installation.database() as database:
        vault = await open_vault(installation.settings, database)
        health = Health(clock, SILENT)
        writer = Writer(database, health.component("database"), clock.monotonic)
        SqlJournal(database, writer, clock)  # takes what is announced if a refresh finds a consent ended
        outbound = Outbound(installation.public_url)
        connecting = [one for one in rehearsal.connectors if isinstance(one, Connects)]
        names = {one.platform: one.display_name for one in rehearsal.connectors}
        parking = Parking(writer, clock, names, tell=_tell_nobody)
        refresher = Refresher(
            writer,
            vault,
            outbound,
            clock,
            SILENT,
            metrics,
            health,
            connectors=connecting,
            listener=parking,
            note=_note_nothing,
        )
        budgets = Budgets(writer, clock, health)
        tokens = Tokens(writer, vault, clock, refresher, parking)
        try:
            await budgets.load()
            await Provisioning(
                rehearsal.connectors,
                writer,
                vault,
                outbound,
                clock,
                SILENT,
                health,
                public_url=installation.public_url,
            ).load()
            yield (
                Platforms(rehearsal.connectors, tokens=tokens, budgets=budgets, http=outbound, clock=clock),
                database,
            )
        finally:
            refresher.finish()
            await tokens.finish()
            await outbound.close()
            writer.close()
            await writer.drained()


async def _tell_nobody(_notice: Notice) -> None:
    """Who watches is told by the server."""


def _note_nothing(*_attempt: object) -> None:
    """The server keeps the history."""
