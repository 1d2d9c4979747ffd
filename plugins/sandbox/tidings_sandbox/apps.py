"""The apps that are registered at an emulated platform."""

from __future__ import annotations

from base64 import b64decode
from typing import Final
from urllib.parse import urlsplit

import msgspec

from tidings_sandbox.wire import Call

_LOOPBACK: Final = {"127.0.0.1", "::1"}


class App(msgspec.Struct, frozen=True):
    """An app, as its developer registered it.

    Attributes:
        redirect_uris: Where consents may lead back to.
    """

    client_id: str
    client_secret: str
    redirect_uris: tuple[str, ...]

    def allows(self, redirect_uri: str) -> bool:
        """Whether this is, exactly, a registered address; a loopback one may have any port."""
        return any(_same_address(registered, redirect_uri) for registered in self.redirect_uris)


def basic_credentials(call: Call) -> tuple[str, str] | None:
    """Client id and secret shown by HTTP Basic, None without them."""
    scheme, _, text = call.header(b"authorization").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = b64decode(text).decode().partition(":")
    except ValueError:
        return None
    return client_id, secret


def _same_address(registered: str, given: str) -> bool:
    if registered == given:
        return True
    try:
        here, there = urlsplit(registered), urlsplit(given)
    except ValueError:
        return False
    return (
        here.hostname in _LOOPBACK
        and here.hostname == there.hostname
        and (here.scheme, here.path, here.query) == (there.scheme, there.path, there.query)
        and not there.fragment
    )
