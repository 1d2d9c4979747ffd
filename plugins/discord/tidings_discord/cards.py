"""What is told of an account's own state: its servers, its roles there, its profile.

Discord shows how things stand, not what happened. A change is found by comparing, and nothing in what is shown tells a
second joining from the first. So every change gets a number of the checkpoint's own (see `Serial`): the checkpoint is
committed with the event, so that a change never gets two numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from tidings.event import Event
from tidings.fields import TITLE_LENGTH, Object, clip, word
from tidings_discord.fields import image
from tidings_discord.parse import PLATFORM
from tidings_discord.site import Site, name_of

#: What of a profile is told when it changes, and what people call it.
PROFILE_FIELDS: Final = {"username": "user name", "global_name": "display name", "avatar": "picture"}


class Serial:
    """Numbers for changes: greater than all before, and others in another life of the checkpoint.

    Args:
        last: The last number given; 0 in a new life, which begins with the present instant in milliseconds.
        now: That instant.
    """

    def __init__(self, last: int, now: datetime) -> None:
        self.last = last or int(now.timestamp() * 1000)

    def take(self) -> int:
        """The next number."""
        self.last += 1
        return self.last


class Teller:
    """Makes the events of one account's changes.

    Args:
        account_key: Whose.
        user: The account's profile, as the API shows it.
        serial: Numbers the changes.
        site: For addresses.
    """

    def __init__(self, account_key: str, user: Object, serial: Serial, site: Site) -> None:
        self.serial = serial
        self._account_key = account_key
        self._user = user
        self._site = site

    def guild(self, kind: str, guild_id: str, name: str, before: str = "") -> Event:
        """A server that was joined, left or renamed (`guild_joined`, `guild_left`, `guild_renamed`).

        Args:
            kind: Which.
            guild_id: The server.
            name: Its name.
            before: Its former one.
        """
        title, text = {
            "guild_joined": (f"Joined {name}", f"This account is a member of the server {name} now."),
            "guild_left": (
                f"Left {name}",
                f"This account is no longer a member of the server {name}: it left, or was removed.",
            ),
            "guild_renamed": (f"{before} is called {name} now", f"The server {before} has another name."),
        }[kind]
        server = {"id": guild_id, "name": name, **({"before": before} if before else {})}
        url = "" if kind == "guild_left" else self._site.guild_url(guild_id)
        return self._event(kind, guild_id, title, text, url, {"server": server})

    def role(self, kind: str, guild_id: str, guild_name: str, role_id: str, role_name: str) -> Event:
        """A role that was given or taken (`role_added`, `role_removed`)."""
        verb = "given" if kind == "role_added" else "taken"
        title = f"Role {verb} in {guild_name}: {role_name or 'without a name here'}"
        text = (
            ""
            if role_name
            else "Discord shows a role's name only where the bot of whoever runs this server is."
        )
        more = {"server": {"id": guild_id, "name": guild_name}, "role": {"id": role_id, "name": role_name}}
        return self._event(kind, f"{guild_id}/{role_id}", title, text, self._site.guild_url(guild_id), more)

    def profile(self, before: Object, changed: Sequence[str]) -> Event:
        """A profile that is another one now.

        Args:
            before: What was shown of it.
            changed: Which of `PROFILE_FIELDS` differ.
        """
        now, name = profile_of(self._user), name_of(self._user)
        title = f"Called {name} now" if set(changed) & {"username", "global_name"} else "Another picture"
        text = "Changed: " + ", ".join(PROFILE_FIELDS[field] for field in changed) + "."
        more = {
            "changed": list(changed),
            "before": {field: word(before, field) for field in changed},
            "now": {field: now[field] for field in changed},
        }
        url = self._site.user_url(self._account_key)
        return self._event("profile_changed", self._account_key, title, text, url, more)

    def _event(self, kind: str, subject: str, title: str, text: str, url: str, more: dict[str, Any]) -> Event:
        about = subject.replace("/", ":")
        return Event(
            id=f"{PLATFORM}:{self._account_key}:{kind}:{about}:{self.serial.take()}",
            type=f"com.discord.{kind}",
            source="//discord.com/users/@me",
            subject=subject,
            time=None,  # Discord does not say when
            platform=PLATFORM,
            data={
                "title": clip(title, TITLE_LENGTH),
                "text": text,
                "url": url,
                "actor": self._site.actor(self._user),
                **more,
            },
        )


def profile_of(user: Object) -> dict[str, str]:
    """What of a profile is compared."""
    return {
        "username": word(user, "username"),
        "global_name": word(user, "global_name"),
        "avatar": image(user, "avatar"),
    }
