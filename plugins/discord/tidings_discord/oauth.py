"""Discord's OAuth: what is asked for and why, and giving a consent back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from tidings.contracts import Http, OAuth, OAuthClient, TokenSet
from tidings.errors import Unavailable
from tidings_discord.site import Site

_IDENTITY: Final = "identify"
_GUILDS: Final = "guilds"
_ROLES: Final = "guilds.members.read"


def oauth(site: Site, *, roles: bool) -> OAuth:
    """Access tokens live seven days; each refresh gives another refresh token, and the old one is dead at once.

    Both endpoints take forms alone (https://docs.discord.com/developers/topics/oauth2, 2026; for single use a member of
    Discord's staff, discord/discord-api-docs#5942).

    Args:
        site: Where Discord is.
        roles: Whether the account's roles are looked at.
    """
    scopes = (_IDENTITY, _GUILDS, _ROLES) if roles else (_IDENTITY, _GUILDS)
    return OAuth(
        provider="discord",
        authorize_url=site.authorize_url,
        token_url=site.token_url,
        scopes=scopes,
        needed_scopes=scopes,
        pkce=True,
        client_authentication="body",
        needs_refresh_token=True,  # each answer has one; without it the consent would end within seven days
    )


async def revoke(
    http: Http, site: Site, client: OAuthClient, tokens: TokenSet, headers: Mapping[str, str]
) -> None:
    """End the consent: whichever token is shown, all of the account's tokens for this app die.

    Raises:
        Unavailable: Try again.
    """
    fields = {
        "token": tokens.refresh_token or tokens.access_token,
        "token_type_hint": "refresh_token" if tokens.refresh_token else "access_token",
        "client_id": client.id,
        "client_secret": client.secret,
    }
    form = {"content-type": "application/x-www-form-urlencoded"}
    answer = await http.send(
        "POST", site.revoke_url, headers={**headers, **form}, body=urlencode(fields).encode()
    )
    # Any other refusal is for good: the tokens are dead already, or the client is not this one's.
    if answer.status >= 500 or answer.status == 429:
        raise Unavailable(f"Discord did not end the consent ({answer.status}).")
