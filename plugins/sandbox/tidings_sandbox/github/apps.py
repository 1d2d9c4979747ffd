"""GitHub Apps: made from a manifest, installed on accounts, known by a key of their own."""

from __future__ import annotations

import binascii
import dataclasses
import itertools
import re
import secrets
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from tidings_sandbox.consents import Consents
from tidings_sandbox.github.accounts import Account
from tidings_sandbox.github.hooks import Config, Hook, Hooks, read_events
from tidings_sandbox.github.repositories import Repository
from tidings_sandbox.github.requests import Problem
from tidings_sandbox.tokens import MARK

_KEY_BITS: Final = 2048
_MOST_LIFE: Final = timedelta(minutes=10)
_SKEW: Final = timedelta(minutes=1)
_CODE_LIFE: Final = timedelta(hours=1)
_IDS_FROM: Final = 9_000_000


@dataclasses.dataclass(slots=True, eq=False)
class Installation:
    """A GitHub App on somebody's account.

    Attributes:
        repository_ids: Those that it covers; None for all of the account's.
    """

    id: int
    account: Account
    repository_ids: frozenset[int] | None
    created_at: datetime

    def covers(self, repository: Repository) -> bool:
        """Whether the app hears of what happens there."""
        if repository.owner is not self.account:
            return False
        return self.repository_ids is None or repository.id in self.repository_ids


@dataclasses.dataclass(slots=True, eq=False)
class App:
    """A GitHub App.

    Attributes:
        hook: Its one webhook.
        pem: Its private key, shown once.
        setup_url: Where people are sent when they have installed it; "" for nowhere.
    """

    id: int
    slug: str
    name: str
    owner: Account
    client_id: str
    client_secret: str
    key: RSAKey
    hook: Hook
    permissions: Mapping[str, str]
    setup_url: str
    created_at: datetime
    installations: list[Installation] = dataclasses.field(default_factory=list)

    @property
    def pem(self) -> str:
        """Its private key."""
        return self.key.as_pem(private=True).decode()


class Apps:
    """All GitHub Apps. They end with the process.

    Args:
        hooks: Where their webhooks are kept.
        consents: Where they are registered too.
    """

    def __init__(self, hooks: Hooks, consents: Consents) -> None:
        self._hooks = hooks
        self._consents = consents
        self._ids = itertools.count(_IDS_FROM)
        self._apps: dict[str, App] = {}
        self._codes: dict[str, tuple[App, datetime]] = {}

    def __iter__(self) -> Iterator[App]:
        return iter(self._apps.values())

    def get(self, client_id: str) -> App | None:
        """The app with this client id."""
        return self._apps.get(client_id)

    def by_slug(self, slug: str) -> App | None:
        """The app of this name."""
        return next((app for app in self._apps.values() if app.slug == slug), None)

    def create(self, manifest: Mapping[str, Any], owner: Account, hook_id: int, now: datetime) -> App:
        """Make an app as its manifest describes it.

        Raises:
            Problem: 422. The manifest can't be used.
        """
        identity = next(self._ids)
        name = str(manifest.get("name") or f"{owner.login}'s app")
        if not isinstance(manifest.get("redirect_url"), str):
            raise Problem(422, "Invalid GitHub App configuration: redirect_url is missing")
        attributes = manifest.get("hook_attributes")
        url = attributes.get("url") if isinstance(attributes, dict) else None
        active = bool(url) and (not isinstance(attributes, dict) or attributes.get("active") is not False)
        client_id = f"Iv23sandbox{identity}"
        callbacks = manifest.get("callback_urls")
        client = self._consents.register(client_id, *(callbacks if isinstance(callbacks, list) else ()))
        events = manifest.get("default_events")
        hook = Hook(
            hook_id,
            "integration",
            identity,
            Config(str(url or ""), "json", MARK + secrets.token_hex(16)),
            read_events(events) if events else [],
            active,
            now,
            now,
            client_id=client_id,
            app_id=identity,
        )
        app = App(
            identity,
            re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or f"app-{identity}",
            name,
            owner,
            client_id,
            client.client_secret,
            RSAKey.generate_key(_KEY_BITS),
            self._hooks.add(hook),
            manifest.get("default_permissions") or {},
            str(manifest.get("setup_url") or ""),
            now,
        )
        self._apps[client_id] = app
        return app

    def code(self, app: App, now: datetime) -> str:
        """A code that is good once within an hour for the app's credentials."""
        code = MARK + secrets.token_hex(16)
        self._codes[code] = (app, now + _CODE_LIFE)
        return code

    def redeem(self, code: str, now: datetime) -> App:
        """The app behind a code.

        Raises:
            Problem: 404. No such code, or not any more.
        """
        app, expires_at = self._codes.pop(code, (None, now))
        if app is None or now >= expires_at:
            raise Problem(404, "Not Found")
        return app

    def install(
        self, app: App, account: Account, identity: int, repository_ids: frozenset[int] | None, now: datetime
    ) -> Installation:
        """Put an app on an account; in place of what it had there."""
        self.uninstall(app, account)
        installation = Installation(identity, account, repository_ids, now)
        app.installations.append(installation)
        return installation

    def uninstall(self, app: App, account: Account) -> Installation | None:
        """Take an app off an account; what it had there."""
        found = next((each for each in app.installations if each.account is account), None)
        if found is not None:
            app.installations.remove(found)
        return found

    def within_reach(self, app: App, account: Account) -> list[Installation]:
        """The installations of an app that an account may see: on itself and on its organisations."""
        return [
            each
            for each in app.installations
            if each.account is account or account.id in each.account.members
        ]

    def authenticate(self, bearer: str, now: datetime) -> App:
        """The app that signed a JSON web token.

        Raises:
            Problem: 401. None did, or it is not good now.
        """
        app = self._named(bearer)
        if app is None:
            raise Problem(401, "A JSON web token could not be decoded")
        try:
            claims = jwt.decode(bearer, app.key, algorithms=["RS256"]).claims
        except (JoseError, ValueError):
            raise Problem(401, "A JSON web token could not be decoded") from None
        issued, expires = _instant(claims, "iat"), _instant(claims, "exp")
        if issued is None or issued > now.timestamp() + _SKEW.total_seconds():
            raise Problem(
                401,
                "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
            )
        if expires is None or expires <= now.timestamp():
            raise Problem(
                401,
                "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the "
                "assertion expires",
            )
        if expires > now.timestamp() + (_MOST_LIFE + _SKEW).total_seconds():
            raise Problem(401, "'Expiration time' claim ('exp') is too far in the future")
        return app

    def _named(self, bearer: str) -> App | None:
        parts = bearer.split(".")
        if len(parts) != 3:
            return None
        try:
            claims = msgspec.json.decode(urlsafe_b64decode(parts[1] + "=="))
        except (binascii.Error, msgspec.DecodeError, ValueError):
            return None
        issuer = str(claims.get("iss")) if isinstance(claims, dict) else ""
        return next((app for app in self if issuer in {str(app.id), app.client_id}), None)


def _instant(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
