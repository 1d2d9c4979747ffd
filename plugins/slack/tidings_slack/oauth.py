"""Slack's OAuth v2: what is asked for, and where the tokens stand in its answers.

https://docs.slack.dev/authentication/installing-with-oauth and …/using-token-rotation. A consent's answer has a bot's
token at the top and a person's under `authed_user`; the answer to a refresh has either at the top, told apart by
`token_type`. Tokens end, and come with a refresh token, only where the app has token rotation switched on.

PKCE is not used: to switch it on makes the app a public client for good, whose refresh tokens die after 30 days
(https://docs.slack.dev/authentication/using-pkce).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal
from urllib.parse import urlencode

from tidings.contracts import Http, OAuth, OAuthClient, TokenSet
from tidings.errors import Unavailable
from tidings.fields import Object, obj, raw
from tidings_slack.fields import read_object

TokenKind = Literal["user", "bot"]

#: The same names for people and bots: which conversations there are, what is said in them, reactions, names.
SCOPES: Final = (
    "channels:read",
    "groups:read",
    "im:read",
    "mpim:read",
    "channels:history",
    "groups:history",
    "im:history",
    "mpim:history",
    "reactions:read",
    "users:read",
)
_NEEDED: Final = ("channels:read", "channels:history", "users:read")
# Words that say that a refresh token, or the account behind it, is dead.
_DEAD: Final = frozenset({"invalid_refresh_token", "token_revoked", "account_inactive", "invalid_grant"})
_LONGEST_SECONDS: Final = 366 * 86_400


def oauth(authorize_url: str, token_url: str, kind: TokenKind) -> OAuth:
    """What is asked for; a person's rights stand in `user_scope`, a bot's in `scope`."""
    return OAuth(
        provider="slack",
        authorize_url=authorize_url,
        token_url=token_url,
        scopes=SCOPES,
        scope_separator=",",
        scope_parameter="user_scope" if kind == "user" else "scope",
        needed_scopes=_NEEDED,
        pkce=False,
        client_authentication="body",
    )


def read_tokens(answer: Mapping[str, Any], kind: TokenKind) -> TokenSet:
    """The tokens of an answer of `oauth.v2.access`.

    Raises:
        ValueError: It has no token of this kind.
    """
    holder: Object = answer
    person = obj(answer, "authed_user")
    if kind == "user" and raw(person, "access_token"):
        holder = person
    elif raw(answer, "token_type") != kind:
        raise ValueError(f"Slack gave no token of a {kind}.")
    if answer.get("ok") is not True or not raw(holder, "access_token"):
        raise ValueError("Slack gave no token.")
    scope, life = holder.get("scope"), holder.get("expires_in")
    lasts = not isinstance(life, int) or isinstance(life, bool) or not 0 < life < _LONGEST_SECONDS
    return TokenSet(
        access_token=raw(holder, "access_token"),
        refresh_token=raw(holder, "refresh_token"),
        expires_in_seconds=None if lasts else float(life or 0),
        scopes=tuple(scope.replace(",", " ").split()) if isinstance(scope, str) else None,
    )


def is_dead(error: str) -> bool:
    """Whether the token endpoint's `error` means that the refresh token is dead."""
    return error in _DEAD


async def revoke(http: Http, api_url: str, client: OAuthClient, tokens: TokenSet, kind: TokenKind) -> None:
    """Give the token back.

    With token rotation `auth.revoke` ends one token and leaves the app installed. `apps.uninstall` ends everything: for
    a bot that is what was consented to, but with people's tokens it would end those of their colleagues too.

    Raises:
        Unavailable: Try again.
    """
    headers = {"authorization": f"Bearer {tokens.access_token}"}
    if kind == "bot" and tokens.refresh_token:
        headers["content-type"] = "application/x-www-form-urlencoded"
        body = urlencode({"client_id": client.id, "client_secret": client.secret}).encode()
        answer = await http.send("POST", f"{api_url}/apps.uninstall", headers=headers, body=body)
    else:
        answer = await http.send("POST", f"{api_url}/auth.revoke", headers=headers)
    if answer.status >= 500 or answer.status == 429 or read_object(answer.body) is None:
        raise Unavailable(f"Slack answered {answer.status} when its token was to be given back.")
