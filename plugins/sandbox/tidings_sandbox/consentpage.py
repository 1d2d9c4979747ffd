"""The page on which a person agrees to what an app asks, or doesn't."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from html import escape

from tidings_sandbox.people import Person

_HEAD = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>{title}</title>
  <link rel="icon" href="/sandbox/static/sandbox.svg" type="image/svg+xml">
  <link rel="stylesheet" href="/sandbox/static/sandbox.css">
</head>
<body class="consent">
<p class="banner" role="note"><strong>Sandbox.</strong> This is not {platform}.
It is an emulation inside tidings; the people are invented.</p>
"""
_FORM = """<main class="sheet">
<h1>Let <em>{app}</em> see an account at {platform}?</h1>
<form method="post">
<fieldset><legend>Whose account?</legend>
<div class="people">{people}</div>
</fieldset>
{scopes}
<div class="actions">
<button class="button" name="decision" value="deny">Deny</button>
<button class="button primary" name="decision" value="accept">Accept</button>
</div>
</form>
</main>
</body>
</html>
"""
_PERSON = """<label class="person"><input type="radio" name="person" value="{key}"{checked}>
<img src="{face}" alt="" width="40" height="40"><span>{name}<small>{note}</small></span></label>
"""
_SCOPE = """<label class="scope"><input type="hidden" name="scope:{scope}" value="off">\
<input type="checkbox" name="scope:{scope}" value="on" checked> <code>{scope}</code></label>
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """Somebody whose account can be chosen, and whether some app may see it already."""

    person: Person
    agreed: bool


def consent_page(platform: str, app: str, scopes: Sequence[str], choices: Sequence[Choice]) -> str:
    """The page.

    Args:
        platform: As people know it.
        app: The app that asks.
        scopes: What it asks for; each can be unticked.
        choices: Among whom to choose; the first who has agreed to nothing yet is preselected.
    """
    preselected = next((choice for choice in choices if not choice.agreed), choices[0])
    people = "".join(
        _PERSON.format(
            key=escape(choice.person.key),
            checked=" checked" if choice is preselected else "",
            face=escape(choice.person.face_path),
            name=escape(choice.person.name),
            note=" connected" if choice.agreed else "",
        )
        for choice in choices
    )
    boxes = "".join(_SCOPE.format(scope=escape(scope)) for scope in scopes)
    asked = f"<fieldset><legend>What may it do?</legend>{boxes}</fieldset>" if boxes else ""
    return _head(platform, f"{platform} (sandbox)") + _FORM.format(
        app=escape(app), platform=platform, people=people, scopes=asked
    )


def refusal_page(platform: str, problem: str) -> str:
    """What the person sees when the app's request can't be answered at all."""
    return (
        _head(platform, f"{platform} (sandbox): refused")
        + f'<main class="sheet"><h1>This request cannot be answered</h1><p>{escape(problem)}</p></main></body></html>'
    )


def _head(platform: str, title: str) -> str:
    return _HEAD.format(platform=platform, title=escape(title))
