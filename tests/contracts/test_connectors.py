"""Every connector that tidings ships passes the suites of its contracts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from urllib.parse import parse_qsl

import discord_exchanges as discord
import gmail_exchanges as gmail
from emulated_accounts import connected
from tidings.contracts import Answer, Connects, Keys, Receives, WebhookRequest
from tidings.testing import (
    PollingSuite,
    ReceivingSuite,
    RecordedApi,
    RegisteringSuite,
    Registry,
    Watched,
    answer,
)
from tidings.testing.exchanges import Asking

SECRET = "planted-0123456789-planted"


class Polling(PollingSuite):
    """Polls at the sandbox."""

    happening = ""

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Watched]:
        async with connected(self.name, {}) as one:
            await one.happen(self.happening)
            yield Watched(one.connector, one.api, lambda: one.happen(self.happening), one.clock.now)


class Emulated(Polling, RegisteringSuite):
    """Registers at the sandbox, too."""

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
        "service_account_key": SECRET,
    }
    signature = "authorization"

    def keys(self) -> Keys:
        return gmail.keys()

    def other_keys(self) -> Keys:
        return Keys((), {"keys": [gmail.other_key().as_dict(private=False)]})

    def delivery(self, receiver: Receives, now: datetime, serial: str) -> WebhookRequest:
        said = {"emailAddress": "ann@example.org", "historyId": 9876543210 + int(serial)}
        return gmail.push(gmail.envelope(said, messageId=serial), f"Bearer {gmail.token(now)}")


class TestSlack(ReceivingSuite, Polling):
    plugin = "connector/slack"
    options = {"client_id": "1.2", "client_secret": SECRET, "signing_secret": SECRET}
    signature = "x-slack-signature"
    happening = "hear"


class TestCalendar(ReceivingSuite, Emulated):
    plugin = "connector/calendar"
    options = {"client_id": "x.apps.googleusercontent.com", "client_secret": SECRET}
    signature = "x-goog-channel-token"


class TestYouTube(ReceivingSuite, Polling, RegisteringSuite):
    plugin = "connector/youtube"
    options = {"client_id": "x.apps.googleusercontent.com", "client_secret": SECRET}
    signature = "x-hub-signature"

    @asynccontextmanager
    async def registry(self) -> AsyncIterator[Registry]:
        """At a hub that believes whoever asks; one that asks back is in the flows' tests."""
        with self.connector() as (connector, bench):
            assert isinstance(connector, Connects)
            leases: set[tuple[str, str]] = set()

            def hub(asking: Asking) -> Answer:
                form = dict(parse_qsl(asking.body.decode()))
                change = leases.add if form["hub.mode"] == "subscribe" else leases.discard
                change((form["hub.topic"], form["hub.callback"]))
                return answer(b"", 202)

            async def standing() -> int:
                return len(leases)

            item = {"snippet": {"title": "Otters", "resourceId": {"channelId": "UCotters"}}}
            bench.http.say("POST https://pubsubhubbub.appspot.com/subscribe", hub)
            bench.http.say(f"GET {connector.api_url}/subscriptions", answer({"items": [item]}))
            yield Registry(connector, RecordedApi(connector, bench.http), standing)


class TestDiscord(ReceivingSuite, Polling):
    plugin = "connector/discord"
    options = {
        "client_id": "1",
        "client_secret": SECRET,
        "public_key": discord.PUBLIC.decode(),
        "bot_token": SECRET,
        "channels": [discord.TALK],
    }
    signature = "x-signature-ed25519"

    def keys(self) -> Keys:
        return Keys((discord.PUBLIC,))

    def other_keys(self) -> Keys:
        return Keys((discord.PUBLIC[::-1],))

    def delivery(self, receiver: Receives, now: datetime, serial: str) -> WebhookRequest:
        payload = discord.fixture("application_deauthorized")
        payload["event"]["timestamp"] = f"2026-01-01T12:00:0{serial}.000000"
        return discord.delivery(payload, str(int(now.timestamp())))


class TestSpotify(Polling):
    plugin = "connector/spotify"
    options = {"client_id": "x", "client_secret": SECRET}
