"""GitHub's OAuth: what is asked for and why, what its answers mean, and giving a grant back."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from tidings.contracts import Http, OAuth, OAuthClient, TokenSet
from tidings.errors import Unavailable
from tidings.event import encode_json
from tidings_github.api import HEADERS, reason
from tidings_github.limits import is_limited
from tidings_github.site import Site

PROVIDER: Final = "github"

# `bad_refresh_token` is GitHub's own word; it comes with status 200.
_DEAD: Final = frozenset({"bad_refresh_token", "invalid_grant"})
# Without it GitHub takes whoever is signed in there, and a second account could never be connected.
_PARAMETERS: Final[Mapping[str, str]] = {"prompt": "select_account"}


def app_oauth(site: Site) -> OAuth:
    """A GitHub App's: its permissions stand in the app itself, so that no scope is asked for."""
    return _oauth(site, (), ())


def oauth(site: Site, *, private: bool, organizations: bool, expiring: bool) -> OAuth:
    """An OAuth App's.

    Args:
        site: Where GitHub is.
        private: Whether private repositories are watched: GitHub has no scope that only reads them.
        organizations: Whether webhooks are made for whole organisations.
        expiring: Whether tokens end after eight hours and are refreshed.
    """
    scopes = ["admin:repo_hook", "notifications"]
    needed = ["admin:repo_hook|repo", "notifications|repo"]
    if private:
        scopes.append("repo")
        needed.append("repo")
    if organizations:
        scopes.append("admin:org_hook")
        needed.append("admin:org_hook")
    if expiring:
        scopes.append("offline_access")  # never among those granted, and no question to the person
    return _oauth(site, tuple(scopes), tuple(needed))


def _oauth(site: Site, scopes: tuple[str, ...], needed: tuple[str, ...]) -> OAuth:
    return OAuth(
        provider=PROVIDER,
        authorize_url=site.authorize_url,
        token_url=site.token_url,
        scopes=scopes,
        needed_scopes=needed,
        parameters=_PARAMETERS,
        pkce=True,
        client_authentication="body",
    )


def is_dead(error: str) -> bool:
    """Whether the token endpoint's error means that the refresh token is dead."""
    return error in _DEAD


async def revoke(http: Http, site: Site, client: OAuthClient, tokens: TokenSet) -> None:
    """End this token; the person's other tokens of the app, another user's here perhaps, live on.

    Raises:
        Unavailable: Try again.
    """
    credentials = base64.b64encode(f"{client.id}:{client.secret}".encode()).decode()
    answer = await http.send(
        "DELETE",
        f"{site.api_url}/applications/{quote(client.id, safe='')}/token",
        headers={**HEADERS, "authorization": f"Basic {credentials}", "content-type": "application/json"},
        body=encode_json({"access_token": tokens.access_token}),
    )
    # Any other refusal is for good: the token is dead already (404, 422), or the client is not this one's (401).
    if answer.status >= 500 or is_limited(answer):
        raise Unavailable(
            f"GitHub did not end the token ({answer.status}): {reason(answer) or 'no reason given'}"
        )
