"""The API of GitHub Apps, and of an app's right to end the tokens that it was given."""

from __future__ import annotations

from typing import Any

from tidings_sandbox.consents import Consents
from tidings_sandbox.github.accounts import Account, Accounts, Addresses
from tidings_sandbox.github.apps import App, Apps, Installation
from tidings_sandbox.github.deliveries import Message, Outbox
from tidings_sandbox.github.hooks import change_config, invalid
from tidings_sandbox.github.payloads import Json, Payloads, iso
from tidings_sandbox.github.repositories import Repositories, Repository
from tidings_sandbox.github.requests import Problem, Request, Router, paged
from tidings_sandbox.wire import Answer, encode, json_answer


class AppApi:
    """Answers calls about apps, and tells GitHub Apps of what befalls themselves.

    Args:
        apps: GitHub Apps.
        consents: Tokens.
        accounts: Whose they are.
        repositories: What apps are installed on.
        payloads: Shows them.
        outbox: Tells the apps.
    """

    def __init__(
        self,
        apps: Apps,
        consents: Consents,
        accounts: Accounts,
        repositories: Repositories,
        payloads: Payloads,
        outbox: Outbox,
    ) -> None:
        self._apps = apps
        self._consents = consents
        self._accounts = accounts
        self._repositories = repositories
        self._payloads = payloads
        self._addresses: Addresses = payloads.addresses
        self._outbox = outbox

    def mount(self, router: Router) -> None:
        """Add the calls."""
        router.add("GET", "/app", self.get)
        router.add("GET", "/app/hook/config", self.get_config)
        router.add("PATCH", "/app/hook/config", self.update_config)
        router.add("GET", "/user/installations", self.installations)
        router.add("GET", "/user/installations/*/repositories", self.installed)
        router.add("POST", "/app-manifests/*/conversions", self.convert)
        router.add("POST", "/applications/*/token", self.check_token)
        router.add("DELETE", "/applications/*/token", self.delete_token)
        router.add("DELETE", "/applications/*/grant", self.delete_grant)

    # --- GitHub Apps ---

    def get(self, request: Request) -> Answer:
        """The app whose key signed the call."""
        return json_answer(self._show(self._apps.authenticate(request.bearer, request.at)))

    def get_config(self, request: Request) -> Answer:
        """Where and how the app's deliveries are sent."""
        return json_answer(self._apps.authenticate(request.bearer, request.at).hook.config.show())

    def update_config(self, request: Request) -> Answer:
        """Change single fields of that."""
        hook = self._apps.authenticate(request.bearer, request.at).hook
        change_config(hook.config, request.json())
        hook.active = bool(hook.config.url)
        hook.updated_at = request.at
        return json_answer(hook.config.show())

    def convert(self, request: Request, code: str) -> Answer:
        """A manifest's code for the credentials of the app that was made of it; once."""
        app = self._apps.redeem(code, request.at)
        secrets = {
            "client_id": app.client_id,
            "client_secret": app.client_secret,
            "webhook_secret": app.hook.config.secret or None,
            "pem": app.pem,
        }
        return json_answer(self._show(app) | secrets, 201)

    def installations(self, request: Request) -> Answer:
        """Where the app is installed that the caller's token was given to, as far as the caller may see."""
        found = self._apps.within_reach(self._app_of(request), request.account)
        shown, links = paged(request, self._addresses.api, found)
        app = self._app_of(request)
        body = {
            "total_count": len(found),
            "installations": [self.show_installation(app, each) for each in shown],
        }
        return json_answer(body, headers=links)

    def installed(self, request: Request, identity: str) -> Answer:
        """The repositories that an installation covers."""
        reach = self._apps.within_reach(self._app_of(request), request.account)
        installation = next((each for each in reach if str(each.id) == identity), None)
        if installation is None:
            raise Problem(404, "Not Found")
        covered = [each for each in self._repositories if installation.covers(each)]
        shown, links = paged(request, self._addresses.api, covered)
        body = {
            "total_count": len(covered),
            "repositories": [self._payloads.repository(each) for each in shown],
        }
        return json_answer(body, headers=links)

    def show_installation(self, app: App, installation: Installation) -> Json:
        """An installation."""
        api, account = self._addresses.api, installation.account
        return {
            "id": installation.id,
            "account": self._addresses.user(account),
            "repository_selection": "all" if installation.repository_ids is None else "selected",
            "access_tokens_url": f"{api}/app/installations/{installation.id}/access_tokens",
            "repositories_url": f"{api}/installation/repositories",
            "html_url": f"{self._addresses.html}/settings/installations/{installation.id}",
            "app_id": app.id,
            "app_slug": app.slug,
            "target_id": account.id,
            "target_type": account.kind,
            "permissions": app.permissions,
            "events": app.hook.events,
            "created_at": iso(installation.created_at),
            "updated_at": iso(installation.created_at),
            "single_file_name": None,
            "suspended_by": None,
            "suspended_at": None,
        }

    def tell_installation(self, app: App, installation: Installation, action: str, by: Account) -> None:
        """Tell an app that somebody installed it (`created`) or took it off (`deleted`)."""
        payload: Json = {
            "action": action,
            "installation": self.show_installation(app, installation),
            "repositories": [self._brief(each) for each in self._repositories if installation.covers(each)],
            "requester": None,
            "sender": self._addresses.user(by),
        }
        self._tell(app, "installation", action, payload, installation.id)

    def tell_revoked(self, app: App, account: Account) -> None:
        """Tell an app that somebody took back what they agreed to; every GitHub App is told."""
        payload: Json = {"action": "revoked", "sender": self._addresses.user(account)}
        self._tell(app, "github_app_authorization", "revoked", payload, None)

    # --- tokens ---

    def check_token(self, request: Request, client_id: str) -> Answer:
        """Whether a token of the app lives."""
        text = self._token(request, client_id)
        access = self._consents.check(text)
        if access is None or access.client_id != client_id:
            raise Problem(404, "Not Found")
        account = self._accounts.get(access.person.key)
        body: Json = {
            "id": access.token.consent_id,
            "url": f"{self._addresses.api}/authorizations/{access.token.consent_id}",
            "scopes": sorted(access.scopes),
            "token": text,
            "token_last_eight": text[-8:],
            "app": {"name": client_id, "url": self._addresses.html, "client_id": client_id},
            "user": None if account is None else self._addresses.user(account),
        }
        return json_answer(body)

    def delete_token(self, request: Request, client_id: str) -> Answer:
        """End one token of the app."""
        text = self._token(request, client_id)
        access = self._consents.check(text)
        if access is None or access.client_id != client_id:
            raise Problem(404, "Not Found")
        self._consents.revoke_token(text)
        return Answer(204)

    def delete_grant(self, request: Request, client_id: str) -> Answer:
        """End all that a person agreed to for the app, one of whose tokens is named."""
        access = self._consents.check(self._token(request, client_id))
        if access is None or access.client_id != client_id:
            raise Problem(404, "Not Found")
        self._consents.revoke(person=access.person.key, client_id=client_id)
        return Answer(204)

    # --- parts ---

    def _token(self, request: Request, client_id: str) -> str:
        if request.basic is None:
            raise Problem(401, "Requires authentication")
        app = self._consents.app(client_id)
        if app is None or request.basic != (app.client_id, app.client_secret):
            raise Problem(404, "Not Found")
        text: Any = request.json().get("access_token")
        if not isinstance(text, str) or not text:
            raise invalid("access_token is missing", resource="OauthAccess", field="access_token")
        return text

    def _app_of(self, request: Request) -> App:
        account = request.account
        app = self._apps.get(request.access.client_id) if account.person else None
        if app is None:
            raise Problem(
                403,
                "You must authenticate with an access token authorized to a GitHub App in order to list "
                "installations",
            )
        return app

    def _tell(self, app: App, event: str, action: str, payload: Json, installation_id: int | None) -> None:
        if app.hook.active:
            guid = self._outbox.guid()
            message = Message(event, action, guid, encode(payload), installation_id=installation_id)
            self._outbox.send(app.hook, message)

    def _brief(self, repository: Repository) -> Json:
        shown = self._payloads.short_repository(repository)
        return {name: shown[name] for name in ("id", "node_id", "name", "full_name", "private")}

    def _show(self, app: App) -> Json:
        created_at = iso(app.created_at)
        return {
            "id": app.id,
            "slug": app.slug,
            "node_id": f"A_sandbox{app.id}",
            "client_id": app.client_id,
            "owner": self._addresses.user(app.owner),
            "name": app.name,
            "description": "",
            "external_url": self._addresses.html,
            "html_url": f"{self._addresses.html}/apps/{app.slug}",
            "created_at": created_at,
            "updated_at": created_at,
            "permissions": app.permissions,
            "events": app.hook.events,
            "installations_count": len(app.installations),
        }
