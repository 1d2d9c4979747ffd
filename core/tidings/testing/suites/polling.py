"""What a connector that asks for news must be."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from tidings.connecting import Answer, Api
from tidings.connectors import Asked, Connector, Polled, Polls
from tidings.errors import AuthExpired, Rejected, Unavailable
from tidings.event import Event
from tidings.testing.suite import fail, require, standard
from tidings.testing.suites.connector import ConnectorSuite

_EVERY_SECONDS = 3600.0
_GARBAGE = (
    b"",
    b"null",
    b"7",
    b'"text"',
    b"[]",
    b"[null]",
    b"{}",
    b'{"items": 7}',
    b"\xff\x00",
    b"<html>Bad gateway</html>",
)


@dataclasses.dataclass(frozen=True, slots=True)
class Watched:
    """An account at a platform, and the connector that asks for its news.

    Attributes:
        connector: A connector that is a `Polls`.
        api: The platform's API as that account may use it.
        happen: Makes something happen at the platform that the connector tells of.
        now: The present instant.
        break_down: Has every request answered, or fail, so; for a connector that calls its platform by `Context.http`.
    """

    connector: Connector
    api: Api
    happen: Callable[[], Awaitable[None]]
    now: Callable[[], datetime]
    break_down: Callable[[Answer | Exception], None] | None = None


class PollingSuite(ConnectorSuite):
    """What a connector that asks for news must be. Implement `watched`.

    Attributes:
        settings: Those of the connection.
    """

    settings: ClassVar[Mapping[str, Any]] = {}

    def watched(self) -> AbstractAsyncContextManager[Watched]:
        """An account at which something has happened before, for one test."""
        raise NotImplementedError

    async def poll(self, watched: Watched, checkpoint: Mapping[str, Any]) -> list[Polled]:
        """All pieces of one poll. Checkpoints go by JSON, as they do at a server."""
        connector = watched.connector
        if not isinstance(connector, Polls):
            fail(f"{self.plugin} is no Polls. Use ConnectorSuite for it.")
        asked = Asked(
            checkpoint=msgspec.json.decode(msgspec.json.encode(checkpoint)),
            now=watched.now(),
            every_seconds=_EVERY_SECONDS,
            is_urgent=True,
            settings=self.settings,
        )
        return [piece async for piece in connector.poll(watched.api, asked)]

    @standard
    async def test_begins_where_it_is(self) -> None:
        """What is there already when an account is connected is not news; the position is, and it is JSON."""
        async with self.watched() as watched:
            pieces = await self.poll(watched, {})
            told = [event.id for event in _events(pieces)]
            require(not told, f"The first poll tells of what was there before: {', '.join(told)}.")
            require(pieces, "The first poll yields nothing, so it has no position to go on from.")
            try:
                msgspec.json.decode(msgspec.json.encode(pieces[-1].checkpoint))
            except (TypeError, msgspec.MsgspecError) as error:
                fail(f"A checkpoint is no JSON: {error}")

    @standard
    async def test_tells_of_what_happened_once(self) -> None:
        """What happened since the position is told, and behind the new position it is told no more."""
        async with self.watched() as watched:
            before = (await self.poll(watched, {}))[-1].checkpoint
            await watched.happen()
            pieces = await self.poll(watched, before)
            require(_events(pieces), "Something happened, and the next poll does not tell of it.")
            again = _events(await self.poll(watched, pieces[-1].checkpoint))
            told = {event.id for event in _events(pieces)} & {event.id for event in again}
            require(not told, f"Behind the new position it is told again: {', '.join(sorted(told))}.")

    @standard
    async def test_asks_twice_and_hears_the_same(self) -> None:
        """Asked twice from one position, as after a crash, it tells the same ids."""
        async with self.watched() as watched:
            before = (await self.poll(watched, {}))[-1].checkpoint
            await watched.happen()
            first, again = [{one.id for one in _events(await self.poll(watched, before))} for _ in range(2)]
            require(first and first == again, f"Twice from one position it tells {first} and {again}.")

    @standard
    async def test_shows_what_it_heard(self) -> None:
        """Each event can be shown by who does not know the platform, and belongs to its platform."""
        async with self.watched() as watched:
            before = (await self.poll(watched, {}))[-1].checkpoint
            await watched.happen()
            for event in _events(await self.poll(watched, before)):
                title = event.data.get("title")
                require(isinstance(title, str) and title.strip(), f"{event.id}: `data` has no title.")
                require(event.platform == self.name, f"{event.id}: its platform is {event.platform!r}.")
                require(
                    event.id.startswith(f"{self.name}:"), f"{event.id}: an id begins with `{self.name}:`."
                )

    @standard
    async def test_passes_on_what_goes_wrong(self) -> None:
        """That the platform is down, or the token dead, is core's business: neither is swallowed or renamed."""
        for error in (Unavailable("It is down.", retry_after_seconds=7), AuthExpired("It is dead.")):
            async with self.watched() as watched:
                try:
                    await self.poll(_broken(watched, error), {})
                except type(error):
                    continue
                except Exception as other:  # noqa: BLE001 - any other is the violation
                    fail(f"{type(error).__name__} of the API becomes {type(other).__name__}: {other}")
                fail(f"{type(error).__name__} of the API is swallowed.")

    @standard
    async def test_survives_any_answer(self) -> None:
        """A proxy or an outage may answer with anything, and status 200: that is one of the three words, or no news."""
        async with self.watched() as watched:
            for body in _GARBAGE:
                try:
                    told = _events(await self.poll(_broken(watched, Answer(200, {}, body)), {}))
                except (AuthExpired, Rejected, Unavailable):
                    continue
                except Exception as error:  # noqa: BLE001 - any other is the violation
                    fail(f"The answer {body[:40]!r} raises {type(error).__name__}: {error}")
                require(not told, f"The answer {body[:40]!r} is told as {len(told)} events.")


def _broken(watched: Watched, said: Answer | Exception) -> Watched:
    if watched.break_down is not None:
        watched.break_down(said)
    return dataclasses.replace(watched, api=BrokenApi(watched.api, said))


class BrokenApi:
    """An API that says the same to every call.

    Args:
        api: What it stands in for.
        said: The answer, or how every call fails.
    """

    def __init__(self, api: Api, said: Answer | Exception) -> None:
        self._api = api
        self._said = said

    @property
    def account_key(self) -> str:
        """See `Api.account_key`."""
        return self._api.account_key

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        accept: Collection[int] = (),
    ) -> Answer:
        """Say it."""
        if isinstance(self._said, Exception):
            raise self._said
        return self._said


def _events(pieces: list[Polled]) -> list[Event]:
    return [event for piece in pieces for event in piece.events]
