"""The options that every connector to Google has."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from tidings.config import Secret
from tidings.contracts import OAuthClient
from tidings.hooks import Options


def _http_url(url: str) -> str:
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"{url!r} is not a URL. Write one that begins with https://.")
    return url.rstrip("/")


Url = Annotated[str, AfterValidator(_http_url)]


class GoogleOptions(Options):
    """What a connector's options begin with.

    Attributes:
        client_id: Of the OAuth client of your Google Cloud project; without one nobody can connect.
        client_secret: Likewise.
        testing: Whether the project's publishing status is still "Testing": then every consent dies after seven days.
        authorize_url: Where people consent.
        token_url: Where tokens are given.
        revoke_url: Where they are given back.
        userinfo_url: Says whose a token is.
    """

    client_id: str | None = None
    client_secret: Secret = None
    testing: bool = False
    authorize_url: Url = "https://accounts.google.com/o/oauth2/v2/auth"
    token_url: Url = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
    revoke_url: Url = "https://oauth2.googleapis.com/revoke"
    userinfo_url: Url = "https://openidconnect.googleapis.com/v1/userinfo"

    def clients(self) -> tuple[OAuthClient, ...]:
        """The one client, where there is one."""
        if not self.client_id:
            return ()
        secret = self.client_secret.get_secret_value() if self.client_secret else ""
        return (OAuthClient(id=self.client_id, secret=secret),)
