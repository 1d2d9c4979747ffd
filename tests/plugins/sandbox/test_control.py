"""The control page and API do what admins order, and nothing for anybody else; the plugin stays on loopback."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.types import Scope

from tidings.api.operation import problem_of
from tidings.context import Context
from tidings.contracts import Principal
from tidings.errors import ConfigError, Denied, TidingsError
from tidings.event import UserId
from tidings.hooks import ServerAddress
from tidings_sandbox import SandboxExtra, SandboxOptions, SandboxPlugin
from tidings_sandbox.world import World

OTTILIE = "ottilie-otterbourne"
URL = "http://127.0.0.1:8080"
HERE = ServerAddress("127.0.0.1", 8080, URL)


class Door:
    """Lets in by the word that stands in the Authorization header."""

    async def enter_stream(self, scope: Scope) -> Principal:
        return await self.require(scope, "read")

    def admits_page(self, scope: Scope) -> bool:
        return True

    async def require(self, scope: Scope, right: str) -> Principal:
        word = Request(scope).headers.get("authorization", "")
        if not word:
            raise Denied("Nobody.")
        if word != right:
            raise Denied("Not you.", status=403, code="forbidden")
        return Principal(UserId(1), "ada", "token", "token:1", frozenset({right}))


@pytest.fixture
def extra(clock) -> SandboxExtra:
    nothing: Any = None
    context = Context(
        plugin="extra/sandbox",
        public_url=URL,
        clock=clock,
        log=structlog.get_logger(),
        journal=nothing,
        streams=nothing,
        access=Door(),
        requests=nothing,
        http=nothing,
        internet=nothing,
    )
    (extra,) = SandboxPlugin(SandboxOptions(lively=False)).tidings_extras(context)
    assert isinstance(extra, SandboxExtra)
    return extra


@pytest.fixture
def world(extra) -> World:
    return extra.world


@pytest.fixture
async def http(extra) -> AsyncIterator[httpx.AsyncClient]:
    async def refused(_request: Request, error: Exception) -> Any:
        assert isinstance(error, TidingsError)
        return problem_of(error)

    app = Starlette(routes=list(extra.routes()), exception_handlers={TidingsError: refused})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL) as client:
        yield client


class Admin:
    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def order(self, name: str, **order: Any) -> httpx.Response:
        headers = {"authorization": "admin"}
        return await self._http.post(f"/sandbox/api/{name}", json=order, headers=headers)

    async def state(self) -> Any:
        answer = await self._http.get("/sandbox/api/state", headers={"authorization": "admin"})
        assert answer.status_code == 200
        return answer.json()


@pytest.fixture
def admin(http) -> Admin:
    return Admin(http)


# --- who may ---


@pytest.mark.parametrize(("word", "status"), [("", 401), ("read", 403), ("send", 403)])
async def test_only_admins_may_see_or_order_anything(http, world, word, status):
    headers = {"authorization": word} if word else {}
    assert (await http.get("/sandbox/api/state", headers=headers)).status_code == status
    for name in ("happenings", "tokens", "faults", "oauth", "hooks", "deliveries", "reset"):
        answer = await http.post(f"/sandbox/api/{name}", headers=headers, json={})
        assert answer.status_code == status, name
    page = await http.get("/sandbox", headers=headers)
    assert page.status_code == status
    assert "for admins" in page.text
    assert "sandbox.js" not in page.text


async def test_the_page_and_its_files_are_served(http):
    page = await http.get("/sandbox", headers={"authorization": "admin"})
    assert page.status_code == 200
    assert "<script" not in page.text.replace('<script type="module" src="/sandbox/static/sandbox.js">', "")
    assert "style=" not in page.text
    for name, kind in [
        ("sandbox.js", "text/javascript"),
        ("sandbox.css", "text/css"),
        ("face-3.svg", "image/svg+xml"),
    ]:
        answer = await http.get(f"/sandbox/static/{name}")
        assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, kind)
    assert (await http.get("/sandbox/static/../control.py")).status_code == 404


# --- orders ---


async def test_things_happen_on_order(admin, world):
    answer = await admin.order(
        "happenings", platform="spotify", kind="play", person=OTTILIE, count=2, details={"ago_seconds": 40}
    )
    assert answer.status_code == 200
    assert [one["kind"] for one in answer.json()["happenings"]] == ["play", "play"]
    state = await admin.state()
    assert (state["happened"], len(state["happenings"])) == (2, 2)
    assert state["happenings"][0]["title"].startswith("Ottilie Otterbourne played ")


async def test_tokens_end_on_order(admin, world, spotify):
    tokens = await spotify.connect()
    state = await admin.state()
    assert [one["person"] for one in state["platforms"]["spotify"]["consents"]] == [OTTILIE]
    answer = await admin.order("tokens", platform="spotify", person=OTTILIE, action="expire_access")
    assert answer.json() == {"consents": 1}
    assert world.spotify.consents.check(tokens["access_token"]) is None
    assert (await spotify.refresh(tokens["refresh_token"])).status_code == 200
    await admin.order("tokens", platform="spotify", person=OTTILIE, action="revoke")
    assert (await spotify.refresh(tokens["refresh_token"])).status_code == 400
    assert (await admin.state())["platforms"]["spotify"]["consents"] == []


async def test_refresh_tokens_end_on_order(admin, spotify):
    tokens = await spotify.connect()
    await admin.order("tokens", platform="spotify", action="expire_refresh")
    assert (await spotify.refresh(tokens["refresh_token"])).json()[
        "error_description"
    ] == "Refresh token revoked"


async def test_faults_are_added_replaced_and_shown(admin, world, spotify):
    answer = await admin.order("faults", platform="spotify", add={"kind": "error", "status": 502})
    assert answer.json()["faults"][0]["status"] == 502
    assert (await spotify.refresh("x")).status_code == 502
    await admin.order("faults", platform="spotify", faults=[], lose_webhooks=0.3, delay_webhooks_seconds=5)
    shown = (await admin.state())["platforms"]["spotify"]["faults"]
    assert shown == {
        "faults": [],
        "lose_webhooks": 0.3,
        "duplicate_webhooks": 0.0,
        "delay_webhooks_seconds": 5.0,
        "clock_offset_seconds": 0.0,
    }


async def test_the_clock_is_moved_on_order(admin, world, clock):
    await admin.order("faults", platform="github", clock_offset_seconds=-300)
    assert (world.github.now() - clock.now()).total_seconds() == -300


async def test_the_authorization_server_is_changed_on_order(admin, world):
    answer = await admin.order(
        "oauth",
        platform="spotify",
        rotation="single_use",
        grace_seconds=30,
        access_seconds=90,
        auto_accept=OTTILIE,
    )
    assert answer.json()["rotation"] == "single_use"
    dialect = world.spotify.consents.dialect
    assert (dialect.rotation, dialect.grace_seconds, dialect.access_seconds) == ("single_use", 30, 90)
    assert world.spotify.oauth.auto_accept == OTTILIE
    await admin.order("oauth", platform="spotify", auto_accept="")
    assert world.spotify.oauth.auto_accept == ""


async def test_reset_forgets_what_happened(admin, http, world):
    await admin.order("happenings", platform="spotify", kind="play", person=OTTILIE)
    await admin.order("faults", platform="spotify", lose_webhooks=1)
    answer = await admin.order("reset")
    assert answer.json()["happened"] == 0
    assert world.spotify.faults.lose_webhooks == 0


@pytest.mark.parametrize(
    ("name", "order", "status", "says"),
    [
        ("happenings", {"platform": "spotify", "kind": "play"}, 400, "person"),
        ("happenings", {"platform": "spotify", "kind": "fly", "person": OTTILIE}, 404, "'fly'"),
        ("happenings", {"platform": "myspace", "kind": "play", "person": OTTILIE}, 404, "'myspace'"),
        ("happenings", {"platform": "spotify", "kind": "play", "person": "nobody"}, 404, "'nobody'"),
        ("tokens", {"platform": "spotify", "action": "burn"}, 400, "action"),
        ("tokens", {"platform": "spotify", "action": "revoke", "person": "nobody"}, 404, "'nobody'"),
        ("faults", {"platform": "spotify", "lose_webhooks": 2}, 400, "lose_webhooks"),
        ("faults", {"platform": "spotify", "lose": 1}, 400, "lose"),
        ("oauth", {"platform": "spotify", "auto_accept": "nobody"}, 404, "'nobody'"),
        ("hooks", {"platform": "spotify", "hook_id": 1, "change": "delete"}, 404, "no hook 1"),
        ("deliveries", {"platform": "spotify", "delivery_id": 1}, 404, "no delivery 1"),
    ],
)
async def test_an_order_that_makes_no_sense_is_refused_in_words(admin, name, order, status, says):
    answer = await admin.order(name, **order)
    assert answer.status_code == status
    assert says in answer.json()["error"]["message"]


async def test_an_order_that_is_too_long_is_refused(admin):
    answer = await admin.order("happenings", platform="x" * 70_000)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "details", [{"ago_seconds": "x"}, {"track": "x"}, {"track": True}, {"ago_seconds": -5}]
)
async def test_details_that_make_no_sense_are_refused(admin, details):
    answer = await admin.order("happenings", platform="spotify", kind="play", person=OTTILIE, details=details)
    assert answer.status_code == 404
    assert next(iter(details)) in answer.json()["error"]["message"]


async def test_details_that_nobody_understands_are_ignored(admin):
    details = {"person": "x", "kind": "y", "colour": "red"}
    answer = await admin.order("happenings", platform="spotify", kind="play", person=OTTILIE, details=details)
    assert answer.status_code == 200


async def test_the_extra_lets_small_things_happen_while_it_runs(clock, extra, spotify):
    await spotify.connect()
    extra._lively = True
    async with anyio.create_task_group() as group:
        group.start_soon(extra.run)
        await clock.advance(200)
        group.cancel_scope.cancel()
    assert extra.world.happenings(OTTILIE)


# --- the plugin ---


def defaults(server: ServerAddress = HERE, options: SandboxOptions | None = None, **configured: Any) -> Any:
    configured = {f"connector/{name}": given for name, given in configured.items()}
    return SandboxPlugin(options or SandboxOptions()).tidings_option_defaults(server, configured)


def test_connectors_without_a_client_are_led_to_the_sandbox(world):
    offered = defaults(github={"client_id": ""}, spotify={})
    github, spotify = offered["connector/github"], offered["connector/spotify"]
    assert github["client_id"] == "sandbox-github"
    assert github["client_secret"] == world.github.consents.app("sandbox-github").client_secret
    assert github["authorize_url"] == f"{URL}/sandbox/github/login/oauth/authorize"
    assert github["token_url"] == f"{URL}/sandbox/github/login/oauth/access_token"
    assert github["api_url"] == f"{URL}/sandbox/github/api"
    assert spotify["authorize_url"] == f"{URL}/sandbox/spotify/authorize"
    assert spotify["token_url"] == f"{URL}/sandbox/spotify/api/token"
    assert spotify["api_url"] == f"{URL}/sandbox/spotify/v1"
    assert spotify["clients"][0]["client_id"] == "sandbox-spotify-1"
    for client in spotify["clients"]:
        app = world.spotify.consents.app(client["client_id"])
        assert app is not None
        assert app.client_secret == client["client_secret"]


def test_connectors_with_a_client_of_their_own_are_left_alone():
    assert defaults(github={"client_id": "mine"}, spotify={"clients": [{"client_id": "mine"}]}) == {}


def test_connectors_that_the_configuration_does_not_name_are_left_out():
    assert defaults(spotify={}).keys() == {"connector/spotify"}
    assert defaults() == {}


@pytest.mark.parametrize(
    ("host", "public_url"),
    [
        ("0.0.0.0", URL),
        ("192.168.1.2", URL),
        ("::", URL),
        ("example.org", URL),
        ("127.0.0.1", "https://tidings.example.org"),
        ("127.0.0.1", "http://10.0.0.1:8080"),
        ("127.0.0.1", "http://127.0.0.1.example.org"),
    ],
)
def test_a_server_that_others_can_reach_does_not_start_with_the_sandbox(host, public_url):
    server = ServerAddress(host, 8080, public_url)
    with pytest.raises(ConfigError, match="allow_public: true"):
        defaults(server, github={})
    assert defaults(server, SandboxOptions(allow_public=True), github={})


@pytest.mark.parametrize(
    ("host", "public_url"),
    [
        ("127.0.0.1", URL),
        ("localhost", "http://localhost:1"),
        ("::1", "http://[::1]:8080"),
        ("127.0.0.9", URL),
    ],
)
def test_a_server_on_loopback_starts_with_the_sandbox(host, public_url):
    assert defaults(ServerAddress(host, 8080, public_url), github={})


def test_the_sandbox_says_that_it_is_on(extra):
    assert "sandbox is on" in extra.notice
    assert "config.yaml" in extra.notice
