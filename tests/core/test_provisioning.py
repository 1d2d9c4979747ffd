"""Applications made on one click: who may, what comes back, what is kept, and how it is used again."""

import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import structlog
from sqlalchemy import func, select, update
from structlog.testing import LogCapture

from stores import Store, opened, stored_bytes
from tidings.accounts import SCOPES
from tidings.connecting import Account, Api, Connects, Http, Manifest, OAuth, OAuthClient, Provisions
from tidings.connectors import Connector
from tidings.contracts import Principal
from tidings.errors import Conflict, Denied, NotFound, Rejected, Unavailable
from tidings.event import UserId
from tidings.health import Health
from tidings.keys import KeyRing
from tidings.outbound import Outbound
from tidings.provisioning import Provisioning
from tidings.schema import oauth_states, provisions
from tidings.vault import Vault

URL = "https://tidings.example.org"
CREDENTIALS = {"client_id": "made-1", "client_secret": "planted-made-secret"}
ADMIN = Principal(UserId(1), "ann", "session", "session:1", frozenset(SCOPES))
OTHER = dataclasses.replace(ADMIN, key="session:2")


class Bare(Connector):
    platform = "bare"
    display_name = "Bare"


class Acme(Connector, Connects, Provisions):
    """A platform that makes applications.

    Attributes:
        failures: What happens with the next codes instead of credentials.
        operators: The client that the operator configured.
    """

    platform = "acme"
    display_name = "Acme"
    api_url = "https://api.acme.example"
    oauth = OAuth(provider="acme", authorize_url="", token_url="", scopes=())

    def __init__(self, *operators: OAuthClient) -> None:
        self.operators = operators
        self.used: list[Mapping[str, Any]] = []
        self.codes: list[str] = []
        self.failures: list[Exception] = []

    @property
    def clients(self) -> Sequence[OAuthClient]:
        made = [OAuthClient(self.used[-1]["client_id"])] if self.used else []
        return self.operators or made

    async def identify(self, api: Api) -> Account:
        raise NotImplementedError

    def manifest(self, public_url: str, redirect_uri: str, callback_url: str, return_url: str) -> Manifest:
        fields = {"home": public_url, "redirect": redirect_uri, "hook": callback_url, "back": return_url}
        return Manifest("https://acme.example/apps/new?kind=web", fields)

    async def provision(self, http: Http, code: str) -> Mapping[str, Any]:
        self.codes.append(code)
        if self.failures:
            raise self.failures.pop(0)
        return CREDENTIALS

    def use(self, credentials: Mapping[str, Any]) -> None:
        if credentials.get("client_id") == "":
            raise KeyError("planted-made-secret")
        self.used.append(credentials)


class Twin(Acme):
    platform = "twin"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(tmp_path) as opened_store:
        yield opened_store


@pytest.fixture
def lines() -> LogCapture:
    return LogCapture()


@dataclasses.dataclass
class Desk:
    """A server's provisioning; `restarted` is another one on the same database."""

    store: Store
    acme: Acme
    lines: LogCapture
    vault: Vault = dataclasses.field(default_factory=lambda: Vault(KeyRing({"k1": b"1" * 32})))

    def __post_init__(self) -> None:
        log = structlog.wrap_logger(None, processors=[self.lines])
        self.health = Health(self.store.clock, log)
        self.provisioning = Provisioning(
            [self.acme, Bare()],
            self.store.writer,
            self.vault,
            Outbound(URL),
            self.store.clock,
            log,
            self.health,
            public_url=URL,
        )

    def restarted(self, *operators: OAuthClient, vault: Vault | None = None) -> "Desk":
        return Desk(self.store, Acme(*operators), self.lines, vault or self.vault)

    async def begun(self, principal: Principal = ADMIN) -> str:
        form = await self.provisioning.begin(principal, "acme")
        return parse_qs(urlsplit(form.url).query)["state"][0]

    async def finish(self, state: str, principal: Principal = ADMIN, **query: str) -> None:
        await self.provisioning.finish(principal, "acme", {"state": state, "code": "c0de", **query})


@pytest.fixture
def desk(store: Store, lines: LogCapture) -> Desk:
    return Desk(store, Acme(), lines)


# --- leaving ----------------------------------------------------------------------------------------------------


async def test_the_form_names_every_address_and_a_state_that_is_stored_as_a_hash(desk: Desk, tmp_path: Path):
    form = await desk.provisioning.begin(ADMIN, "acme")
    query = parse_qs(urlsplit(form.url).query)
    assert form.url.startswith("https://acme.example/apps/new?kind=web&state=")
    assert len(query["state"][0]) >= 43
    assert form.fields == {
        "home": URL,
        "redirect": f"{URL}/api/oauth/acme/callback",
        "hook": f"{URL}/api/webhooks/acme",
        "back": f"{URL}/api/platforms/acme/provisioned",
    }
    assert query["state"][0].encode() not in stored_bytes(tmp_path)


@pytest.mark.parametrize(
    "principal",
    [
        dataclasses.replace(ADMIN, scopes=frozenset({"read", "send"})),
        dataclasses.replace(ADMIN, kind="token", key="token:1"),
        dataclasses.replace(ADMIN, kind="jwt", key="jwt:1"),
    ],
    ids=["no admin", "token", "jwt"],
)
async def test_nobody_but_an_admin_in_a_browser_leaves_or_comes_back(desk: Desk, principal: Principal):
    with pytest.raises(Denied, match="Only an admin who is signed in"):
        await desk.provisioning.begin(principal, "acme")
    state = await desk.begun()
    with pytest.raises(Denied, match="Only an admin who is signed in"):
        await desk.finish(state, principal)
    assert desk.acme.codes == []
    await desk.finish(state)  # the state is not spent by who may not


@pytest.mark.parametrize(("platform", "words"), [("bare", "by hand"), ("nowhere", "no platform 'nowhere'")])
async def test_a_platform_that_makes_no_applications_says_so(desk: Desk, platform: str, words: str):
    with pytest.raises(NotFound, match=words):
        await desk.provisioning.begin(ADMIN, platform)
    with pytest.raises(NotFound, match=words):
        await desk.provisioning.finish(ADMIN, platform, {"state": "x", "code": "y"})


async def test_a_configured_client_is_never_replaced(desk: Desk):
    await desk.finish(await desk.begun())
    configured = desk.restarted(OAuthClient("operators-own"))
    await configured.provisioning.load()
    assert configured.acme.used == []
    assert not configured.provisioning.is_offered(configured.acme)
    assert not configured.provisioning.is_made("acme")
    with pytest.raises(Conflict, match=r"plugins\.connectors\.acme\.client_id"):
        await configured.provisioning.begin(ADMIN, "acme")


# --- coming back ------------------------------------------------------------------------------------------------


async def test_what_comes_back_is_used_at_once_and_after_every_start(desk: Desk):
    assert desk.provisioning.is_offered(desk.acme)
    await desk.finish(await desk.begun())
    assert desk.acme.used == [CREDENTIALS]
    assert desk.provisioning.is_made("acme")
    assert desk.provisioning.is_offered(desk.acme)  # it may have been deleted there
    again = desk.restarted()
    await again.provisioning.load()
    assert again.acme.used == [CREDENTIALS]
    assert again.health.status == "ok"


async def test_one_made_anew_takes_the_place_of_the_old(desk: Desk):
    await desk.finish(await desk.begun())
    await desk.finish(await desk.begun())
    assert len(desk.acme.used) == 2
    assert (
        await desk.store.read(lambda sql: sql.execute(select(func.count(provisions.c.platform))).scalar())
        == 1
    )


async def test_no_secret_lies_on_disk_in_the_log_or_in_a_refusal(desk: Desk, tmp_path: Path):
    await desk.finish(await desk.begun())
    assert b"planted" not in stored_bytes(tmp_path)
    assert "planted" not in repr(desk.lines.entries)
    assert [line["event"] for line in desk.lines.entries] == ["provision_begun", "provisioned"]


@pytest.mark.parametrize("twist", ["another session", "used twice", "invented", "too late", "another's"])
async def test_a_state_works_once_for_its_own_session(desk: Desk, twist: str):
    state, principal = await desk.begun(), ADMIN
    if twist == "another session":
        principal = OTHER
    elif twist == "used twice":
        await desk.finish(state)
    elif twist == "invented":
        state = "invented"
    elif twist == "too late":
        await desk.store.clock.advance(timedelta(hours=1).total_seconds())
    else:  # a consent's
        await desk.store.write(lambda sql: sql.execute(update(oauth_states).values(client_id="a-client")))
    with pytest.raises(Rejected, match="Begin again"):
        await desk.finish(state, principal)
    assert len(desk.acme.codes) == (1 if twist == "used twice" else 0)


async def test_without_a_code_nothing_is_set_up(desk: Desk):
    state = await desk.begun()
    with pytest.raises(Rejected, match="Acme sent no code back"):
        await desk.provisioning.finish(ADMIN, "acme", {"state": state})
    assert desk.acme.codes == []


async def test_a_platform_that_is_away_is_asked_again_by_loading_the_page_once_more(desk: Desk):
    desk.acme.failures = [Unavailable("Acme is away.")]
    state = await desk.begun()
    with pytest.raises(Unavailable, match="Acme is away"):
        await desk.finish(state)
    await desk.finish(state)
    assert desk.acme.used == [CREDENTIALS]


async def test_a_refused_code_spends_the_state(desk: Desk):
    desk.acme.failures = [Rejected("The code is used up.", status=400)]
    state = await desk.begun()
    with pytest.raises(Rejected, match="used up"):
        await desk.finish(state)
    with pytest.raises(Rejected, match="Begin again"):
        await desk.finish(state)


async def test_a_database_that_is_away_is_told_with_what_to_do(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    state = await desk.begun()
    run_unit, units = desk.store.writer.run_unit, 0

    async def fail_the_second(work: Any) -> Any:
        nonlocal units
        units += 1
        if units == 2:
            raise Unavailable("The disk is full.")
        return await run_unit(work)

    monkeypatch.setattr(desk.store.writer, "run_unit", fail_the_second)
    with pytest.raises(Unavailable, match=r"Delete it there.*The disk is full"):
        await desk.finish(state)
    assert desk.acme.used == []


# --- starting ---------------------------------------------------------------------------------------------------


async def test_credentials_moved_to_another_row_do_not_open(desk: Desk):
    await desk.finish(await desk.begun())
    await desk.store.write(lambda sql: sql.execute(update(provisions).values(platform="twin")))
    twin = Desk(desk.store, Twin(), desk.lines, desk.vault)
    await twin.provisioning.load()
    assert twin.acme.used == []
    assert "moved there from another row" in str(twin.health.report()["provisions/twin"]["reason"])
    assert twin.provisioning.is_offered(twin.acme)


async def test_a_connector_that_fails_with_its_credentials_keeps_nothing_from_starting(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(CREDENTIALS, "client_id", "")
    state = await desk.begun()
    with pytest.raises(Rejected, match="its plugin can't use it"):
        await desk.finish(state)
    again = desk.restarted()
    await again.provisioning.load()
    assert again.health.status == "degraded"
    assert "planted" not in repr(again.health.report())
    assert "planted" not in repr(desk.lines.entries)


async def test_credentials_of_a_platform_that_is_gone_are_left_alone(desk: Desk):
    await desk.finish(await desk.begun())
    await desk.store.write(lambda sql: sql.execute(update(provisions).values(platform="bare")))
    again = desk.restarted()
    await again.provisioning.load()
    assert again.acme.used == []
    assert again.health.status == "ok"
