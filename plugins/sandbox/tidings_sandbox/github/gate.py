"""Who may see and do what: GitHub answers 404 to all who may not, and tells no reason."""

from __future__ import annotations

from urllib.parse import quote

from tidings_sandbox.github.accounts import Access, Account, Accounts, Addresses
from tidings_sandbox.github.apps import Apps
from tidings_sandbox.github.repositories import Repositories, Repository
from tidings_sandbox.github.requests import Moved, Problem, Request

_NOT_FOR_APPS = "Resource not accessible by integration"


class Gate:
    """Lets calls through to what they are about.

    Args:
        accounts: Everybody.
        repositories: All of them.
        apps: GitHub Apps, whose tokens see what is installed.
        addresses: For sending callers to a renamed repository.
    """

    def __init__(
        self, accounts: Accounts, repositories: Repositories, apps: Apps, addresses: Addresses
    ) -> None:
        self._accounts = accounts
        self._repositories = repositories
        self._apps = apps
        self._addresses = addresses

    def sees(self, access: Access, repository: Repository) -> bool:
        """Whether a token shows this repository to its holder."""
        if not repository.private:
            return True
        if access.account is None or repository.role(access.account) is None:
            return False
        if not access.is_app:
            return access.has("repo")
        app = self._apps.get(access.client_id)
        return app is not None and any(each.covers(repository) for each in app.installations)

    def repository(self, request: Request, owner: str, name: str) -> Repository:
        """The repository asked for.

        Raises:
            Moved: It has another name now.
            Problem: 404. It is not there, or not for this caller.
        """
        repository = self._repositories.get(f"{owner}/{name}")
        if repository is None or not self.sees(request.access, repository):
            raise Problem(404, "Not Found")
        return self._by_its_name(request, repository, owner, name)

    def administered(self, request: Request, owner: str, name: str, *scopes: str) -> Repository:
        """The repository asked for, of which the caller is an admin with any of the scopes.

        `repo` will always do, and `public_repo` where the repository is public. The scopes for hooks alone open the
        hooks of private repositories, too, though these are not shown.

        Raises:
            Moved: It has another name now.
            Problem: 404. It is not there, or the caller may not. 403. A GitHub App's token.
        """
        repository = self._repositories.get(f"{owner}/{name}")
        if repository is None or repository.role(request.access.account) != "admin":
            raise Problem(404, "Not Found")
        if request.access.is_app:
            raise Problem(403, _NOT_FOR_APPS)
        enough = {*scopes, "repo"} if repository.private else {*scopes, "repo", "public_repo"}
        if not request.access.has(*enough):
            raise Problem(404, "Not Found")
        return self._by_its_name(request, repository, owner, name)

    def owned_organization(self, request: Request, login: str) -> Account:
        """The organisation asked for, of which the caller is an owner with the scope `admin:org_hook`.

        Raises:
            Problem: 404. It is not there, or the caller may not. 403. A GitHub App's token.
        """
        organization = self.organization(login)
        if request.access.is_app:
            raise Problem(403, _NOT_FOR_APPS)
        if request.account.id not in organization.admins or not request.access.has("admin:org_hook"):
            raise Problem(404, "Not Found")
        return organization

    def organization(self, login: str) -> Account:
        """The organisation of this login.

        Raises:
            Problem: 404. There is none.
        """
        account = self._accounts.get(login)
        if account is None or not account.is_organization:
            raise Problem(404, "Not Found")
        return account

    def organization_by_id(self, identity: int) -> Account:
        """The organisation of this id.

        Raises:
            Problem: 404. There is none.
        """
        account = self._accounts.by_id(identity)
        if account is None or not account.is_organization:
            raise Problem(404, "Not Found")
        return account

    def user(self, login: str) -> Account:
        """The user of this login.

        Raises:
            Problem: 404. There is none.
        """
        account = self._accounts.get(login)
        if account is None or account.is_organization:
            raise Problem(404, "Not Found")
        return account

    def _by_its_name(self, request: Request, repository: Repository, owner: str, name: str) -> Repository:
        if repository.full_name.lower() != f"{owner}/{name}".lower():
            rest = "".join(f"/{quote(segment)}" for segment in request.path.split("/")[4:])
            query = request.query_string and f"?{request.query_string}"
            place = f"{self._addresses.api}/repositories/{repository.id}{rest}{query}"
            raise Moved(place, request.method)
        return repository
