"""The emulated Events API: one Request URL, to which each event goes once for the whole workspace.

https://docs.slack.dev/apis/events-api: retries at once, after a minute and after five; with "Delayed Events" then every
hour for a day; at most 30,000 deliveries in an hour, and one `app_rate_limited` for each minute beyond.
"""

from __future__ import annotations

import hmac
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec

from tidings_sandbox.courier import Courier
from tidings_sandbox.slack.oauth import APP, ROBOT, SlackConsents
from tidings_sandbox.slack.workspace import BOT_USER, TEAM, Json, user_of
from tidings_sandbox.stage import Stage
from tidings_sandbox.wire import encode

RETRY_SECONDS: Final = (0.0, 60.0, 300.0)
_DELAYED_SECONDS: Final = 3600.0
_DELAYED_TIMES: Final = 24
_HOUR_SECONDS: Final = 3600.0
_KEPT: Final = 500


class Sent(msgspec.Struct):
    """An event on its way, for the log of the control page.

    Attributes:
        tries: How often it was sent so far.
        status: Of the last answer; 0 for none.
    """

    id: int
    event_id: str
    kind: str
    at: datetime
    body: bytes
    tries: int = 0
    status: int = 0


class EventsApi:
    """Sends what happens in the workspace to the app, if anybody who agreed to it sees it.

    Attributes:
        is_active: Whether event subscriptions are on.
        delayed_events: Whether what failed is sent once more every hour.
        most_per_hour: Deliveries.
        url: The Request URL.
        signing_secret: The app's.

    Args:
        stage: Time to come, and numbers that grow.
        courier: The way out.
        consents: Who agreed.
        now: Slack's clock.
        signing_secret: The app's.
    """

    def __init__(
        self,
        stage: Stage,
        courier: Courier,
        consents: SlackConsents,
        now: Callable[[], datetime],
        signing_secret: str,
    ) -> None:
        self.is_active = True
        self.delayed_events = False
        self.most_per_hour = 30_000
        self.url = f"{stage.public_url}/api/webhooks/slack"
        self.signing_secret = signing_secret
        self._stage = stage
        self._courier = courier
        self._consents = consents
        self._now = now
        self._log: deque[Sent] = deque(maxlen=_KEPT)
        self._hour: deque[float] = deque()
        self._limited_minute = 0

    def log(self) -> Sequence[Sent]:
        """What was sent lately, newest first."""
        return list(self._log)[::-1]

    def send(self, event: Mapping[str, Any], seen_by: Collection[str] | None = None) -> None:
        """Send an event, once, if anybody sees it who agreed to the app.

        Args:
            event: The inner event.
            seen_by: Slack's ids of who sees it; None for what concerns the app itself.
        """
        authorized = next(self._authorized(seen_by), None)
        if not self.is_active or (authorized is None and seen_by is not None):
            return
        at = self._now()
        if self._is_over_limit(at):
            return
        event_id = f"Ev0{self._stage.serial():X}"
        self._post(
            event_id,
            str(event["type"]),
            {
                "token": "not-to-be-looked-at",
                "team_id": TEAM,
                "context_team_id": TEAM,
                "context_enterprise_id": None,
                "api_app_id": APP,
                "event": event,
                "type": "event_callback",
                "event_id": event_id,
                "event_time": int(at.timestamp()),
                "authorizations": [] if authorized is None else [authorized],
                "is_ext_shared_channel": False,
                "event_context": f"4-{event_id}",
            },
        )

    def verify_url(self) -> None:
        """Ask whether the Request URL is the app's; subscriptions are on again once it answers."""
        challenge = f"challenge{self._stage.serial():X}"
        said = {"token": "not-to-be-looked-at", "challenge": challenge, "type": "url_verification"}

        def answered(status: int, _seconds: float) -> None:
            self.is_active = 200 <= status < 300

        body = encode(said)
        self._courier.post(self.url, partial(self._headers, body, {}), body, answered)

    def _authorized(self, seen_by: Collection[str] | None) -> Iterator[Json]:
        """Those who agreed and see it; a delivery names but the first."""
        for consent in self._consents.living():
            person = self._stage.people.get(consent.person)
            if person is None:
                continue
            is_bot = ROBOT in consent.scopes
            user = BOT_USER if is_bot else user_of(person)
            if seen_by is None or user in seen_by:
                yield {
                    "enterprise_id": None,
                    "team_id": TEAM,
                    "user_id": user,
                    "is_bot": is_bot,
                    "is_enterprise_install": False,
                }

    def _is_over_limit(self, at: datetime) -> bool:
        """Count a delivery; one too many is not sent, and the first of a minute is said so."""
        now, hour = at.timestamp(), self._hour
        while hour and hour[0] <= now - _HOUR_SECONDS:
            hour.popleft()
        if len(hour) < self.most_per_hour:
            hour.append(now)
            return False
        minute = int(now) // 60 * 60
        if minute != self._limited_minute:
            self._limited_minute = minute
            said = {
                "token": "not-to-be-looked-at",
                "type": "app_rate_limited",
                "team_id": TEAM,
                "minute_rate_limited": minute,
                "api_app_id": APP,
            }
            self._post("", "app_rate_limited", said)
        return True

    def _post(self, event_id: str, kind: str, envelope: Json) -> None:
        sent = Sent(self._stage.serial(), event_id, kind, self._now(), encode(envelope))
        self._log.append(sent)
        self._try(sent)

    def _try(self, sent: Sent) -> None:
        more = {}
        if sent.tries:
            reason = "http_error" if sent.status else "http_timeout"
            more = {"X-Slack-Retry-Num": str(sent.tries), "X-Slack-Retry-Reason": reason}
        sent.tries += 1

        def delivered(status: int, _seconds: float) -> None:
            sent.status = status
            if not 200 <= status < 300:
                self._try_later(sent)

        headers = partial(self._headers, sent.body, more)
        self._courier.post(self.url, headers, sent.body, delivered)

    def _try_later(self, sent: Sent) -> None:
        retries = len(RETRY_SECONDS)
        if sent.tries <= retries:
            in_seconds = RETRY_SECONDS[sent.tries - 1]
        elif self.delayed_events and sent.tries <= retries + _DELAYED_TIMES:
            in_seconds = _DELAYED_SECONDS
        else:
            return

        async def again() -> None:
            if self.is_active:
                self._try(sent)

        self._stage.agenda.add(again, in_seconds=in_seconds)

    def _headers(self, body: bytes, more: Mapping[str, str]) -> Mapping[str, str]:
        timestamp = str(int(self._now().timestamp()))
        signed = b"v0:" + timestamp.encode() + b":" + body
        return {
            "Content-Type": "application/json",
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": f"v0={hmac.digest(self.signing_secret.encode(), signed, 'sha256').hex()}",
            **more,
        }
