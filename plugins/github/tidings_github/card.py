"""What a delivery tells of, and the card that shows it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

import msgspec

from tidings.fields import TITLE_LENGTH, Object, clip, line, link, obj, raw

#: Of a list in a payload at most so many are shown.
LIST_LENGTH: Final = 20
_FULL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")
_LOGIN = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_BASE = re.compile(r"(https?:)(//[A-Za-z0-9-][A-Za-z0-9.-]{0,252}(?::[0-9]{1,5})?)(?:/|$)")
_HOST: Final = "//github.com"


class Happening(msgspec.Struct, frozen=True):
    """One delivery's payload and where it belongs.

    Attributes:
        event: The event header: `pull_request`.
        action: The payload's action on one line, "" for none.
        repository: `octo/repo`, "" where it is about no repository.
        owner: The organisation, or the account of an app's installation, "" for none.
        home: The page of the repository or owner, "" for none.
        source: The CloudEvents source, with the host of an Enterprise Server where it comes from one.
    """

    event: str
    action: str
    payload: Object
    repository: str
    owner: str
    home: str
    source: str

    @property
    def place(self) -> str:
        """The repository, else the owner, else ""."""
        return self.repository or self.owner

    def title(self, what: str, about: str = "", preposition: str = "in") -> str:
        """`what in octo/repo: about`, in a title's length."""
        where = f" {preposition} {self.place}" if self.place else ""
        return clip(f"{what}{where}: {about}" if about else what + where, TITLE_LENGTH)


class Card(msgspec.Struct, frozen=True):
    """How a happening is shown.

    Titles say what happened to what and where, never by whom: the actor stands beside them.

    Attributes:
        url: The page of it; "" falls back to the repository's or organisation's.
        subject: What it is about within the source.
        fields: GitHub's own small fields, added to the event's data.
    """

    title: str
    text: str = ""
    url: str = ""
    subject: str = ""
    time: datetime | None = None
    fields: dict[str, Any] = {}


def read(event: str, payload: Object) -> Happening:
    """A payload and where it belongs."""
    repository = obj(payload, "repository")
    full_name = _matching(_FULL_NAME, raw(repository, "full_name"))
    owner = _matching(_LOGIN, raw(obj(payload, "organization"), "login") or _account(payload))
    page = link(repository, "html_url")
    found = _BASE.match(page or link(obj(payload, "sender"), "html_url"))
    scheme, host = found.groups() if found else ("https:", _HOST)
    place = full_name or owner
    source = f"{host}/{place}" if place else host
    return Happening(
        event=event,
        action=line(payload, "action", 64),
        payload=payload,
        repository=full_name,
        owner=owner,
        home=page or (scheme + source if place else ""),
        source=source,
    )


def actor(payload: Object) -> dict[str, str]:
    """Who did it; empty strings where GitHub does not say."""
    sender = obj(payload, "sender")
    return {
        "name": line(sender, "login", 100) or line(obj(payload, "pusher"), "name", 100),
        "avatar_url": link(sender, "avatar_url"),
        "url": link(sender, "html_url"),
    }


def _account(payload: Object) -> str:
    return raw(obj(obj(payload, "installation"), "account"), "login")


def _matching(pattern: re.Pattern[str], value: str) -> str:
    return value if pattern.fullmatch(value) else ""
