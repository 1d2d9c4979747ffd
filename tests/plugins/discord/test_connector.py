"""Who Discord says you are, what is asked for, and what the operator may set."""

from __future__ import annotations

import dataclasses
from typing import Any
from urllib.parse import parse_qs

import pytest
import structlog
from pydantic import ValidationError

from discord_exchanges import ANN, PUBLIC, TOKEN, Discord, answered, delivery, fixture, user
from tidings.connecting import Answer, OAuthClient, TokenSet
from tidings.contracts import Keys
from tidings.errors import Rejected, Unavailable
from tidings.testing.clock import FakeClock
from tidings_discord import DiscordOptions, DiscordPlugin
from tidings_discord.connector import DiscordConnector

SECRET = "hush-hush-hush-hush"


@dataclasses.dataclass
class Given:
    """What a plugin is given, as far as this one uses it."""

    http: Any = None
    clock: Any = dataclasses.field(default_factory=FakeClock)
    log: Any = dataclasses.field(default_factory=structlog.get_logger)
    public_url: str = "https://tidings.example.org"


def connector(**options: Any) -> DiscordConnector:
    context: Any = Given()
    (found,) = DiscordPlugin(DiscordOptions(**options)).tidings_connectors(context)
    assert isinstance(found, DiscordConnector)
    return found


async def test_an_account_is_known_by_its_id(discord: Discord) -> None:
    discord.profile = user(avatar="8342729096ea3675442027381ff50dfe")
    account = await connector().identify(discord)
    assert (account.key, account.name, account.addresses) == (ANN, "Ann", (f"user:{ANN}",))
    assert account.avatar_url.endswith(f"/avatars/{ANN}/8342729096ea3675442027381ff50dfe.png")
    assert account.url == f"https://discord.com/users/{ANN}"


async def test_who_has_no_display_name_is_called_by_the_user_name(discord: Discord) -> None:
    discord.profile = {**user(), "global_name": None}
    assert (await connector().identify(discord)).name == "ann"


@pytest.mark.parametrize("profile", [{}, [], {"id": 7}, {"id": "x"}, "x"])
async def test_an_answer_without_an_account_is_refused(discord: Discord, profile: Any) -> None:
    discord.profile = profile
    with pytest.raises(Rejected):
        await connector().identify(discord)


def test_who_calls_is_told_in_the_form_that_discord_asks_for() -> None:
    agent = connector().headers["user-agent"]
    assert agent.startswith("DiscordBot (https://tidings.example.org, ")
    assert agent.endswith(")")


def test_consent_is_asked_for_with_pkce_and_no_more_than_is_used() -> None:
    oauth = connector().oauth
    assert oauth.scopes == ("identify", "guilds", "guilds.members.read")
    assert oauth.pkce
    assert "/v10/" in oauth.token_url
    assert connector(roles=False).oauth.scopes == ("identify", "guilds")


def test_without_a_client_nobody_connects() -> None:
    assert connector().clients == ()
    assert connector(client_id=" ").clients == ()
    (client,) = connector(client_id=157730590492196864, client_secret=SECRET).clients
    assert (client.id, client.secret) == ("157730590492196864", SECRET)
    assert SECRET not in repr(client)


def test_without_a_key_nothing_is_verified() -> None:
    request = delivery(fixture("ping"))
    now = FakeClock().now()
    for blank in (None, "", "  "):
        with pytest.raises(Rejected, match="No public key"):
            connector(public_key=blank).verify(request, connector(public_key=blank).shared_keys, now)
    assert connector(public_key=PUBLIC.decode()).shared_keys == Keys((PUBLIC,))


def test_the_webhook_brings_no_news_and_the_page_says_what_nobody_shows() -> None:
    assert not DiscordConnector.brings_news
    assert "no app your messages" in DiscordConnector.unseen


def test_a_sample_can_not_be_signed_and_the_refusal_says_why() -> None:
    found = connector(public_key=PUBLIC.decode())
    with pytest.raises(Rejected, match="private key that only Discord has"):
        found.sample(found.shared_keys, FakeClock().now(), "1")


@pytest.mark.parametrize(
    "options",
    [
        {"client_id": "5"},
        {"client_id": "5", "client_secret": " "},
        {"channels": ["5"]},
        {"channels": ["5"], "bot_token": " "},
        {"channels": ["general"], "bot_token": TOKEN},
        {"channels": ["05"], "bot_token": TOKEN},
        {"channels": [-5], "bot_token": TOKEN},
        {"channels": [str(number) for number in range(1, 202)], "bot_token": TOKEN},
        {"public_key": "hush"},
        {"public_key": PUBLIC.decode() + "00"},
        {"public_key": "é" * 64},
        {"api_url": "ftp://x"},
        {"poll_every": "soon"},
        {"colour": 1},
    ],
)
def test_wrong_options_are_refused_without_their_secrets(options: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        DiscordOptions(**options)
    assert TOKEN not in str(refused.value)


def test_channels_may_be_written_as_numbers_and_twice() -> None:
    found = DiscordOptions(bot_token=TOKEN, channels=[81384788765712384, "81384788765712384"])
    assert found.channels == ("81384788765712384",) * 2
    assert TOKEN not in repr(found)


class Revocations:
    """A revocation endpoint."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.sent: list[tuple[str, str, dict[str, str], dict[str, list[str]]]] = []

    async def send(self, method: str, url: str, *, headers: Any = None, body: bytes = b"") -> Answer:
        self.sent.append((method, url, dict(headers), parse_qs(body.decode())))
        return answered(self.status, {})


async def test_a_consent_is_given_back_by_form() -> None:
    http = Revocations(200)
    await connector().revoke(http, OAuthClient("5", SECRET), TokenSet("access", "refresh"))
    ((method, url, headers, form),) = http.sent
    assert (method, url) == ("POST", "https://discord.com/api/v10/oauth2/token/revoke")
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert headers["user-agent"].startswith("DiscordBot (")
    assert form == {
        "token": ["refresh"],
        "token_type_hint": ["refresh_token"],
        "client_id": ["5"],
        "client_secret": [SECRET],
    }


@pytest.mark.parametrize(
    ("status", "again"), [(200, False), (400, False), (401, False), (429, True), (503, True)]
)
async def test_only_an_outage_has_the_giving_back_tried_again(status: int, again: bool) -> None:
    giving = connector().revoke(Revocations(status), OAuthClient("5", SECRET), TokenSet("access"))
    if again:
        with pytest.raises(Unavailable):
            await giving
    else:
        await giving


def test_a_consent_that_could_not_outlive_its_week_is_refused() -> None:
    """Core refuses what brings no refresh token, where a connector says that it needs one."""
    assert connector(client_id=5, client_secret=SECRET).oauth.needs_refresh_token
