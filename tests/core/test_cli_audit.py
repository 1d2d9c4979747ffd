"""`tidings audit` tells what a platform sent and what is held."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection as Sql
from sqlalchemy import insert

from commands import Commands, installed
from distributions import Site
from tidings.accounts import add_user
from tidings.connections import save_connection
from tidings.contracts import Account, Target, Upstream
from tidings.keys import load_vault_keys
from tidings.registrations import add_registration
from tidings.schema import deliveries, to_stored
from tidings.upstreams import note_upstream
from tidings.vault import Vault

CONFIG = """
server: {port: 0}
plugins:
  connectors: {logging: {}, mute: {}, common: {}}
  bus: {local: {}}
"""

LOGGING = """
import datetime
from tidings.contracts import AddressedDelivery, Connector, Connects, Keys, LoggedDelivery, OAuth, OAuthClient
from tidings.contracts import Receives, Recovers, RecoversCommon
from tidings.errors import Rejected

class Mute(Connector):
    platform = "mute"
    display_name = "Mute"

class Logging(Connector, Connects, Recovers):
    platform = "logging"
    display_name = "Logging"
    api_url = "https://logging.example"
    oauth = OAuth(provider="logging", authorize_url="", token_url="", scopes=())
    clients = ()
    log_seconds = 86400.0 * 3

    async def identify(self, api):
        raise AssertionError

    async def deliveries(self, api, upstream, since):
        if upstream.id == "gone":
            raise Rejected("There is no such webhook.", status=404)
        for hours in (1, 2, 40):
            at = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=hours)
            yield LoggedDelivery(f"d{hours}", f"n{hours}", "thing", at, True)

    async def fetch_delivery(self, api, upstream, logged):
        raise AssertionError

class Common(Connector, Connects, Receives, RecoversCommon):
    platform = "common"
    display_name = "Common"
    api_url = "https://common.example"
    oauth = OAuth(provider="common", authorize_url="", token_url="", scopes=())
    clients = (OAuthClient("id", "secret"),)
    shared_keys = Keys()
    common_log_seconds = 86400.0 * 3

    async def identify(self, api):
        raise AssertionError

    def verify(self, request, keys, now):
        raise AssertionError

    def parse(self, request):
        raise AssertionError

    def sample(self, keys, now, serial):
        raise AssertionError

    def application_token(self, now):
        return "token"

    async def common_deliveries(self, api, since):
        for hours in (1, 2, 3):
            at = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=hours)
            address = "here" if hours < 3 else "of strangers"
            yield AddressedDelivery(f"d{hours}", f"n{hours}", "thing", at, True, (address,))

    async def fetch_common_delivery(self, api, logged):
        raise AssertionError

class Two(Plugin):
    @hookimpl
    def tidings_connectors(self):
        return [Common()]

class Both(Plugin):
    @hookimpl
    def tidings_connectors(self):
        return [Logging()]

class One(Plugin):
    @hookimpl
    def tidings_connectors(self):
        return [Mute()]
"""


@pytest.fixture
def tidings(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    for name, target in (("logging", "Both"), ("mute", "One"), ("common", "Two")):
        site.install(
            LOGGING, name=name, distribution=f"{name}_inc", group="tidings.connectors", target=target
        )
    commands = installed(tmp_path, CONFIG)
    commands.done("db", "upgrade")
    return commands


def watch(tidings: Commands, upstream_id: str, *, held: list[str]) -> None:
    """An account with one webhook, three days old, and what arrived by it."""
    now = datetime.now(UTC)
    path = tidings.installation.settings.database_path
    vault = Vault(load_vault_keys(path, environment={}, secrets_exist=False))  # which makes the key

    def work(sql: Sql) -> None:
        user = add_user(sql, name="anna", is_admin=True, now=now)
        connection_id, _ = save_connection(
            sql, user_id=user.id, platform="logging", grant_id="grt", account=Account("1", "octo"), now=now
        )
        registration_id, _ = add_registration(
            sql,
            vault,
            user_id=user.id,
            platform="logging",
            now=now - timedelta(days=3),
            connection_id=connection_id,
            target="repo:1",
        )
        upstream = Upstream(id=upstream_id, target=Target("repo:1", "octo/hello"))
        note_upstream(sql, registration_id, upstream, renewed=True, now=now)
        for delivery_id in held:
            values = {"registration_id": registration_id, "delivery_id": delivery_id}
            sql.execute(insert(deliveries).values(user_id=user.id, received_at=to_stored(now), **values))

    tidings.installation.write(work)


def test_everything_that_was_sent_is_held(tidings: Commands) -> None:
    watch(tidings, "7", held=["d1", "d2", "d40"])
    assert tidings.done("audit", "logging") == "octo, octo/hello: sent 2, held 2\nsent 2, held 2\n"
    assert tidings.done("audit", "logging", "--since", "2d").endswith("\nsent 3, held 3\n")


def test_what_is_missing_makes_it_fail(tidings: Commands) -> None:
    watch(tidings, "7", held=["d2"])
    result = tidings("audit", "logging", "--since", "90m")
    assert (result.exit_code, result.stdout) == (1, "octo, octo/hello: sent 1, held 0\nsent 1, held 0\n")


def test_a_log_that_can_not_be_read_is_said_and_makes_it_fail(tidings: Commands) -> None:
    watch(tidings, "gone", held=[])
    result = tidings("audit", "logging")
    assert result.exit_code == 1
    assert "octo, octo/hello: its log can't be read: There is no such webhook." in result.stdout


def test_what_was_sent_to_the_common_address_is_compared_for_those_it_names(tidings: Commands) -> None:
    now = datetime.now(UTC)
    assert tidings.done("audit", "common") == "sent 0, held 0\n"

    def work(sql: Sql) -> None:
        user = add_user(sql, name="anna", is_admin=True, now=now)
        account = Account("1", "octo", addresses=("here",))
        then = now - timedelta(days=1)
        save_connection(sql, user_id=user.id, platform="common", grant_id="grt", account=account, now=then)
        values = {"registration_id": "common:common", "delivery_id": "d2"}
        sql.execute(insert(deliveries).values(user_id=user.id, received_at=to_stored(now), **values))

    tidings.installation.write(work)
    result = tidings("audit", "common")
    assert result.exit_code == 1
    assert result.stdout == "/api/webhooks/common, for all accounts: sent 2, held 1\nsent 2, held 1\n"


def test_without_webhooks_there_is_nothing_to_compare(tidings: Commands) -> None:
    result = tidings("audit", "logging")
    assert (result.exit_code, result.stdout) == (0, "sent 0, held 0\n")
    assert "no webhooks at logging so far" in result.stderr


def test_a_platform_without_a_log_is_refused_with_those_that_have_one(tidings: Commands) -> None:
    assert "Those that have one: logging, common." in tidings.failed("audit", "mute")
    assert "'unheard'" in tidings.failed("audit", "unheard")


def test_a_duration_that_is_none_is_refused(tidings: Commands) -> None:
    assert tidings("audit", "logging", "--since", "soon").exit_code == 2
