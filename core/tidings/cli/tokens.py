"""`tidings token`: rights for scripts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click
from sqlalchemy import Connection

from tidings.accounts import resolve_user
from tidings.api_tokens import ApiToken, add_token, list_tokens, revoke_token
from tidings.cli.installation import Installation
from tidings.cli.output import hint, local_time, note, say, say_json, say_table, verbatim
from tidings.durations import parse_duration


def _seconds(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    try:
        return None if value is None else parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.group("token")
def command() -> None:
    """Make, list and revoke API tokens: rights for scripts and other programs."""


@command.command(
    epilog=verbatim(
        "Examples:",
        "  tidings token create me --scope read",
        "  tidings token create me --scope read --scope send --expires 30d --label kitchen",
        "",
        "Use it, say in the variable TOKEN:",
        '  curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8080/api/events',
    )
)
@click.argument("user")
@click.option(
    "--scope",
    "scopes",
    required=True,
    multiple=True,
    type=click.Choice(["read", "send", "admin"]),
    help="What it may do: read the user's news, send messages to the user, or all that an admin may. "
    "Give it more than once for more than one.",
)
@click.option("--expires", callback=_seconds, metavar="TIME", help="When it ends: 12h, 30d. Default: never.")
@click.option("--label", default="", help="What it is for, up to 100 characters.")
@click.pass_obj
def create(
    installation: Installation, user: str, scopes: tuple[str, ...], expires: float | None, label: str
) -> None:
    """Make a token and print it alone. It can't be shown again."""
    now = installation.clock.now()

    def work(connection: Connection) -> tuple[int, str]:
        return add_token(
            connection,
            resolve_user(connection, user, suggest=True),
            scopes=scopes,
            now=now,
            label=label,
            expires_at=None if expires is None else now + timedelta(seconds=expires),
        )

    token_id, text = installation.write(work)
    say(text)
    hint(f"Token {token_id}. Keep it: it can't be shown again. Send it as: Authorization: Bearer TOKEN")


@command.command("list")
@click.argument("user", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_obj
def list_(installation: Installation, user: str | None, as_json: bool) -> None:
    """List the tokens of USER, or of everyone. The tokens themselves can't be shown."""

    def work(connection: Connection) -> list[ApiToken]:
        owner = None if user is None else resolve_user(connection, user, suggest=True).id
        return list(list_tokens(connection, owner))

    tokens = installation.read(work)
    if as_json:
        say_json([_shown(token) for token in tokens])
        return
    if not tokens:
        note("There are no tokens. Make one: tidings token create USER --scope read")
        return
    rows = [
        (
            token.id,
            token.user_name,
            token.label,
            ", ".join(sorted(token.scopes)),
            local_time(token.created_at),
            local_time(token.expires_at) or "never",
        )
        for token in tokens
    ]
    say_table(("id", "user", "label", "scopes", "since", "expires"), rows)


@command.command()
@click.argument("token_id", metavar="ID", type=int)
@click.pass_obj
def revoke(installation: Installation, token_id: int) -> None:
    """End a token. Its streams end within seconds."""
    installation.write(lambda connection: revoke_token(connection, token_id))
    hint(f"Revoked token {token_id}.")


def _shown(token: ApiToken) -> dict[str, Any]:
    return {
        "id": token.id,
        "user_id": token.user_id,
        "user": token.user_name,
        "label": token.label,
        "scopes": sorted(token.scopes),
        "created_at": token.created_at.isoformat(),
        "expires_at": None if token.expires_at is None else token.expires_at.isoformat(),
    }
