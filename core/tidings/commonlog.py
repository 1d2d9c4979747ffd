"""The platform's log of what it sent to the common address: one for the whole installation, not for an account.

Such as that of a GitHub App: it has one webhook for all accounts, and so one log.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from datetime import datetime

from tidings.connecting import Api
from tidings.connectors import LoggedDelivery
from tidings.deliveries import WebhookRequest


class AddressedDelivery(LoggedDelivery, frozen=True):
    """A line of that log.

    Attributes:
        addresses: Whom it is for, as `Parsed.addresses`; empty where only the delivery itself says so.
    """

    addresses: tuple[str, ...] = ()


class RecoversCommon(ABC):
    """A connector whose platform logs what it sent to `/api/webhooks/{platform}`, so that lost ones can be had later.

    The log is read without any account, by the API as the application itself may use it. One server of an
    installation does it at a time.
    """

    #: How far back the log reaches.
    common_log_seconds: float

    @abstractmethod
    def application_token(self, now: datetime) -> str | None:
        """Proves for some minutes that a call is the application's own; None where there is no such log (yet).

        Implementers may be asked often, and must not do any I/O.

        Raises:
            Rejected: The operator must mend something; the text says what.
        """

    @abstractmethod
    def common_deliveries(self, api: Api, since: datetime) -> AsyncIterator[AddressedDelivery]:
        """What the platform sent to the common address since then, newest first.

        Raises:
            Unavailable, Rejected: As `Api.request`. Rejected with status 404 where the platform has no log.
        """

    @abstractmethod
    async def fetch_common_delivery(self, api: Api, logged: AddressedDelivery) -> WebhookRequest:
        """The delivery itself, as it would have arrived.

        Raises:
            Unavailable: As `Api.request`.
            Rejected: The log no longer shows it.
        """
