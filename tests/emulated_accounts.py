"""Accounts at the sandbox's platforms, as a running server has connected them."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from connecting import Browser, browser, world
from tidings.connections import find_connection
from tidings.contracts import Api, Connector
from tidings.testing.clock import FakeClock
from tidings.testing.server import Hook, LiveServer, live_server
from tidings_sandbox.emulator import Emulator

PERSON = "ottilie-otterbourne"


class Connected:
    """One account at one emulated platform."""

    def __init__(
        self, server: LiveServer, clock: FakeClock, connector: Connector, api: Api, hook: Hook
    ) -> None:
        self.server = server
        self.hook = hook
        self.clock = clock
        self.connector = connector
        self.api = api

    @property
    def emulator(self) -> Emulator:
        return world(self.server).emulators[self.connector.platform]

    async def happen(self, kind: str = "") -> None:
        """Something happens there, a minute later."""
        await self.clock.advance(60)
        platform = self.connector.platform
        world(self.server).act(platform, kind or next(iter(self.emulator.kinds)), PERSON)
        await self.clock.advance(60)

    async def standing(self) -> int:
        """How many webhooks there are; at this server nothing but the test makes any."""
        return len(self.emulator.hooks())

    @property
    def callback_url(self) -> str:
        return f"{self.server.url}{self.hook.path}"

    @asynccontextmanager
    async def time_passing(self) -> AsyncIterator[None]:
        """Meanwhile time goes on: a connector may wait between two calls."""
        task = asyncio.create_task(self._pass())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _pass(self) -> None:
        while True:
            await self.clock.advance(1)


@asynccontextmanager
async def connected(platform: str, options: Mapping[str, Any]) -> AsyncIterator[Connected]:
    """An account that was connected at the sandbox, at a server whose time stands still."""
    plugins = {
        "connectors": {platform: dict(options)},
        "extras": {"sandbox": {"lively": False}},
        "strategies": {"polling": {}},
    }
    clock = FakeClock()
    with tempfile.TemporaryDirectory() as folder:
        config = json.dumps({"plugins": plugins, "limits": {"api": "unlimited", "sessions": "unlimited"}})
        async with live_server(Path(folder), config, clock=clock) as server:
            user = await server.add_user("ann")
            async with browser(server, user) as viewer:
                connection_id = await _connect(viewer, platform)
            services = server.services
            connection = await services.database.read(
                lambda sql: find_connection(sql, connection_id, user_id=user.id)
            )
            platforms = services.upkeep.platforms
            hook = await server.add_hook(user, platform)
            yield Connected(server, clock, platforms.connector(platform), platforms.api(connection), hook)


async def _connect(viewer: Browser, platform: str) -> str:
    return await viewer.connect(platform, PERSON)
