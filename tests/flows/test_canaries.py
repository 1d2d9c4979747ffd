"""No secret leaves: not when all goes well, not when everything fails; and whoever lets one out is caught."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import click
import httpx
import pytest
from click.testing import CliRunner

import canaries
from canaries import PLANTED, watch
from commands import Commands
from connecting import SANDBOX, Browser, browser, events, world
from tidings.accounts import find_user
from tidings.connecting import Answer
from tidings.discretion import begin_discretion, redact, use_authorization, use_secrets
from tidings.outbound import Outbound
from tidings.testing.clock import FakeClock
from tidings.testing.server import LiveServer, live_server
from tidings_sandbox.faults import Fault
from tidings_sandbox.tokens import MARK as SANDBOX_MARK

PERSON = "ottilie-otterbourne"
DEAD = {"github": "bad_refresh_token", "spotify": "invalid_grant"}
Twist = Callable[[str], Answer]


def _html(text: str) -> Answer:
    return Answer(200, {"content-type": "text/html"}, text.encode())


def _refuse(token: str) -> Answer:
    # So long that whoever cuts the text first is left with half a token.
    said = f"{'The token is bad. ' * 14}Look at it: {token}"
    body = {"message": said, "error": {"status": 400, "message": said}}
    return Answer(400, {}, json.dumps(body).encode())


def _raise(error: Callable[[str], Exception]) -> Twist:
    def twist(token: str) -> Answer:
        raise error(f"Could not send 'Bearer {token}' to https://api.example/?access_token={token}")

    return twist


#: What a platform, a network or a plugin may do with the token that it was given.
TWISTS: Mapping[str, Twist] = {
    "quotes the token in its refusal": _refuse,
    "redirects elsewhere with the token": lambda token: Answer(
        302, {"location": f"https://elsewhere.example/in?access_token={token}"}, b""
    ),
    "answers garbage with the token": lambda token: _html(f"<h1>Hello {token}</h1>"),
    "breaks with the token": lambda token: Answer(500, {"x-request": token}, token.encode()),
    "is out of reach": _raise(httpx.ConnectError),
    "breaks off": _raise(httpx.ReadError),
    "breaks the protocol": _raise(httpx.LocalProtocolError),
    "makes the plugin fail": _raise(RuntimeError),
}


class Network:
    """The way to the platforms, which can be twisted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.twist: Twist | None = None
        self.calls_pass = False  # only refreshes are twisted
        self.hits = 0
        send = Outbound._send

        async def twisted(
            outbound: Outbound, method: str, url: str, headers: Mapping[str, str] | None, body: bytes
        ) -> Answer:
            token = _refresh_token(body) or ("" if self.calls_pass else _bearer(headers or {}))
            if self.twist is None or not token:
                return await send(outbound, method, url, headers, body)
            self.hits += 1
            return self.twist(token)

        monkeypatch.setattr(Outbound, "_send", twisted)


def _bearer(headers: Mapping[str, str]) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token if scheme == "Bearer" else ""


def _refresh_token(body: bytes) -> str:
    return parse_qs(body.decode("utf-8", "replace")).get("refresh_token", [""])[0]


class Tour:
    """One connected account, through thick and thin."""

    def __init__(self, server: LiveServer, who: Browser, clock: FakeClock, network: Network) -> None:
        self.server, self.who, self.clock, self.network = server, who, clock, network
        self.path = ""

    async def sync(self, outcome: str) -> Any:
        """Have it synced, until a run since now has ended so."""
        await self.clock.advance(1)
        begun = self.clock.now()
        assert (await self.who.send("POST", f"{self.path}/sync")).status_code == 202

        def is_so(shown: Any) -> bool:
            return any(_ended(attempt, outcome, begun) for attempt in shown["attempts"])

        return await self.who.until(self.path, is_so, clock=self.clock, step_seconds=60)

    async def twisted(self, twist: Twist) -> Any:
        self.network.twist, self.network.hits = twist, 0
        async with asyncio.timeout(90):  # it ends before, or hangs
            shown = await self.sync("failed")
            while not self.network.hits:  # after so many failures calls rest for a while
                await self.clock.advance(120)
                shown = await self.sync("failed")
        self.network.twist = None
        return shown


def _ended(attempt: Any, outcome: str, since: datetime) -> bool:
    at = datetime.fromisoformat(attempt["at"])
    # At GitHub another job may be the one that meets the failure.
    return (
        (attempt["kind"] == "sync" or outcome == "failed") and attempt["outcome"] == outcome and at >= since
    )


@asynccontextmanager
async def tour(folder: Path, platform: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Tour]:
    clock = FakeClock(datetime.now(UTC))  # commands have the machine's
    async with (
        live_server(folder, SANDBOX, clock=clock) as server,
        browser(server, await server.add_user("ann", is_admin=True)) as ann,
    ):
        world(server).emulators[platform].consents.dialect.expires = "always"
        made = Tour(server, ann, clock, Network(monkeypatch))
        made.path = f"/api/connections/{await ann.connect(platform, PERSON)}"
        await ann.until(made.path, lambda one: one["last_checked_at"] is not None, clock=clock)
        yield made


async def diagnostics(server: LiveServer, who: Browser, folder: Path) -> str:
    """All that can be asked of an installation."""
    user = await server.services.database.read(lambda sql: find_user(sql, "ann"))
    assert user is not None
    token = await server.add_token(user, "read", "admin")
    told = []
    for path in ("/metrics", "/openapi.json", "/api/health", "/api/webhooks/health", "/api/sse/stats", "/api/tokens",
                 "/api/connections", "/api/platforms", "/api/me", "/sandbox", "/sandbox/api/state"):  # fmt: skip
        answer = await who.client.get(path)
        assert answer.status_code == 200, (path, answer.text)
        told.append(answer.text)
        told.append((await server.client.get(path, headers={"authorization": f"Bearer {token}"})).text)
    commands = Commands(folder / "live.yaml")  # so that commands find the emulators where they are
    commands.config.write_text(f"server: {{port: {server.services.settings.server.port}}}\n{SANDBOX}")
    for command in ("doctor", "check", "audit github", "vault status", "token list", "webhook list", "user list",
                    "plugins", "db info", "db check"):  # fmt: skip
        result = await asyncio.to_thread(commands, *command.split())
        assert result.exit_code in {0, 1}, result.output
        told.append(result.output)
    return "\n".join(told)


@pytest.mark.parametrize("platform", ["github", "spotify"])
async def test_no_token_leaves_whatever_goes_wrong(
    tmp_path: Path, platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with tour(tmp_path, platform, monkeypatch) as made:
        emulator = world(made.server).emulators[platform]
        emulator.consents.expire_access(PERSON)  # a 401, and a refresh in the middle of a call
        await made.sync("done")
        for fault in (
            Fault("error", status=429, retry_after_seconds=2),
            Fault("error", status=500),
            Fault("garbage"),
        ):
            emulator.faults.add(fault)
            await made.sync("failed")
            emulator.faults.clear()
            await made.clock.advance(120)
        for twist in TWISTS.values():
            await made.twisted(twist)
        told = await diagnostics(made.server, made.who, tmp_path)
        await made.clock.advance(1800)
        await made.sync("done")
        emulator.consents.expire_access(PERSON)
        made.network.calls_pass = True
        made.network.twist = lambda token: Answer(
            400, {}, json.dumps({"error": DEAD[platform], "error_description": f"No {token}"}).encode()
        )
        assert (await made.who.send("POST", f"{made.path}/sync")).status_code == 202
        shown = await made.who.until(
            made.path, lambda one: one["state"] == "needs_reauth", clock=made.clock, step_seconds=60
        )
        made.network.twist = None
        told += json.dumps(shown) + await diagnostics(made.server, made.who, tmp_path)
        assert (await made.who.send("DELETE", made.path)).status_code == 202
        await made.who.until(
            "/api/connections", lambda all_: not all_["connections"], clock=made.clock, step_seconds=60
        )
        told += json.dumps(await events(made.who)) + repr(made.server.logged)
    assert SANDBOX_MARK not in told
    assert PLANTED not in told
    assert "[secret]" in told  # it was about to be told, more than once
    watch.scan_folder(tmp_path)
    assert watch.take() == []


async def test_a_consent_that_fails_tells_neither_code_nor_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        live_server(tmp_path, SANDBOX) as server,
        browser(server, await server.add_user("ann")) as ann,
    ):
        network = Network(monkeypatch)
        for name, twist in TWISTS.items():
            back = await ann.decide(await ann.leave("spotify"), PERSON)
            network.twist = twist
            answer = await ann.client.get(back)
            network.twist = None
            assert answer.status_code >= 400, name
        assert "request_failed" in {line["event"] for line in server.logged}
        assert "[secret]" in repr(server.logged)


async def test_a_plugin_that_fails_on_a_delivery_does_not_tell_its_keys(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = await server.add_hook(await server.add_user("ann"), "github")

    def verify(_connector: Any, _request: Any, keys: Any, _now: Any) -> None:
        raise RuntimeError(f"bad keys {keys.secrets!r}")

    monkeypatch.setattr(type(server.receiver("github")), "verify", verify)
    assert (await server.client.post(hook.path, content=b"{}")).status_code == 500
    (line,) = [line for line in server.logged if line["event"] == "delivery_failed"]
    assert "bad keys (b'[secret]',)" in line["exception"]
    server.logged.clear()  # type: ignore[attr-defined]  # the defect was wanted
    assert watch.take() == []


# --- whoever lets one out is caught ---


@pytest.fixture
async def leaky(tmp_path: Path) -> AsyncIterator[tuple[LiveServer, dict[str, str]]]:
    async with live_server(tmp_path, SANDBOX) as server:
        ann = await server.add_user("ann", is_admin=True)
        token = await server.add_token(ann, "read", "send", "admin")
        yield server, {"authorization": f"Bearer {token}"}


def _token(headers: dict[str, str]) -> str:
    return headers["authorization"].removeprefix("Bearer ")


async def test_a_secret_in_an_answer_a_frame_and_the_database_is_caught(tmp_path: Path) -> None:
    async with live_server(tmp_path, SANDBOX) as server:
        token = await server.add_token(await server.add_user("ann"), "read", "send")
        headers = {"authorization": f"Bearer {token}"}
        message = {"userId": "ann", "message": {"title": f"It is {token}"}}
        answer = await server.client.post("/api/sse/send", json=message, headers=headers)
        assert answer.status_code < 300, answer.text
        assert (await server.client.get("/api/events", headers=headers)).status_code == 200
        async with server.client.stream("GET", "/api/sse/stream?after=0", headers=headers) as stream:
            async for piece in stream.aiter_text():
                if "It is" in piece:
                    break
    watch.scan_folder(tmp_path)
    assert watch.take() == [
        "an API token stands in the answer to GET /api/events, body.",
        "an API token stands in the answer to GET /api/sse/stream, body.",
        "an API token stands in the file tidings.db.",
    ]


async def test_a_secret_in_an_error_or_a_header_is_caught(leaky: tuple[LiveServer, dict[str, str]]) -> None:
    server, headers = leaky
    answer = await server.client.get(f"/nowhere/{_token(headers)}", headers=headers)
    assert answer.status_code == 404
    assert watch.take() == ["an API token stands in the answer to GET /nowhere/…, body."]


async def test_a_secret_in_a_log_line_or_a_traceback_is_caught(
    leaky: tuple[LiveServer, dict[str, str]],
) -> None:
    server, headers = leaky
    log = server.services.log
    log.info("said", text=_token(headers))
    log.info("listed", tokens=[{"token": _token(headers)}])
    try:
        raise RuntimeError(_token(headers))
    except RuntimeError as error:
        log.error("raised", exc_info=error)
    assert watch.take() == [
        "an API token stands in the log line 'said', text.",
        "an API token stands in the log line 'listed', tokens.",
        "an API token stands in the log line 'raised', exception.",
    ]


async def test_a_secret_in_a_metric_or_in_what_is_down_is_caught(tmp_path: Path) -> None:
    async with live_server(tmp_path, SANDBOX) as server:
        admin = await server.add_user("ann", is_admin=True)
        headers = {"authorization": f"Bearer {await server.add_token(admin, 'read')}"}
        server.services.metrics.jobs.labels(_token(headers), "done").inc()
        assert (await server.client.get("/metrics", headers=headers)).status_code == 200
        assert watch.take() == ["an API token stands in the answer to GET /metrics, body."]
        server.services.health.component("thing").down(f"It wants {_token(headers)}")
        assert watch.take() == ["an API token stands in the log line 'component_down', reason."]
    assert watch.take() == [
        "an API token stands in the metrics.",
        "an API token stands in the report on health.",
    ]


async def test_a_secret_of_the_platforms_is_caught_in_every_form(tmp_path: Path) -> None:
    async with live_server(tmp_path, SANDBOX) as server:
        app = world(server).github.consents.app("sandbox-github")
        assert app is not None
        shown = httpx.BasicAuth(app.client_id, app.client_secret)._auth_header
        for text in (app.client_secret, shown, app.client_secret[:20]):
            server.services.log.info("said", text=text)
            assert len(watch.take()) == 1, text


@pytest.mark.parametrize("cut", range(1, 20))
def test_a_secret_that_is_sent_in_pieces_is_caught(cut: int) -> None:
    looks = canaries.Watch()
    scope = {"method": "GET", "path": "/api/me"}
    text = f"..........{PLANTED}T and more.".encode()
    looks.sent(scope, b"", text[:cut])
    looks.sent(scope, text[:cut], text[cut:])
    assert looks.take() == ["an API token stands in the answer to GET /api/me, body."]


@pytest.mark.parametrize(
    ("method", "path", "piece", "caught"),
    [
        ("POST", "/api/tokens", "HTTP/1.1 201 Created\r\n\r\n{}T", False),
        ("GET", "/api/tokens", "HTTP/1.1 200 OK\r\n\r\n{}T", True),
        ("POST", "/api/tokens", "HTTP/1.1 201 Created\r\nx-token: {}T\r\n\r\n", True),
        ("POST", "/api/tokens", "HTTP/1.1 201 Created\r\n\r\n{}C", True),
        ("GET", "/login/x", "HTTP/1.1 303 See Other\r\nset-cookie: a={}C; Path=/\r\n\r\n", False),
        ("GET", "/login/x", "HTTP/1.1 303 See Other\r\nset-cookie: a={}L; Path=/\r\n\r\n", True),
        ("GET", "/api/oauth/github/start", "HTTP/1.1 303 See Other\r\nlocation: /?state={}S\r\n\r\n", False),
        (
            "GET",
            "/api/oauth/github/start",
            "HTTP/1.1 303 See Other\r\nlocation: /?verifier={}P\r\n\r\n",
            True,
        ),
        ("GET", "/sandbox/github/user", "HTTP/1.1 200 OK\r\n\r\n{}T", False),
        ("GET", "/sandbox/api/state", "HTTP/1.1 200 OK\r\n\r\n{}T", True),
    ],
)
def test_what_hands_a_secret_out_may_hand_out_that_one_there(
    method: str, path: str, piece: str, *, caught: bool
) -> None:
    looks = canaries.Watch()
    looks.sent({"method": method, "path": path}, b"", piece.format(PLANTED).encode())
    assert bool(looks.take()) is caught


def test_a_secret_in_the_output_of_a_command_is_caught() -> None:
    @click.command()
    @click.argument("words", nargs=-1)
    def tidings(words: tuple[str, ...]) -> None:
        click.echo(f"{PLANTED}T")

    def crash() -> None:
        raise RuntimeError(f"{PLANTED}V")

    CliRunner().invoke(tidings, ["token", "create", "ann"])
    assert watch.take() == []
    CliRunner().invoke(tidings, ["token", "list"])
    assert watch.take() == ["an API token stands in the output of: tidings token list."]
    CliRunner().invoke(click.Command("crash", callback=crash), [])
    assert watch.take() == ["a key of the vault stands in the error of: tidings."]


def test_a_secret_in_a_servers_log_is_caught(tmp_path: Path) -> None:
    (tmp_path / "server.log").write_text(f"...{PLANTED}W...")
    watch.scan_folder(tmp_path)
    assert watch.take() == ["a webhook secret stands in the file server.log."]


def test_every_place_that_makes_something_random_says_what_it_is() -> None:
    """A new one is either a secret, and gets a mark, or none; it can't be forgotten."""
    made: dict[str, Any] = {"__name__": "tidings.brand_new"}
    exec("import secrets\ndef make():\n    return secrets.token_urlsafe(8)", made)
    with pytest.raises(AssertionError, match=r"say in canaries\.py what it is"):
        made["make"]()


# --- discretion ---


async def test_discretion_blacks_out_what_a_piece_of_work_used_and_nothing_else() -> None:
    use_secrets("used-before-anything-began")
    assert redact("used-before-anything-began") == "used-before-anything-began"

    async def work(secret: str) -> str:
        begin_discretion()
        await asyncio.create_task(_use(secret))  # what it starts counts as its own
        return redact("first-secret second+secret/= second%2Bsecret%2F%3D")

    assert await asyncio.gather(work("first-secret"), work("second+secret/=")) == [
        "[secret] second+secret/= second%2Bsecret%2F%3D",
        "first-secret [secret] [secret]",
    ]


async def _use(secret: str) -> None:
    await asyncio.sleep(0)
    use_secrets(secret)


async def test_whatever_authorizes_a_request_is_a_secret() -> None:
    begin_discretion()
    use_authorization({"Authorization": "Bearer made-by-the-plugin", "Accept": "application/json"})
    use_authorization({"authorization": httpx.BasicAuth("client", "client-secret")._auth_header})
    assert redact("made-by-the-plugin, application/json, client-secret") == (
        "[secret], application/json, [secret]"
    )
