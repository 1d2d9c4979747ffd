"""The emulated Google Calendar: calendars, their events in pages and since a sync token, notification channels.

https://developers.google.com/workspace/calendar/api/v3/reference, with the discovery document of 2026-10-30.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Final, Literal

from tidings_sandbox.calendar.channels import Channels
from tidings_sandbox.calendar.desk import PRIMARY, Desk
from tidings_sandbox.calendar.life import KINDS, Life
from tidings_sandbox.calendar.listing import Source, answer_list
from tidings_sandbox.calendar.sheet import Sheet, matches
from tidings_sandbox.google import SCOPE, GoogleService, Units, error, google_options, not_found
from tidings_sandbox.happenings import Happening
from tidings_sandbox.people import Person
from tidings_sandbox.stage import Stage
from tidings_sandbox.tokens import Access
from tidings_sandbox.wire import Answer, Call, json_answer

_LIST_SCOPES: Final = frozenset({f"{SCOPE}calendar.calendarlist.readonly", f"{SCOPE}calendar.readonly"})
_EVENT_SCOPES: Final = frozenset({f"{SCOPE}calendar.events.readonly", f"{SCOPE}calendar.readonly"})
_PATH: Final = re.compile(r"/v3/calendars/([^/]+)/events(?:/([^/]+))?")
_PER_MINUTE: Final = 600
_MOST_EVENTS, _USUAL_EVENTS = 2500, 250
_MOST_CALENDARS, _USUAL_CALENDARS = 250, 100


class GoogleCalendar(GoogleService):
    """Google Calendar: the API, version 3, with `singleEvents=true` alone.

    `act` understands these details: `calendar` (an id or a name; `primary`), `event` (an id, of an event or a series),
    `title`, `in_seconds` (when it begins), `place`, `answer` (`accepted`, `declined`, `tentative`), `shifts` (whether
    a series moves).

    Attributes:
        channels: The notification channels.
        units: How many requests each person's minute takes.
    """

    name: ClassVar[str] = "calendar"
    title: ClassVar[str] = "Google Calendar"
    scopes: ClassVar[frozenset[str]] = _LIST_SCOPES | _EVENT_SCOPES
    kinds: ClassVar[Mapping[str, str]] = KINDS
    small: ClassVar[Sequence[str]] = tuple(KINDS)

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.units = Units(_PER_MINUTE, 60.0)
        self.channels = Channels(
            self.courier,
            stage.agenda,
            self.chance,
            now=self.now,
            serial=stage.serial,
            own_url=stage.public_url,
        )
        self._life = Life(self.now, self.chance)
        self._desks: dict[str, Desk] = {}
        self._generation = 1

    @classmethod
    def options(cls, base: str, seed: int, *, lively: bool) -> Mapping[str, Any]:
        """Google's, and for newcomers a cadence that shows them something within a minute."""
        return {
            **google_options(base, seed),
            "api_url": f"{base}/v3",
            **({"poll_every": "1m"} if lively else {}),
        }

    def desk(self, person: Person) -> Desk:
        """This person's calendars."""
        desk = self._desks.get(person.key)
        if desk is None:
            desk = self._desks[person.key] = Desk(person, self.now, self.stage.serial, self.chance)
        return desk

    def forget_tokens(self) -> None:
        """From now on every sync token given so far is answered with 410."""
        self._generation += 1

    def describe(self) -> Mapping[str, Any]:
        """Everybody's calendars who has some."""
        return {
            "calendars": {
                key: [sheet.name for sheet in desk.sheets.values() if not sheet.is_gone]
                for key, desk in self._desks.items()
            }
        }

    # --- what happens ---

    def act(self, kind: str, person: Person, details: Mapping[str, Any]) -> Happening:
        """Make something happen, and tell the channels of the calendar."""
        done = self._life.make(kind, self.desk(person), details)
        self.channels.tell(person.key, done.sheet.id)
        title = f"{person.name} {done.title}"
        return self.stage.record.add(Happening(self.name, person.key, kind, self.now(), done.key, title))

    def hooks(self) -> Sequence[Mapping[str, Any]]:
        """The channels."""
        return [
            {
                "id": one.number,
                "owner": one.person,
                "target": one.calendar,
                "url": one.address,
                "active": True,
                "events": ["events"],
                "last_status": one.last_status,
            }
            for one in self.channels
        ]

    def change_hook(self, hook_id: int, change: Literal["delete", "disable", "enable"]) -> None:
        """A channel dies without a word; it can't be switched off and on.

        Raises:
            LookupError: No such channel, or no such change.
        """
        if change != "delete":
            raise LookupError("A channel of Google Calendar lives or is gone.")
        self.channels.end(hook_id)

    # --- the API ---

    def serve(self, call: Call) -> Answer:
        """Answer a request to the Calendar API."""
        if call.path == "/v3/users/me/calendarList" and call.method == "GET":
            return self._allowed(call, _LIST_SCOPES, self._calendars)
        if call.path == "/v3/channels/stop" and call.method == "POST":
            return self._allowed(call, self.scopes, self._stop)
        found = _PATH.fullmatch(call.path)
        if found is None:
            return not_found("Not Found")
        calendar, event = found[1], found[2] or ""
        if event == "watch" and call.method == "POST":
            return self._allowed(call, _EVENT_SCOPES, partial(self._watch, calendar))
        if call.method != "GET":
            return not_found("Not Found")
        serve = partial(self._event, calendar, event) if event else partial(self._events, calendar)
        return self._allowed(call, _EVENT_SCOPES, serve)

    def _allowed(self, call: Call, scopes: frozenset[str], serve: Any) -> Answer:
        access = self.admit(call, scopes)
        if not isinstance(access, Access):
            return access
        if self.units.take(access.person.key, self.now()) is not None:
            # Google says it in either way; both mean the same.
            status, reason = (
                (403, "userRateLimitExceeded") if self.chance.random() < 0.5 else (429, "rateLimitExceeded")
            )
            return error(status, reason, "Rate Limit Exceeded", domain="usageLimits")
        answer: Answer = serve(call, access)
        return answer

    def _calendars(self, call: Call, access: Access) -> Answer:
        desk = self.desk(access.person)
        source: Source[Sheet] = Source(
            of=f"list {access.person.key}",
            things=[(one.listed, one.id, one) for one in desk.sheets.values()],
            newest=desk.changes,
            is_shown=lambda sheet: not sheet.is_gone,
            show=Sheet.show,
        )
        head = {"kind": "calendar#calendarList", "etag": f'"p{desk.changes}"'}
        return self._list(source, call, head, _MOST_CALENDARS, _USUAL_CALENDARS)

    def _events(self, calendar: str, call: Call, access: Access) -> Answer:
        sheet, parameters = self._sheet(access, calendar), call.parameters()
        if sheet is None:
            return not_found("Not Found")
        if parameters.get("singleEvents") != "true":
            return error(400, "invalidParameter", "The sandbox lists single events alone.")
        email = access.person.google_email
        source = Source(
            of=f"events {access.person.key} {sheet.id}",
            things=[(row.change, row.id, row) for row in sheet.rows.values()],
            newest=sheet.changes,
            is_shown=lambda row: not row.is_cancelled and matches(row, parameters),
            show=lambda row: row.show(email),
        )
        head = {
            "kind": "calendar#events",
            "etag": f'"p{sheet.changes}"',
            "summary": sheet.name,
            "timeZone": "UTC",
            "accessRole": "owner",
        }
        return self._list(source, call, head, _MOST_EVENTS, _USUAL_EVENTS)

    def _list(
        self, source: Source[Any], call: Call, head: Mapping[str, Any], most: int, usual: int
    ) -> Answer:
        return answer_list(
            source, call.parameters(), head, generation=self._generation, most=most, usual=usual
        )

    def _event(self, calendar: str, event: str, call: Call, access: Access) -> Answer:
        del call
        sheet = self._sheet(access, calendar)
        row = None if sheet is None else sheet.rows.get(event)
        return not_found("Not Found") if row is None else json_answer(row.show(access.person.google_email))

    def _watch(self, calendar: str, call: Call, access: Access) -> Answer:
        sheet = self._sheet(access, calendar)
        if sheet is None:
            return not_found("Not Found")
        if sheet.is_virtual:
            message = "Push notifications are not supported by this resource."
            return error(400, "pushNotSupportedForRequestedResource", message)
        of = f"{access.person.key} {sheet.id}"
        return self.channels.watch(
            call.json(),
            person=access.person.key,
            client_id=access.client_id,
            calendar=sheet.id,
            resource=(
                hashlib.sha256(of.encode()).hexdigest()[:27],
                f"https://www.googleapis.com/calendar/v3/calendars/{sheet.id}/events?alt=json",
            ),
        )

    def _stop(self, call: Call, access: Access) -> Answer:
        return self.channels.stop(call.json(), person=access.person.key, client_id=access.client_id)

    def _sheet(self, access: Access, calendar: str) -> Sheet | None:
        sheet = self.desk(access.person).sheet(calendar)
        return sheet if sheet is not None and calendar in {PRIMARY, sheet.id} else None  # not by its name
