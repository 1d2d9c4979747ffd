"""The emulated GitHub, put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Literal

from tidings_sandbox.apps import basic_credentials
from tidings_sandbox.dialects import Dialect, github_dialect
from tidings_sandbox.emulator import Emulator
from tidings_sandbox.github.accounts import Access, Account
from tidings_sandbox.github.hooks import Hook
from tidings_sandbox.github.life import KINDS
from tidings_sandbox.github.pages import Pages
from tidings_sandbox.github.payloads import iso
from tidings_sandbox.github.place import Place
from tidings_sandbox.github.ratelimit import RateLimits, headers
from tidings_sandbox.github.repositories import Repository
from tidings_sandbox.github.requests import DOCUMENTATION, Header, Problem, Request
from tidings_sandbox.github.site import Site
from tidings_sandbox.happenings import Happening
from tidings_sandbox.people import Person
from tidings_sandbox.stage import Stage
from tidings_sandbox.tokens import Mint
from tidings_sandbox.wire import Answer, Call

_API: Final = "/api/"
_WRITES: Final = frozenset({"POST", "PATCH", "PUT", "DELETE"})
_VERSIONS: Final = frozenset({"", "2022-11-28", "2026-03-10"})
# What is done by those who work on a repository; the rest is done by whoever comes by.
_OWN_WORK: Final = frozenset(
    {
        "push",
        "issue_closed",
        "pull_request_merged",
        "release_published",
        "branch_created",
        "branch_deleted",
        "workflow_run",
    }
)
_PASSING: Final = frozenset({"star", "fork"})


class GitHub(Emulator):
    """The emulated GitHub.

    Attributes:
        site: Everything that is there.
        limits: How much callers may ask.

    Args:
        stage: What all platforms stand on.
    """

    name: ClassVar[str] = "github"
    title: ClassVar[str] = "GitHub"
    kinds: ClassVar[Mapping[str, str]] = KINDS
    small: ClassVar[Sequence[str]] = (
        "push",
        "issue_opened",
        "issue_closed",
        "issue_commented",
        "pull_request_opened",
        "pull_request_merged",
        "release_published",
        "star",
        "fork",
    )
    client_ids: ClassVar[Sequence[str]] = ("sandbox-github",)

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.limits = RateLimits()
        self.site = Site(stage, self.courier, self.consents, self.faults, self.chance)
        self._pages = Pages(self.site, self._owner_of_apps, self.now)

    @classmethod
    def dialect(cls) -> Dialect:
        """As in `dialects`."""
        return github_dialect()

    @classmethod
    def options(cls, base: str, seed: int, *, lively: bool) -> Mapping[str, Any]:
        """The OAuth app, asking for private repositories too, or half of what happens would be seen by nobody."""
        del lively  # its webhooks are quick enough
        client_id = cls.client_ids[0]
        return {
            "client_id": client_id,
            "client_secret": Mint(seed, cls.title).secret(client_id),
            "authorize_url": f"{base}/login/oauth/authorize",
            "token_url": f"{base}/login/oauth/access_token",
            "api_url": f"{base}/api",
            "private_repositories": True,
        }

    # --- the API ---

    def answer(self, call: Call) -> Answer:
        """Answer a request at once."""
        if not call.path.startswith(_API):
            return self.oauth.answer(call) or self._pages.answer(call)
        request = Request(call, call.path[4:], self.now())
        extra: list[Header] = []
        try:
            answer = self._answer(request, call, extra)
        except Problem as problem:
            answer = problem.answer()
        answer.headers += extra
        return answer

    def _answer(self, request: Request, call: Call, extra: list[Header]) -> Answer:
        if not request.header(b"user-agent"):
            raise Problem(
                403,
                "Request forbidden by administrative rules. Please make sure your request has a User-Agent "
                f"header ({DOCUMENTATION}).",
            )
        version = request.header(b"x-github-api-version")
        if version not in _VERSIONS:
            raise Problem(400, f"The version {version!r} of the API is not supported.")
        extra.append((b"x-github-api-version-selected", version.encode() or b"2022-11-28"))
        self._identify(request, call)
        account = request.access.account
        budget = self.limits.take(
            0 if account is None else account.id, request.at, writes=request.method in _WRITES
        )
        if account is not None and not request.access.is_app:
            extra.append((b"x-oauth-scopes", ", ".join(sorted(request.access.scopes)).encode()))
        try:
            answer = self.site.router.answer(request, self._segments(request))
            if answer.status == 304 and account is not None:
                self.limits.give_back(budget)
        finally:
            extra += headers(budget)
        return answer

    def _identify(self, request: Request, call: Call) -> None:
        """Find out who calls.

        Raises:
            Problem: 401. A token that nobody has, or not any more.
        """
        scheme, _, credentials = request.header(b"authorization").partition(" ")
        scheme = scheme.lower()
        if scheme in {"bearer", "token"}:
            request.bearer = credentials
            if credentials.count(".") != 2:  # else a GitHub App's own, for its handlers to check
                request.access = self._access(credentials)
        elif scheme == "basic":
            request.basic = basic_credentials(call)

    def _access(self, text: str) -> Access:
        opened = self.consents.check(text)
        if opened is None:
            raise Problem(401, "Bad credentials")
        account = self.site.account_of(opened.person)
        is_app = self.site.apps.get(opened.client_id) is not None
        return Access(account, opened.client_id, opened.scopes, is_app)

    def _segments(self, request: Request) -> list[str]:
        segments = request.path[1:].split("/")
        if segments[0] == "repositories" and len(segments) > 1 and segments[1].isdecimal():
            repository = self.site.repositories.by_id(int(segments[1]))
            if repository is not None:
                return ["repos", repository.owner.login, repository.name, *segments[2:]]
        return segments

    # --- what happens ---

    def act(self, kind: str, person: Person, details: Mapping[str, Any]) -> Happening:
        """Make something happen in a repository of the person's.

        Args:
            kind: One of `kinds`.
            person: Whose repository; also who does it, where that is what owners do. Strangers open issues, comment
                and propose changes, passers-by star and fork.
            details: `repository` (`owner/name`; else one that the person is expected to hear of), `by` (a login),
                and by kind `branch`, `commits` (a count), `title`, `body`, `number`, `tag`, `conclusion`.

        Returns:
            The happening as recorded for `person`. It is in no record if only a webhook could have told of it and
            the person has none, or if the person is no admin there, or lets no app see the private repository.
        """
        account = self.site.account_of(person)
        repository = self._repository_for(account, details)
        at = self.now().replace(microsecond=0)
        place = Place(repository, self._doer(kind, account, details), at, details)
        recorded = self.site.life.make(kind, place)
        mine = [happening for happening in recorded if happening.person == person.key]
        if mine:
            return mine[-1]
        return Happening(self.name, person.key, kind, at, "", f"{KINDS[kind]}: {repository.full_name}")

    def _repository_for(self, account: Account, details: Mapping[str, Any]) -> Repository:
        asked = details.get("repository")
        if asked:
            repository = self.site.repositories.get(str(asked))
            if repository is None:
                raise LookupError(f"GitHub has no repository {asked}.")
            return repository
        hears, own = self.site.newsroom.hears, self.site.repositories.of(account)
        return self.chance.choice([each for each in own if hears(account, each)])

    def _doer(self, kind: str, account: Account, details: Mapping[str, Any]) -> Account:
        asked = details.get("by")
        if asked:
            found = self.site.accounts.get(str(asked))
            if found is None:
                raise LookupError(f"GitHub has no account {asked}.")
            return found
        if kind in _OWN_WORK:
            return account
        if kind in _PASSING:
            return self.site.accounts.passer_by()
        return self.chance.choice(self.site.accounts.contributors)

    def _owner_of_apps(self) -> Account:
        """Who agrees to an app's manifest and installs it: who agrees to everything, else the first person."""
        person = self.stage.people.get(self.oauth.auto_accept) or next(iter(self.stage.people))
        return self.site.account_of(person)

    # --- the control page ---

    def describe(self) -> Mapping[str, Any]:
        """Repositories, and GitHub Apps with where they are installed."""
        return {
            "repositories": [
                {"name": each.full_name, "private": each.private, "stars": each.stars}
                for each in self.site.repositories
            ],
            "apps": [
                {"slug": app.slug, "installed_on": [each.account.login for each in app.installations]}
                for app in self.site.apps
            ],
        }

    def hooks(self) -> Sequence[Mapping[str, Any]]:
        """Every webhook."""
        return [
            {
                "id": hook.id,
                "owner": hook.made_by,
                "target": self.site.name_of(hook),
                "url": hook.config.url,
                "active": hook.active,
                "events": hook.events,
                "last_status": hook.log.last_response["status"],
            }
            for hook in self.site.hooks
        ]

    def change_hook(self, hook_id: int, change: Literal["delete", "disable", "enable"]) -> None:
        """What an owner does to a hook in the settings; a GitHub App's can't be deleted, only disabled."""
        hook = self._hook(hook_id)
        if change == "delete" and not hook.app_id:
            self.site.hook_api.remove(hook)
        else:
            hook.active = change == "enable"
            hook.updated_at = self.now()

    def deliveries(self, hook_id: int | None = None) -> Sequence[Mapping[str, Any]]:
        """The delivery log of one hook or of all, newest first."""
        hooks = list(self.site.hooks) if hook_id is None else [self._hook(hook_id)]
        found = [(each, hook) for hook in hooks for each in hook.log.newest(self.now())]
        found.sort(key=lambda pair: pair[0].id, reverse=True)
        return [
            {
                "id": each.id,
                "hook_id": hook.id,
                "guid": each.message.guid,
                "event": each.message.event,
                "action": each.message.action,
                "delivered_at": iso(each.delivered_at),
                "status_code": each.status_code,
                "redelivery": each.redelivery,
                "in_feeds": each.message.is_in_feeds,
            }
            for each, hook in found
        ]

    def redeliver(self, delivery_id: int) -> None:
        """Send a delivery once more."""
        for hook in self.site.hooks:
            delivery = hook.log.get(delivery_id, self.now())
            if delivery is not None:
                self.site.outbox.send(hook, delivery.message, redelivery=True)
                return
        raise LookupError(f"GitHub keeps no delivery {delivery_id}.")

    def _hook(self, hook_id: int) -> Hook:
        hook = self.site.hooks.get(hook_id)
        if hook is None:
            raise LookupError(f"GitHub has no hook {hook_id}.")
        return hook
