"""How the authorization servers of the platforms differ, as data.

GitHub: https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps (2026).
Spotify: https://developer.spotify.com/documentation/web-api/tutorials/code-flow and its blog of 2026-06-18.
"""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec


class Dialect(msgspec.Struct, kw_only=True):
    """One platform's way with OAuth. What a test may want otherwise is changed in place.

    Attributes:
        title: As people know the platform.
        authorize_path: Below the emulator's address.
        token_path: Likewise.
        access_prefix: Begins every access token.
        refresh_prefix: Begins every refresh token.
        expires: Whether access tokens end and come with a refresh token: `always`, or only for those who
            asked for the scope `offline_access` (GitHub's default for OAuth apps).
        access_seconds: Life of an access token.
        refresh_seconds: Life of a refresh token, from its issue; None where it ends with the consent alone.
        consent_months: After so many months a consent ends, however often it was refreshed; None for never.
        consent_seconds: Likewise after so many seconds.
        rotation: What a refresh brings: `never` a new refresh token; `always` a new one while old ones live
            on; `single_use`, a new one, and the old one is dead.
        grace_seconds: For so long a dead single-use token still gets the very answer that killed it.
        access_outlives_consent: Whether access tokens live on when the consent is taken back or over.
        access_dies_at_refresh: Whether the old access token ends with a refresh.
        basic_auth: Whether an app shows its secret by HTTP Basic, and needs none if it consented with PKCE;
            else the secret stands in the body, always.
        scope_separator: Between scopes in the token answer.
        implied: Scopes that another one contains; they are left out of what was granted.
        error_status: HTTP status of a refused token request.
        errors: Reason -> error code and description.
        speaks_form: Whether token answers are forms unless JSON is asked for.
        token_type: As the answer calls it.
        most_people: How many people an app may serve before the API refuses the next; None for any.
        most_consents: How many consents of one person for one app with the same scopes live at once.
    """

    title: str
    authorize_path: str
    token_path: str
    access_prefix: str
    refresh_prefix: str
    expires: Literal["always", "offline_access"] = "always"
    access_seconds: int
    refresh_seconds: int | None = None
    consent_months: int | None = None
    consent_seconds: float | None = None
    rotation: Literal["never", "always", "single_use"]
    grace_seconds: float = 0.0
    access_outlives_consent: bool
    access_dies_at_refresh: bool
    basic_auth: bool
    scope_separator: str
    implied: Mapping[str, frozenset[str]] = {}
    error_status: int
    errors: Mapping[str, tuple[str, str]]
    speaks_form: bool
    token_type: str
    most_people: int | None = None
    most_consents: int | None = None


def github_dialect() -> Dialect:
    """GitHub's OAuth apps with token expiration switched on, which GitHub Apps have always."""
    return Dialect(
        title="GitHub",
        authorize_path="/login/oauth/authorize",
        token_path="/login/oauth/access_token",  # noqa: S106 - an address
        access_prefix="gho_",
        refresh_prefix="ghr_",
        access_seconds=28_800,
        refresh_seconds=15_897_600,
        rotation="single_use",
        access_outlives_consent=False,
        access_dies_at_refresh=True,
        basic_auth=False,
        scope_separator=",",
        implied={
            "repo": frozenset({"public_repo", "repo:status", "repo_deployment", "repo:invite"}),
            "admin:repo_hook": frozenset({"write:repo_hook", "read:repo_hook"}),
            "write:repo_hook": frozenset({"read:repo_hook"}),
            "admin:org": frozenset({"write:org", "read:org"}),
            "write:org": frozenset({"read:org"}),
            "user": frozenset({"read:user", "user:email", "user:follow"}),
        },
        error_status=200,
        errors={
            "client": (
                "incorrect_client_credentials",
                "The client_id and/or client_secret passed are incorrect.",
            ),
            "code": ("bad_verification_code", "The code passed is incorrect or expired."),
            "redirect": (
                "redirect_uri_mismatch",
                "The redirect_uri MUST match the registered callback URL for this application.",
            ),
            "verifier": ("bad_verification_code", "The code passed is incorrect or expired."),
            "refresh": ("bad_refresh_token", "The refresh token passed is incorrect or expired."),
            "revoked": ("bad_refresh_token", "The refresh token passed is incorrect or expired."),
            "grant_type": ("unsupported_grant_type", "The grant_type is not supported."),
        },
        speaks_form=True,
        token_type="bearer",  # noqa: S106 - a word of the protocol
        most_consents=10,
    )


def spotify_dialect() -> Dialect:
    """Spotify in development mode, since the summer of 2026."""
    return Dialect(
        title="Spotify",
        authorize_path="/authorize",
        token_path="/api/token",  # noqa: S106 - an address
        access_prefix="BQ",
        refresh_prefix="AQ",
        access_seconds=3600,
        consent_months=6,
        rotation="never",
        access_outlives_consent=True,
        access_dies_at_refresh=False,
        basic_auth=True,
        scope_separator=" ",
        error_status=400,
        errors={
            "client": ("invalid_client", "Invalid client"),
            "code": ("invalid_grant", "Invalid authorization code"),
            "redirect": ("invalid_grant", "Invalid redirect URI"),
            "verifier": ("invalid_grant", "code_verifier was incorrect"),
            "refresh": ("invalid_grant", "Invalid refresh token"),
            "revoked": ("invalid_grant", "Refresh token revoked"),
            "grant_type": ("unsupported_grant_type", "grant_type parameter is missing or unknown"),
        },
        speaks_form=False,
        token_type="Bearer",  # noqa: S106 - a word of the protocol
        most_people=5,
    )


def months_later(instant: datetime, months: int) -> datetime:
    """The same day and hour so many calendar months later; the month's last day where it has no such day."""
    year, month = divmod(instant.year * 12 + instant.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return instant.replace(year=year, month=month + 1, day=min(instant.day, last))
