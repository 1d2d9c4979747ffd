"""`tidings user`: who has an account here."""

from __future__ import annotations

import click
from sqlalchemy import Connection

from tidings.accounts import User, add_user, list_users, remove_user, resolve_user
from tidings.cli.installation import Installation
from tidings.cli.output import hint, local_time, note, say, say_json, say_table, verbatim
from tidings.sessions import add_login_link


@click.group("user")
def command() -> None:
    """Add, list and remove users; make login links.

    Wherever a command takes a USER, an id or a name will do.
    """


@command.command(epilog=verbatim("Prints two lines:", "  id: 2", "  link: http://127.0.0.1:8080/login/..."))
@click.argument("name")
@click.option("--admin", is_flag=True, help="May send to others, and see how the server does.")
@click.pass_obj
def add(installation: Installation, name: str, admin: bool) -> None:
    """Add a user, and make a login link that works once, within 24 hours.

    Creates the database where there is none.
    """
    now = installation.clock.now()

    def work(connection: Connection) -> tuple[User, str]:
        user = add_user(connection, name=name, is_admin=admin, now=now)
        return user, add_login_link(connection, user.id, now=now)

    user, token = installation.write(work, create=True)
    say(f"id: {user.id}")
    say(f"link: {_link(installation, token)}")


@command.command()
@click.argument("user")
@click.pass_obj
def link(installation: Installation, user: str) -> None:
    """Make a login link and print it alone. It works once, within 24 hours.

    Links made before, and sessions, stay as they are.
    """
    now = installation.clock.now()

    def work(connection: Connection) -> str:
        return add_login_link(connection, resolve_user(connection, user, suggest=True).id, now=now)

    say(_link(installation, installation.write(work)))


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_obj
def list_(installation: Installation, as_json: bool) -> None:
    """List the users."""
    users = installation.read(list_users)
    if as_json:
        say_json(
            [
                {"id": u.id, "name": u.name, "admin": u.is_admin, "created_at": u.created_at.isoformat()}
                for u in users
            ]
        )
        return
    if not users:
        note("There are no users yet. Add one: tidings user add NAME")
        return
    rows = [(u.id, u.name, "yes" if u.is_admin else "no", local_time(u.created_at)) for u in users]
    say_table(("id", "name", "admin", "since"), rows)


@command.command()
@click.argument("user")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.pass_obj
def remove(installation: Installation, user: str, yes: bool) -> None:
    """Remove a user with all their events, tokens, sessions and webhooks, for good."""
    found = installation.read(lambda connection: resolve_user(connection, user, suggest=True))
    if not yes:
        click.confirm(f"Remove {found.name} (id {found.id}) and all their events?", abort=True, err=True)
    installation.write(lambda connection: remove_user(connection, found.id))
    hint(f"Removed {found.name}. Their open streams end within seconds.")


def _link(installation: Installation, token: str) -> str:
    return f"{installation.public_url}/login/{token}"
