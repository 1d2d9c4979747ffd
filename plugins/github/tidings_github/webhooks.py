"""Cards for the webhook itself: connected, removed."""

from __future__ import annotations

from tidings.fields import Object, number, obj, one_line, text
from tidings_github.card import LIST_LENGTH, Card, Happening


def ping(happening: Happening) -> Card:
    """GitHub tried a webhook: it reaches tidings."""
    events = _events(happening.payload)
    return Card(
        title=happening.title("Webhook connected", preposition="to"),
        text=_sends(events, _count(happening.payload)),
        url=_settings(happening),
        subject=_subject(happening.payload),
        fields={
            "hook_id": number(happening.payload, "hook_id"),
            "events": events,
            "zen": text(happening.payload, "zen"),
        },
    )


def meta(happening: Happening) -> Card:
    """A webhook was removed at GitHub: no more news will come by it."""
    removed = happening.action == "deleted"
    return Card(
        title=happening.title("Webhook removed", preposition="from")
        if removed
        else happening.title(f"Webhook {happening.action.replace('_', ' ')}".rstrip()),
        text="GitHub sends nothing by this webhook any more. Make a new one at GitHub to go on receiving."
        if removed
        else "",
        url=_settings(happening),
        subject=_subject(happening.payload),
        fields={"hook_id": number(happening.payload, "hook_id"), "events": _events(happening.payload)},
    )


def _events(payload: Object) -> list[str]:
    events = obj(payload, "hook").get("events")
    if not isinstance(events, list):
        return []
    return [one_line(event, 64) for event in events[:LIST_LENGTH] if isinstance(event, str)]


def _sends(events: list[str], count: int) -> str:
    if "*" in events:
        return "GitHub will send everything that happens there."
    more = f" and {count - len(events)} more" if count > len(events) else ""
    return f"GitHub will send: {', '.join(events)}{more}." if events else ""


def _count(payload: Object) -> int:
    events = obj(payload, "hook").get("events")
    return len(events) if isinstance(events, list) else 0


def _settings(happening: Happening) -> str:
    return f"{happening.home}/settings/hooks" if happening.repository else happening.home


def _subject(payload: Object) -> str:
    identity = number(payload, "hook_id")
    return "" if identity is None else f"hooks/{identity}"
