"""Repositories: what they hold, and who may do what with them."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Final, Literal

from tidings_sandbox.github.accounts import Account
from tidings_sandbox.github.events import Feed

Role = Literal["admin", "write", "read"]

NO_COMMIT: Final = "0" * 40
DEFAULT_BRANCH: Final = "main"
_KEPT_COMMITS: Final = 100
_KEPT_THINGS: Final = 50
_AGE: Final = timedelta(days=400)


@dataclasses.dataclass(slots=True, eq=False)
class Commit:
    """A commit, linked to the one before it."""

    sha: str
    parent: str
    message: str
    author: Account
    at: datetime
    path: str


@dataclasses.dataclass(slots=True, eq=False)
class Issue:
    """An issue."""

    id: int
    number: int
    title: str
    author: Account
    opened_at: datetime
    body: str = ""
    closed_at: datetime | None = None
    updated_at: datetime | None = None
    comments: int = 0


@dataclasses.dataclass(slots=True, eq=False)
class Pull:
    """A pull request, from a branch of the author's fork."""

    id: int
    number: int
    title: str
    author: Account
    opened_at: datetime
    head: str
    head_sha: str
    base_sha: str
    fork_id: int
    body: str = ""
    merged_at: datetime | None = None
    merged_by: Account | None = None
    merge_sha: str | None = None
    updated_at: datetime | None = None


@dataclasses.dataclass(slots=True, eq=False)
class Repository:
    """A repository.

    Attributes:
        roles: What accounts other than the owner may do, by id.
        branches: The newest commit of each, by name.
        commits: Of the newest by their hash.
        issues: The newest by number; `pulls` likewise.
        stargazers: Ids of the accounts that starred it.
        last_number: Of the newest issue or pull request; `last_run` and `last_release` likewise.
    """

    id: int
    owner: Account
    name: str
    description: str
    private: bool
    created_at: datetime
    pushed_at: datetime
    roles: dict[int, Role] = dataclasses.field(default_factory=dict)
    branches: dict[str, str] = dataclasses.field(default_factory=dict)
    commits: dict[str, Commit] = dataclasses.field(default_factory=dict)
    issues: dict[int, Issue] = dataclasses.field(default_factory=dict)
    pulls: dict[int, Pull] = dataclasses.field(default_factory=dict)
    feed: Feed = dataclasses.field(default_factory=Feed)
    stargazers: set[int] = dataclasses.field(default_factory=set)
    last_number: int = 0
    last_run: int = 0
    last_release: int = 0
    open_issues: int = 0
    stars: int = 0
    forks: int = 0

    @property
    def full_name(self) -> str:
        """`owner/name`."""
        return f"{self.owner.login}/{self.name}"

    def role(self, account: Account | None) -> Role | None:
        """What an account may do here; None for not even to look."""
        if account is not None:
            if account is self.owner or account.id in self.owner.admins:
                return "admin"
            if (given := self.roles.get(account.id)) is not None:
                return given
            if account.id in self.owner.members:
                return "write"
        return None if self.private else "read"

    def insiders(self) -> set[int]:
        """Ids of all who have to do with it."""
        return {self.owner.id, *self.owner.members, *self.roles}

    def commit(self, commit: Commit, branch: str) -> None:
        """Put a commit on a branch."""
        self.commits[commit.sha] = commit
        self.branches[branch] = commit.sha
        self.pushed_at = commit.at
        if len(self.commits) > _KEPT_COMMITS:
            newest = set(self.branches.values())
            for sha in [sha for sha in self.commits if sha not in newest][:1]:
                del self.commits[sha]

    def add_issue(self, issue: Issue) -> Issue:
        """Keep a new issue."""
        self.issues[issue.number] = issue
        self.open_issues += 1
        if len(self.issues) > _KEPT_THINGS:
            gone = self.issues.pop(next(iter(self.issues)))
            self.open_issues -= gone.closed_at is None
        return issue

    def close_issue(self, issue: Issue, at: datetime) -> None:
        """Close an open issue."""
        issue.closed_at = issue.updated_at = at
        self.open_issues -= 1

    def add_pull(self, pull: Pull) -> Pull:
        """Keep a new pull request."""
        self.pulls[pull.number] = pull
        if len(self.pulls) > _KEPT_THINGS:
            del self.pulls[next(iter(self.pulls))]
        return pull

    def history(self, base: str, head: str) -> list[Commit] | None:
        """The commits behind `base` up to `head`, oldest first; None where they do not lead there."""
        found: list[Commit] = []
        sha = head
        while sha != base:
            commit = self.commits.get(sha)
            if commit is None:
                return None
            found.append(commit)
            sha = commit.parent
        return found[::-1]


class Repositories:
    """All repositories, by name and by id."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._by_name: dict[str, Repository] = {}
        self._by_id: dict[int, Repository] = {}
        self._of: defaultdict[int, list[Repository]] = defaultdict(list)

    def __iter__(self) -> Iterator[Repository]:
        return iter(self._by_id.values())

    def get(self, full_name: str) -> Repository | None:
        """The repository of this name, also of a name that it had before, whatever its case."""
        return self._by_name.get(full_name.lower())

    def by_id(self, identity: int) -> Repository | None:
        """The repository of this id."""
        return self._by_id.get(identity)

    def add(
        self,
        identity: int,
        owner: Account,
        name: str,
        description: str,
        now: datetime,
        *,
        private: bool = False,
    ) -> Repository:
        """A repository that has been there for a year, with one commit.

        Raises:
            ValueError: There is one of this name.
        """
        if f"{owner.login}/{name}".lower() in self._by_name:
            raise ValueError(f"{owner.login}/{name} is there already.")
        then = now - _AGE
        repository = Repository(identity, owner, name, description, private, then, then)
        repository.commit(Commit(self.sha(), NO_COMMIT, "Begin", owner, then, "README.md"), DEFAULT_BRANCH)
        self._by_id[identity] = repository
        self._by_name[repository.full_name.lower()] = repository
        for account_id in repository.insiders():
            self._of[account_id].append(repository)
        return repository

    def let_in(self, repository: Repository, account: Account, role: Role) -> None:
        """Make somebody a collaborator."""
        if account.id not in repository.insiders():
            self._of[account.id].append(repository)
        repository.roles[account.id] = role

    def rename(self, repository: Repository, name: str) -> None:
        """Give it another name; the old one leads to it from now on."""
        repository.name = name
        self._by_name[repository.full_name.lower()] = repository

    def of(self, account: Account) -> Sequence[Repository]:
        """Those that an account has to do with."""
        return self._of.get(account.id, ())

    def sha(self) -> str:
        """The hash of a commit yet to be made."""
        return f"{self._chance.getrandbits(160):040x}"
