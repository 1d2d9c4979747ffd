"""The API of feeds and notifications."""

from __future__ import annotations

from tidings_sandbox.github.accounts import Account
from tidings_sandbox.github.events import FeedReader
from tidings_sandbox.github.gate import Gate
from tidings_sandbox.github.news import Newsroom
from tidings_sandbox.github.notifications import InboxReader
from tidings_sandbox.github.requests import Problem, Request, Router
from tidings_sandbox.wire import Answer


class FeedApi:
    """Answers calls for them.

    Attributes:
        feeds: Reads feeds.
        inboxes: Reads inboxes.

    Args:
        gate: Who may see what.
        newsroom: Where they are.
        feeds: Reads feeds.
        inboxes: Reads inboxes.
    """

    def __init__(self, gate: Gate, newsroom: Newsroom, feeds: FeedReader, inboxes: InboxReader) -> None:
        self._gate = gate
        self._newsroom = newsroom
        self.feeds = feeds
        self.inboxes = inboxes

    def mount(self, router: Router) -> None:
        """Add the calls."""
        router.add("GET", "/users/*/events", self.did)
        router.add("GET", "/users/*/events/public", self.did_publicly)
        router.add("GET", "/users/*/events/orgs/*", self.organization_for_member)
        router.add("GET", "/users/*/received_events", self.received)
        router.add("GET", "/users/*/received_events/public", self.received_publicly)
        router.add("GET", "/repos/*/*/events", self.repository)
        router.add("GET", "/orgs/*/events", self.organization)
        router.add("GET", "/notifications", self.notifications)

    def did(self, request: Request, login: str) -> Answer:
        """What a user did; what was done in private only if it is the caller."""
        account = self._gate.user(login)
        return self.feeds.answer(
            request, self._newsroom.did[account.id], private=self._sees_private(request, account)
        )

    def did_publicly(self, request: Request, login: str) -> Answer:
        """What a user did in public."""
        return self.feeds.answer(request, self._newsroom.did[self._gate.user(login).id], private=False)

    def received(self, request: Request, login: str) -> Answer:
        """What others did around a user; what was done in private only if it is the caller."""
        account = self._gate.user(login)
        return self.feeds.answer(
            request, self._newsroom.received[account.id], private=self._sees_private(request, account)
        )

    def received_publicly(self, request: Request, login: str) -> Answer:
        """What others did in public around a user."""
        return self.feeds.answer(request, self._newsroom.received[self._gate.user(login).id], private=False)

    def repository(self, request: Request, owner: str, name: str) -> Answer:
        """What happened in a repository."""
        return self.feeds.answer(request, self._gate.repository(request, owner, name).feed, private=True)

    def organization(self, request: Request, login: str) -> Answer:
        """What happened in an organisation in public."""
        return self.feeds.answer(
            request, self._newsroom.did[self._gate.organization(login).id], private=False
        )

    def organization_for_member(self, request: Request, login: str, organization: str) -> Answer:
        """What happened in an organisation, for the caller who belongs to it."""
        account, place = self._gate.user(login), self._gate.organization(organization)
        if request.account is not account or account.id not in place.members:
            raise Problem(404, "Not Found")
        return self.feeds.answer(
            request, self._newsroom.did[place.id], private=self._sees_private(request, account)
        )

    def notifications(self, request: Request) -> Answer:
        """The caller's inbox."""
        account = request.account
        if request.access.is_app:
            raise Problem(403, "Resource not accessible by integration")
        if not request.access.has("notifications", "repo"):
            raise Problem(403, "Missing the 'notifications' scope.")
        return self.inboxes.answer(request, self._newsroom.inboxes[account.id])

    def _sees_private(self, request: Request, account: Account) -> bool:
        return request.access.account is account and (request.access.is_app or request.access.has("repo"))
