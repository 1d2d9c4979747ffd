"""The API of webhooks: of repositories, of organisations, and of a GitHub App."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tidings_sandbox.github.accounts import Account, Addresses
from tidings_sandbox.github.apps import App
from tidings_sandbox.github.deliveries import Message, Outbox
from tidings_sandbox.github.gate import Gate
from tidings_sandbox.github.hooks import Hook, Hooks, change_config, invalid, read_config, read_events
from tidings_sandbox.github.payloads import Json, Payloads
from tidings_sandbox.github.repositories import DEFAULT_BRANCH, Repositories, Repository
from tidings_sandbox.github.requests import Problem, Request, Router, paged
from tidings_sandbox.wire import Answer, encode, json_answer

_READ: Final = ("read:repo_hook", "write:repo_hook", "admin:repo_hook")
_WRITE: Final = ("write:repo_hook", "admin:repo_hook")
_DELETE: Final = ("admin:repo_hook",)
_ZEN: Final = "Keep it logically awesome."

Place = Repository | Account


class HookApi:
    """Answers calls about hooks, and does to them what their owners do by hand.

    Args:
        gate: Who may.
        hooks: All of them.
        outbox: Sends pings.
        payloads: Shows what a ping is about.
        repositories: Where hooks belong.
        serial: Gives ids.
    """

    def __init__(
        self,
        gate: Gate,
        hooks: Hooks,
        outbox: Outbox,
        payloads: Payloads,
        repositories: Repositories,
        serial: Callable[[], int],
    ) -> None:
        self._gate = gate
        self._hooks = hooks
        self._outbox = outbox
        self._payloads = payloads
        self._addresses: Addresses = payloads.addresses
        self._repositories = repositories
        self._serial = serial

    def mount(self, router: Router) -> None:
        """Add the calls."""
        for place in ("/repos/*/*", "/orgs/*"):
            router.add("GET", f"{place}/hooks", self.get_all)
            router.add("POST", f"{place}/hooks", self.create)
            router.add("GET", f"{place}/hooks/*", self.get)
            router.add("PATCH", f"{place}/hooks/*", self.update)
            router.add("DELETE", f"{place}/hooks/*", self.delete)
            router.add("GET", f"{place}/hooks/*/config", self.get_config)
            router.add("PATCH", f"{place}/hooks/*/config", self.update_config)
            router.add("POST", f"{place}/hooks/*/pings", self.ping)
        router.add("POST", "/repos/*/*/hooks/*/tests", self.test)

    # --- calls ---

    def get_all(self, request: Request, *names: str) -> Answer:
        """The hooks of a place; of an organisation only those that the calling app made."""
        place = self._place(request, names, _READ)
        hooks = self._of(place)
        if isinstance(place, Account):
            hooks = [hook for hook in hooks if hook.client_id == request.access.client_id]
        shown, links = paged(request, self._addresses.api, hooks)
        return json_answer([self._show(hook) for hook in shown], headers=links)

    def create(self, request: Request, *names: str) -> Answer:
        """Make a hook; it is sent a ping."""
        place = self._place(request, names, _WRITE)
        given = request.json()
        if given.get("name", "web") != "web":
            raise invalid("name must be web", field="name")
        in_organization = isinstance(place, Account)
        hook = Hook(
            self._serial(),
            "organization" if in_organization else "repository",
            place.id,
            read_config(given.get("config")),
            read_events(given.get("events", ["push"])),
            given.get("active", True) is True,
            request.at,
            request.at,
            request.account.person,
            request.access.client_id,
        )
        self._hooks.add(hook)
        self.send_ping(hook)
        return json_answer(self._show(hook), 201)

    def get(self, request: Request, *names: str) -> Answer:
        """A hook."""
        return json_answer(self._show(self.hook(request, names, _READ)))

    def update(self, request: Request, *names: str) -> Answer:
        """Change a hook. A `config` replaces the one before: without a secret in it there is none any more."""
        hook = self.hook(request, names, _WRITE)
        given = request.json()
        if "config" in given:
            hook.config = read_config(given["config"])
        events = read_events(given["events"]) if "events" in given else [*hook.events]
        if "add_events" in given:
            events += [event for event in read_events(given["add_events"]) if event not in events]
        if "remove_events" in given:
            gone = read_events(given["remove_events"])
            events = [event for event in events if event not in gone]
        hook.events = events
        if "active" in given:
            hook.active = given["active"] is True
        hook.updated_at = request.at
        return json_answer(self._show(hook))

    def delete(self, request: Request, *names: str) -> Answer:
        """Remove a hook; the last that it hears is of its own end."""
        self.remove(self.hook(request, names, _DELETE))
        return Answer(204)

    def get_config(self, request: Request, *names: str) -> Answer:
        """Where and how a hook's deliveries are sent."""
        return json_answer(self.hook(request, names, _READ).config.show())

    def update_config(self, request: Request, *names: str) -> Answer:
        """Change single fields of that."""
        hook = self.hook(request, names, _WRITE)
        change_config(hook.config, request.json())
        hook.updated_at = request.at
        return json_answer(hook.config.show())

    def ping(self, request: Request, *names: str) -> Answer:
        """Send a ping."""
        self.send_ping(self.hook(request, names, _READ))
        return Answer(204)

    def test(self, request: Request, *names: str) -> Answer:
        """Send the newest push once more, as a new delivery, if the hook wants pushes."""
        hook = self.hook(request, names, _READ)
        repository = self._repositories.by_id(hook.target_id)
        if repository is not None and hook.wants("push"):
            head = repository.branches[DEFAULT_BRANCH]
            commit = repository.commits[head]
            push = self._payloads.push(
                repository, f"refs/heads/{DEFAULT_BRANCH}", commit.parent, head, [commit], commit.author
            )
            push["repository"] = self._payloads.repository(repository)
            push["sender"] = self._addresses.user(commit.author)
            self._send(hook, "push", None, push, repository)
        return Answer(204)

    # --- what owners do by hand ---

    def hook(self, request: Request, names: tuple[str, ...], scopes: tuple[str, ...]) -> Hook:
        """The hook that a call is about.

        Args:
            request: The call.
            names: Owner and repository or organisation, and the hook's id.
            scopes: Any of which will do.

        Raises:
            Problem: 404. It is not there, or the caller may not.
        """
        place = self._place(request, names[:-1], scopes)
        hook = self._hooks.get(int(names[-1])) if names[-1].isdecimal() else None
        if hook is None or hook not in self._of(place):
            raise Problem(404, "Not Found")
        if isinstance(place, Account) and hook.client_id != request.access.client_id:
            raise Problem(404, "Not Found")
        return hook

    def remove(self, hook: Hook) -> None:
        """Remove a hook; the last that it hears is of its own end."""
        if hook.wants("meta"):
            payload: Json = {"action": "deleted", "hook_id": hook.id, "hook": self._show(hook)}
            self._send(hook, "meta", "deleted", payload | self._whereabouts(hook), None)
        self._hooks.remove(hook)

    def send_ping(self, hook: Hook, app: App | None = None) -> None:
        """Send a ping, whether the hook is active or not."""
        payload: Json = {"zen": _ZEN, "hook_id": hook.id, "hook": self._show(hook)}
        if app is not None:
            payload["sender"] = self._addresses.user(app.owner)
        self._send(hook, "ping", None, payload | self._whereabouts(hook), None)

    def _send(
        self, hook: Hook, event: str, action: str | None, payload: Json, repository: Repository | None
    ) -> None:
        repository_id = hook.target_id if hook.kind == "repository" else None
        if repository is not None:
            repository_id = repository.id
        self._outbox.send(hook, Message(event, action, self._outbox.guid(), encode(payload), repository_id))

    def _whereabouts(self, hook: Hook) -> Json:
        if hook.kind == "repository" and (repository := self._repositories.by_id(hook.target_id)) is not None:
            where: Json = {"repository": self._payloads.repository(repository)}
            return where | {"sender": self._addresses.user(repository.owner)}
        if hook.kind == "organization":
            organization = self._gate.organization_by_id(hook.target_id)
            shown = self._addresses.organization(organization)
            return {"organization": shown, "sender": self._addresses.user(organization)}
        return {}

    def _place(self, request: Request, names: tuple[str, ...], scopes: tuple[str, ...]) -> Place:
        if len(names) == 1:
            return self._gate.owned_organization(request, names[0])
        return self._gate.administered(request, *names, *scopes)

    def _of(self, place: Place) -> list[Hook]:
        kind: Any = "organization" if isinstance(place, Account) else "repository"
        return list(self._hooks.of(kind, place.id))

    def _show(self, hook: Hook) -> Json:
        return hook.show(self.url(hook))

    def url(self, hook: Hook) -> str:
        """A hook's address at the API."""
        api = self._addresses.api
        if hook.kind == "repository" and (repository := self._repositories.by_id(hook.target_id)) is not None:
            return f"{api}/repos/{repository.full_name}/hooks/{hook.id}"
        if hook.kind == "organization":
            return f"{api}/orgs/{self._gate.organization_by_id(hook.target_id).login}/hooks/{hook.id}"
        return f"{api}/app/hook"
