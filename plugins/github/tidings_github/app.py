"""A GitHub App: one webhook for all repositories on which it is installed, made on one click by a manifest."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from tidings.contracts import Answer, Http, Manifest, OAuthClient
from tidings.errors import Rejected, Unavailable
from tidings.event import encode_json
from tidings.fields import number, raw
from tidings_github.api import HEADERS, object_in, reason
from tidings_github.limits import is_limited
from tidings_github.site import Site

_NAME_LENGTH: Final = 34  # GitHub's limit; names are unique among all apps
_CODE: Final = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
# Reading alone. What each is for: alerts of all sorts, code (push, create, delete, fork, gollum, release,
# commit_comment), discussions, issues, pull requests, workflow runs; metadata is what every app must have.
_PERMISSIONS: Final = {
    "actions": "read",
    "contents": "read",
    "discussions": "read",
    "issues": "read",
    "metadata": "read",
    "pull_requests": "read",
    "secret_scanning_alerts": "read",
    "security_events": "read",
    "vulnerability_alerts": "read",
}
#: What the webhook of an app sends: what `hooks.KINDS` has, but for what needs the rights of an administrator.
EVENTS: Final = (
    "code_scanning_alert",
    "commit_comment",
    "create",
    "delete",
    "dependabot_alert",
    "discussion",
    "discussion_comment",
    "fork",
    "gollum",
    "issue_comment",
    "issues",
    "public",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "push",
    "release",
    "repository",
    "secret_scanning_alert",
    "star",
    "workflow_run",
)


@dataclasses.dataclass(frozen=True, slots=True)
class App:
    """The credentials of a GitHub App.

    Attributes:
        id: GitHub's.
        slug: Its name in addresses.
        client: By which people consent.
        webhook_secret: Signs what it sends.
        private_key: PEM; proves that a call is the app's own.
    """

    id: str
    slug: str
    client: OAuthClient
    webhook_secret: str = ""
    private_key: str = ""

    def __repr__(self) -> str:
        return f"App({self.slug!r})"  # never the secrets


def manifest(
    site: Site, public_url: str, redirect_uri: str, callback_url: str, return_url: str, *, is_reachable: bool
) -> Manifest:
    """The form that has GitHub make an app for this installation.

    Args:
        site: Where GitHub is.
        public_url: Of this installation.
        redirect_uri: Where consents come back to.
        callback_url: Where the app's webhook goes.
        return_url: Where GitHub sends the browser with `?code=`.
        is_reachable: Whether GitHub can call `callback_url`; else the app has no webhook, and polling is all there is.
    """
    wanted: dict[str, Any] = {
        "name": f"tidings {urlsplit(public_url).hostname or ''}".strip()[:_NAME_LENGTH],
        "url": public_url,
        "description": "Shows what happens in your repositories, the moment it happens.",
        "redirect_url": return_url,
        "callback_urls": [redirect_uri],
        "public": False,
        "default_permissions": _PERMISSIONS,
    }
    if is_reachable:
        wanted |= {"hook_attributes": {"url": callback_url, "active": True}, "default_events": list(EVENTS)}
    return Manifest(f"{site.web_url}/settings/apps/new", {"manifest": encode_json(wanted).decode()})


async def provision(http: Http, site: Site, code: str) -> Mapping[str, Any]:
    """Exchange a manifest's code for the app's credentials.

    Raises:
        Unavailable: Try again.
        Rejected: The code is used up or invented.
    """
    if not _CODE.fullmatch(code):
        raise Rejected("This is not a code that GitHub gives.", status=400)
    answer = await http.send("POST", f"{site.api_url}/app-manifests/{code}/conversions", headers=HEADERS)
    if answer.status >= 500 or is_limited(answer):
        raise Unavailable(f"GitHub answered {answer.status} when asked for the app's credentials.")
    if not 200 <= answer.status < 300:
        why = reason(answer) or str(answer.status)
        raise Rejected(
            f"GitHub gives no credentials for this code ({why}). A code works once, within an hour: begin again.",
            status=400,
        )
    return _credentials(answer)


def _credentials(answer: Answer) -> Mapping[str, Any]:
    given = object_in(answer)
    identity = number(given, "id")
    found = {
        "id": "" if identity is None else str(identity),
        "slug": raw(given, "slug"),
        "client_id": raw(given, "client_id"),
        "client_secret": raw(given, "client_secret"),
        "webhook_secret": raw(given, "webhook_secret"),
        "private_key": raw(given, "pem"),
    }
    if read_credentials(found) is None:
        raise Unavailable("GitHub made the app, but its answer lacks credentials.")
    return found


def read_credentials(credentials: Mapping[str, Any]) -> App | None:
    """An app from what `provision` gave; None where what it needs is missing."""
    client_id, client_secret = raw(credentials, "client_id"), raw(credentials, "client_secret")
    if not client_id or not client_secret:
        return None
    return App(
        id=raw(credentials, "id"),
        slug=raw(credentials, "slug"),
        client=OAuthClient(client_id, client_secret),
        webhook_secret=raw(credentials, "webhook_secret"),
        private_key=raw(credentials, "private_key"),
    )
