"""OAuth 2.0 as tidings speaks it: the address to consent at, the exchange of a code, the redemption of a refresh token.

Authlib builds the requests and knows how clients prove themselves (RFC 6749, RFC 7636); they travel by the one
HTTP client. It is imported when it is used first: an idle server needs none of it.

What an answer to a refresh means decides over a connection's life, so there are four words for it: `TokenSet`,
`Refused` (the token is dead), `Failed` (it was not redeemed; try again) and `Lost` (nobody knows).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote_plus

import msgspec

from tidings.connecting import Answer, Connects, Http, OAuth, OAuthClient, TokenSet, retry_after_seconds
from tidings.discretion import use_secrets, use_secrets_in
from tidings.errors import NotSent, Rejected, Unavailable
from tidings.secret import scrub

_VERIFIER_BYTES: Final = 48
_LONGEST_TEXT: Final = 200
_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)
_AUTHENTICATION: Final = {"body": "client_secret_post", "basic": "client_secret_basic", "none": "none"}
# The operator can mend these: the client is unknown, its secret wrong, or it may not do this.
_OPERATORS: Final = frozenset(
    {
        "invalid_client",
        "unauthorized_client",
        "incorrect_client_credentials",
        "deleted_client",
        "disabled_client",
        "invalid_client_id",
        "bad_client_secret",
        "bad_redirect_uri",
        "application_suspended",
        "redirect_uri_mismatch",
        "invalid_request",
        "invalid_scope",
        "unsupported_grant_type",
    }
)
# A gateway says these of a server behind it, which may have done what it was asked.
_GATEWAY: Final = frozenset({502, 504})
# "Too slow" and "too many": about the request, never about what it asks for.
_PATIENCE: Final = frozenset({408, 429})
_MEND: Final = "Check the client's id and secret, and the address of its token endpoint, in config.yaml."


class Refused(msgspec.Struct, frozen=True):
    """The platform says that the refresh token is dead."""

    reason: str


class Failed(msgspec.Struct, frozen=True):
    """The token was not redeemed: the request never left, or was clearly turned away.

    Attributes:
        retry_after_seconds: What the platform asks for, if it does.
        is_operators: Whether nothing will change until the operator mends the client.
    """

    reason: str
    retry_after_seconds: float | None = None
    is_operators: bool = False


class Lost(msgspec.Struct, frozen=True):
    """Whether the token was redeemed is unknown: no answer came, or none that can be read."""

    reason: str


def new_verifier() -> str:
    """A fresh PKCE verifier (RFC 7636 §4.1)."""
    return secrets.token_urlsafe(_VERIFIER_BYTES)


def authorization_url(
    oauth: OAuth,
    client: OAuthClient,
    *,
    redirect_uri: str,
    state: str,
    verifier: str = "",
    scopes: Sequence[str] | None = None,
) -> str:
    """Where to send the browser so that its user can consent.

    Args:
        oauth: The platform's.
        client: Who asks.
        redirect_uri: Where the browser comes back to; exactly as registered.
        state: Comes back with it (RFC 6749 §10.12).
        verifier: PKCE's, of which the S256 challenge is sent; "" for none.
        scopes: Other ones than the platform's usual.
    """
    from authlib.oauth2.rfc6749.parameters import prepare_grant_uri  # noqa: PLC0415 - see above
    from authlib.oauth2.rfc7636 import create_s256_code_challenge  # noqa: PLC0415 - see above

    asked = oauth.scope_separator.join(oauth.scopes if scopes is None else scopes)
    more: dict[str, str] = dict(oauth.parameters)
    if asked:
        more[oauth.scope_parameter] = asked
    if verifier:
        more |= {"code_challenge": create_s256_code_challenge(verifier), "code_challenge_method": "S256"}
    return str(
        prepare_grant_uri(
            oauth.authorize_url,
            client.id,
            "code",
            redirect_uri=redirect_uri,
            state=state,
            **more,
        )
    )


async def exchange_code(
    http: Http, connector: Connects, client: OAuthClient, *, code: str, redirect_uri: str, verifier: str = ""
) -> TokenSet:
    """Exchange the code that a consent gave for its tokens.

    Raises:
        Rejected: The platform refuses the code (status 400) or the client; the text says what to do.
        Unavailable: No answer that can be read. The code may be used up, so its user must consent anew.
    """
    fields = {"code": code, "redirect_uri": redirect_uri, "code_verifier": verifier}
    answer = await _ask(http, connector, client, "authorization_code", fields)
    outcome = _read(answer, connector, [code, verifier, client.secret])
    if isinstance(outcome, TokenSet):
        return outcome
    if isinstance(outcome, Failed) and outcome.is_operators:
        raise Rejected(outcome.reason, status=400)
    if isinstance(outcome, Lost) or answer.status >= 500 or answer.status in _PATIENCE:
        raise Unavailable(outcome.reason)
    raise Rejected(f"{outcome.reason} Connect once more.", status=400)


async def redeem(
    http: Http, connector: Connects, client: OAuthClient, refresh_token: str, *, now: datetime
) -> TokenSet | Refused | Failed | Lost:
    """Redeem a refresh token; raises nothing for what a platform or a network can do."""
    try:
        answer = await _ask(http, connector, client, "refresh_token", {"refresh_token": refresh_token})
    except NotSent as error:
        return Failed(str(error), error.retry_after_seconds)
    except Unavailable as error:
        return Lost(str(error))
    outcome = _read(answer, connector, [refresh_token, client.secret])
    if isinstance(outcome, Failed):
        return msgspec.structs.replace(outcome, retry_after_seconds=retry_after_seconds(answer.headers, now))
    return outcome


async def _ask(
    http: Http, connector: Connects, client: OAuthClient, grant_type: str, fields: Mapping[str, str]
) -> Answer:
    from authlib.oauth2.auth import ClientAuth  # noqa: PLC0415 - see above
    from authlib.oauth2.rfc6749.parameters import prepare_token_request  # noqa: PLC0415 - see above

    oauth = connector.oauth
    # Who calls is told everywhere alike; the other headers are those of the API.
    own = {name: value for name, value in connector.headers.items() if name.lower() == "user-agent"}
    method = _AUTHENTICATION[oauth.client_authentication] if client.secret else "none"
    name, secret = client.id, client.secret
    if method == _AUTHENTICATION["basic"]:
        # RFC 6749 §2.3.1 has both encoded as a form would have them; Authlib leaves that to its callers.
        name, secret = quote_plus(name), quote_plus(secret)
    url, headers, body = ClientAuth(name, secret, method).prepare(
        "POST",
        oauth.token_url,
        {**own, "Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"},
        prepare_token_request(grant_type, **fields),
    )
    use_secrets(client.secret, *[value for name, value in fields.items() if name != "redirect_uri"])
    return await http.send("POST", url, headers=headers, body=body.encode())


def _read(answer: Answer, connector: Connects, secret: Sequence[str]) -> TokenSet | Refused | Failed | Lost:
    status = answer.status
    fields = _json(answer.body)
    error = fields.get("error") if fields is not None else None
    if 200 <= status < 300 and not error:
        return _tokens(fields, connector)
    said = _said(status, fields, secret)
    if status in _GATEWAY and not error:
        return Lost(said)
    word = error if isinstance(error, str) else ""
    # Whoever is overloaded or broken is in no state to say that a token is dead.
    if status < 500 and status not in _PATIENCE and connector.is_permanent(status, word):
        return Refused(said)
    if word in _OPERATORS or 300 <= status < 400:
        return Failed(f"{said} {_MEND}", is_operators=True)
    return Failed(said)


def _tokens(fields: Mapping[str, Any] | None, connector: Connects) -> TokenSet | Lost:
    if fields is not None and isinstance(fields.get("access_token", ""), str):
        try:
            tokens = connector.read_tokens(fields)
        except Exception:  # noqa: BLE001 - whatever a connector does with an odd answer, the outcome is unknown
            tokens = TokenSet("")
        if tokens.access_token:
            use_secrets(tokens.access_token, tokens.refresh_token)
            use_secrets_in(tokens.extra)
            return tokens
    return Lost("The platform's answer holds no token that can be read.")


def _json(body: bytes) -> Mapping[str, Any] | None:
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def _said(status: int, fields: Mapping[str, Any] | None, secret: Sequence[str]) -> str:
    """What the platform answered, for people: one line, without anything secret."""
    fields = fields or {}
    word, text = fields.get("error"), fields.get("error_description")
    parts = [f"The platform answered {status}"]
    if isinstance(word, str) and _CODE.fullmatch(word):
        parts.append(f": {word}")
    if isinstance(text, str) and (line := " ".join(text.split()).rstrip(".")) and line.isprintable():
        parts.append(f" ({scrub(line, secret)[:_LONGEST_TEXT]})")  # cut first, half a secret would be left
    return scrub("".join(parts), secret) + "."
