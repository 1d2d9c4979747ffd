"""`tidings check`: what a start would do, without one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import click
from sqlalchemy import Connection

from tidings.addresses import is_loopback
from tidings.advice import advice
from tidings.cli.installation import Installation
from tidings.cli.output import complain, note, say, say_table
from tidings.cli.rehearsal import Rehearsal, rehearse
from tidings.config import Settings
from tidings.engines import configured, is_missing
from tidings.errors import ConfigError
from tidings.keys import load_vault_keys
from tidings.migrate import current, revisions
from tidings.registrations import list_registrations
from tidings.sealed import secrets_exist


@click.command("check")
@click.pass_obj
def command(installation: Installation) -> None:
    """Check config.yaml, its plugins and the database; start nothing and change nothing.

    Prints what would run, and to standard error what deserves a thought. Exit code 2 if the server would not
    start, or not with every plugin that config.yaml names.
    """
    settings = installation.settings
    rehearsal = rehearse(settings)
    database, registered = asyncio.run(_look(settings))
    server = settings.server
    rows = [
        ("listens on", f"{server.host}, {f'port {server.port}' if server.port else 'any free port'}"),
        ("public URL", server.public_url),
        ("database", f"{configured(settings).place} ({database})"),
    ]
    rows += [(plugin.kind, f"{plugin.name} ({plugin.distribution})") for plugin in rehearsal.loaded.plugins]
    say_table(("what", "value"), rows)
    for warning in _warnings(settings, rehearsal, registered):
        note(f"Warning: {warning}")
    failures = rehearsal.loaded.failures
    for failure in failures:
        complain(f"{failure.key} ({failure.distribution}) fails: {failure.reason}")
    if failures:
        raise click.exceptions.Exit(2)
    say(f"\n{installation.config_path} is good.")


async def _look(settings: Settings) -> tuple[str, set[str] | None]:
    """What the database is like, and the platforms that have registrations; None where there is none yet.

    Raises:
        ConfigError: It is newer than this version, or its keys can't be used.
    """
    if is_missing(settings):
        return "the first start makes it", None

    def work(connection: Connection) -> tuple[str, set[str] | None, bool]:
        found, known = current(connection), revisions()
        if found is None:
            return "empty; the first start makes its tables", None, False
        if found not in known:
            raise ConfigError(
                f"{configured(settings).place}: the database has schema {found}, and this version of "
                f"tidings knows up to {known[-1]}. Install the version that wrote it, or a newer one."
            )
        state = f"schema {found}" + ("" if found == known[-1] else f", to be upgraded to {known[-1]}")
        platforms = {one.platform for one in list_registrations(connection)}
        return state, platforms, secrets_exist(connection)

    database = configured(settings)
    try:
        state, platforms, sealed = await database.read(work)
    finally:
        await database.close()
    if sealed:  # so that no key is made here
        load_vault_keys(settings.database_path, environment=os.environ, secrets_exist=True)
    return state, platforms


def _warnings(settings: Settings, rehearsal: Rehearsal, registered: set[str] | None) -> Iterator[str]:
    yield from advice(settings, rehearsal.loaded)
    server = settings.server
    public = urlsplit(server.public_url)
    if public.scheme == "http" and not (is_loopback(server.host) and is_loopback(public.hostname or "")):
        yield (
            f"{server.public_url} is not encrypted, so logins and tokens can be read on the way. Put a proxy "
            "that speaks https before tidings, and its address into server.public_url."
        )
    if public.scheme == "https" and not server.trusted_proxies:
        yield (
            "server.public_url is https, so a proxy stands before tidings, but server.trusted_proxies is "
            "empty: every caller seems to be the proxy, and they share one limit. Name the proxy there."
        )
    if not rehearsal.transports:
        yield "no transport is loaded, so nobody sees news live. Name one under plugins.transports: sse or websocket."
    if not rehearsal.receivers:
        yield "no connector that takes webhooks is loaded. Name one under plugins.connectors."
    for receiver in rehearsal.receivers:
        keyless = not receiver.receives.shared_keys.secrets
        if keyless and registered is not None and receiver.platform not in registered:
            yield (
                f"{receiver.platform} has no secret in config.yaml and no webhook of its own, so all that "
                f"it sends is refused. Make one: tidings webhook add {receiver.platform} USER."
            )
