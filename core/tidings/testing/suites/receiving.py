"""What a connector that takes webhooks must be: it believes what its platform signed, and nothing else."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import ClassVar, Final

import msgspec

from tidings.connectors import Receives
from tidings.deliveries import Keys, Parsed, WebhookRequest
from tidings.errors import Rejected
from tidings.event import encode_json
from tidings.testing import forgeries
from tidings.testing.bench import Bench, serving
from tidings.testing.quiet import listening_for_io
from tidings.testing.suite import Violation, fail, require, standard
from tidings.testing.suites.connector import ConnectorSuite

_SECRET: Final = b"cAnArY-0123456789-kept-to-itself"
_DAY_SECONDS: Final = 86_400.0


@dataclasses.dataclass(frozen=True, slots=True)
class Stand:
    """A receiving connector, and a delivery that its platform signed just now."""

    receiver: Receives
    bench: Bench
    request: WebhookRequest
    keys: Keys
    now: datetime


class ReceivingSuite(ConnectorSuite):
    """What a connector that takes webhooks must be.

    By default deliveries are the connector's own `sample`, signed with one secret. Where a platform signs with a key
    that nobody else has, implement `keys`, `other_keys` and `delivery`.

    Attributes:
        signature: The header that holds the signature, in lower case.
        stale_seconds: A delivery this old is a replay. A platform that signs no time needs an exemption.
    """

    signature: ClassVar[str] = ""
    stale_seconds: ClassVar[float] = _DAY_SECONDS

    def keys(self) -> Keys:
        """What deliveries are verified with."""
        return Keys((_SECRET,))

    def other_keys(self) -> Keys:
        """Such keys of somebody else."""
        return Keys((b"not-the-key-of-this-delivery-at-all",))

    def delivery(self, receiver: Receives, now: datetime, serial: str) -> WebhookRequest:
        """A delivery that the platform signed with `keys`; another happening for each serial."""
        return receiver.sample(self.keys(), now, serial)

    def secrets(self) -> tuple[str, ...]:
        """What must be shown to nobody."""
        return tuple(secret.decode() for secret in self.keys().secrets)

    @contextmanager
    def stand(self, serial: str = "1") -> Iterator[Stand]:
        """A connector, and what a test does something to."""
        with self.connector() as (connector, bench):
            if not isinstance(connector, Receives):
                fail(f"{self.plugin} is no Receives. Use ConnectorSuite for it.")
            now = bench.clock.now()
            request = self.delivery(connector, now, serial)
            require(
                self.signature in request.headers,
                f"A delivery has no header {self.signature!r}. Set `signature` of the suite to the one it has.",
            )
            yield Stand(connector, bench, request, self.keys(), now)

    def _refuses(self, forge: Callable[[WebhookRequest, str], WebhookRequest], what: str) -> None:
        with self.stand() as stand:
            forged = forge(stand.request, self.signature)
            _refused(stand, forged, stand.keys, stand.now, what)

    # --- verify ---

    @standard
    def test_takes_what_its_platform_signs(self) -> None:
        """A delivery that is signed well is verified, and says something."""
        with self.stand() as stand:
            stand.receiver.verify(stand.request, stand.keys, stand.now)
            parsed = stand.receiver.parse(stand.request)
            require(
                parsed.events or parsed.hint or parsed.signal,
                "A delivery has neither events, nor a hint or signal.",
            )

    @standard
    def test_refuses_where_there_is_no_key(self) -> None:
        """Without a key nothing can be verified, so nothing is taken. A blank one is none."""
        with self.stand() as stand:
            for none in (Keys(), Keys((b"",)), Keys((b"  \n",))):
                _refused(stand, stand.request, none, stand.now, "a delivery for which there is no key")

    @standard
    def test_refuses_what_is_unsigned(self) -> None:
        """No signature, or an empty one, is no signature."""
        self._refuses(forgeries.unsigned, "a delivery without a signature")
        self._refuses(forgeries.blank, "a delivery with an empty signature")

    @standard
    def test_refuses_another_key(self) -> None:
        """What somebody else signed is not the platform's."""
        with self.stand() as stand:
            _refused(stand, stand.request, self.other_keys(), stand.now, "a delivery that another key signed")

    @standard
    def test_refuses_a_shortened_signature(self) -> None:
        """All of the signature counts, not its beginning."""
        self._refuses(forgeries.shortened, "a signature without its end")

    @standard
    def test_refuses_a_doubled_signature(self) -> None:
        """Where there are two, nobody can say which one counts."""
        self._refuses(forgeries.doubled, "a signature that was sent twice")

    @standard
    def test_refuses_a_changed_body(self) -> None:
        """The signature is that of the body as it came, to the last bit."""
        self._refuses(forgeries.changed, "a body that was changed on its way")

    @standard
    def test_refuses_a_truncated_body(self) -> None:
        """Likewise, of the whole of it."""
        self._refuses(forgeries.truncated, "a body that lacks its end")

    @standard
    def test_refuses_what_is_stale(self) -> None:
        """What was signed long ago is a replay: somebody has kept it."""
        with self.stand() as stand:
            later = stand.now + timedelta(seconds=self.stale_seconds)
            _refused(
                stand, stand.request, stand.keys, later, f"a delivery {self.stale_seconds:g} seconds old"
            )

    @standard
    def test_refuses_what_is_of_the_future(self) -> None:
        """What will be signed only later is no delivery of now."""
        with self.stand() as stand:
            before = stand.now - timedelta(seconds=self.stale_seconds)
            _refused(stand, stand.request, stand.keys, before, "a delivery that was signed in the future")

    @standard
    def test_takes_any_of_its_keys(self) -> None:
        """While a secret is changed, the old one and the new one are both good."""
        with self.stand() as stand:
            mine, other = stand.keys, self.other_keys()
            for secrets in ((*mine.secrets, *other.secrets), (*other.secrets, *mine.secrets)):
                stand.receiver.verify(
                    stand.request, msgspec.structs.replace(mine, secrets=secrets), stand.now
                )

    @standard
    def test_reads_without_input_or_output(self) -> None:
        """`verify` and `parse` are pure: the same each time, and they touch nothing outside."""
        with self.stand() as stand:
            stand.receiver.verify(stand.request, stand.keys, stand.now)
            first = stand.receiver.parse(stand.request)  # what they import is imported now
            with listening_for_io() as heard:
                stand.receiver.verify(stand.request, stand.keys, stand.now)
                again = stand.receiver.parse(stand.request)
            require(not heard, f"`verify` or `parse` does: {', '.join(heard)}.")
            require(not stand.bench.http.asked, "`verify` or `parse` sends a request.")
            require(_shown(again) == _shown(first), "`parse` says something else the second time.")

    @standard
    def test_refuses_as_a_client_s_mistake(self) -> None:
        """A refusal's status is a 4xx: what is no client's mistake is sent again and again, or disables the webhook."""
        with self.stand() as stand:
            forged = forgeries.unsigned(stand.request, self.signature)
            error = _refused(stand, forged, stand.keys, stand.now, "a delivery without a signature")
            require(400 <= error.status < 500, f"A refusal has the status {error.status}.")

    @standard
    def test_keeps_its_key_to_itself(self) -> None:
        """No refusal says what the key is, nor the signature that would have been right."""
        with self.stand() as stand:
            right = stand.request.headers[self.signature].rpartition("=")[2]
            for forge in (forgeries.unsigned, forgeries.shortened, forgeries.changed):
                try:
                    stand.receiver.verify(forge(stand.request, self.signature), stand.keys, stand.now)
                except Rejected as error:
                    told = str(error)
                    require(
                        not any(one in told for one in (*self.secrets(), right)),
                        "A refusal gives away a secret.",
                    )

    # --- parse ---

    @standard
    def test_survives_any_body(self) -> None:
        """Who may sign may send anything: `parse` says `Rejected`, or reads it, and raises nothing else."""
        with self.stand() as stand:
            for body in _bodies(stand.request.body):
                try:
                    parsed = stand.receiver.parse(msgspec.structs.replace(stand.request, body=body))
                    encode_json([event.data for event in parsed.events])
                except Rejected:
                    pass
                except Exception as error:  # noqa: BLE001 - any other is the violation
                    fail(f"`parse` raises {type(error).__name__} for the body {body[:60]!r}: {error}")

    @standard
    def test_gives_a_happening_one_id(self) -> None:
        """The same delivery, read again, has the same ids: they come from its content."""
        with self.stand() as first, self.stand() as again:
            ids = [[event.id for event in one.receiver.parse(one.request).events] for one in (first, again)]
            require(ids[0] == ids[1], f"The same delivery, read twice, has the ids {ids[0]} and {ids[1]}.")

    @standard
    def test_tells_happenings_apart(self) -> None:
        """Another happening has other ids, and another delivery id where there is one."""
        with self.stand("1") as first, self.stand("2") as second:
            one, two = first.receiver.parse(first.request), second.receiver.parse(second.request)
            shared = {event.id for event in one.events} & {event.id for event in two.events}
            require(not shared, f"Two happenings share the ids {', '.join(sorted(shared))}.")
            require(
                one.delivery_id != two.delivery_id or not one.delivery_id, "Two deliveries share their id."
            )

    @standard
    def test_tells_what_to_show(self) -> None:
        """Each event can be shown by who does not know the platform: a title, a type and a source, as JSON."""
        with self.stand() as stand:
            for event in stand.receiver.parse(stand.request).events:
                data = msgspec.json.decode(encode_json(event.data))
                title = data.get("title") if isinstance(data, dict) else None
                require(isinstance(title, str) and title.strip(), f"{event.id}: `data` has no title.")
                require(
                    event.platform == self.name,
                    f"{event.id}: its platform is {event.platform!r}, not {self.name!r}.",
                )
                require(
                    event.id.startswith(f"{self.name}:"), f"{event.id}: an id begins with `{self.name}:`."
                )
                require(
                    event.type.count(".") >= 2,
                    f"{event.type}: a type is a domain's name in reverse, and more.",
                )
                require(event.source, f"{event.id}: there is no source.")
                zoned = event.time is None or event.time.tzinfo is not None
                require(zoned, f"{event.id}: `time` has no zone.")

    # --- with a server around it ---

    @standard
    async def test_stores_a_delivery_once(self) -> None:
        """At a server it is stored before it is answered; sent again, or with headers in other case, it is known."""
        async with serving(self.plugin, self.options) as server:
            receiver, user = server.receiver(self.name), await server.add_user("ann")
            hook = await server.add_hook(user, self.name)
            request = receiver.sample(Keys((hook.secret.encode(),)), server.services.clock.now(), "1")
            first = await server.deliver(hook.path, request)
            require(
                first.status_code // 100 == 2, f"A delivery is answered {first.status_code}: {first.text}"
            )
            told = len(receiver.parse(request).events)
            head = (await server.services.journal.head(user.id)).seq
            require(head == told, f"{head} of {told} events are on disk when it is answered.")
            request = msgspec.structs.replace(request, headers=forgeries.retitled(request))
            again = await server.deliver(hook.path, request)
            require(
                again.status_code // 100 == 2, f"The same again is answered {again.status_code}: {again.text}"
            )
            after = (await server.services.journal.head(user.id)).seq
            require(after == head, "A delivery that was sent twice is stored twice.")


_HOW: Final = {
    "a signature that was sent twice": " A header that is sent twice arrives with both values, joined by a comma and a "
    "blank: refuse what is not exactly one signature.",
}


def _refused(stand: Stand, request: WebhookRequest, keys: Keys, now: datetime, what: str) -> Rejected:
    try:
        stand.receiver.verify(request, keys, now)
    except Rejected as error:
        return error
    except Exception as error:
        raise Violation(
            f"`verify` raises {type(error).__name__} for {what}: {error}. Raise Rejected."
        ) from error
    raise Violation(f"`verify` takes {what}.{_HOW.get(what, '')}")


def _shown(parsed: Parsed) -> bytes:
    return msgspec.json.encode(
        [parsed.delivery_id, parsed.kind, *[(one.id, one.data) for one in parsed.events]]
    )


def _bodies(good: bytes) -> Iterator[bytes]:
    """Bodies that no platform sends: cut, turned, emptied, of other types, too deep."""
    yield from (
        b"",
        b"null",
        b"[]",
        b"{}",
        b"0",
        b'"text"',
        b"\xff\xfe",
        b'{"a":' * 2000,
        b"[" * 100_000,
        b"<",
        b"<a>",
    )
    chance = random.Random(7)  # noqa: S311 - the same each time
    for _ in range(40):
        yield good[: chance.randrange(len(good) + 1)]
        spoilt = bytearray(good)
        for _ in range(3 if spoilt else 0):
            spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
        yield bytes(spoilt)
    for value in (b"null", b"7", b"[]", b"{}", b'"x"', b"true"):
        yield from _with_value(good, value)


def _with_value(good: bytes, value: bytes) -> Iterator[bytes]:
    """A JSON object's body with each of its values replaced, one at a time."""
    try:
        fields = msgspec.json.decode(good, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeError):
        return
    for name in fields:
        yield msgspec.json.encode({**fields, name: msgspec.Raw(value)})
