"""Flow A: a webhook comes in, is verified, understood, committed to disk, and only then answered 2xx."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol

from starlette.types import Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from tidings.addressing import hinted, items_for
from tidings.asgi import exchange_of, header_texts
from tidings.contracts import (
    Clock,
    DeliveryKey,
    Item,
    Keys,
    Parsed,
    Receives,
    Reply,
    WebhookRequest,
)
from tidings.defects import parsed_by
from tidings.discretion import begin_discretion, redact, use_secrets
from tidings.errors import NotFound, Rejected, Unavailable, UnknownKey
from tidings.event import UserId, encode_json
from tidings.health import Health
from tidings.journal import SqlJournal
from tidings.keysets import KeySets
from tidings.lookups import Lookups
from tidings.metrics import Metrics
from tidings.ratelimit import Decision, Limiter, address_key, exceeded
from tidings.registrations import Addressed, Target

_BODY_SECONDS = 30.0  # for the whole body to arrive
_MOST_TARGETS = 10_000


class _Limited(Exception):
    """The registration has used up its configured limit."""

    def __init__(self, decision: Decision) -> None:
        super().__init__("This registration has reached limits.webhooks_per_registration.")
        self.decision = decision


class _Unknown(Exception):
    """The address is none, and the platform takes no 404."""

    def __init__(self, reply: Reply) -> None:
        super().__init__("There is no such webhook address (any more).")
        self.reply = reply


class Arrivals(Protocol):
    """Keeps account of what was delivered; see `tidings.arrivals`."""

    def delivered(
        self, user_id: UserId, connection_id: str, registration_id: str, now: datetime, *, has_news: bool
    ) -> None:
        """A delivery was taken."""

    def failed(self, user_id: UserId, connection_id: str) -> None:
        """A delivery could not be taken."""

    def failed_common(self, platform: str) -> None:
        """A delivery to a platform's common address could not be taken."""

    async def signal(
        self,
        signal: str,
        connections: Mapping[str, UserId],
        registration_id: str,
        at: datetime | None = None,
    ) -> None:
        """Act upon what a delivery says about the webhook or the grant itself."""


class Webhooks:
    """The endpoints `/api/webhooks/{platform}[/{registration}]`, as an ASGI application.

    Args:
        connectors: By platform; those that are a `Receives` take webhooks.
        found: Reads the targets of addresses, pairs of platform and registration, from the database.
        addressed: Reads whom the addresses in deliveries to a platform's common address name.
        arrivals: Keeps account of what was delivered.
        key_sets: Platforms' public keys.
        most_bytes: Larger bodies are refused with 413.
        failures: Counts requests that fail verification, by address.
        registration_limits: Limits valid deliveries by registration, where that is configured.
    """

    def __init__(
        self,
        connectors: Mapping[str, object],
        found: Lookups[tuple[str, str], Target],
        addressed: Lookups[tuple[str, str], Sequence[Addressed]],
        arrivals: Arrivals,
        key_sets: KeySets,
        journal: SqlJournal,
        clock: Clock,
        log: FilteringBoundLogger,
        metrics: Metrics,
        health: Health,
        *,
        most_bytes: int,
        failures: Limiter | None,
        registration_limits: Limiter | None,
    ) -> None:
        self._receivers = {name: one for name, one in connectors.items() if isinstance(one, Receives)}
        self._found = found
        self._addressed = addressed
        self._arrivals = arrivals
        self._key_sets = key_sets
        self._journal = journal
        self._clock = clock
        self._log = log
        self._metrics = metrics
        self._health = health
        self._most_bytes = most_bytes
        self._failures = failures
        self._registration_limits = registration_limits
        self._targets: dict[tuple[str, str], Target] = {}
        self._counters: dict[tuple[str, str], Any] = {}

    def forget_targets(self) -> None:
        """Registrations or users have changed: read them again."""
        self._targets = {}  # another one: what is being read now goes into the old

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one delivery, with its address in the path parameters `platform` and, unless it is common, `ref`."""
        parameters = scope["path_params"]
        await self.take(parameters["platform"], parameters.get("ref", ""), scope, receive, send)

    async def take(self, platform: str, ref: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one delivery for the address `ref` at `platform` ("" for the common one), and answer it."""
        started = self._clock.monotonic()
        fields: dict[str, Any] = {"platform": platform}
        headers: dict[str, str] = {}
        reply: Reply | None = None
        try:
            sent = header_texts(scope)
            body = await self._read_body(scope, sent, receive)
            if body is None:
                return  # the sender went away in the middle
            request = WebhookRequest(
                scope["method"], scope["path"], scope["query_string"].decode("latin-1"), sent, body
            )
            answer, reply = await self._take(platform, ref, request, fields)
            status = 200 if reply is None else reply.status
            outcome = _outcome(answer)
        except Rejected as error:
            self._use_keys(platform, ref)
            status, outcome = error.status, "refused"
            answer = {"error": {"code": "refused", "message": redact(str(error))}}
            if status in {401, 404}:
                # Counted after the verdict, so that what a platform signed is taken from a busy address too.
                with suppress(Unavailable):  # refused it is all the same
                    if excess := await exceeded(self._failures, address_key(_address(scope)), started):
                        status, headers = 429, excess.headers()
        except _Limited as error:
            status, outcome, headers = 429, "limited", error.decision.headers()
            answer = {"error": {"code": "rate_limited", "message": str(error)}}
        except Unavailable as error:
            status, outcome = 503, "unavailable"
            answer = {"error": {"code": "unavailable", "message": str(error)}}
            headers = {"retry-after": str(round(error.retry_after_seconds or 5))}
            self._failed(platform, fields)
        except NotFound as error:  # the user was removed a moment ago
            status, outcome = 404, "refused"
            answer = {"error": {"code": "refused", "message": str(error)}}
        except Exception as error:  # noqa: BLE001 - a plugin's defect; the sender sees it, the log has it
            self._use_keys(platform, ref)
            status, outcome = 500, "failed"
            answer = {"error": {"code": "internal", "message": "Something went wrong here; the log has it."}}
            reason = self._health.component(f"connector/{platform}").fails(error, "reading a delivery")
            self._log.error("delivery_failed", exc_info=error, reason=reason, **fields)
            self._failed(platform, fields)
        await _respond(scope, send, status, answer, headers, reply)
        seconds = self._clock.monotonic() - started
        if platform not in self._receivers:
            platform = "unknown"  # what strangers invent must not become a metric
        self._count(platform, outcome).inc()
        self._time(platform).observe(seconds)
        if outcome == "refused":
            fields["reason"] = answer["error"]["message"]
            fields["address"] = _address(scope)
        self._log.info("delivery", outcome=outcome, status=status, ms=round(seconds * 1000, 2), **fields)

    async def _take(
        self, platform: str, ref: str, request: WebhookRequest, fields: dict[str, Any]
    ) -> tuple[dict[str, Any], Reply | None]:
        connector = self._receivers.get(platform)
        if connector is None:
            raise Rejected(f"Nothing here takes webhooks for {platform[:64]!r}.", status=404)
        if not ref:
            return await self._take_common(platform, connector, request, fields)
        try:
            target = await self._verified(platform, ref, connector, request)
        except _Unknown as error:
            fields["reason"] = str(error)
            return {"status": "unknown", "events": 0, "duplicate": False}, error.reply
        fields["user"] = target.user_id
        fields["registration"] = target.registration_id
        if target.connection_id:
            fields["connection"] = target.connection_id
        parsed = parsed_by(connector, request)
        self._health.component(f"connector/{platform}").up()
        fields["kind"] = parsed.kind
        fields["delivery"] = parsed.delivery_id
        began = self._clock.monotonic()
        if excess := await exceeded(self._registration_limits, target.registration_id, began):
            raise _Limited(excess)
        if parsed.signal and target.connection_id:
            concerned = {target.connection_id: target.user_id}
            await self._arrivals.signal(parsed.signal, concerned, target.registration_id, parsed.signalled_at)
        outcome = await self._journal.enqueue(
            Item(
                user_id=target.user_id,
                events=parsed.events,
                via="webhook",
                connection_id=target.connection_id,
                delivery=DeliveryKey(target.registration_id, parsed.delivery_id)
                if parsed.delivery_id
                else None,
                jobs=hinted(parsed.hint, platform, target.connection_id, target.watches),
            )
        )
        if parsed.events:
            fields["event_id"] = parsed.events[0].id
        now, has_news = self._clock.now(), bool(parsed.events)
        self._arrivals.delivered(
            target.user_id, target.connection_id, target.registration_id, now, has_news=has_news
        )
        appended = outcome.appended
        answer = {
            "status": "stored",
            "events": appended.fresh,
            "duplicate": appended.repeated or (bool(parsed.events) and not appended.fresh),
        }
        return answer, parsed.answer

    async def _verified(
        self, platform: str, ref: str, connector: Receives, request: WebhookRequest
    ) -> Target:
        """The registration at an address, by whose secret the platform sent this."""
        target = self._targets.get((platform, ref))
        if target is not None:
            try:
                await self._verify(connector, request, target.secrets)
                return target
            except Rejected:
                pass  # its secret may be newer than what we remember
        target = await self._look_up(platform, ref, connector, request)
        await self._verify(connector, request, target.secrets)
        return target

    async def _take_common(
        self, platform: str, connector: Receives, request: WebhookRequest, fields: dict[str, Any]
    ) -> tuple[dict[str, Any], Reply | None]:
        """Take a delivery to the platform's common address, for all whom it names; it may be nobody."""
        await self._verify(connector, request, ())
        parsed = parsed_by(connector, request)
        return await self._take_parsed(platform, parsed, fields), parsed.answer

    async def take_pulled(self, platform: str, request: WebhookRequest) -> None:
        """Take a delivery that the connector fetched from its platform's own queue, as if it had come by itself.

        Raises:
            Rejected: It can't be read; it would be refused again.
            Unavailable: Not stored; fetch it again.
        """
        parsed = parsed_by(self._receivers[platform], request)
        fields: dict[str, Any] = {"platform": platform}
        answer = await self._take_parsed(platform, parsed, fields)
        outcome = "repeated" if answer["duplicate"] else "stored"
        self._count(platform, outcome).inc()
        self._log.info("delivery_pulled", outcome=outcome, **fields)

    async def _take_parsed(self, platform: str, parsed: Parsed, fields: dict[str, Any]) -> dict[str, Any]:
        self._health.component(f"connector/{platform}").up()
        fields["kind"] = parsed.kind
        fields["delivery"] = parsed.delivery_id
        connections = await self._named(platform, parsed.addresses)
        for one in await self._named(platform, parsed.apart_from):
            connections.pop(one, None)
        fields["connections"] = len(connections)
        if parsed.signal:
            await self._arrivals.signal(parsed.signal, connections, "", parsed.signalled_at)
        items = items_for(platform, parsed, connections, "webhook")
        outcomes = await asyncio.gather(*[self._journal.enqueue(item) for item in items])
        now = self._clock.now()
        for connection_id, user_id in connections.items():
            self._arrivals.delivered(user_id, connection_id, "", now, has_news=bool(parsed.events))
        fresh = sum(outcome.appended.fresh for outcome in outcomes)
        repeated = any(outcome.appended.repeated for outcome in outcomes)
        return {
            "status": "stored" if connections else "ignored",
            "events": fresh,
            "duplicate": not fresh and (repeated or bool(outcomes and parsed.events)),
        }

    async def _named(self, platform: str, addresses: Sequence[str]) -> dict[str, UserId]:
        """The connections that these addresses name, with their users."""
        found = await asyncio.gather(*[self._addressed.get((platform, one)) for one in addresses])
        return {one.connection_id: one.user_id for some in found for one in some or ()}

    def _failed(self, platform: str, fields: Mapping[str, Any]) -> None:
        """A delivery that was verified could not be taken: one for a connection, or one to the common address."""
        if connection_id := fields.get("connection"):
            self._arrivals.failed(fields["user"], connection_id)
        elif "kind" in fields and "registration" not in fields:
            self._arrivals.failed_common(platform)

    async def _verify(self, connector: Receives, request: WebhookRequest, secrets: tuple[bytes, ...]) -> None:
        """Have the connector verify a request, with these secrets or else with what all of its deliveries share."""
        keys, url = Keys(secrets) if secrets else connector.shared_keys, connector.jwks_url
        if not url:
            connector.verify(request, keys, self._clock.now())
            return
        try:
            found = await self._key_sets.get(url)
            connector.verify(request, Keys(keys.secrets, found), self._clock.now())
        except UnknownKey:
            found = await self._key_sets.renew(url)
            connector.verify(request, Keys(keys.secrets, found), self._clock.now())

    def _use_keys(self, platform: str, ref: str) -> None:
        """What failed was given these keys, and may quote them."""
        begin_discretion()
        target, connector = self._targets.get((platform, ref)), self._receivers.get(platform)
        for key in (
            *(target.secrets if target is not None else ()),
            *(connector.shared_keys.secrets if connector is not None else ()),
        ):
            use_secrets(key.decode("utf-8", "replace"))

    async def _look_up(self, platform: str, ref: str, connector: Receives, request: WebhookRequest) -> Target:
        targets = self._targets
        target = await self._found.get((platform, ref))
        if target is None:
            reply = connector.unknown(request)
            if reply is not None:
                raise _Unknown(reply)
            raise Rejected(
                f"There is no webhook address /api/webhooks/{platform}/{ref[:64]}. "
                "`tidings webhook list` shows those there are.",
                status=404,
            )
        if len(targets) >= _MOST_TARGETS:
            targets.clear()
        targets[platform, ref] = target
        return target

    async def _read_body(self, scope: Scope, headers: Mapping[str, str], receive: Receive) -> bytes | None:
        """The raw body, or None if the sender went away.

        Raises:
            Rejected: It is too large (413), or does not arrive in time (408).
        """
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._most_bytes:
            raise self._too_large()
        # Nearly all come with their headers, and need neither a message nor a timer.
        exchange = exchange_of(scope)
        body = exchange.body() if exchange is not None else None
        if body is not None:
            if len(body) > self._most_bytes:
                raise self._too_large()
            return body
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                return await self._read_chunks(receive)
        except TimeoutError:
            raise Rejected("The body did not arrive in time.", status=408) from None

    async def _read_chunks(self, receive: Receive) -> bytes | None:
        body = bytearray()
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if len(body) > self._most_bytes:
                raise self._too_large()
            if not message.get("more_body", False):
                return bytes(body)
        return None

    def _too_large(self) -> Rejected:
        return Rejected(f"The body is larger than {self._most_bytes} bytes.", status=413)

    def _count(self, platform: str, outcome: str) -> Any:
        counter = self._counters.get((platform, outcome))
        if counter is None:
            counter = self._counters[platform, outcome] = self._metrics.deliveries.labels(platform, outcome)
        return counter

    def _time(self, platform: str) -> Any:
        histogram = self._counters.get((platform, ""))
        if histogram is None:
            histogram = self._counters[platform, ""] = self._metrics.delivery_seconds.labels(platform)
        return histogram


def _outcome(answer: Mapping[str, Any]) -> str:
    if answer["duplicate"]:
        return "repeated"
    return "unknown" if answer["status"] == "unknown" else "stored"


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else "unknown"


async def _respond(
    scope: Scope,
    send: Send,
    status: int,
    answer: dict[str, Any],
    headers: Mapping[str, str],
    reply: Reply | None,
) -> None:
    if reply is not None:
        body, content_type = reply.body, reply.content_type.encode("latin-1")
    else:
        body, content_type = b"" if status == 204 else encode_json(answer), b"application/json"
    raw = [(b"x-content-type-options", b"nosniff")]
    if status != 204 or reply is not None:  # a platform may ask for a type even where nothing follows
        raw.append((b"content-type", content_type))
    if status != 204:  # which has neither a body nor a length of one (RFC 9110 §8.6)
        raw.append((b"content-length", str(len(body)).encode()))
    if headers:
        raw.extend((name.encode(), value.encode()) for name, value in headers.items())
    exchange = exchange_of(scope)
    if exchange is None or not exchange.answer(status, raw, body):
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})
