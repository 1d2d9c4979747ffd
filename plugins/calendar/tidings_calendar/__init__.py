"""Google Calendar for tidings: what comes, moves and goes in calendars, by notification and by asking."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from tidings.context import Context
from tidings.contracts import Connector
from tidings.durations import Duration
from tidings.hooks import Plugin, hookimpl
from tidings_calendar.connector import CalendarConnector
from tidings_google import GoogleOptions, Url


class CalendarOptions(GoogleOptions):
    """What stands under `plugins.connectors.calendar`.

    Attributes:
        poll_every: How often to ask where nothing is pushed.
        channel_life: How long a notification channel is to last; Google gives a week at most. It is replaced at half
            of the life that Google gives it.
        calls_per_minute: Calls of each account; Google allows 600.
        api_url: The Calendar API.
    """

    poll_every: Duration = 2 * 3600.0
    channel_life: Duration = 7 * 86_400.0
    calls_per_minute: int = Field(default=600, ge=10)
    api_url: Url = "https://www.googleapis.com/calendar/v3"


class CalendarPlugin(Plugin):
    """Offers the Google Calendar connector."""

    options_model = CalendarOptions
    options: CalendarOptions

    @hookimpl
    def tidings_connectors(self, context: Context) -> Iterable[Connector]:
        """Return the one connector."""
        options = self.options
        return (
            CalendarConnector(
                options,
                context.http,
                context.clock,
                api_url=options.api_url,
                poll_seconds=options.poll_every,
                channel_seconds=options.channel_life,
                minute_calls=options.calls_per_minute,
            ),
        )
