"""Users and organisations of the emulated GitHub, and what a token lets its holder do."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any, Final

# Beyond any real account's, and the sandbox's people.
_ORGANIZATIONS_FROM: Final = 910_000_000
_STRANGERS_FROM: Final = 920_000_000

# Contributors who have no account at tidings; all invented.
_CONTRIBUTORS: Final = (
    "mossy-kettle", "brass-lantern", "tidepool-ida", "quiet-gantry", "umber-finch", "pixel-thimble", "northbound-elk",
    "velvet-anvil", "plum-harbour", "static-heron", "cobalt-juniper", "fern-and-flint",
)  # fmt: skip


@dataclasses.dataclass(slots=True, eq=False)
class Account:
    """A user or an organisation.

    Attributes:
        login: Its name in addresses; can change.
        person: Key of the person whose account this is; "" for strangers and organisations.
        admins: Of an organisation: ids of the accounts that own it.
        members: Of an organisation: ids of all who belong to it.
    """

    id: int
    login: str
    name: str
    person: str = ""
    is_organization: bool = False
    admins: set[int] = dataclasses.field(default_factory=set)
    members: set[int] = dataclasses.field(default_factory=set)

    @property
    def kind(self) -> str:
        """GitHub's word for it."""
        return "Organization" if self.is_organization else "User"


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """What a token says.

    Attributes:
        account: Whose it is; None for nobody's.
        client_id: Of the app that it was given to.
        scopes: What an OAuth App's token is good for.
        is_app: Whether it is a GitHub App's, which has no scopes and sees the app's installations only.
    """

    account: Account | None
    client_id: str
    scopes: frozenset[str]
    is_app: bool

    def has(self, *scopes: str) -> bool:
        """Whether any of these was granted."""
        return not self.scopes.isdisjoint(scopes)


NOBODY: Final = Access(None, "", frozenset(), is_app=False)


class Accounts:
    """Everybody at GitHub, by login and by id.

    Args:
        serial: Gives the ids of passers-by, so that none is like one of an earlier run.
    """

    def __init__(self, serial: Callable[[], int]) -> None:
        self._serial = serial
        self._by_login: dict[str, Account] = {}
        self._by_id: dict[int, Account] = {}
        self._organizations = itertools.count(_ORGANIZATIONS_FROM)
        self._passed_by = itertools.count(1)
        self.contributors = [
            self._add(Account(_STRANGERS_FROM + number, login, login.replace("-", " ").title()))
            for number, login in enumerate(_CONTRIBUTORS)
        ]

    def __iter__(self) -> Iterator[Account]:
        return iter(self._by_id.values())

    def get(self, login: str) -> Account | None:
        """The account of this login, whatever its case."""
        return self._by_login.get(login.lower())

    def by_id(self, identity: int) -> Account | None:
        """The account of this id."""
        return self._by_id.get(identity)

    def add_person(self, identity: int, login: str, name: str) -> Account:
        """The account of one of the sandbox's people, whose key is the login."""
        return self._add(Account(identity, login, name, person=login))

    def add_organization(self, login: str, *, admins: set[int], members: set[int]) -> Account:
        """An organisation; its admins are members too."""
        identity = next(self._organizations)
        return self._add(
            Account(identity, login, login, is_organization=True, admins=admins, members=members | admins)
        )

    def passer_by(self) -> Account:
        """Somebody who was never here before and is not remembered."""
        login = f"passer-by-{next(self._passed_by)}"
        return Account(self._serial(), login, login.replace("-", " ").title())

    def organizations_of(self, account: Account) -> list[Account]:
        """The organisations that an account belongs to."""
        return [other for other in self._by_id.values() if account.id in other.members]

    def _add(self, account: Account) -> Account:
        self._by_login[account.login.lower()] = account
        self._by_id[account.id] = account
        return account


class Addresses:
    """Where things are: at the API and for people.

    Args:
        public_url: Where the installation is reached, without a slash at the end.
    """

    def __init__(self, public_url: str) -> None:
        self._faces = f"{public_url}/sandbox/static/face-"
        self.html = f"{public_url}/sandbox/github"
        self.api = f"{self.html}/api"

    def user(self, account: Account) -> dict[str, Any]:
        """An account as payloads and lists show it."""
        login, api = account.login, self.api
        return {
            "login": login,
            "id": account.id,
            "node_id": f"U_sandbox{account.id}",
            "avatar_url": self.avatar(account),
            "gravatar_id": "",
            "url": f"{api}/users/{login}",
            "html_url": f"{self.html}/{login}",
            "repos_url": f"{api}/users/{login}/repos",
            "events_url": f"{api}/users/{login}/events{{/privacy}}",
            "received_events_url": f"{api}/users/{login}/received_events",
            "type": account.kind,
            "user_view_type": "public",
            "site_admin": False,
        }

    def organization(self, account: Account) -> dict[str, Any]:
        """An organisation as payloads and lists show it."""
        url = f"{self.api}/orgs/{account.login}"
        return {
            "login": account.login,
            "id": account.id,
            "node_id": f"O_sandbox{account.id}",
            "url": url,
            "repos_url": f"{url}/repos",
            "events_url": f"{url}/events",
            "hooks_url": f"{url}/hooks",
            "members_url": f"{url}/members{{/member}}",
            "avatar_url": self.avatar(account),
            "description": "An organisation of the sandbox",
        }

    def avatar(self, account: Account) -> str:
        """An account's picture."""
        return f"{self._faces}{account.id % 1000}.svg"
