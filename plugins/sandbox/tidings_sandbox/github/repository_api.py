"""The API of people, organisations, repositories and what is in them."""

from __future__ import annotations

from typing import Final

from tidings_sandbox.github.accounts import Accounts
from tidings_sandbox.github.gate import Gate
from tidings_sandbox.github.payloads import Json, Payloads, iso
from tidings_sandbox.github.repositories import Repositories, Repository
from tidings_sandbox.github.requests import Problem, Request, Router, paged
from tidings_sandbox.github.threads import Threads
from tidings_sandbox.wire import Answer, json_answer

_MOST_COMPARED: Final = 250
_PERMISSIONS: Final = ("admin", "maintain", "push", "triage", "pull")
_GRANTED: Final = {"admin": 5, "write": 3, "read": 1}


class RepositoryApi:
    """Answers calls about them.

    Args:
        gate: Who may see what.
        accounts: Everybody.
        repositories: All of them.
        payloads: Shows them.
    """

    def __init__(
        self, gate: Gate, accounts: Accounts, repositories: Repositories, payloads: Payloads
    ) -> None:
        self._gate = gate
        self._accounts = accounts
        self._repositories = repositories
        self._payloads = payloads
        self._addresses = payloads.addresses
        self._threads = Threads(payloads.addresses)

    def mount(self, router: Router) -> None:
        """Add the calls."""
        router.add("GET", "/user", self.user)
        router.add("GET", "/user/repos", self.own_repositories)
        router.add("GET", "/user/orgs", self.own_organizations)
        router.add("GET", "/user/memberships/orgs", self.memberships)
        router.add("GET", "/users/*", self.someone)
        router.add("GET", "/orgs/*", self.organization)
        router.add("GET", "/repos/*/*", self.repository)
        router.add("GET", "/repos/*/*/issues/*", self.issue)
        router.add("GET", "/repos/*/*/pulls/*", self.pull)
        router.add("GET", "/repos/*/*/compare/**", self.compare)
        router.add("GET", "/meta", self.meta)

    # --- people ---

    def user(self, request: Request) -> Answer:
        """Who the caller is."""
        account = request.account
        person = self._addresses.user(account) | {
            "name": account.name,
            "company": None,
            "blog": "",
            "email": None,
            "bio": "Lives in the sandbox",
            "public_repos": sum(not each.private for each in self._repositories.of(account)),
            "created_at": "2020-01-01T00:00:00Z",
            "updated_at": iso(request.at),
        }
        return json_answer(person)

    def someone(self, request: Request, login: str) -> Answer:
        """Who somebody is."""
        account = self._gate.user(login)
        return json_answer(self._addresses.user(account) | {"name": account.name})

    def own_organizations(self, request: Request) -> Answer:
        """The organisations that the caller belongs to."""
        self._need_organization_scope(request)
        mine = self._accounts.organizations_of(request.account)
        shown, links = paged(request, self._addresses.api, mine)
        return json_answer([self._addresses.organization(each) for each in shown], headers=links)

    def memberships(self, request: Request) -> Answer:
        """Likewise, with the caller's role in each."""
        self._need_organization_scope(request)
        mine = self._accounts.organizations_of(request.account)
        shown, links = paged(request, self._addresses.api, mine)
        user = self._addresses.user(request.account)
        return json_answer(
            [
                {
                    "state": "active",
                    "role": "admin" if request.account.id in each.admins else "member",
                    "organization": self._addresses.organization(each),
                    "user": user,
                }
                for each in shown
            ],
            headers=links,
        )

    def organization(self, request: Request, login: str) -> Answer:
        """An organisation."""
        return json_answer(self._addresses.organization(self._gate.organization(login)))

    # --- repositories ---

    def own_repositories(self, request: Request) -> Answer:
        """The repositories that the caller owns or works on."""
        asked = request.query
        mine = [
            each for each in self._repositories.of(request.account) if self._gate.sees(request.access, each)
        ]
        kinds = asked.get("affiliation", "owner,collaborator,organization_member").split(",")
        mine = [each for each in mine if self._affiliation(request, each) in kinds]
        wanted = asked.get("visibility", asked.get("type", "all"))
        if wanted in {"public", "private"}:
            mine = [each for each in mine if each.private == (wanted == "private")]
        mine.sort(key=lambda each: each.full_name.lower())
        shown, links = paged(request, self._addresses.api, mine)
        return json_answer([self._show(request, each) for each in shown], headers=links)

    def repository(self, request: Request, owner: str, name: str) -> Answer:
        """A repository."""
        return json_answer(self._show(request, self._gate.repository(request, owner, name)))

    def issue(self, request: Request, owner: str, name: str, number: str) -> Answer:
        """An issue."""
        repository = self._gate.repository(request, owner, name)
        issue = repository.issues.get(int(number)) if number.isdecimal() else None
        if issue is None:
            raise Problem(404, "Not Found")
        return json_answer(self._threads.issue(repository, issue))

    def pull(self, request: Request, owner: str, name: str, number: str) -> Answer:
        """A pull request."""
        repository = self._gate.repository(request, owner, name)
        pull = repository.pulls.get(int(number)) if number.isdecimal() else None
        if pull is None:
            raise Problem(404, "Not Found")
        return json_answer(self._threads.pull(repository, pull))

    def compare(self, request: Request, owner: str, name: str, basehead: str) -> Answer:
        """The commits between two branches or commits, oldest first; a page has 250 at most."""
        repository = self._gate.repository(request, owner, name)
        base, dots, head = basehead.partition("...")
        base, head = repository.branches.get(base, base), repository.branches.get(head, head)
        commits = repository.history(base, head) if dots else None
        if commits is None or base not in repository.commits:
            raise Problem(404, "Not Found")
        shown, links = paged(request, self._addresses.api, commits, most=_MOST_COMPARED)
        if "per_page" not in request.query and "page" not in request.query:
            shown, links = commits[:_MOST_COMPARED], []
        api = self._payloads.api_commit
        start = api(repository, repository.commits[base])
        body: Json = {
            "url": f"{self._addresses.api}/repos/{repository.full_name}/compare/{base}...{head}",
            "html_url": f"{self._addresses.html}/{repository.full_name}/compare/{base}...{head}",
            "base_commit": start,
            "merge_base_commit": start,
            "status": "ahead" if commits else "identical",
            "ahead_by": len(commits),
            "behind_by": 0,
            "total_commits": len(commits),
            "commits": [api(repository, commit) for commit in shown],
            "files": [{"filename": path, "status": "modified"} for path in {each.path for each in commits}],
        }
        return json_answer(body, headers=links)

    def meta(self, request: Request) -> Answer:
        """Where deliveries come from: this machine."""
        here = ["127.0.0.0/8", "::1/128"]
        return json_answer(
            {"verifiable_password_authentication": False, "hooks": here, "api": here, "web": here}
        )

    # --- parts ---

    def _show(self, request: Request, repository: Repository) -> Json:
        shown = self._payloads.repository(repository)
        account = request.access.account
        if account is not None and (role := repository.role(account)) is not None:
            lacking = len(_PERMISSIONS) - _GRANTED[role]
            shown["permissions"] = {name: at >= lacking for at, name in enumerate(_PERMISSIONS)}
        return shown

    def _affiliation(self, request: Request, repository: Repository) -> str:
        if repository.owner is request.account:
            return "owner"
        return "collaborator" if request.account.id in repository.roles else "organization_member"

    def _need_organization_scope(self, request: Request) -> None:
        if request.access.is_app or request.account is None:
            return
        if not request.access.has("read:org", "write:org", "admin:org", "user"):
            raise Problem(403, "You need at least read:org scope or user scope to list your organizations.")
