"""`tidings tail`: a user's news in the terminal, read from the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import click
import msgspec

from tidings.cli.installation import Installation, chosen_user
from tidings.cli.output import hint, local_time, nobody_reads, note, painted, safe, safe_json, say, verbatim
from tidings.cli.rehearsal import SILENT, rehearse
from tidings.contracts import Page
from tidings.database import Database
from tidings.errors import Unavailable
from tidings.event import Cursor, Entry, Gap, UserId
from tidings.health import Health
from tidings.journal import SqlJournal
from tidings.selection import TypeSelection, parse_selection
from tidings.writer import Writer

_LOOK_SECONDS = 0.25
_PAGE_ENTRIES = 200
_MOST_LOOKED_THROUGH = 20_000
_LONGEST_TITLE = 300


class _Told(msgspec.Struct):
    """What a line needs of an event's data, whatever is in it."""

    title: Any = None
    url: Any = None


@click.command(
    "tail",
    epilog=verbatim(
        "Examples:",
        "  tidings tail",
        "  tidings tail alice --types 'com.github.pull_request*'",
        "  tidings tail me --after 0 --json | jq .data.title",
    ),
)
@click.argument("user", required=False)
@click.option("--last", "-n", type=click.IntRange(0), help="Begin with the newest so many.  [default: 10]")
@click.option("--after", metavar="CURSOR", help="Begin behind this cursor; 0 is the oldest event kept.")
@click.option(
    "--types", default="", metavar="PATTERNS", help="Only these types: com.github.*,org.tidings.message"
)
@click.option("--platforms", default="", metavar="NAMES", help="Only these platforms: github,tidings")
@click.option("--limit", type=click.IntRange(1), help="End after so many events.")
@click.option("--json", "as_json", is_flag=True, help="One CloudEvents JSON object a line.")
@click.pass_obj
def command(
    installation: Installation,
    *,
    user: str | None,
    last: int | None,
    after: str | None,
    types: str,
    platforms: str,
    limit: int | None,
    as_json: bool,
) -> None:
    """Follow the news of USER, or of the first user, until Ctrl-C.

    It reads the database, so it needs no server and no token. Each event of --json has its cursor, with
    which --after goes on where you left off.
    """
    if last is not None and after is not None:
        raise click.UsageError("--last and --after exclude each other.")
    position = None if after is None else Cursor.parse(after)
    selection = parse_selection(types, platforms)
    if named := [name.strip() for name in platforms.split(",") if name.strip()]:
        rehearse(installation.settings).know_platforms(named)
    try:
        asyncio.run(
            _follow(
                installation,
                user,
                begin=partial(_begin, position, 10 if last is None else last, selection),
                selection=selection,
                limit=limit,
                show=_as_json if as_json else _as_line,
            )
        )
    except KeyboardInterrupt:
        return


async def _follow(
    installation: Installation,
    user: str | None,
    *,
    begin: Callable[[SqlJournal, UserId], Any],
    selection: TypeSelection,
    limit: int | None,
    show: Callable[[Entry], str],
) -> None:
    async with installation.database() as database:
        owner = await database.read(lambda connection: chosen_user(connection, user))
        hint(f"Following {owner.name}. Ctrl-C ends it.")
        journal = _journal(installation, database)
        page: Page = await begin(journal, owner.id)
        left = limit
        while True:
            if page.gap is not None:
                note(_told_gap(page.gap))
            for entry in page.entries[:left]:
                say(show(entry))
            if left is not None:
                left -= min(left, len(page.entries))
                if left == 0:
                    return
            if page.at_head:
                await installation.clock.sleep(_LOOK_SECONDS)
                if nobody_reads():
                    return
            page = await _next(installation, journal, owner.id, page.cursor, selection)


def _journal(installation: Installation, database: Database) -> SqlJournal:
    """The journal, to be read only: its writer never runs."""
    health = Health(installation.clock, SILENT).component("database")
    return SqlJournal(database, Writer(database, health, installation.clock.monotonic), installation.clock)


async def _begin(
    position: Cursor | None, last: int, selection: TypeSelection, journal: SqlJournal, user_id: UserId
) -> Page:
    """The first page: what lies behind `position`, or without one the `last` entries that are wanted."""
    if position is not None:
        return await journal.read(user_id, position, limit=_PAGE_ENTRIES, selection=selection)
    window = last
    while True:
        page = await journal.last(user_id, window)
        wanted = [entry for entry in page.entries if selection.matches(entry.type, entry.platform)]
        if len(wanted) >= last or len(page.entries) < window or window >= _MOST_LOOKED_THROUGH:
            return Page(None, wanted[len(wanted) - last :] if last else [], page.cursor, at_head=True)
        window = min(window * 8, _MOST_LOOKED_THROUGH)


async def _next(
    installation: Installation, journal: SqlJournal, user_id: UserId, after: Cursor, selection: TypeSelection
) -> Page:
    """The next page; waits while the database can't be read."""
    told = ""
    while True:
        try:
            return await journal.read(user_id, after, limit=_PAGE_ENTRIES, selection=selection)
        except Unavailable as error:
            if str(error) != told:
                note(f"tidings: {safe(str(error))} Trying again.")
                told = str(error)
            await installation.clock.sleep(_LOOK_SECONDS)


def _as_json(entry: Entry) -> str:
    return safe_json(entry.cloudevent().decode())


def _as_line(entry: Entry) -> str:
    """An event on one line: when, where from, what, and where to see it."""
    try:
        told = msgspec.json.decode(entry.data, type=_Told)
    except (ValueError, RecursionError):
        told = _Told()
    title = safe(told.title) if isinstance(told.title, str) else ""
    url = safe(told.url) if isinstance(told.url, str) else ""
    when = painted(local_time(entry.recorded_at), "dim")
    line = f"{when}  {safe(entry.platform)}  {title[:_LONGEST_TITLE] or safe(entry.type)}"
    return f"{line}  {painted(url, 'dim')}" if url else line


def _told_gap(gap: Gap) -> str:
    reason = (
        "retention has cut them" if gap.reason == "retention" else "the database was restored or replaced"
    )
    return f"({gap.count} events can't be shown: {reason}.)"
