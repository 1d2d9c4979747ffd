"""Options of the bus `nats`."""

from __future__ import annotations

import re
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from tidings.config import Secret, Section
from tidings.hooks import Options

_SUBJECT: Final = re.compile(r"[A-Za-z0-9_-]{1,40}(\.[A-Za-z0-9_-]{1,40}){0,4}")


def _server(url: str) -> str:
    usage = "Write nats://nats.example.org:4222, or tls:// where it must be encrypted."
    try:
        parts = urlsplit(url)
        known = parts.scheme in {"nats", "tls"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ValueError(f"this is not the address of a NATS server. {usage}") from None
    if parts.username or parts.password:  # it may be a password, so it isn't shown
        raise ValueError("an address holds no credentials. Write them as user and password, or as token.")
    if not known or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError(f"this is not the address of a NATS server. {usage}")
    return f"{parts.scheme}://{parts.netloc}" if parts.port else f"{parts.scheme}://{parts.netloc}:4222"


def _subject(text: str) -> str:
    if not _SUBJECT.fullmatch(text):
        raise ValueError("a subject is words of letters, digits, - and _, with dots between. Write tidings.")
    return text


class Tls(Section):
    """Certificates, where those of the system don't do."""

    ca: Secret = None
    """Certificates, as PEM, of who may vouch for the servers."""
    certificate: Secret = None
    """The certificate, as PEM, that this node shows, with `key`."""
    key: Secret = None
    """Its private key, as PEM."""

    @model_validator(mode="after")
    def _together(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together. Write both, or neither.")
        return self


class NatsOptions(Options):
    """Options of the bus `nats`.

    Attributes:
        servers: Addresses of the servers of one NATS cluster; `tls://` insists on encryption.
        user: The user to connect as, with `password`.
        password: Its password.
        token: The token to connect with, instead.
        credentials: The content of a `.creds` file (JWT and seed), instead.
        tls: Certificates, where those of the system don't do.
        subject: What all subjects begin with; every installation that shares a NATS cluster needs one of its own.
    """

    servers: Annotated[tuple[Annotated[str, AfterValidator(_server)], ...], Field(min_length=1)] = (
        "nats://127.0.0.1:4222",
    )
    user: str | None = None
    password: Secret = None
    token: Secret = None
    credentials: Secret = None
    tls: Tls = Tls()
    subject: Annotated[str, AfterValidator(_subject)] = "tidings"

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if bool(self.user) != (self.password is not None):
            raise ValueError("user and password belong together. Write both, or neither.")
        if sum(bool(way) for way in (self.user, self.token, self.credentials)) > 1:
            raise ValueError(
                "one way to connect is needed. Keep user and password, or token, or credentials."
            )
        return self
