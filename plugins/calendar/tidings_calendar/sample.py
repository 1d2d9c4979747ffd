"""An example notification: a change in a calendar, as Google tells of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from tidings.contracts import Keys, WebhookRequest
from tidings.errors import NotFound
from tidings_calendar.parse import NUMBER, STATE
from tidings_calendar.verify import CHANNEL, TOKEN, channel_token

_RESOURCE: Final = "o3hgv1538sdjfh"
_LIFE: Final = timedelta(days=7)


def notification(keys: Keys, now: datetime, serial: str) -> WebhookRequest:
    """A notification with its token; every `serial` is another one.

    Raises:
        NotFound: There is no key to make a token with.
    """
    if not keys.secrets:
        raise NotFound("There is no webhook secret. Make one: tidings webhook add calendar USER.")
    channel = str(uuid5(NAMESPACE_URL, f"https://www.googleapis.com/calendar/v3#{serial}"))
    return WebhookRequest(
        method="POST",
        path="/api/webhooks/calendar",
        query="",
        headers={
            "user-agent": "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)",
            "content-length": "0",
            CHANNEL: channel,
            TOKEN: channel_token(keys.secrets[0], channel),
            "x-goog-channel-expiration": format_datetime(now.replace(microsecond=0) + _LIFE, usegmt=True),
            "x-goog-resource-id": _RESOURCE,
            "x-goog-resource-uri": "https://www.googleapis.com/calendar/v3/calendars/primary/events?alt=json",
            STATE: "exists",
            NUMBER: "10",
        },
        body=b"",
    )
