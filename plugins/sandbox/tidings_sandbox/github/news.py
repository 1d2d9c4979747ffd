"""Telling what happened: to hooks, to feeds, to inboxes, and to the sandbox's own record."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime

from tidings_sandbox.consents import Consents
from tidings_sandbox.github.accounts import Account, Accounts
from tidings_sandbox.github.apps import Apps
from tidings_sandbox.github.deliveries import Message, Outbox
from tidings_sandbox.github.events import Feed, FeedItem, Lateness
from tidings_sandbox.github.hooks import Hook, Hooks
from tidings_sandbox.github.keys import by_delivery
from tidings_sandbox.github.notifications import Inbox, Subject
from tidings_sandbox.github.payloads import Json, Payloads, iso
from tidings_sandbox.github.repositories import Repository
from tidings_sandbox.happenings import Happening, Record
from tidings_sandbox.wire import encode


@dataclasses.dataclass(slots=True, eq=False)
class News:
    """One thing that happened in a repository, in all the forms in which it is told.

    Attributes:
        kind: As the emulator calls it.
        title: For people.
        event: The webhook's event.
        payload: The webhook's payload besides where and by whom, `action` included.
        key: The id that tidings gives it; "" where that is made of the delivery.
        feed: Type and payload in the feeds; None where they do not show it.
        subject: Of a notification; None for none.
        is_told: Whether tidings is expected to tell it.
    """

    kind: str
    title: str
    event: str
    payload: Json
    key: str = ""
    feed: tuple[str, Json] | None = None
    subject: Subject | None = None
    is_told: bool = True

    @property
    def is_recognisable(self) -> bool:
        """Whether the feeds show it as the same thing that webhooks tell."""
        return bool(self.key) and self.feed is not None


class Newsroom:
    """Tells the news.

    Attributes:
        did: What each person did, by account id: a feed.
        received: What happened around each person, by account id: a feed.
        inboxes: Each person's notifications, by account id.

    Args:
        accounts: Everybody.
        hooks: Who is sent deliveries.
        apps: Likewise.
        consents: Who let which app see what.
        outbox: Sends them.
        payloads: Shows things.
        record: The sandbox's own.
        serial: Gives the ids of feed items and threads.
        lateness: When feeds show something.
    """

    def __init__(
        self,
        accounts: Accounts,
        hooks: Hooks,
        apps: Apps,
        consents: Consents,
        outbox: Outbox,
        payloads: Payloads,
        record: Record,
        serial: Callable[[], int],
        lateness: Lateness,
    ) -> None:
        self._accounts = accounts
        self._hooks = hooks
        self._apps = apps
        self._consents = consents
        self._outbox = outbox
        self._payloads = payloads
        self._record = record
        self._serial = serial
        self._lateness = lateness
        self.did: defaultdict[int, Feed] = defaultdict(Feed)
        self.received: defaultdict[int, Feed] = defaultdict(Feed)
        self.inboxes: defaultdict[int, Inbox] = defaultdict(Inbox)

    def tell(self, repository: Repository, by: Account, at: datetime, news: News) -> list[Happening]:
        """Tell it everywhere.

        Returns:
            What was recorded: one happening for each person who is expected to hear of it. Those are the ones whose
            hook was to get it and, where a feed shows it recognisably, all who may read that feed (see `hears`).
        """
        insiders = list(self._insiders(repository))
        guid = self._outbox.guid()
        heard = self._deliver(repository, by, news, guid)
        if news.feed is not None:
            self._feed(repository, by, at, *news.feed, insiders)
        if news.subject is not None:
            for account in insiders:
                if account is not by:
                    self.inboxes[account.id].put(self._serial(), repository, news.subject, "subscribed", at)
        if not news.is_told:
            return []
        key = news.key or by_delivery(news.event, guid)
        title = f"{news.title} in {repository.full_name}"
        return [
            self._record.add(Happening("github", account.person, news.kind, at, key, title))
            for account in insiders
            if account.person in heard or (news.is_recognisable and self.hears(account, repository))
        ]

    def hears(self, account: Account, repository: Repository) -> bool:
        """Whether a person is expected to hear of what happens in a repository, also without a webhook.

        Admins are; where it is private, those of them who let some app see it.
        """
        if repository.role(account) != "admin":
            return False
        return not repository.private or any(
            "repo" in consent.scopes or self._is_installed(consent.client_id, repository)
            for consent in self._consents.living(account.person)
        )

    def _is_installed(self, client_id: str, repository: Repository) -> bool:
        app = self._apps.get(client_id)
        return app is not None and any(each.covers(repository) for each in app.installations)

    def _insiders(self, repository: Repository) -> Iterator[Account]:
        for identity in sorted(repository.insiders()):
            account = self._accounts.by_id(identity)
            if account is not None and account.person:
                yield account

    def _deliver(self, repository: Repository, by: Account, news: News, guid: str) -> set[str]:
        """Send it to all hooks that want it; keys of the people whose hooks these are."""
        receivers = list(self._receivers(repository, news.event))
        if not receivers:
            return set()
        payload = encode(self._payload(repository, by, news))
        action = news.payload.get("action")
        heard: set[str] = set()
        for hook, installation_id, people in receivers:
            body = payload
            if installation_id is not None:
                body = payload[:-1] + b',"installation":{"id":%d}}' % installation_id
            message = Message(
                news.event, action, guid, body, repository.id, installation_id, news.is_recognisable
            )
            self._outbox.send(hook, message)
            heard.update(people)
        return heard

    def _receivers(self, repository: Repository, event: str) -> Iterator[tuple[Hook, int | None, set[str]]]:
        for hook in self._hooks.of("repository", repository.id):
            if hook.wants(event):
                yield hook, None, {hook.made_by}
        if repository.owner.is_organization:
            for hook in self._hooks.of("organization", repository.owner.id):
                if hook.wants(event):
                    yield hook, None, {hook.made_by}
        for app in self._apps:
            for installation in app.installations:
                if installation.covers(repository) and app.hook.wants(event):
                    yield app.hook, installation.id, {each.person for each in self._insiders(repository)}

    def _payload(self, repository: Repository, by: Account, news: News) -> Json:
        addresses = self._payloads.addresses
        shown = self._payloads.repository(repository)
        if news.event == "push":  # here alone these two are epoch seconds
            shown["created_at"] = int(repository.created_at.timestamp())
            shown["pushed_at"] = int(repository.pushed_at.timestamp())
        payload = {**news.payload, "repository": shown}
        if repository.owner.is_organization:
            payload["organization"] = addresses.organization(repository.owner)
        payload["sender"] = addresses.user(by)
        return payload

    def _feed(
        self,
        repository: Repository,
        by: Account,
        at: datetime,
        kind: str,
        payload: Json,
        insiders: list[Account],
    ) -> None:
        addresses, owner = self._payloads.addresses, repository.owner
        identity = self._serial()
        event: Json = {
            "id": str(identity),
            "type": kind,
            "actor": {
                "id": by.id,
                "login": by.login,
                "display_login": by.login,
                "gravatar_id": "",
                "url": f"{addresses.api}/users/{by.login}",
                "avatar_url": addresses.avatar(by),
            },
            "repo": {
                "id": repository.id,
                "name": repository.full_name,
                "url": f"{addresses.api}/repos/{repository.full_name}",
            },
            "payload": payload,
            "public": not repository.private,
            "created_at": iso(at),
        }
        if owner.is_organization:
            event["org"] = {
                "id": owner.id,
                "login": owner.login,
                "gravatar_id": "",
                "url": f"{addresses.api}/orgs/{owner.login}",
                "avatar_url": addresses.avatar(owner),
            }
        item = FeedItem(identity, at, self._lateness.shown_at(at), not repository.private, encode(event))
        repository.feed.add(item)
        if owner.is_organization:
            self.did[owner.id].add(item)
        if by.person:
            self.did[by.id].add(item)
        for account in insiders:
            if account is not by:
                self.received[account.id].add(item)
