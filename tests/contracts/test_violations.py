"""Every standard test bites: for each there is a plugin that breaks its rule alone, and is found out."""

from __future__ import annotations

import dataclasses
import os
import unittest
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from contract_plants import PLANTED, Bell, BellApi, Doorman, Pager
from tidings.contracts import (
    Appended,
    Item,
    Keys,
    Notice,
    Page,
    Parsed,
    Plan,
    Polled,
    Principal,
    Sink,
    Target,
    Upstream,
    Verdict,
    WakeUp,
    WebhookRequest,
)
from tidings.devices import Admitted, Fate, Pushed
from tidings.errors import AuthExpired, NotFound, Rejected, Unavailable
from tidings.event import OLDEST, Cursor, UserId
from tidings.testing import (
    BusSuite,
    ExtraSuite,
    FakeClock,
    JournalSuite,
    MemoryJournal,
    PollingSuite,
    PushingSuite,
    ReceivingSuite,
    RegisteringSuite,
    Registry,
    Shelf,
    StrategySuite,
    StreamingSuite,
    Suite,
    Violation,
    Watched,
)
from tidings.testing.readers import Listener, listening_by_sse
from tidings.testing.server import LiveServer
from tidings.testing.suite import standard
from tidings_buses.local import LocalBus
from tidings_strategies.polling import Polling
from tidings_transports.sse import Sse, SseOptions, named_frame

SECRET = "planted-0123456789-planted"


class BellSuite(ReceivingSuite, PollingSuite, RegisteringSuite):
    plugin = "connector/bell"
    options = {"secret": SECRET}
    signature = "x-signature"
    stale_seconds = 600.0

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Watched]:
        with self.connector() as (bell, bench):

            async def happen() -> None:
                bell.remote.rings.append(len(bell.remote.rings) + 1)

            yield Watched(bell, BellApi(bell.remote), happen, bench.clock.now)

    @asynccontextmanager
    async def registry(self) -> AsyncIterator[Registry]:
        with self.connector() as (bell, _):

            async def standing() -> int:
                return len(bell.remote.hooks)

            yield Registry(bell, BellApi(bell.remote), standing)


class Calm(Polling):
    name = "calm"


class CalmSuite(StrategySuite):
    plugin = "strategy/calm"


class PlantedBusSuite(BusSuite):
    plugin = "bus/planted"


class Stream(Sse):
    name = "stream"

    def __init__(self, context: Any) -> None:
        super().__init__(SseOptions(), context)


class StreamSuite(StreamingSuite):
    plugin = "transport/stream"

    def listen(
        self, server: LiveServer, token: str, *, after: str = ""
    ) -> AbstractAsyncContextManager[Listener]:
        return listening_by_sse(server, token, after=after)


class PagerSuite(PushingSuite):
    plugin = "transport/pager"
    wish = {"endpoint": "https://pager.example.org/abc"}


class DoormanSuite(ExtraSuite):
    plugin = "extra/doorman"


class PlantedJournalSuite(JournalSuite):
    @asynccontextmanager
    async def shelf(self) -> AsyncIterator[Shelf]:
        journal = PLANTED["journal"](FakeClock())

        async def cut(user: UserId, keep: int) -> None:
            journal.cut(user, keep)

        yield Shelf(journal, journal.add_user(), journal.add_user(), cut)


GOOD: dict[str, Callable[..., Any]] = {
    "connector": Bell,
    "strategy": Calm,
    "bus": LocalBus,
    "stream": Stream,
    "push": Pager,
    "extra": Doorman,
    "journal": MemoryJournal,
}
SUITES: dict[str, type[Suite]] = {
    "connector": BellSuite,
    "strategy": CalmSuite,
    "bus": PlantedBusSuite,
    "stream": StreamSuite,
    "push": PagerSuite,
    "extra": DoormanSuite,
    "journal": PlantedJournalSuite,
}


def but(base: type, **changes: Any) -> type:
    """The same, but for this."""
    return type(f"Broken{base.__name__}", (base,), changes)


def unchecked(*headers: str, **more: Any) -> type:
    """A bell that believes what lacks one of its checks."""

    def verify(self: Any, request: WebhookRequest, keys: Keys, now: Any) -> None:
        try:
            Bell.verify(self, request, keys, now)
        except Rejected:
            if not more["when"](request, keys):
                raise

    return but(Bell, verify=verify)


# --- connectors -----------------------------------------------------------------------------------------------


def _open_a_file(self: Any, secret: str) -> None:
    Bell.__init__(self, secret)
    Path(os.devnull).read_bytes()


def _verify_raising(error: Exception) -> type:
    def verify(self: Any, request: WebhookRequest, keys: Keys, now: Any) -> None:
        try:
            Bell.verify(self, request, keys, now)
        except Rejected:
            raise error from None

    return but(Bell, verify=verify)


def _random_ids(self: Any, request: WebhookRequest) -> Parsed:
    parsed = Bell.parse(self, request)
    (event,) = parsed.events
    return msgspec.structs.replace(parsed, events=[msgspec.structs.replace(event, id=f"bell:{id(self)}")])


def _new_ids_each_time(self: Any, request: WebhookRequest) -> Parsed:
    parsed, self.count = Bell.parse(self, request), getattr(self, "count", 0) + 1
    events = [msgspec.structs.replace(one, id=f"bell:{self.count}") for one in parsed.events]
    return msgspec.structs.replace(parsed, events=events, delivery_id="")


def _eventful(**changes: Any) -> type:
    def event(self: Any, number: int) -> Any:
        return msgspec.structs.replace(Bell.event(self, number), **changes)

    return but(Bell, event=event)


def _fragile_parse(self: Any, request: WebhookRequest) -> Parsed:
    import json

    return Parsed([self.event(int(json.loads(request.body)["ring"]))], delivery_id="d")


def _telling_verify(self: Any, request: WebhookRequest, keys: Keys, now: Any) -> None:
    try:
        Bell.verify(self, request, keys, now)
    except Rejected:
        raise Rejected(f"The key is {keys.secrets[0].decode() if keys.secrets else ''}.") from None


def _first_key_only(self: Any, request: WebhookRequest, keys: Keys, now: Any) -> None:
    Bell.verify(self, request, Keys(keys.secrets[:1]), now)


def _signed_at(request: WebhookRequest, now: Any) -> Any:
    time = request.headers.get("x-time", "")
    return type(now).fromtimestamp(int(time), now.tzinfo) if time else now


def _not_too_old(self: Any, request: WebhookRequest, keys: Keys, now: Any) -> None:
    Bell.verify(self, request, keys, min(now, _signed_at(request, now) + timedelta(seconds=1)))


def _not_too_new(self: Any, request: WebhookRequest, keys: Keys, now: Any) -> None:
    Bell.verify(self, request, keys, max(now, _signed_at(request, now) - timedelta(seconds=1)))


def _opening_verify(self: Any, request: WebhookRequest, keys: Keys, now: Any) -> None:
    Path(os.devnull).read_bytes()
    Bell.verify(self, request, keys, now)


def _prefix_verify(self: Any, request: WebhookRequest, keys: Keys, now: Any) -> None:
    """The beginning of a signature will do."""
    good = (
        msgspec.structs.replace(
            request,
            headers={
                **request.headers,
                "x-signature": Bell.sample(self, keys, now, "1").headers["x-signature"],
            },
        )
        if keys.secrets
        else request
    )
    given = request.headers.get("x-signature", "")
    if given and good.headers["x-signature"].startswith(given[:60]) and request.body == good.body:
        return
    Bell.verify(self, request, keys, now)


async def _poll_all(self: Any, api: Any, asked: Any) -> AsyncIterator[Polled]:
    async for piece in Bell.poll(self, api, asked):
        rings = (await api.request("GET", "/rings")).json()
        yield msgspec.structs.replace(piece, events=[self.event(number) for number in rings])


async def _poll_again(self: Any, api: Any, asked: Any) -> AsyncIterator[Polled]:
    async for piece in Bell.poll(self, api, asked):
        yield msgspec.structs.replace(piece, checkpoint=asked.checkpoint or piece.checkpoint)


async def _poll_ids(self: Any, api: Any, asked: Any) -> AsyncIterator[Polled]:
    async for piece in Bell.poll(self, api, asked):
        self.count = getattr(self, "count", 0) + 1
        events = [msgspec.structs.replace(one, id=f"bell:{self.count}") for one in piece.events]
        yield msgspec.structs.replace(piece, events=events)


async def _poll_on(self: Any, api: Any, asked: Any) -> AsyncIterator[Polled]:
    try:
        async for piece in Bell.poll(self, api, asked):
            yield piece
    except (Unavailable, AuthExpired):
        yield Polled(checkpoint={"last": 1})


async def _poll_believing(self: Any, api: Any, asked: Any) -> AsyncIterator[Polled]:
    yield Polled(checkpoint={"last": max((await api.request("GET", "/rings")).json())})


async def _register_anew(self: Any, api: Any, target: Target, callback_url: str, secret: str) -> Upstream:
    key = f"{callback_url}#{len(self.remote.hooks)}"
    self.remote.hooks[key] = secret
    return Upstream(id=key, target=target)


async def _register_telling(self: Any, api: Any, target: Target, callback_url: str, secret: str) -> Upstream:
    made = await Bell.register(self, api, target, callback_url, secret)
    return msgspec.structs.replace(made, data={"secret": secret})


async def _check_sick(self: Any, api: Any, upstream: Upstream) -> Upstream:
    return msgspec.structs.replace(await Bell.check(self, api, upstream), problem="It is unwell.")


async def _check_blindly(self: Any, api: Any, upstream: Upstream) -> Upstream:
    return upstream


async def _renew_badly(
    self: Any, api: Any, target: Target, callback_url: str, secret: str, former: Upstream
) -> Upstream:
    self.remote.hooks.clear()
    return former


async def _unregister_once(self: Any, api: Any, upstream: Upstream) -> None:
    del self.remote.hooks[upstream.id]


CONNECTORS: dict[str, Any] = {
    "exempts-from-tests-that-there-are": but(
        BellSuite, exemptions=classmethod(lambda _: {"flies": "It has no wings."})
    ),
    "arrives-by-its-entry-point": but(BellSuite, plugin="connector/nowhere"),
    "registers-without-input-or-output": but(Bell, __init__=_open_a_file),
    "imports-what-is-public": but(BellSuite, plugin="connector/prying", options={}),
    "describes-its-options": but(BellSuite, plugin="connector/mute", options={}),
    "shows-no-secret": but(Bell, __repr__=lambda self: f"Bell({self._secret})"),
    "is-called-as-its-platform": but(Bell, platform="chime"),
    "draws-its-icon": but(Bell, icon='"/><script>'),
    "offers-settings-that-pages-can-show": but(
        Bell, settings_schema={"type": "object", "properties": {"loud": {"type": "boolean"}}}
    ),
    "consents-where-it-should": but(
        Bell, oauth=msgspec.structs.replace(Bell.oauth, needed_scopes=("doors",))
    ),
    "waits-as-long-as-it-is-asked-to": but(Bell, pause=lambda *_: None),
    "takes-what-its-platform-signs": but(Bell, parse=lambda *_: Parsed(())),
    "refuses-where-there-is-no-key": unchecked(when=lambda _request, keys: not keys.secrets),
    "refuses-what-is-unsigned": unchecked(when=lambda request, _keys: "x-signature" not in request.headers),
    "refuses-another-key": unchecked(
        when=lambda _request, keys: any(b"not-the-key" in one for one in keys.secrets)
    ),
    "refuses-a-shortened-signature": but(Bell, verify=_prefix_verify),
    "refuses-a-doubled-signature": unchecked(
        when=lambda request, _keys: "," in request.headers.get("x-signature", "")
    ),
    "refuses-a-changed-body": unchecked(when=lambda request, _keys: len(request.body) > 9),
    "refuses-a-truncated-body": unchecked(when=lambda request, _keys: len(request.body) < 9),
    "refuses-what-is-stale": but(Bell, verify=_not_too_old),
    "refuses-what-is-of-the-future": but(Bell, verify=_not_too_new),
    "takes-any-of-its-keys": but(Bell, verify=_first_key_only),
    "reads-without-input-or-output": but(Bell, verify=_opening_verify),
    "refuses-as-a-client-s-mistake": _verify_raising(Rejected("No.", status=503)),
    "keeps-its-key-to-itself": but(Bell, verify=_telling_verify),
    "survives-any-body": but(Bell, parse=_fragile_parse),
    "gives-a-happening-one-id": but(Bell, parse=_random_ids),
    "tells-happenings-apart": _eventful(id="bell:ring"),
    "tells-what-to-show": _eventful(data={"title": ""}),
    "stores-a-delivery-once": but(Bell, parse=_new_ids_each_time),
    "begins-where-it-is": but(Bell, poll=_poll_all),
    "tells-of-what-happened-once": but(Bell, poll=_poll_again),
    "asks-twice-and-hears-the-same": but(Bell, poll=_poll_ids),
    "shows-what-it-heard": _eventful(platform="chime"),
    "passes-on-what-goes-wrong": but(Bell, poll=_poll_on),
    "survives-any-answer": but(Bell, poll=_poll_believing),
    "makes-one-webhook": but(Bell, register=_register_anew),
    "says-how-it-stands": but(Bell, check=_check_sick),
    "renews-without-a-gap": but(Bell, renew=_renew_badly),
    "removes-it-twice": but(Bell, unregister=_unregister_once),
    "notices-that-it-is-gone": but(Bell, check=_check_blindly),
    "keeps-the-secret-out-of-its-notes": but(Bell, register=_register_telling),
    "knows-what-it-can-t-reach": but(Bell, reaches=lambda *_: True),
}


# --- strategies -----------------------------------------------------------------------------------------------


def _fickle(self: Any, state: Any, now: Any) -> Plan:
    self.count = getattr(self, "count", 0) + 1
    return Plan({"sync": 60.0 * self.count})


def _noisy(self: Any, state: Any, now: Any) -> Plan:
    Path(os.devnull).read_bytes()
    return Plan({"sync": 60.0})


STRATEGIES: dict[str, Any] = {
    "has-a-name-and-a-priority": but(Calm, name="storm"),
    "supports-something": but(Calm, supports=lambda *_: Verdict(False, "It supports nothing.")),
    "gives-its-reasons": but(Calm, health=lambda *_: Verdict(True, "fine")),
    "plans-what-core-can-do": but(Calm, plan=lambda *_: Plan({"dance": 60.0})),
    "holds-no-state": but(Calm, plan=_fickle),
    "judges-without-input-or-output": but(Calm, plan=_noisy),
}

# --- buses ----------------------------------------------------------------------------------------------------


async def _deaf_publish(self: Any, wakeups: Sequence[WakeUp]) -> None:
    await LocalBus.publish(self, [WakeUp(one.user_id, one.seq + 1000) for one in wakeups])


async def _loud_publish(self: Any, wakeups: Sequence[WakeUp]) -> None:
    for wakeup in wakeups:
        await self.watch(wakeup.user_id)
    await LocalBus.publish(self, wakeups)


async def _unwatch_nobody(self: Any, user_id: UserId) -> None:
    return


async def _stale_wakeups(self: Any) -> AsyncIterator[WakeUp | Notice]:
    told = 0
    async for one in LocalBus.wakeups(self):
        told += isinstance(one, WakeUp) and one.seq >= 500
        yield WakeUp(one.user_id, 499) if isinstance(one, WakeUp) and one.seq >= 500 else one


async def _changed_tell(self: Any, notice: Notice) -> None:
    await LocalBus.tell(self, msgspec.structs.replace(notice, data=b""))


async def _waiting_publish(self: Any, wakeups: Sequence[WakeUp]) -> None:
    self.open = getattr(self, "open", 0) + 1
    if self.open > 1000:
        await FakeClock().sleep(1)  # for ever: nobody moves it on


BUSES: dict[str, Any] = {
    "wakes-who-is-watched": but(LocalBus, publish=_deaf_publish),
    "lets-others-sleep": but(LocalBus, publish=_loud_publish),
    "forgets-who-is-watched-no-more": but(LocalBus, unwatch=_unwatch_nobody),
    "tells-the-newest": but(LocalBus, wakeups=_stale_wakeups),
    "carries-notices": but(LocalBus, tell=_changed_tell),
    "waits-for-nobody": but(LocalBus, publish=_waiting_publish),
}

# --- transports -----------------------------------------------------------------------------------------------


class Bent:
    """The fan-out or the gate of a server, but for what a test bends."""

    def __init__(self, inner: Any, **bends: Any) -> None:
        self.inner = inner
        self.__dict__.update(bends)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def streaming(**bends: Callable[[Any, Any], Any]) -> type:
    """A stream that opens with other arguments than were meant."""

    def build(self: Any, context: Any) -> None:
        async def open_(principal: Principal, sink: Sink, **more: Any) -> Any:
            given = {"principal": principal, "sink": sink, **more}
            given |= {name: bend(given[name], context) for name, bend in bends.items()}
            return await context.streams.open(given.pop("principal"), given.pop("sink"), **given)

        Stream.__init__(self, dataclasses.replace(context, streams=Bent(context.streams, open=open_)))

    return but(Stream, __init__=build)


def _open_to_all(self: Any, context: Any) -> None:
    async def enter_stream(_scope: Any) -> Principal:
        return Principal(UserId(1), "ann", "token", "token:1", frozenset({"read"}))

    access: Any = Bent(context.access, enter_stream=enter_stream)
    Stream.__init__(self, dataclasses.replace(context, access=access))


class Curt(Sink):
    """Ends without saying why."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def offer(self, frame: bytes) -> Any:
        return self.inner.offer(frame)

    def gap(self, gap: Any, cursor: Any) -> bytes:
        return self.inner.gap(gap, cursor)  # type: ignore[no-any-return]  # it is a sink

    def notice(self, notice: Any) -> bytes:
        return self.inner.notice(notice)  # type: ignore[no-any-return]  # likewise

    async def finish(self, reason: str) -> None:
        await self.inner.finish("bye")


def _other_frame(encode: Any, _context: Any) -> Any:
    return lambda entry: named_frame(msgspec.structs.replace(entry, id="x:other"))


def _from_the_start(after: Cursor | None, _context: Any) -> Cursor | None:
    return None if after is None else OLDEST


def _neighbour(principal: Principal, _context: Any) -> Principal:
    return dataclasses.replace(principal, user_id=UserId(principal.user_id + 1))


STREAMS: dict[str, Any] = {
    "is-called-as-its-entry-point": but(Stream, name="river"),
    "describes-its-routes": but(Stream, describe=lambda _: {}),
    "refuses-strangers": but(Stream, __init__=_open_to_all),
    "tells-what-happens": streaming(encode=_other_frame),
    "resumes-behind-a-cursor": streaming(after=_from_the_start),
    "tells-of-a-gap": streaming(after=_from_the_start),
    "tells-each-user-their-own": streaming(principal=_neighbour),
    "ends-with-its-right": streaming(sink=lambda sink, _: Curt(sink)),
}


async def _admit_all(self: Any, wish: Mapping[str, str]) -> Admitted:
    return Admitted({"endpoint": wish["endpoint"]}, wish["endpoint"], "pager.example.org")


async def _push_and_tell(self: Any, device: Any, news: Any) -> Pushed:
    pushed = await Pager.push(self, device, news)
    return dataclasses.replace(pushed, detail=f"{device.address}")


async def _push_hoping(self: Any, device: Any, news: Any) -> Pushed:
    return dataclasses.replace(await Pager.push(self, device, news), fate=Fate.TAKEN)


async def _push_in_a_hurry(self: Any, device: Any, news: Any) -> Pushed:
    return dataclasses.replace(await Pager.push(self, device, news), retry_after_seconds=1.0)


PUSHES: dict[str, Any] = {
    "names-each-of-the-installation-s-keys": but(Pager, public_keys=property(lambda self: {})),
    "refuses-what-is-no-subscription": but(Pager, admit=_admit_all),
    "shows-no-address": but(Pager, push=_push_and_tell),
    "says-what-became-of-it": but(Pager, push=_push_hoping),
    "waits-as-long-as-its-service-asks": but(Pager, push=_push_in_a_hurry),
}

# --- extras ---------------------------------------------------------------------------------------------------


async def _fall_over(_request: Request) -> Response:
    raise ValueError("no")


async def _fall_over_there(_self: Any, request: Request) -> Response:
    return await _fall_over(request)


async def _fail(self: Any) -> None:
    raise ValueError("no")


def _squatting(_self: Any) -> Sequence[BaseRoute]:
    return [Route("/doorman", _fall_over), Route("/api/me", _fall_over)]


EXTRAS: dict[str, Any] = {
    "keeps-to-its-own-addresses": but(Doorman, routes=_squatting),
    "shows-its-notice-where-there-is-a-page": but(Doorman, notice_url="/nowhere"),
    "answers-strangers": but(Doorman, page=_fall_over_there),
    "works-and-stops": but(Doorman, run=_fail),
}

# --- journals -------------------------------------------------------------------------------------------------


async def _append_one_by_one(self: Any, *items: Item) -> Sequence[Appended]:
    """Forgets what it knew."""
    for item in items:
        self._books[item.user_id].places.clear()
    return await MemoryJournal.append(self, *items)


async def _append_any_delivery(self: Any, *items: Item) -> Sequence[Appended]:
    return await MemoryJournal.append(self, *[msgspec.structs.replace(one, delivery=None) for one in items])


async def _append_backwards(self: Any, *items: Item) -> Sequence[Appended]:
    done = await MemoryJournal.append(self, *items)
    for item in items:
        self._books[item.user_id].head += 1
    return done


async def _append_for_strangers(self: Any, *items: Item) -> Sequence[Appended]:
    try:
        return await MemoryJournal.append(self, *items)
    except NotFound:
        return []


async def _append_by_nobody(self: Any, *items: Item) -> Sequence[Appended]:
    return await MemoryJournal.append(self, *[msgspec.structs.replace(one, via="api") for one in items])


def _sharing(self: Any) -> UserId:
    user = MemoryJournal.add_user(self)
    self._books[user].epoch = "shared"
    return user


def reading(**changes: Callable[[Page], Any]) -> type:
    async def read(self: Any, *arguments: Any, **more: Any) -> Page:
        page = await MemoryJournal.read(self, *arguments, **more)
        return dataclasses.replace(page, **{name: change(page) for name, change in changes.items()})

    return but(MemoryJournal, read=read)


def _forgetful_cut(self: Any, user_id: UserId, keep: int) -> None:
    MemoryJournal.cut(self, user_id, keep)
    places = self._books[user_id].places
    for id_ in [id_ for id_, place in places.items() if place is None]:
        del places[id_]


JOURNALS: dict[str, Any] = {
    "numbers-events-densely-in-their-order": but(MemoryJournal, append=_append_backwards),
    "keeps-an-event-once": but(MemoryJournal, append=_append_one_by_one),
    "takes-a-delivery-once": but(MemoryJournal, append=_append_any_delivery),
    "keeps-users-apart": but(MemoryJournal, add_user=_sharing),
    "knows-no-strangers": but(MemoryJournal, append=_append_for_strangers),
    "reads-on-page-by-page": reading(at_head=lambda _: True),
    "moves-past-what-a-selection-withholds": reading(
        cursor=lambda page: page.entries[-1].cursor if page.entries else page.cursor
    ),
    "tells-what-was-stored": but(MemoryJournal, append=_append_by_nobody),
    "tells-of-what-was-cut": reading(gap=lambda _: None),
    "never-brings-back-what-was-cut": but(MemoryJournal, cut=_forgetful_cut),
    "starts-over-for-a-cursor-of-another-life": reading(gap=lambda _: None),
}

VIOLATIONS = {
    "connector": CONNECTORS,
    "strategy": STRATEGIES,
    "bus": BUSES,
    "stream": STREAMS,
    "push": PUSHES,
    "extra": EXTRAS,
    "journal": JOURNALS,
}
CASES = [(kind, rule) for kind, table in VIOLATIONS.items() for rule in table]
#: Rules of every plugin, shown once, with connectors; and of every transport, with streams.
COMMON = set(list(CONNECTORS)[:6]) | {"is-called-as-its-entry-point", "describes-its-routes"}


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize("kind", GOOD)
def test_what_is_good_passes_every_test(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PLANTED, kind, GOOD[kind])
    failed = [one for one in SUITES[kind].results() if one.outcome != "passed"]
    assert failed == []


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize(("kind", "rule"), CASES)
def test_a_violation_is_found(kind: str, rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, suite = VIOLATIONS[kind][rule], SUITES[kind]
    if isinstance(broken, type) and issubclass(broken, Suite):
        broken, suite = GOOD[kind], broken
    monkeypatch.setitem(PLANTED, kind, broken)
    monkeypatch.setattr(
        "tidings.testing.suites.bus._PATIENCE_SECONDS", 0.5
    )  # what never comes, comes not later
    with pytest.raises(Exception) as caught:
        suite.rules()[rule](suite())
    assert not isinstance(caught.value, unittest.SkipTest)


def test_every_standard_test_has_its_violation() -> None:
    for kind, suite in SUITES.items():
        assert set(suite.rules()) - COMMON == set(VIOLATIONS[kind]) - COMMON, kind
    assert set(CONNECTORS) >= set(list(BellSuite.rules())[:6])


def test_each_rule_is_of_one_suite() -> None:
    """Else one of two would be shadowed in a class that derives from both."""
    homes: dict[str, set[str]] = {}
    for suite in SUITES.values():
        for base in suite.__mro__:
            for name, one in vars(base).items():
                if hasattr(one, "rule"):
                    homes.setdefault(name, set()).add(base.__qualname__)
    shared = {name: found for name, found in homes.items() if len(found) > 1}
    assert shared == {}


# --- the machinery --------------------------------------------------------------------------------------------


def test_a_standard_test_can_t_be_replaced_or_removed() -> None:
    for value in (lambda self: None, None):
        with pytest.raises(TypeError, match=r"replaces test_draws_its_icon.*exempt"):
            but(BellSuite, test_draws_its_icon=value)
    with pytest.raises(TypeError, match="replaces test_draws_its_icon"):

        class Sly(BellSuite):
            @standard
            def test_draws_its_icon(self) -> None:
                """Nothing."""


@pytest.mark.usefixtures("planted")
def test_an_exemption_needs_a_test_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = {"draws-its-icon": "Nobody can draw a bell."}
    exempt = but(BellSuite, exemptions=classmethod(lambda _: reasons))
    monkeypatch.setitem(PLANTED, "connector", Bell)
    with pytest.raises(Violation, match="passes draws-its-icon now"):
        exempt().test_draws_its_icon()
    monkeypatch.setitem(PLANTED, "connector", but(Bell, icon="<"))
    with pytest.raises(unittest.SkipTest, match="exempt: Nobody can draw a bell"):
        exempt().test_draws_its_icon()
    told = {one.rule: (one.outcome, one.detail) for one in exempt.results()}
    assert told["draws-its-icon"] == ("exempt", "Nobody can draw a bell.")
    assert told["is-called-as-its-platform"] == ("passed", "")
