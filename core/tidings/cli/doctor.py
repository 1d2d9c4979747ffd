"""`tidings doctor`: whether everything is set up that connecting accounts needs, and what to register where."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import click
from sqlalchemy import Connection as Sql
from sqlalchemy import func, select

from tidings.addresses import is_public
from tidings.advice import advice
from tidings.cli.installation import Installation
from tidings.cli.output import say, say_table
from tidings.cli.rehearsal import Rehearsal, rehearse
from tidings.connecting import Connects, Drafts
from tidings.connectors import Connector, Follows, Receives
from tidings.devices import Pushes
from tidings.engines import configured, is_missing
from tidings.errors import NotFound, TidingsError
from tidings.keys import load_vault_keys
from tidings.migrate import current, revisions
from tidings.provisioning import draft_of, redirect_uri
from tidings.schema import connections, provisions
from tidings.sealed import secrets_exist

_GOOD: Final = "ok"
_THINK: Final = "look"
_BAD: Final = "FAIL"


class _Finding(NamedTuple):
    """One thing that was looked at; `detail` says what to do where it is not good."""

    what: str
    verdict: str
    detail: str


@click.command("doctor")
@click.argument("platform", required=False)
@click.pass_obj
def command(installation: Installation, platform: str | None) -> None:
    """Examine the set-up: configuration, keys, database, addresses, and each platform's OAuth client.

    Prints, for each platform, the redirect URI and the webhook URL to register there, exactly as they must be
    written. Changes nothing. Exit code 1 if something must be mended.

    With PLATFORM, prints what is to be registered there and nothing else; where the platform makes applications from
    a text, that text too.
    """
    rehearsal = rehearse(installation.settings)
    if platform is not None:
        _prescribe(rehearsal, platform, installation.public_url)
        return
    findings = asyncio.run(_examine(installation, rehearsal))
    say_table(("what", "", "finding"), findings)
    public_url = installation.public_url
    for connector in rehearsal.connectors:
        rows = list(_addresses(connector, public_url))
        if rows:
            say(f"\n{connector.display_name}: to be registered there, exactly so")
            say_table(("field", "value"), rows)
    if any(one.verdict == _BAD for one in findings):
        raise click.exceptions.Exit(1)


def _prescribe(rehearsal: Rehearsal, platform: str, public_url: str) -> None:
    """Print what is to be registered at one platform.

    Raises:
        NotFound: No connector is for it.
    """
    connectors = {one.platform: one for one in rehearsal.connectors}
    connector = connectors.get(platform)
    if connector is None:
        loaded = ", ".join(connectors) or "none"
        raise NotFound(f"There is no connector for {platform[:80]!r} here. Loaded: {loaded}.")
    say_table(("field", "value"), _addresses(connector, public_url))
    draft = draft_of(connector, public_url)
    if draft is not None:
        say(f"\nAll of it, to paste at {connector.display_name}:\n\n{draft.text}")
        say(f"\nOr open this address, where it is filled in already:\n\n{draft.url}")


async def _examine(installation: Installation, rehearsal: Rehearsal) -> Sequence[_Finding]:
    settings = installation.settings
    findings = [_Finding("config.yaml", _GOOD, str(installation.config_path))]
    findings += [_Finding("config.yaml", _THINK, text) for text in advice(settings, rehearsal.loaded)]
    findings += [
        _Finding(failure.key, _BAD, f"{failure.reason} ({failure.distribution})")
        for failure in rehearsal.loaded.failures
    ]
    found, provisioned = await _database(installation)
    findings += found
    findings.append(_public_url(installation.public_url))
    holder = installation.holder
    findings.append(
        _Finding("server", _GOOD, f"runs at {holder.url}")
        if holder is not None
        else _Finding("server", _THINK, "does not run. Start it: tidings serve")
    )
    findings += [_push(one) for one in rehearsal.transports if isinstance(one, Pushes)]
    return [*findings, *(_client(connector, provisioned) for connector in rehearsal.connectors)]


async def _database(installation: Installation) -> tuple[list[_Finding], Collection[str]]:
    """What is found there, and the platforms whose client was made by one click."""
    path = installation.settings.database_path
    database = configured(installation.settings)
    if is_missing(installation.settings):
        return [_Finding("database", _THINK, f"{path} does not exist yet; the first start makes it.")], ()
    try:
        revision, sealed, states, provisioned = await database.read(_look)
        found = [_Finding("database", _GOOD, f"{database.place}, schema {revision}")]
        if revision not in revisions():
            found = [
                _Finding(
                    "database",
                    _BAD,
                    f"{database.place} has schema {revision}, which this tidings does not know.",
                )
            ]
        if sealed:  # so that no key is made here
            load_vault_keys(path, environment=os.environ, secrets_exist=True)
            found.append(_Finding("vault key", _GOOD, "opens what is sealed"))
    except TidingsError as error:
        return [_Finding("database and keys", _BAD, str(error))], ()
    finally:
        await database.close()
    ill = {state: count for state, count in states.items() if state != "connected"}
    healthy = f"{states.get('connected', 0)} connected"
    detail = ", ".join([healthy, *(f"{count} {state}" for state, count in ill.items())])
    return [*found, _Finding("connections", _THINK if ill else _GOOD, detail)], provisioned


def _look(sql: Sql) -> tuple[str, bool, dict[str, int], Collection[str]]:
    revision = current(sql)
    if revision != revisions()[-1]:
        return str(revision), False, {}, ()
    rows = sql.execute(select(connections.c.state, func.count()).group_by(connections.c.state))
    made = sql.execute(select(provisions.c.platform)).scalars().all()
    return revision, secrets_exist(sql), {row[0]: row[1] for row in rows}, made


def _public_url(url: str) -> _Finding:
    if not is_public(url):
        return _Finding(
            "public URL",
            _THINK,
            f"{url} can't be reached by platforms, so news is asked for instead of pushed. For push, put a proxy or a "
            "tunnel before tidings and its address into server.public_url.",
        )
    if urlsplit(url).scheme != "https":
        return _Finding("public URL", _THINK, f"{url} is not https, which most platforms demand.")
    return _Finding("public URL", _GOOD, url)


def _push(transport: Pushes) -> _Finding:
    wrong = transport.problem or transport.warning
    return _Finding(transport.name, _THINK if wrong else _GOOD, wrong or "news can be pushed to devices")


def _client(connector: Connector, provisioned: Collection[str]) -> _Finding:
    if isinstance(connector, Follows):
        return _Finding(connector.display_name, _GOOD, "followed by an address, without any consent")
    if not isinstance(connector, Connects):
        return _Finding(connector.display_name, _GOOD, "receives webhooks; accounts can't be connected")
    where = urlsplit(connector.oauth.authorize_url)
    if not connector.clients and connector.platform in provisioned:
        return _Finding(
            connector.display_name, _GOOD, "accounts are connected by the app that one click has made"
        )
    if not connector.clients:
        key = f"plugins.connectors.{connector.platform}.client_id"
        return _Finding(
            connector.display_name, _THINK, f"no OAuth client: set {key}, and accounts can be connected"
        )
    clients = ", ".join(client.id for client in connector.clients[:3])
    return _Finding(
        connector.display_name, _GOOD, f"accounts are connected at {where.netloc} by client {clients}"
    )


def _addresses(connector: Connector, public_url: str) -> Sequence[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    if not isinstance(connector, Follows) and isinstance(connector, Connects):
        rows.append(("redirect URI", redirect_uri(public_url, connector.platform)))
        rows.append(("scopes", " ".join(connector.oauth.scopes)))
    if isinstance(connector, Receives):
        rows.append(("webhook URL of an app", f"{public_url}/api/webhooks/{connector.platform}"))
    if isinstance(connector, Drafts):
        rows.append(("all of it, to paste", f"tidings doctor {connector.platform}"))
    return rows
