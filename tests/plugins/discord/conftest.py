"""What the tests of the Discord connector share."""

from __future__ import annotations

import pytest

from discord_exchanges import PUBLIC, Discord
from tidings.contracts import Keys
from tidings_discord.connector import DiscordConnector, Setup


@pytest.fixture(scope="session")
def connector() -> DiscordConnector:
    return DiscordConnector(Setup(shared_keys=Keys((PUBLIC,))))


@pytest.fixture
def discord() -> Discord:
    return Discord()
