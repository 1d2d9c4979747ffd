"""The few pages of the emulated GitHub that a browser may come to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from html import escape
from urllib.parse import urlencode, urlsplit

import msgspec

from tidings_sandbox.github.accounts import Account
from tidings_sandbox.github.requests import Problem
from tidings_sandbox.github.site import Site
from tidings_sandbox.wire import Answer, Call, html_answer, redirect


class Pages:
    """Answers a browser.

    Args:
        site: Everything.
        owner: Who makes and installs apps.
        now: GitHub's clock.
    """

    def __init__(self, site: Site, owner: Callable[[], Account], now: Callable[[], datetime]) -> None:
        self._site = site
        self._owner = owner
        self._now = now

    def answer(self, call: Call) -> Answer:
        """Make an app of a manifest, install one, or say that there is no page."""
        segments = call.path.strip("/").split("/")
        try:
            if call.method == "POST" and segments[-3:] == ["settings", "apps", "new"]:
                return self._make(call)
            if call.method == "GET" and segments[:1] == ["apps"] and segments[2:] == ["installations", "new"]:
                return self._install(call, segments[1])
        except Problem as problem:
            return _page(problem.message, problem.status)
        if call.method != "GET":
            return _page("There is nothing here.", 404)
        return _page(f"At GitHub you would now see {call.path}. The sandbox has no pages of its own.", 200)

    def _make(self, call: Call) -> Answer:
        try:
            manifest = msgspec.json.decode(call.form().get("manifest", ""))
        except msgspec.DecodeError:
            manifest = None
        if not isinstance(manifest, dict):
            raise Problem(422, "The form holds no manifest.")
        app = self._site.create_app(manifest, self._owner())
        code = self._site.apps.code(app, self._now())
        return redirect(_with(manifest["redirect_url"], {"code": code}, call))

    def _install(self, call: Call, slug: str) -> Answer:
        app = self._site.apps.by_slug(slug)
        if app is None:
            raise Problem(404, f"There is no app {slug}.")
        installation = self._site.install_app(app, self._owner())
        if not app.setup_url:
            return _page(f"{app.name} is installed on {installation.account.login}.", 200)
        result = {"installation_id": str(installation.id), "setup_action": "install"}
        return redirect(_with(app.setup_url, result, call))


def _with(address: str, result: dict[str, str], call: Call) -> str:
    """An address with the result, and with the state that the app gave."""
    if state := call.parameters().get("state"):
        result = {**result, "state": state}
    return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(result)}"


def _page(text: str, status: int) -> Answer:
    return html_answer(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Sandbox</title>'
        '<link rel="stylesheet" href="/sandbox/static/sandbox.css"><body class="consent">'
        '<p class="banner" role="note"><strong>Sandbox.</strong> This is not GitHub. It is an emulation inside '
        f'tidings.</p><main class="sheet"><p>{escape(text)}</p></main></body></html>',
        status,
    )
