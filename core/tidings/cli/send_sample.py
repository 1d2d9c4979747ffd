"""`tidings send-sample`: makes something happen, the way a platform would."""

from __future__ import annotations

import asyncio
import secrets
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from sqlalchemy import Connection

from tidings.accounts import User
from tidings.cli.installation import Installation, chosen_user
from tidings.cli.output import say, verbatim
from tidings.cli.rehearsal import Receiver, rehearse
from tidings.contracts import Keys
from tidings.errors import NotFound, Rejected, TidingsError, Unavailable
from tidings.registrations import find_target
from tidings.runtime import open_vault
from tidings.vault import Vault

if TYPE_CHECKING:
    import httpx

_ANSWER_SECONDS = 30.0


@click.command(
    "send-sample",
    epilog=verbatim(
        "Examples:", "  tidings send-sample", "  tidings send-sample github --user alice --count 10"
    ),
)
@click.argument("platform", required=False)
@click.option("--user", metavar="USER", help="To whom. Default: the first user.")
@click.option("--url", help="The server, such as http://127.0.0.1:8080. Default: the one that runs here.")
@click.option("--count", type=click.IntRange(1), default=1, show_default=True, help="How many.")
@click.pass_obj
def command(
    installation: Installation, platform: str | None, user: str | None, url: str | None, count: int
) -> None:
    """Send a signed example from PLATFORM to the running server, as the platform itself would.

    It is signed with the secret of the user's webhook, or else the one in config.yaml. Without PLATFORM it
    is the first one configured.
    """
    receiver = rehearse(installation.settings).receiver(platform)
    owner, keys = asyncio.run(_prepare(installation, receiver, user))
    base = installation.local_url if url is None else url.rstrip("/")
    stored = asyncio.run(_send(installation, receiver, owner, keys, base=base, count=count))
    what = "a sample" if count == 1 else f"{count} samples"
    say(
        f"Sent {what} of {receiver.connector.display_name} to {owner.name}: "
        f"{stored} new event{'' if stored == 1 else 's'} stored."
    )


async def _prepare(installation: Installation, receiver: Receiver, user: str | None) -> tuple[User, Keys]:
    """To whom, and signed with what."""
    async with installation.database() as database:
        vault = await open_vault(installation.settings, database)
        owner, keys = await database.read(partial(_owner, receiver, vault, user))
    if not keys.secrets:
        raise NotFound(
            f"{owner.name} has no webhook for {receiver.platform}, and config.yaml has no secret for it. "
            f"Make one: tidings webhook add {receiver.platform} {owner.name}"
        )
    return owner, keys


def _owner(receiver: Receiver, vault: Vault, user: str | None, connection: Connection) -> tuple[User, Keys]:
    owner = chosen_user(connection, user)
    target = find_target(connection, vault, platform=receiver.platform, ref=str(owner.id))
    # The oldest: a server needs a second to notice one made just now.
    return owner, Keys(target.secrets[-1:]) if target.secrets else receiver.receives.shared_keys


async def _send(
    installation: Installation, receiver: Receiver, owner: User, keys: Keys, *, base: str, count: int
) -> int:
    """Send samples one after the other; returns how many new events came of them."""
    import httpx  # noqa: PLC0415 - costs a tenth of a second, which errors before this need not wait for

    address = f"{base}/api/webhooks/{receiver.platform}/{owner.id}"
    stored = 0
    # No proxy from the environment: the server is here.
    async with httpx.AsyncClient(timeout=_ANSWER_SECONDS, trust_env=False) as client:
        for _ in range(count):
            sample = receiver.receives.sample(keys, installation.clock.now(), secrets.token_hex(8))
            try:
                answer = await client.request(
                    sample.method,
                    address,
                    params=sample.query,
                    headers=dict(sample.headers),
                    content=sample.body,
                )
            except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
                raise Rejected(
                    f"{base} is not the URL of a server. Write one such as http://127.0.0.1:8080.", status=400
                ) from error
            except httpx.TransportError as error:
                raise Unavailable(
                    f"No server answers at {base} ({type(error).__name__}). Start it: "
                    f"{installation.invocation} serve"
                ) from error
            stored += _stored(answer, address)
    return stored


def _stored(answer: httpx.Response, address: str) -> int:
    """How many new events came of one delivery.

    Raises:
        TidingsError: The server refused it.
    """
    try:
        content: Any = answer.json()
        if answer.is_success:
            return int(content["events"])
        reason = content["error"]["message"]
    except (ValueError, LookupError, TypeError):
        reason = "The answer is not one of tidings'. Does another server listen there?"
    raise TidingsError(f"{address} answered {answer.status_code}: {reason}")
