"""Everything that is at the emulated GitHub, and how its parts hang together."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, Final

from tidings_sandbox.consents import Consents
from tidings_sandbox.courier import Courier
from tidings_sandbox.faults import Faults
from tidings_sandbox.github.accounts import Account, Accounts, Addresses
from tidings_sandbox.github.app_api import AppApi
from tidings_sandbox.github.apps import App, Apps, Installation
from tidings_sandbox.github.deliveries import Outbox
from tidings_sandbox.github.delivery_api import DeliveryApi
from tidings_sandbox.github.events import FeedReader, Lateness
from tidings_sandbox.github.feed_api import FeedApi
from tidings_sandbox.github.gate import Gate
from tidings_sandbox.github.hook_api import HookApi
from tidings_sandbox.github.hooks import Hook, Hooks
from tidings_sandbox.github.life import Life
from tidings_sandbox.github.news import Newsroom
from tidings_sandbox.github.notifications import InboxReader
from tidings_sandbox.github.payloads import Payloads
from tidings_sandbox.github.place import Kit
from tidings_sandbox.github.repositories import Repositories, Repository
from tidings_sandbox.github.repository_api import RepositoryApi
from tidings_sandbox.github.requests import Router
from tidings_sandbox.people import Person
from tidings_sandbox.stage import Stage

# The same in every run: a repository stays the one that tidings knows. Beyond any real one's.
_PEOPLES_FROM: Final = 2_000_000_000
_ORGANIZATIONS_FROM: Final = 2_900_000_000
_PER_PERSON: Final = 10
_ORGANIZATION: Final = "lantern-works"


class Site:
    """All parts.

    Attributes:
        accounts: Everybody.
        repositories: All of them. Every person has `garden`, and in private `almanac`; the first two people own, with
            a third as member, the organisation `lantern-works` and its `lighthouse`.
        hooks: All webhooks.
        apps: All GitHub Apps.
        outbox: Sends deliveries.
        lateness: When feeds show something.
        newsroom: Tells what happened; holds feeds and inboxes.
        life: Makes things happen.
        hook_api: The API of hooks; likewise the other four.
        router: The API.

    Args:
        stage: What all platforms stand on.
        courier: The way out for webhooks.
        consents: Tokens.
        faults: GitHub's clock, and how late its webhooks are.
        chance: Where chance comes from.
    """

    def __init__(
        self, stage: Stage, courier: Courier, consents: Consents, faults: Faults, chance: Random
    ) -> None:
        self._stage = stage
        self._now = faults.now
        addresses = Addresses(stage.public_url)
        payloads = Payloads(addresses)
        self.accounts = Accounts(stage.serial)
        # Commits and deliveries are named anew after every beginning: tidings remembers the names from before.
        names = stage.chance(f"github/{stage.serial()}")
        self.repositories = Repositories(names)
        self.hooks = Hooks()
        self.apps = Apps(self.hooks, consents)
        self.outbox = Outbox(courier, faults.now, stage.serial, names, lambda: faults.delay_webhooks_seconds)
        self.lateness = Lateness(chance.random)
        self.newsroom = Newsroom(
            self.accounts,
            self.hooks,
            self.apps,
            consents,
            self.outbox,
            payloads,
            stage.record,
            stage.serial,
            self.lateness,
        )
        self.life = Life(Kit(self.newsroom, self.accounts, self.repositories, payloads, stage.serial, chance))
        gate = Gate(self.accounts, self.repositories, self.apps, addresses)
        self.hook_api = HookApi(gate, self.hooks, self.outbox, payloads, self.repositories, stage.serial)
        self.delivery_api = DeliveryApi(addresses.api, self.hook_api, self.apps, self.outbox)
        self.repository_api = RepositoryApi(gate, self.accounts, self.repositories, payloads)
        self.feed_api = FeedApi(gate, self.newsroom, FeedReader(addresses.api), InboxReader(payloads))
        self.app_api = AppApi(self.apps, consents, self.accounts, self.repositories, payloads, self.outbox)
        self.router = Router()
        for api in (self.hook_api, self.delivery_api, self.repository_api, self.feed_api, self.app_api):
            api.mount(self.router)
        self._settle_in()

    def account_of(self, person: Person) -> Account:
        """A person's account; made, with its repositories, when the person first comes by."""
        account = self.accounts.by_id(person.github_id)
        if account is not None:
            return account
        account = self.accounts.add_person(person.github_id, person.key, person.name)
        first = _PEOPLES_FROM + person.number * _PER_PERSON
        now = self._now()
        self.repositories.add(first, account, "garden", "What grows where, and when to water it", now)
        self.repositories.add(
            first + 1, account, "almanac", "Tides, moons and first frosts", now, private=True
        )
        return account

    def add_organization(self, login: str, *, owners: set[Person], members: set[Person]) -> Account:
        """An organisation of some people's."""
        return self.accounts.add_organization(
            login,
            admins={self.account_of(person).id for person in owners},
            members={self.account_of(person).id for person in members},
        )

    def add_repository(
        self, owner: Account, name: str, description: str, *, private: bool = False
    ) -> Repository:
        """One more repository.

        Raises:
            ValueError: There is one of this name.
        """
        identity = self._stage.serial()
        return self.repositories.add(identity, owner, name, description, self._now(), private=private)

    def create_app(self, manifest: Mapping[str, Any], owner: Account) -> App:
        """Make a GitHub App; its hook is sent a ping.

        Raises:
            Problem: 422. The manifest can't be used.
        """
        app = self.apps.create(manifest, owner, self._stage.serial(), self._now())
        if app.hook.active:
            self.hook_api.send_ping(app.hook, app)
        return app

    def install_app(
        self,
        app: App,
        account: Account,
        repository_ids: frozenset[int] | None = None,
        *,
        by: Account | None = None,
    ) -> Installation:
        """Put a GitHub App on an account, for some repositories or (None) for all; the app is told.

        It is done `by` the account itself, unless it is an organisation's: then by one of its owners.
        """
        installation = self.apps.install(app, account, self._stage.serial(), repository_ids, self._now())
        self.app_api.tell_installation(app, installation, "created", by or account)
        return installation

    def uninstall_app(self, app: App, account: Account, *, by: Account | None = None) -> None:
        """Take a GitHub App off an account; the app is told. For `by` see `install_app`."""
        installation = self.apps.uninstall(app, account)
        if installation is not None:
            self.app_api.tell_installation(app, installation, "deleted", by or account)

    def name_of(self, hook: Hook) -> str:
        """What a hook belongs to, for people."""
        if hook.kind == "repository" and (repository := self.repositories.by_id(hook.target_id)) is not None:
            return repository.full_name
        if hook.kind == "organization" and (owner := self.accounts.by_id(hook.target_id)) is not None:
            return owner.login
        return next((app.name for app in self.apps if app.hook is hook), "")

    def _settle_in(self) -> None:
        people = list(self._stage.people)
        for person in people:
            self.account_of(person)
        if len(people) > 1:
            owner = self.add_organization(_ORGANIZATION, owners=set(people[:2]), members=set(people[2:3]))
            self.repositories.add(
                _ORGANIZATIONS_FROM, owner, "lighthouse", "Keeps the lantern turning", self._now()
            )
