"""A connector that misbehaves as its option says, for `isolation.py`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from tidings import Account, Api, Asked, Connector, Event, Follows, Options, Plugin, Polled, Polls, hookimpl


class ClumsyOptions(Options):
    """Options of the connector `clumsy`.

    Attributes:
        does: What every poll does.
        once_there_is: From when on: once there is a file of that name.
    """

    does: str = "nothing"
    once_there_is: str = ""


class Clumsy(Follows, Polls):
    """Is asked every second."""

    platform = "clumsy"
    display_name = "Clumsy"
    asks_for = "Anything"
    poll_every_seconds = 1.0

    def __init__(self, options: ClumsyOptions) -> None:
        self._options = options

    @property
    def _does(self) -> str:
        return self._options.does if Path(self._options.once_there_is).exists() else "nothing"

    async def follow(self, address: str) -> Account:
        return Account(key=address, name=address)

    async def poll(self, api: Api, asked: Asked) -> AsyncIterator[Polled]:
        turn = int(asked.checkpoint.get("turn", 0))
        for piece in range(3 if self._does == "floods" else 1):
            events = self._misbehave(f"{api.account_key}:{turn}:{piece}")
            if self._does == "hangs":
                await asyncio.Event().wait()
            if self._does == "breaks":
                yield "nothing"  # type: ignore[misc]  # that is the point
            yield Polled(events=events, checkpoint={"turn": turn + 1}, next_in_seconds=1.0)

    def _misbehave(self, once: str) -> list[Event]:
        match self._does:
            case "raises":
                raise ValueError("over its own feet")
            case "waits":
                time.sleep(1.5)
            case "computes":
                end = time.monotonic() + 1.5
                while time.monotonic() < end:
                    pass
            case "leaks":
                for _ in range(1000):
                    asyncio.create_task(asyncio.sleep(3600))  # noqa: RUF006 - that is the point
            case "floods":
                return [
                    Event(
                        id=f"clumsy:{once}:{number}",
                        type="org.example.clumsy",
                        source="//clumsy",
                        platform="clumsy",
                        data={"title": "Once more", "text": "and again " * 20},
                    )
                    for number in range(10_000)
                ]
        return []


class ClumsyPlugin(Plugin):
    """Offers the connector."""

    options_model = ClumsyOptions
    options: ClumsyOptions

    @hookimpl
    def tidings_connectors(self) -> Iterable[Connector]:
        return [Clumsy(self.options)]
