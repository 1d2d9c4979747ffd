"""`tidings webhook`: the addresses that platforms send news to."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import click
from sqlalchemy import Connection

from tidings.accounts import resolve_user
from tidings.addresses import is_loopback
from tidings.cli.installation import Installation
from tidings.cli.output import hint, local_time, note, say, say_json, say_table, verbatim
from tidings.cli.rehearsal import rehearse
from tidings.registrations import add_registration, list_registrations, remove_registration
from tidings.runtime import open_vault


@click.group("webhook")
def command() -> None:
    """Make the addresses that platforms send news to, each with a secret of its own."""


@command.command(
    epilog=verbatim(
        "Prints two lines, and to standard error what to enter where:",
        "  url: https://tidings.example.org/api/webhooks/github/whk...",
        "  secret: ...",
        "",
        "Example:",
        "  tidings webhook add github me",
    )
)
@click.argument("platform")
@click.argument("user")
@click.pass_obj
def add(installation: Installation, platform: str, user: str) -> None:
    """Make a webhook address at which PLATFORM can tell USER's news."""
    connector = rehearse(installation.settings).receiver(platform).connector
    registration_id, secret = asyncio.run(_add(installation, platform, user))
    url = _url(installation, platform, registration_id)
    say(f"url: {url}")
    say(f"secret: {secret}")
    note(
        f"\nNow, in the settings of {connector.display_name}, add a webhook with:\n"
        "  address (payload URL, callback URL, endpoint)   the url above\n"
        "  secret (signing key)                            the secret above; it can't be shown again\n"
        "  content type, if it asks                        application/json\n"
        "  events, if it asks                              all you want to hear of"
    )
    if is_loopback(urlsplit(url).hostname or ""):
        note(
            f"\n{connector.display_name} can't reach this address: it is this machine's own. Put a proxy or "
            "a tunnel before tidings, and its address into config.yaml: server.public_url."
        )


async def _add(installation: Installation, platform: str, user: str) -> tuple[str, str]:
    now = installation.clock.now()
    async with installation.database() as database:
        vault = await open_vault(installation.settings, database)

        def work(connection: Connection) -> tuple[str, str]:
            owner = resolve_user(connection, user, suggest=True)
            return add_registration(connection, vault, user_id=owner.id, platform=platform, now=now)

        return await database.write(work)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_obj
def list_(installation: Installation, as_json: bool) -> None:
    """List the webhook addresses. Their secrets can't be shown."""
    found = installation.read(list_registrations)
    if as_json:
        say_json(
            [
                {
                    "id": one.id,
                    "platform": one.platform,
                    "user_id": one.user_id,
                    "user": one.user_name,
                    "url": _url(installation, one.platform, one.id),
                    "created_at": one.created_at.isoformat(),
                }
                for one in found
            ]
        )
        return
    if not found:
        note("There are no webhooks. Make one: tidings webhook add PLATFORM USER")
        return
    rows = [
        (
            one.id,
            one.platform,
            one.user_name,
            local_time(one.created_at),
            _url(installation, one.platform, one.id),
        )
        for one in found
    ]
    say_table(("id", "platform", "user", "since", "url"), rows)


@command.command()
@click.argument("registration_id", metavar="ID")
@click.pass_obj
def remove(installation: Installation, registration_id: str) -> None:
    """Remove a webhook address: what is still sent to it is refused. Events that came by it stay."""
    installation.write(lambda connection: remove_registration(connection, registration_id))
    hint("Removed. Remove it at the platform too, so that it stops sending.")


def _url(installation: Installation, platform: str, registration_id: str) -> str:
    return f"{installation.public_url}/api/webhooks/{platform}/{registration_id}"
