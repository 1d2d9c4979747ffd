"""Under which name a client's listener gets an entry; the same on every transport."""

from __future__ import annotations

from tidings.event import MESSAGE_TYPE, OWN_PLATFORM, Entry


def event_name(entry: Entry) -> str:
    """`webhook_received`, `platform_sync`, `connection_status`, `token_refresh` or `message`."""
    if entry.type == MESSAGE_TYPE:
        return "message"
    if entry.platform == OWN_PLATFORM:
        return "token_refresh" if entry.type.startswith("org.tidings.token.") else "connection_status"
    return "webhook_received" if entry.via in {"webhook", "streaming"} else "platform_sync"
