"""Notification channels: made, heard, stopped, expired.

https://developers.google.com/workspace/calendar/api/guides/push (2026).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random
from typing import Any, Final

from tidings_sandbox.agenda import Agenda
from tidings_sandbox.courier import Courier
from tidings_sandbox.google import error, not_found
from tidings_sandbox.wire import Answer, json_answer

_ID: Final = re.compile(r"[A-Za-z0-9_+/=-]{1,64}")
_RETRIED: Final = frozenset({500, 502, 503, 504})
_RETRIES: Final = 5
_RETRY_SECONDS: Final = 30.0
_LONGEST_TOKEN: Final = 256
_TWICE: Final = 0.3  # so often one change is told by two messages


@dataclasses.dataclass(slots=True, eq=False)
class Channel:
    """A channel.

    Attributes:
        number: Names it on the control page.
        person: Key of whose token made it.
        resource_id: Google's id of what it watches, for this person.
        message: The number of its last message.
        last_status: Of the last answer to one; None before there was one.
    """

    number: int
    id: str
    person: str
    client_id: str
    calendar: str
    resource_id: str
    resource_uri: str
    address: str
    token: str
    expires_at: datetime
    message: int = 0
    last_status: int | None = None


class Channels:
    """All channels.

    Attributes:
        life_seconds: How long one lasts at most, and where the request does not say.

    Args:
        courier: The way out.
        agenda: What is to be done later.
        chance: Where chance comes from.
        now: Google's clock.
        serial: Gives numbers that grow.
        own_url: The installation's; besides it, only https is taken.
    """

    def __init__(
        self,
        courier: Courier,
        agenda: Agenda,
        chance: Random,
        *,
        now: Callable[[], datetime],
        serial: Callable[[], int],
        own_url: str,
    ) -> None:
        self.life_seconds = 7 * 86_400.0
        self._courier = courier
        self._agenda = agenda
        self._chance = chance
        self._now = now
        self._serial = serial
        self._own_url = own_url
        self._channels: dict[str, Channel] = {}
        self._used: set[str] = set()

    def __iter__(self) -> Iterator[Channel]:
        """Those that live."""
        now = self._now()
        self._channels = {key: one for key, one in self._channels.items() if one.expires_at > now}
        return iter([*self._channels.values()])

    def watch(
        self,
        body: Mapping[str, Any],
        *,
        person: str,
        client_id: str,
        calendar: str,
        resource: tuple[str, str],
    ) -> Answer:
        """Make a channel; its first message may be there before the answer.

        Args:
            body: Of the request.
            person: Whose token came with it.
            client_id: For which app.
            calendar: What is watched.
            resource: Google's id of that and its address.
        """
        identity, token, address = (str(body.get(name) or "") for name in ("id", "token", "address"))
        if _ID.fullmatch(identity) is None:
            return error(400, "invalid", "Channel id is invalid.", domain="push")
        if identity in self._used:
            return error(400, "channelIdNotUnique", f"Channel id {identity} not unique", domain="push")
        if body.get("type") not in {"web_hook", "webhook"}:
            return error(400, "channelTypeInvalid", "Unknown channel type.", domain="push")
        if not address.startswith(("https://", f"{self._own_url}/")):
            return error(
                400, "webhookUrlNotHttps", f"WebHook callback must be HTTPS: {address}", domain="push"
            )
        if len(token) > _LONGEST_TOKEN:
            return error(400, "invalid", "The token is too long.", domain="push")
        resource_id, resource_uri = resource
        channel = Channel(
            number=self._serial(),
            id=identity,
            person=person,
            client_id=client_id,
            calendar=calendar,
            resource_id=resource_id,
            resource_uri=resource_uri,
            address=address,
            token=token,
            expires_at=self._end(body.get("expiration")),
        )
        self._used.add(identity)
        self._channels[identity] = channel
        self._send(channel, "sync")
        said: dict[str, Any] = {
            "kind": "api#channel",
            "id": identity,
            "resourceId": resource_id,
            "resourceUri": resource_uri,
            "expiration": str(int(channel.expires_at.timestamp() * 1000)),
        }
        return json_answer(said | ({"token": token} if token else {}))

    def stop(self, body: Mapping[str, Any], *, person: str, client_id: str) -> Answer:
        """Stop a channel: its own app and person may."""
        channel = self._channels.get(str(body.get("id") or ""))
        is_own = channel is not None and (channel.person, channel.client_id) == (person, client_id)
        if channel is None or not is_own or body.get("resourceId") != channel.resource_id:
            return not_found("Channel not found for project.")
        del self._channels[channel.id]
        return Answer(204)

    def end(self, number: int) -> None:
        """A channel dies without a word.

        Raises:
            LookupError: There is none of this number.
        """
        channel = next((one for one in self if one.number == number), None)
        if channel is None:
            raise LookupError(f"Google Calendar has no channel {number}.")
        del self._channels[channel.id]

    def tell(self, person: str, calendar: str) -> None:
        """Something in a person's calendar has changed."""
        for channel in self:
            if (channel.person, channel.calendar) == (person, calendar):
                self._send(channel, "exists")
                if self._chance.random() < _TWICE:
                    self._send(channel, "exists")

    def _end(self, wanted: Any) -> datetime:
        latest = self._now() + timedelta(seconds=self.life_seconds)
        text = str(wanted or "")
        if not text.isdigit() or len(text) > 14:
            return latest
        return min(latest, datetime.fromtimestamp(int(text) / 1000, UTC))

    def _send(self, channel: Channel, state: str, message: int = 0, tries: int = 0) -> None:
        if not message:
            channel.message += 1 if state == "sync" else self._chance.randrange(1, 5)
            message = channel.message
        headers = {
            "user-agent": "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)",
            "accept": "*/*",
            "x-goog-channel-id": channel.id,
            "x-goog-channel-expiration": format_datetime(
                channel.expires_at.replace(microsecond=0), usegmt=True
            ),
            "x-goog-resource-state": state,
            "x-goog-message-number": str(message),
            "x-goog-resource-id": channel.resource_id,
            "x-goog-resource-uri": channel.resource_uri,
        }
        if channel.token:
            headers["x-goog-channel-token"] = channel.token

        def delivered(status: int, _seconds: float) -> None:
            channel.last_status = status
            if status in _RETRIED and tries < _RETRIES:
                self._agenda.add(again, in_seconds=_RETRY_SECONDS * 2**tries)

        async def again() -> None:
            self._send(channel, state, message, tries + 1)

        self._courier.post(channel.address, headers, b"", delivered)
