"""Plain pages for the few answers that a browser shows by itself."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from tidings.api.operation import problem_of
from tidings.discretion import redact
from tidings.errors import TidingsError

# They must look right whether or not a plugin serves files, so they bring their style along, known by its hash.
_STYLE: Final = """
:root{color-scheme:light dark;font:100%/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
body{margin:0;background:#fbfaf8;color:#1d1c1a}
main{max-width:34rem;margin:14vh auto 4rem;padding:0 1.5rem}
h1{margin:0 0 .75rem;font-size:1.5rem;font-weight:650;line-height:1.25;letter-spacing:-.015em}
p{margin:0 0 1.25rem;color:#66625b;overflow-wrap:anywhere}
a{color:#0f6b5c;text-underline-offset:.2em}
button{min-height:2.75rem;padding:.3125rem 1.25rem;border:0;border-radius:.5rem;background:#0f6b5c;color:#fff;
font:inherit;font-weight:550;cursor:pointer}
:focus-visible{outline:2px solid #0f6b5c;outline-offset:2px;border-radius:4px}
@media (prefers-color-scheme:dark){body{background:#161614;color:#edebe5}p{color:#a5a198}a{color:#6fd0ba}
button{background:#6fd0ba;color:#0c2b25}:focus-visible{outline-color:#6fd0ba}}
"""
_SUBMIT: Final = "document.forms[0].submit()"
_PAGE: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title} · tidings</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<style>{style}</style><main><h1>{title}</h1><p>{text}</p>{more}</main></html>"""


def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


_POLICY: Final = (
    f"default-src 'none'; style-src {_hash(_STYLE)}; img-src data:; base-uri 'none'; frame-ancestors 'none'; "
)


def page(status: int, title: str, text: str, *, link: str = "", label: str = "") -> Response:
    """A page with a title, a paragraph, and perhaps a link."""
    more = f'<p><a href="{html.escape(link)}">{html.escape(label)}</a></p>' if link else ""
    return _answer(status, title, text, more, "form-action 'none'", {})


def failure(request: Request, error: TidingsError, title: str) -> Response:
    """An error, to a browser as a page that leads back, to a program as the API tells it."""
    told = problem_of(error)
    if "text/html" not in request.headers.get("accept", ""):
        return told
    if told.status_code == 401:
        return page(401, "Sign in first", str(error), link="/", label="Back to tidings")
    return page(told.status_code, title, str(error), link="/#connections", label="Back to tidings")


def form_page(title: str, text: str, label: str, *, url: str, fields: Mapping[str, str]) -> Response:
    """A page that posts a form to another site as soon as it is shown.

    Its policy lets it post there and nowhere else, and that of no other page does. With scripts off, a button does it.
    """
    hidden = "".join(
        f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
        for name, value in fields.items()
    )
    more = (
        f'<form method="post" action="{html.escape(url)}">{hidden}<button>{html.escape(label)}</button></form>'
        f"<script>{_SUBMIT}</script>"
    )
    parts = urlsplit(url)
    # Browsers hold every redirect that follows to the policy, and the last one leads back here.
    policy = f"script-src {_hash(_SUBMIT)}; form-action 'self' {parts.scheme}://{parts.netloc}"
    # Without a referrer the browser would send `Origin: null`, which frameworks take for a forgery.
    return _answer(200, title, text, more, policy, {"referrer-policy": "strict-origin"})


def _answer(
    status: int, title: str, text: str, more: str, policy: str, headers: Mapping[str, str]
) -> Response:
    body = _PAGE.format(title=html.escape(title), text=html.escape(redact(text)), more=more, style=_STYLE)
    policies = {"cache-control": "no-store", "content-security-policy": _POLICY + policy}
    return HTMLResponse(body, status, {**policies, **headers})
