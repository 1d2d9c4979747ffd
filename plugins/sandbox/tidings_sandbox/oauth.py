"""The authorization server of the emulated platforms: the consent page and the token endpoint."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from tidings_sandbox.apps import App, basic_credentials
from tidings_sandbox.consentpage import Choice, consent_page, refusal_page
from tidings_sandbox.consents import Consents
from tidings_sandbox.people import Person
from tidings_sandbox.stage import Stage
from tidings_sandbox.wire import Answer, Call, html_answer, json_answer, redirect

_ERROR_PAGE = (
    "https://docs.github.com/apps/managing-oauth-apps/troubleshooting-oauth-app-access-token-request-errors"
)


class AuthorizationServer:
    """Answers what browsers and apps ask the authorization server of one platform.

    Attributes:
        auto_accept: Key of a person who agrees without being asked; "" shows the page.
        consents: What was agreed to.

    Args:
        stage: Everybody.
        consents: What was agreed to.
    """

    def __init__(self, stage: Stage, consents: Consents) -> None:
        self.auto_accept = ""
        self._stage = stage
        self.consents = consents
        self._dialect = consents.dialect

    def answer(self, call: Call) -> Answer | None:
        """Answer a request to one of the two endpoints; None for any other path."""
        if call.path == self._dialect.token_path and call.method == "POST":
            return self._answer_app(call)
        if call.path == self._dialect.authorize_path and call.method in {"GET", "POST"}:
            return self._answer_browser(call)
        return None

    # --- the consent page ---

    def _answer_browser(self, call: Call) -> Answer:
        asked = call.parameters()
        app = self.consents.app(asked.get("client_id", ""))
        redirect_uri = asked.get("redirect_uri", app.redirect_uris[0] if app and app.redirect_uris else "")
        problem = self._problem(app, redirect_uri)
        if app is None or problem:
            return html_answer(refusal_page(self._dialect.title, problem), 400)
        if asked.get("response_type", "code") != "code":
            return _back(redirect_uri, {"error": "unsupported_response_type"}, asked)
        if asked.get("code_challenge") and asked.get("code_challenge_method") != "S256":
            return _back(redirect_uri, {"error": "invalid_request"}, asked)
        if call.method == "POST":
            return self._decide(call.form(), app, redirect_uri, asked)
        return self._ask(app, redirect_uri, asked)

    def _problem(self, app: App | None, redirect_uri: str) -> str:
        """Why a request can't be answered at all; nobody is sent to an address that may be a stranger's."""
        if app is None:
            return "INVALID_CLIENT: Invalid client."
        if not app.allows(redirect_uri):
            return f"The redirect_uri {redirect_uri} is not registered for this app."
        if self._dialect.basic_auth and urlsplit(redirect_uri).hostname == "localhost":
            return "INVALID_CLIENT: Insecure redirect URI. Write 127.0.0.1 instead of localhost."
        return ""

    def _ask(self, app: App, redirect_uri: str, asked: dict[str, str]) -> Answer:
        scopes = asked.get("scope", "").split()
        accepting = self._stage.people.get(self.auto_accept)
        if accepting is not None:
            return self._accept(app, accepting, scopes, redirect_uri, asked)
        choices = [Choice(person, bool(self.consents.living(person.key))) for person in self._stage.people]
        return html_answer(consent_page(self._dialect.title, app.client_id, scopes, choices))

    def _decide(self, form: dict[str, str], app: App, redirect_uri: str, asked: dict[str, str]) -> Answer:
        person = self._stage.people.get(form.get("person", ""))
        if form.get("decision") != "accept" or person is None:
            denied = {
                "error": "access_denied",
                "error_description": "The user has denied your application access.",
            }
            return _back(redirect_uri, denied, asked)
        scopes = [
            scope for scope in asked.get("scope", "").split() if form.get(f"scope:{scope}", "on") == "on"
        ]
        return self._accept(app, person, scopes, redirect_uri, asked)

    def _accept(
        self, app: App, person: Person, scopes: list[str], redirect_uri: str, asked: dict[str, str]
    ) -> Answer:
        code = self.consents.grant_code(app, person, scopes, redirect_uri, asked)
        return _back(redirect_uri, {"code": code}, asked)

    # --- the token endpoint ---

    def _answer_app(self, call: Call) -> Answer:
        form = call.form()
        app, has_secret = self._app_of(call, form)
        if app is None:
            return self._refuse(call, "client")
        kind = form.get("grant_type", "" if self._dialect.basic_auth else "authorization_code")
        if kind == "authorization_code":
            outcome = self._exchange(form, app, has_secret=has_secret)
        elif kind == "refresh_token":
            text = form.get("refresh_token", "")
            outcome = self.consents.redeem(text, app, has_secret=has_secret, answered=not call.answer_lost)
        else:
            outcome = "grant_type"
        if isinstance(outcome, str):
            return self._refuse(call, outcome)
        return self._respond(call, outcome, 200)

    def _app_of(self, call: Call, form: dict[str, str]) -> tuple[App | None, bool]:
        """The app that asks, and whether it showed its secret; None with wrong credentials."""
        shown = basic_credentials(call) if self._dialect.basic_auth else None
        client_id, secret = shown or (form.get("client_id", ""), form.get("client_secret", ""))
        app = self.consents.app(client_id)
        if app is None or (secret and secret != app.client_secret):
            return None, False
        if not secret and not self._dialect.basic_auth:
            return None, False
        return app, bool(secret)

    def _exchange(self, form: dict[str, str], app: App, *, has_secret: bool) -> dict[str, Any] | str:
        code = self.consents.take_code(form.get("code", ""))
        if code is None or code.client_id != app.client_id:
            return "code"
        if not has_secret and not code.challenge:
            return "client"
        if (
            form.get("redirect_uri", "" if self._dialect.basic_auth else code.redirect_uri)
            != code.redirect_uri
        ):
            return "redirect"
        if code.challenge and not _proves(form.get("code_verifier", ""), code.challenge):
            return "verifier"
        return self.consents.open(code)

    def _refuse(self, call: Call, reason: str) -> Answer:
        error, description = self._dialect.errors[reason]
        fields = {"error": error, "error_description": description}
        if self._dialect.speaks_form:
            fields["error_uri"] = _ERROR_PAGE
        return self._respond(call, fields, self._dialect.error_status)

    def _respond(self, call: Call, fields: Mapping[str, Any], status: int) -> Answer:
        headers = [(b"cache-control", b"no-store")]
        if self._dialect.speaks_form and b"json" not in call.headers.get(b"accept", b""):
            form = (b"content-type", b"application/x-www-form-urlencoded; charset=utf-8")
            return Answer(status, urlencode(fields).encode(), [form, *headers])
        return json_answer(fields, status, headers)


def _back(redirect_uri: str, result: dict[str, str], asked: dict[str, str]) -> Answer:
    """To the app, with the result and the state that it gave."""
    if "state" in asked:
        result = {**result, "state": asked["state"]}
    separator = "&" if urlsplit(redirect_uri).query else "?"
    return redirect(f"{redirect_uri}{separator}{urlencode(result)}")


def _proves(verifier: str, challenge: str) -> bool:
    """PKCE S256 (RFC 7636 §4.6)."""
    if not 43 <= len(verifier) <= 128 or not verifier.isascii():
        return False
    made = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    return hmac.compare_digest(made, challenge.encode("utf-8", "replace"))
