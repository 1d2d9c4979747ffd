"""Flow A: a webhook comes in, is verified, understood, committed to disk, and only then answered 2xx."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.types import Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from tidings.asgi import step
from tidings.contracts import Clock, DeliveryKey, Item, Keys, Receives, WebhookRequest
from tidings.errors import NotFound, Rejected, Unavailable
from tidings.event import encode_json
from tidings.health import Health
from tidings.journal import SqlJournal
from tidings.lookups import Lookups
from tidings.metrics import Metrics
from tidings.ratelimit import Decision, Limiter, address_key
from tidings.registrations import Target

_BODY_SECONDS = 30.0  # for the whole body to arrive
_MOST_TARGETS = 10_000


class _Limited(Exception):
    """The registration has used up its configured limit."""

    def __init__(self, decision: Decision) -> None:
        super().__init__("This registration has reached limits.webhooks_per_registration.")
        self.decision = decision


class Webhooks:
    """The endpoint `/api/webhooks/{platform}/{registration}`, as an ASGI application.

    Args:
        connectors: By platform; those that are a `Receives` take webhooks.
        found: Reads the targets of addresses, pairs of platform and registration, from the database.
        most_bytes: Larger bodies are refused with 413.
        failures: Counts requests that fail verification, by address.
        registration_limits: Limits valid deliveries by registration, where that is configured.
    """

    def __init__(
        self,
        connectors: Mapping[str, object],
        found: Lookups[tuple[str, str], Target],
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
        """Take one delivery, with its address in the path parameters `platform` and `ref`."""
        await self.take(scope["path_params"]["platform"], scope["path_params"]["ref"], scope, receive, send)

    async def take(self, platform: str, ref: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one delivery for the address `ref` at `platform`, and answer it."""
        started = self._clock.monotonic()
        fields: dict[str, Any] = {"platform": platform}
        headers: dict[str, str] = {}
        try:
            body = await self._read_body(scope, receive)
            if body is None:
                return  # the sender went away in the middle
            status, answer = await self._take(scope, platform, ref, body, fields)
            outcome = "repeated" if answer["duplicate"] else "stored"
        except Rejected as error:
            status, outcome = error.status, "refused"
            answer = {"error": {"code": "refused", "message": str(error)}}
            if status in {401, 404} and self._failures is not None:
                # Counted after the verdict, so that what a platform signed is taken from a busy address too.
                decision = self._failures.hit(address_key(_address(scope)), started)
                if not decision.allowed:
                    status, headers = 429, decision.headers()
        except _Limited as error:
            status, outcome, headers = 429, "limited", error.decision.headers()
            answer = {"error": {"code": "rate_limited", "message": str(error)}}
        except Unavailable as error:
            status, outcome = 503, "unavailable"
            answer = {"error": {"code": "unavailable", "message": str(error)}}
            headers = {"retry-after": str(round(error.retry_after_seconds or 5))}
        except NotFound as error:  # the user was removed a moment ago
            status, outcome = 404, "refused"
            answer = {"error": {"code": "refused", "message": str(error)}}
        except Exception as error:  # noqa: BLE001 - a plugin's defect; the sender sees it, the log has it
            status, outcome = 500, "failed"
            answer = {"error": {"code": "internal", "message": "Something went wrong here; the log has it."}}
            self._log.error("delivery_failed", exc_info=error, **fields)
            self._health.component(f"connector/{platform}").down(
                f"{type(error).__name__} while reading a delivery"
            )
        await _respond(send, status, answer, headers)
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
        self, scope: Scope, platform: str, ref: str, body: bytes, fields: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        connector = self._receivers.get(platform)
        if connector is None:
            raise Rejected(f"Nothing here takes webhooks for {platform[:64]!r}.", status=404)
        request = WebhookRequest(
            scope["method"], scope["path"], scope["query_string"].decode("latin-1"), _headers(scope), body
        )
        target = self._targets.get((platform, ref))
        if target is None:
            target = await self._look_up(platform, ref)
            self._verify(connector, request, target)
        else:
            try:
                self._verify(connector, request, target)
            except Rejected:
                # Its secret may be newer than what we remember.
                target = await self._look_up(platform, ref)
                self._verify(connector, request, target)
        fields["user"] = target.user_id
        fields["registration"] = target.registration_id
        parsed = connector.parse(request)
        self._health.component(f"connector/{platform}").up()
        fields["kind"] = parsed.kind
        fields["delivery"] = parsed.delivery_id
        if self._registration_limits is not None:
            decision = self._registration_limits.hit(target.registration_id, self._clock.monotonic())
            if not decision.allowed:
                raise _Limited(decision)
        outcome = await self._journal.enqueue(
            Item(
                user_id=target.user_id,
                events=parsed.events,
                via="webhook",
                delivery=DeliveryKey(target.registration_id, parsed.delivery_id)
                if parsed.delivery_id
                else None,
            )
        )
        if parsed.events:
            fields["event_id"] = parsed.events[0].id
        appended = outcome.appended
        return 200, {
            "status": "stored",
            "events": appended.fresh,
            "duplicate": appended.repeated or (bool(parsed.events) and not appended.fresh),
        }

    def _verify(self, connector: Receives, request: WebhookRequest, target: Target) -> None:
        keys = Keys(target.secrets) if target.secrets else connector.shared_keys
        connector.verify(request, keys, self._clock.now())

    async def _look_up(self, platform: str, ref: str) -> Target:
        targets = self._targets
        target = await self._found.get((platform, ref))
        if target is None:
            raise Rejected(
                f"There is no webhook address /api/webhooks/{platform}/{ref[:64]}. "
                "`tidings webhook list` shows those there are.",
                status=404,
            )
        if len(targets) >= _MOST_TARGETS:
            targets.clear()
        targets[platform, ref] = target
        return target

    async def _read_body(self, scope: Scope, receive: Receive) -> bytes | None:
        """The raw body, or None if the sender went away.

        Raises:
            Rejected: It is too large (413), or does not arrive in time (408).
        """
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > self._most_bytes:
                raise self._too_large()
        # A body that came with its headers, as nearly all do, needs no timer.
        message, rest = step(receive())
        if message is not None and not message.get("more_body", False) and message["type"] == "http.request":
            body: bytes = message.get("body", b"")
            if len(body) > self._most_bytes:
                raise self._too_large()
            return body
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                return await self._read_chunks(message if rest is None else await rest, receive)
        except TimeoutError:
            raise Rejected("The body did not arrive in time.", status=408) from None

    async def _read_chunks(self, message: Message | None, receive: Receive) -> bytes | None:
        body = bytearray()
        while message is not None and message["type"] == "http.request":
            body += message.get("body", b"")
            if len(body) > self._most_bytes:
                raise self._too_large()
            if not message.get("more_body", False):
                return bytes(body)
            message = await receive()
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


def _headers(scope: Scope) -> dict[str, str]:
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    headers = dict(pairs)
    if len(headers) != len(pairs):
        headers = {}
        for name, value in pairs:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else "unknown"


async def _respond(send: Send, status: int, answer: dict[str, Any], headers: Mapping[str, str]) -> None:
    body = encode_json(answer)
    raw = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
    ]
    raw.extend((name.encode(), value.encode()) for name, value in headers.items())
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
