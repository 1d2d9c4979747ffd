"""Webhooks: which there are, what they want, and the rules for making and changing them."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from tidings_sandbox.github.deliveries import DeliveryLog
from tidings_sandbox.github.payloads import Json, iso
from tidings_sandbox.github.requests import Problem

Kind = Literal["repository", "organization", "integration"]

EVENTS: Final = frozenset(
    (
        "branch_protection_configuration", "branch_protection_rule", "bypass_request_push_ruleset",
        "check_run", "check_suite", "code_scanning_alert", "commit_comment", "create", "custom_property",
        "custom_property_values", "delete", "dependabot_alert", "deploy_key", "deployment",
        "deployment_protection_rule", "deployment_review", "deployment_status", "discussion",
        "discussion_comment", "fork", "gollum", "issue_comment", "issue_dependencies", "issues", "label",
        "member", "membership", "merge_group", "meta", "milestone", "org_block", "organization",
        "package", "page_build", "personal_access_token_request", "ping", "project", "project_card",
        "project_column", "projects_v2", "projects_v2_item", "public", "pull_request",
        "pull_request_review", "pull_request_review_comment", "pull_request_review_thread", "push",
        "registry_package", "release", "repository", "repository_advisory", "repository_dispatch",
        "repository_import", "repository_ruleset", "repository_vulnerability_alert",
        "secret_scanning_alert", "secret_scanning_alert_location", "security_advisory",
        "security_and_analysis", "sponsorship", "star", "status", "sub_issues", "team", "team_add",
        "watch", "workflow_dispatch", "workflow_job", "workflow_run",
    )
)  # fmt: skip
_ALL: Final = "*"
_MOST_PER_EVENT: Final = 20
_TYPES: Final = {"repository": "Repository", "organization": "Organization", "integration": "App"}
_PLACES: Final = {"repository": "repository", "organization": "organization", "integration": "app"}


@dataclasses.dataclass(slots=True, eq=False)
class Config:
    """Where and how a hook's deliveries are sent."""

    url: str
    content_type: str = "form"
    secret: str = ""
    insecure_ssl: str = "0"

    def show(self) -> Json:
        """As the API shows it: the secret as asterisks."""
        shown = {"content_type": self.content_type, "insecure_ssl": self.insecure_ssl, "url": self.url}
        return shown | {"secret": "********"} if self.secret else shown


@dataclasses.dataclass(slots=True, eq=False)
class Hook:
    """A webhook.

    Attributes:
        kind: What it belongs to: a repository, an organisation or a GitHub App (`integration`).
        target_id: Id of that.
        made_by: Key of the person with whose token it was made; "" for a GitHub App's.
        client_id: Of the app that made it.
        app_id: Of the GitHub App whose it is; 0 for none.
    """

    id: int
    kind: Kind
    target_id: int
    config: Config
    events: list[str]
    active: bool
    created_at: datetime
    updated_at: datetime
    made_by: str = ""
    client_id: str = ""
    app_id: int = 0
    log: DeliveryLog = dataclasses.field(default_factory=DeliveryLog)

    def wants(self, event: str) -> bool:
        """Whether deliveries of this event go to it."""
        return self.active and (event in self.events or _ALL in self.events)

    def show(self, url: str) -> Json:
        """As the API and a ping show it.

        Args:
            url: The hook's address at the API.
        """
        shown: Json = {
            "type": _TYPES[self.kind],
            "id": self.id,
            "name": "web",
            "active": self.active,
            "events": self.events,
            "config": self.config.show(),
            "updated_at": iso(self.updated_at),
            "created_at": iso(self.created_at),
            "url": url,
            "ping_url": f"{url}/pings",
            "deliveries_url": f"{url}/deliveries",
            "last_response": self.log.last_response,
        }
        if self.kind == "repository":
            shown["test_url"] = f"{url}/tests"
        if self.app_id:
            shown["app_id"] = self.app_id
        return shown


class Hooks:
    """All webhooks, by what they belong to and by id."""

    def __init__(self) -> None:
        self._of: defaultdict[tuple[Kind, int], list[Hook]] = defaultdict(list)
        self._by_id: dict[int, Hook] = {}

    def __iter__(self) -> Iterator[Hook]:
        return iter(self._by_id.values())

    def get(self, identity: int) -> Hook | None:
        """The hook of this id."""
        return self._by_id.get(identity)

    def of(self, kind: Kind, target_id: int) -> Sequence[Hook]:
        """The hooks of a repository, an organisation or an app, oldest first."""
        return self._of.get((kind, target_id), ())

    def add(self, hook: Hook) -> Hook:
        """Keep a new hook.

        Raises:
            Problem: 422. There is such a hook already, or there are 20 for one of its events.
        """
        others = self.of(hook.kind, hook.target_id)
        for other in others:
            if _same(hook.config, other.config) and not set(hook.events).isdisjoint(other.events):
                raise invalid(f"Hook already exists on this {_PLACES[hook.kind]}")
        for event in hook.events:
            if sum(event in other.events for other in others) >= _MOST_PER_EVENT:
                raise invalid(f'The "{event}" event cannot have more than {_MOST_PER_EVENT} hooks')
        self._of[hook.kind, hook.target_id].append(hook)
        self._by_id[hook.id] = hook
        return hook

    def remove(self, hook: Hook) -> None:
        """Forget a hook and its deliveries."""
        self._of[hook.kind, hook.target_id].remove(hook)
        del self._by_id[hook.id]


def invalid(message: str, *, resource: str = "Hook", field: str = "") -> Problem:
    """The answer to something that can't be taken as it is."""
    error = {"resource": resource, "code": "custom", "message": message}
    return Problem(422, "Validation Failed", errors=[error | {"field": field} if field else error])


def read_config(given: Any) -> Config:
    """The configuration of a hook to be made, or one that replaces another's: what is left out gets its default.

    Raises:
        Problem: 422. There is no usable address.
    """
    if not isinstance(given, dict):
        raise invalid("config is required", field="config")
    config = Config("")
    change_config(config, given)
    if not config.url:
        raise invalid("url is missing", field="url")
    return config


def change_config(config: Config, given: Mapping[str, Any]) -> None:
    """Set single fields; what is left out stays.

    Raises:
        Problem: 422. A field can't be taken as it is.
    """
    if "url" in given:
        config.url = _checked_url(given["url"])
    if "content_type" in given:
        if given["content_type"] not in {"json", "form"}:
            raise invalid("content_type must be json or form", field="content_type")
        config.content_type = given["content_type"]
    if "secret" in given:
        config.secret = str(given["secret"] or "")
    if "insecure_ssl" in given:
        config.insecure_ssl = str(given["insecure_ssl"])


def read_events(given: Any) -> list[str]:
    """The events of a hook.

    Raises:
        Problem: 422. It is no list, or one of them is no event.
    """
    if not isinstance(given, list) or not given:
        raise invalid("events must be a list with at least one event", field="events")
    unknown = [event for event in given if event not in EVENTS and event != _ALL]
    if unknown:
        raise invalid(f"Invalid events: {', '.join(map(str, unknown))}", field="events")
    return list(dict.fromkeys(given))


def _checked_url(url: Any) -> str:
    parts = urlsplit(url) if isinstance(url, str) else None
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise invalid("url is not supported", field="url")
    return str(url)


def _same(one: Config, other: Config) -> bool:
    return (one.url, one.content_type, one.insecure_ssl) == (
        other.url,
        other.content_type,
        other.insecure_ssl,
    )
