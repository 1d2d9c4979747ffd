"""The first start."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from commands import CONFIG
from tidings.accounts import list_users
from tidings.bootstrap import first_start
from tidings.config import load
from tidings.plugins import load_plugins
from tidings.registrations import list_registrations
from tidings.runtime import running
from tidings.services import Services
from tidings.sessions import sign_in


@asynccontextmanager
async def started(folder: Path, config: str = CONFIG) -> AsyncIterator[Services]:
    path = folder / "config.yaml"
    path.write_text(config)
    settings = load(path, {}).listening_on(port=8080)
    log = structlog.wrap_logger(structlog.ReturnLogger())
    async with running(settings, load_plugins(settings), log, synchronous="OFF") as services:
        yield services


async def test_the_first_start_makes_an_admin_a_link_and_a_webhook(tmp_path: Path) -> None:
    async with started(tmp_path) as services:
        token = await first_start(services)
        assert token is not None
        (user,) = await services.database.read(list_users)
        assert (user.name, user.is_admin) == ("me", True)
        (registration,) = await services.database.read(list_registrations)
        assert (registration.platform, registration.user_id) == ("github", user.id)
        now = services.clock.now()
        signed_in = await services.writer.run_unit(lambda connection: sign_in(connection, token, now=now))
        assert signed_in is not None
        assert signed_in.user_id == user.id


async def test_a_later_start_makes_nothing(tmp_path: Path) -> None:
    async with started(tmp_path) as services:
        await first_start(services)
        assert await first_start(services) is None
        assert len(await services.database.read(list_users)) == 1
        assert len(await services.database.read(list_registrations)) == 1


async def test_a_connector_with_a_secret_in_the_configuration_needs_no_webhook(tmp_path: Path) -> None:
    config = CONFIG.replace("github: {}", "github: {webhook_secret: it-is-a-long-secret}")
    async with started(tmp_path, config) as services:
        assert await first_start(services) is not None
        assert await services.database.read(list_registrations) == []
