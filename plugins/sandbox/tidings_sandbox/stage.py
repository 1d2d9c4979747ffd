"""What all emulated platforms stand on: time, chance, people, the record and the way out for webhooks."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any, Protocol, TypeVar

import httpx

from tidings.contracts import Clock
from tidings_sandbox.agenda import Agenda
from tidings_sandbox.happenings import Record
from tidings_sandbox.people import People

Part = TypeVar("Part")


class Send(Protocol):
    """Sends an emulated webhook."""

    def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> Awaitable[int]:
        """POST it; the status of the answer.

        Raises:
            OSError: There was no answer.
            httpx.HTTPError: There was no answer.
        """


class Ask(Protocol):
    """Asks an address by GET whether it wants what a platform sends."""

    def __call__(self, url: str) -> Awaitable[tuple[int, bytes]]:
        """GET it; the status and the body of the answer.

        Raises:
            OSError: There was no answer.
            httpx.HTTPError: There was no answer.
        """


class Stage:
    """Shared by the emulators of one world.

    Attributes:
        clock: All time; a platform's own is `Faults.now`.
        seed: The same seed at the same instant gives the same world.
        public_url: Where this installation is, without a slash at the end.
        people: Everybody.
        record: All that happened.
        agenda: What is yet to be done.
        send: The way out for webhooks; use a `Courier`.
        ask: The way out for questions; likewise.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        seed: int,
        public_url: str,
        send: Send,
        ask: Ask,
        people: int,
        keep_happenings: int | None,
    ) -> None:
        self.clock = clock
        self.seed = seed
        self.public_url = public_url.rstrip("/")
        self.people = People(people)
        self.record = Record(keep_happenings)
        self.agenda = Agenda(clock)
        self.send = send
        self.ask = ask
        self._started_ms = int(clock.now().timestamp() * 1000)
        self._serial = self._started_ms
        self._parts: dict[Callable[[Stage], Any], Any] = {}

    def clear(self) -> None:
        """Forget what happened and what was going to happen, and what platforms share."""
        self.record.clear()
        self.agenda.clear()
        self._parts.clear()

    def part(self, kind: Callable[[Stage], Part]) -> Part:
        """The one thing of this kind in this world, which several platforms share; made when first asked for."""
        if kind not in self._parts:
            self._parts[kind] = kind(self)
        made: Part = self._parts[kind]
        return made

    def chance(self, name: str) -> Random:
        """A source of chance of one's own, so that what one part draws does not change what another gets."""
        # A world of another start is another world: ids that tidings has seen before must not come again.
        return Random(f"{self.seed}/{self._started_ms}/{name}")  # noqa: S311 - chance, not secrets

    def serial(self) -> int:
        """A number greater than all before it, also than those of an earlier run: for ids that must grow."""
        self._serial = max(self._serial + 1, int(self.clock.now().timestamp() * 1000))
        return self._serial


class HttpSend:
    """Sends webhooks over HTTP, as a platform does: ten seconds for the answer, no redirects.

    It sends to this installation alone: whoever connects an invented account chooses where its webhooks go,
    and must not reach what only this machine can reach.

    Args:
        public_url: Where this installation is.
    """

    def __init__(self, public_url: str) -> None:
        self._prefix = f"{public_url.rstrip('/')}/"
        self._client: httpx.AsyncClient | None = None

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """POST it; the status of the answer.

        Raises:
            httpx.HTTPError: There was no answer, or the address is not this installation's.
        """
        answer = await self._open(url).post(url, content=body, headers=dict(headers))
        return answer.status_code

    async def ask(self, url: str) -> tuple[int, bytes]:
        """GET it; the status and the body of the answer.

        Raises:
            httpx.HTTPError: There was no answer, or the address is not this installation's.
        """
        answer = await self._open(url).get(url)
        return answer.status_code, answer.content

    def _open(self, url: str) -> httpx.AsyncClient:
        if not url.startswith(self._prefix):
            raise httpx.ConnectError(f"The sandbox sends webhooks to {self._prefix} alone.")
        if self._client is None:
            self._client = httpx.AsyncClient(
                timeout=10.0, trust_env=False, follow_redirects=False, verify=_trusted()
            )
        return self._client

    async def close(self) -> None:
        """Close its connections; it may be used again."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Whose certificates are believed; reading them takes longer than many requests."""
    return httpx.create_ssl_context(trust_env=False)
