"""Web Push: news on devices whose pages are closed (RFC 8030, 8291, 8292)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tidings.config import Duration
from tidings.context import Context
from tidings.contracts import Transport
from tidings.hooks import Options, Plugin, hookimpl
from tidings_transports.webpush.sending import Sender
from tidings_transports.webpush.services import BROWSERS, Service, Services
from tidings_transports.webpush.transport import Delivery, WebPush
from tidings_transports.webpush.vapid import check_subject

_SHORTEST_TTL_SECONDS = 60.0  # WNS refuses 0, and nothing is delivered at once in any case
_LONGEST_TTL_SECONDS = 30 * 86400.0  # what Mozilla and Apple cut it to


def _subject(text: str | None) -> str | None:
    return check_subject(text.strip()) if text and text.strip() else None


def _service(text: str) -> str:
    Service.parse(text)
    return text


class WebPushOptions(Options):
    """Options of the transport `webpush`.

    Attributes:
        subject: Whom push services can write to about this server: `mailto:` or `https:`, with a real domain. Where it
            is empty, `server.public_url` if that will do.
        services: Push services beside those of the browsers: `push.example.org`, `*.example.org`, with a port if it is
            not 443.
        most_devices: How many devices each user may have.
        gather: How long to wait for more before something new is pushed, so that a burst is one notification.
        pace: The shortest time between two notifications of a device.
        ttl: How long a push service keeps what it can't deliver.
        urgency: `low` and `very-low` wait until a device has power or Wi-Fi.
        allow_private: Sends to addresses of private networks too, and without TLS there. For tests alone.
    """

    subject: Annotated[str | None, AfterValidator(_subject)] = None
    services: tuple[Annotated[str, AfterValidator(_service)], ...] = ()
    most_devices: Annotated[int, Field(ge=1, le=1000)] = 20
    gather: Duration = 2.0
    pace: Duration = 30.0
    ttl: Annotated[Duration, Field(ge=_SHORTEST_TTL_SECONDS, le=_LONGEST_TTL_SECONDS)] = 86400.0
    urgency: Literal["very-low", "low", "normal", "high"] = "normal"
    allow_private: bool = False


class WebPushPlugin(Plugin):
    """Offers the transport `webpush`."""

    options_model = WebPushOptions
    options: WebPushOptions

    @hookimpl
    def tidings_transports(self, context: Context) -> Iterable[Transport]:
        """The one transport."""
        options = self.options
        listed = [Service.parse(text) for text in (*BROWSERS, *options.services)]
        transport = WebPush(
            context,
            Delivery(options.subject or "", int(options.ttl), options.urgency),
            Services(listed, allow_private=options.allow_private),
            Sender(),
            allow_private=options.allow_private,
        )
        transport.most_devices = options.most_devices
        transport.gather_seconds, transport.pace_seconds = options.gather, options.pace
        return [transport]
