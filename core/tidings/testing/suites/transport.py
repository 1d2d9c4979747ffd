"""What a transport must be that streams, and one that pushes to devices."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from typing import Any, ClassVar, Final

from starlette.routing import Route

from tidings.contracts import Answer, Item, Transport
from tidings.devices import Admitted, Device, Fate, Pushed, Pushes
from tidings.errors import Rejected
from tidings.event import Cursor, Event, UserId
from tidings.testing.bench import Bench, serving
from tidings.testing.exchanges import Faults, Said, answer
from tidings.testing.readers import Listener
from tidings.testing.readers import News as Heard
from tidings.testing.server import LiveServer
from tidings.testing.suite import fail, require, standard
from tidings.testing.suites.plugin import PluginSuite


class TransportSuite(PluginSuite):
    """What every transport must be; `StreamingSuite` and `PushingSuite` ask more."""

    @contextmanager
    def transport(self) -> Iterator[tuple[Transport, Bench]]:
        """The transport, and what its plugin was given."""
        with self.offered() as (offer, bench):
            if not isinstance(offer, Transport):
                fail(f"{self.plugin} offers {type(offer).__qualname__}, which is no Transport.")
            yield offer, bench

    @standard
    def test_is_called_as_its_entry_point(self) -> None:
        """Its name is that of the entry point: metrics and the page know it by that."""
        with self.transport() as (transport, _):
            require(transport.name == self.name, f"It is called {transport.name!r}, not {self.name!r}.")

    @standard
    def test_describes_its_routes(self) -> None:
        """Each of its routes by HTTP is described, so that /openapi.json is complete."""
        with self.transport() as (transport, _):
            paths = {route.path for route in transport.routes() if isinstance(route, Route)}
            silent = sorted(paths - set(transport.describe()))
            require(not silent, f"`describe` does not tell of {', '.join(silent)}.")


class StreamingSuite(TransportSuite):
    """What a transport that streams must be. Implement `listen`, or name a reader of `tidings.testing.readers`."""

    def listen(
        self, server: LiveServer, token: str, *, after: str = ""
    ) -> AbstractAsyncContextManager[Listener]:
        """Open a stream as a client does, with an API token, behind a cursor or (without one) from now on."""
        raise NotImplementedError

    @asynccontextmanager
    async def room(self) -> AsyncIterator[tuple[LiveServer, UserId, str]]:
        """A server with a user and a token of theirs."""
        async with serving(self.plugin, self.options) as server:
            user = await server.add_user("ann")
            yield server, user.id, await server.add_token(user)

    @standard
    async def test_refuses_strangers(self) -> None:
        """Without a right, or with one that was invented, nothing is streamed."""
        async with self.room() as (server, user, _):
            await happen(server, user, 1)
            for token in ("", "tdg_invented-0123456789"):
                heard: list[Heard] = []
                with suppress(Exception):  # however the client tells of a refusal
                    async with self.listen(server, token, after="0") as listener:
                        heard.append(await listener.next())
                told = [one for one in heard if one.kind != "closed"]
                require(not told, f"A stranger hears: {told}")

    @standard
    async def test_tells_what_happens(self) -> None:
        """What is committed while a stream is open comes by it, in order, each with its cursor."""
        async with self.room() as (server, user, token), self.listen(server, token) as listener:
            await happen(server, user, 1, 2, 3)
            heard = await listener.events(3)
            _told(heard, [1, 2, 3])
            require(
                heard[-1].cursor == str(await _head(server, user)),
                "The last cursor is not the journal's head.",
            )

    @standard
    async def test_resumes_behind_a_cursor(self) -> None:
        """Who comes back gets what lies behind their cursor, all of it, and nothing twice."""
        async with self.room() as (server, user, token):
            await happen(server, user, 1, 2, 3, 4)
            epoch = (await _head(server, user)).epoch
            async with self.listen(server, token, after=str(Cursor(epoch, 2))) as listener:
                _told(await listener.events(2), [3, 4])
                await happen(server, user, 5)
                _told([await listener.event()], [5])

    @standard
    async def test_tells_of_a_gap(self) -> None:
        """Who comes with a cursor of another life of the journal is told so, before anything else."""
        async with self.room() as (server, user, token):
            await happen(server, user, 1)
            async with self.listen(server, token, after="abc-99") as listener:
                heard = await listener.event()
                require(
                    heard.kind == "gap" and heard.data["reason"] == "restored", f"Instead of a gap: {heard}"
                )
                _told([await listener.event()], [1])

    @standard
    async def test_tells_each_user_their_own(self) -> None:
        """A stream tells of its own user's news alone."""
        async with self.room() as (server, user, token), self.listen(server, token) as listener:
            other = await server.add_user("bob")
            await happen(server, other.id, 7)
            await happen(server, user, 1)
            _told([await listener.event()], [1])

    @standard
    async def test_ends_with_its_right(self) -> None:
        """When the right ends by which a stream was opened, the stream ends, and says why."""
        async with self.room() as (server, user, token), self.listen(server, token) as listener:
            await happen(server, user, 1)
            await listener.event()
            mine = {one.principal.key: "revoked" for one in server.services.fanout.subscriptions()}
            require(mine, "The fan-out knows nothing of the stream. Open it with `context.streams`.")
            await server.services.fanout.end(mine)
            heard = await listener.event()
            require(heard.kind == "closed" and "revoked" in str(heard.data), f"Instead of an end: {heard}")


class PushingSuite(TransportSuite):
    """What a transport that pushes to devices must be.

    Attributes:
        wish: A subscription as a client of its sends it: `{"endpoint": "https://push.example.org/abc", …}`.
        taken: What its service answers when it has taken something.
    """

    wish: ClassVar[Mapping[str, str]] = {}
    taken: ClassVar[Answer] = answer(b"", 201)

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[tuple[Pushes, Admitted, Bench]]:
        """The transport, and a subscription that it finds fit."""
        with self.transport() as (transport, bench):
            if not isinstance(transport, Pushes):
                fail(f"{self.plugin} is no Pushes. Use StreamingSuite or TransportSuite for it.")
            transport.use_keys({"k1": bytes(range(1, 33))})
            yield transport, await transport.admit(self.wish), bench

    async def push(self, said: Said) -> tuple[Pushed, Admitted]:
        """Push something while the service answers so."""
        async with self.admitted() as (transport, admitted, bench):
            bench.http.fault = said
            device = Device("dev", next(iter(transport.public_keys), "k1"), admitted.address)
            return await transport.push(device, None), admitted

    @standard
    async def test_names_each_of_the_installation_s_keys(self) -> None:
        """Subscriptions are kept under the id of a key: all have something to subscribe with, the active one first."""
        with self.transport() as (transport, _):
            if not isinstance(transport, Pushes):
                fail(f"{self.plugin} is no Pushes. Use StreamingSuite or TransportSuite for it.")
            ids = ["k2", "k1"]
            transport.use_keys({one: bytes(range(number, number + 32)) for number, one in enumerate(ids, 1)})
            named = list(transport.public_keys)
            require(
                named == ids,
                f"`public_keys` names {named} where `use_keys` was given {ids}. Name each, in order.",
            )

    @standard
    async def test_refuses_what_is_no_subscription(self) -> None:
        """Nothing, and addresses that it must not send to, are refused: who subscribes chooses where requests go."""
        async with self.admitted() as (transport, _, _):
            for endpoint in ("", "nonsense", "file:///etc/passwd", "http://127.0.0.1:1/x", "https://user@/"):
                try:
                    await transport.admit({**self.wish, "endpoint": endpoint})
                except Rejected as error:
                    require(
                        error.status == 400, f"It refuses {endpoint!r} with status {error.status}, not 400."
                    )
                else:
                    fail(f"It takes {endpoint!r} for a place to push to.")

    @standard
    async def test_shows_no_address(self) -> None:
        """The address of a subscription is a secret: whoever knows it can push there."""
        async with self.admitted() as (_, admitted, _):
            endpoint = self.wish.get("endpoint", "")
            require(
                admitted.service and admitted.service not in {endpoint, ""},
                "`service` is empty, or the address.",
            )
            require(endpoint not in repr(admitted), "The address stands in the repr of `Admitted`.")
        for said in (self.taken, Faults.BROKEN, Faults.UNREACHABLE):
            pushed, _ = await self.push(said)
            require(endpoint not in pushed.detail, "The address stands in `detail`.")

    @standard
    async def test_says_what_became_of_it(self) -> None:
        """Taken, gone, or to be tried later: each answer of the service is told as what it is."""
        wanted: Final = (
            (self.taken, Fate.TAKEN),
            (answer(b"", 410), Fate.GONE),
            (Faults.LIMITED, Fate.LATER),
            (Faults.BROKEN, Fate.LATER),
            (Faults.UNREACHABLE, Fate.LATER),
            (Faults.SILENT, Fate.LATER),
        )
        for said, fate in wanted:
            pushed, _ = await self.push(said)
            require(
                pushed.fate is fate,
                f"Where the service says {_shown(said)} it tells {pushed.fate}, not {fate}.",
            )

    @standard
    async def test_waits_as_long_as_its_service_asks(self) -> None:
        """A service that asks for patience gets it."""
        pushed, _ = await self.push(Faults.LIMITED)
        require((pushed.retry_after_seconds or 0) >= 120, "`Retry-After: 120` is not passed on.")


async def happen(server: LiveServer, user_id: UserId, *numbers: int) -> None:
    """Commit these events."""
    events = [
        Event(id=f"x:{one}", type="org.example.x", source="//x", platform="x", data={"title": f"No {one}"})
        for one in numbers
    ]
    await server.services.journal.append(Item(user_id, events, via="webhook"))


async def _head(server: LiveServer, user_id: UserId) -> Cursor:
    return await server.services.journal.head(user_id)


def _told(heard: list[Heard], numbers: list[int]) -> None:
    ids: list[Any] = [one.data["id"] if one.kind == "event" else one.kind for one in heard]
    require(ids == [f"x:{one}" for one in numbers], f"Instead of the events {numbers} there came {ids}.")


def _shown(said: Said) -> str:
    return str(getattr(said, "status", "")) or type(said).__name__
