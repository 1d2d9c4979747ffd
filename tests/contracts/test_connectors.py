"""Every connector that tidings ships passes the suites of its contracts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import discord_exchanges as discord
import gmail_exchanges as gmail
from emulated_accounts import connected
from tidings.contracts import Keys, Receives, WebhookRequest
from tidings.testing import PollingSuite, ReceivingSuite, RegisteringSuite, Registry, Watched

SECRET = "planted-0123456789-planted"


class Emulated(PollingSuite, RegisteringSuite):
    """Polls and registers at the sandbox."""

    happening = ""

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Watched]:
        async with connected(self.name, {}) as one:
            await one.happen(self.happening)
            yield Watched(one.connector, one.api, lambda: one.happen(self.happening), one.clock.now)

    @asynccontextmanager
    async def registry(self) -> AsyncIterator[Registry]:
        async with connected(self.name, {}) as one, one.time_passing():
            yield Registry(one.connector, one.api, one.standing, one.callback_url, one.hook.secret)


class TestGitHub(ReceivingSuite, Emulated):
    plugin = "connector/github"
    options = {"webhook_secret": SECRET, "client_id": "Iv1.x", "client_secret": SECRET}
    signature = "x-hub-signature-256"


class TestGmail(ReceivingSuite, Emulated):
    plugin = "connector/gmail"
    options = {
        "client_id": "x.apps.googleusercontent.com",
        "client_secret": SECRET,
        "service_account": gmail.ACCOUNT,
        "audience": gmail.AUDIENCE,
        "topic": "projects/a/topics/b",
    }
    signature = "authorization"


class TestSlack(ReceivingSuite, PollingSuite):
    plugin = "connector/slack"
    options = {"client_id": "1.2", "client_secret": SECRET, "signing_secret": SECRET}
    signature = "x-slack-signature"


class TestCalendar(ReceivingSuite, Emulated):
    plugin = "connector/calendar"
    options = {"client_id": "x.apps.googleusercontent.com", "client_secret": SECRET}
    signature = "x-goog-channel-token"


class TestYouTube(ReceivingSuite, Emulated):
    plugin = "connector/youtube"
    options = {"client_id": "x.apps.googleusercontent.com", "client_secret": SECRET}
    signature = "x-hub-signature"


class TestDiscord(ReceivingSuite, PollingSuite):
    plugin = "connector/discord"
    options = {"client_id": "1", "client_secret": SECRET, "public_key": discord.PUBLIC.decode()}
    signature = "x-signature-ed25519"

    def keys(self) -> Keys:
        return Keys((discord.PUBLIC,))

    def other_keys(self) -> Keys:
        return Keys((discord.PUBLIC[::-1],))

    def delivery(self, receiver: Receives, now: datetime, serial: str) -> WebhookRequest:
        payload = discord.fixture("application_deauthorized")
        payload["event"]["timestamp"] = f"2026-01-01T12:00:0{serial}.000000"
        return discord.delivery(payload, str(int(now.timestamp())))


class TestSpotify(PollingSuite):
    plugin = "connector/spotify"
    options = {"client_id": "x", "client_secret": SECRET}
