"""What the server shows of itself: routes, description, health, metrics, errors, CORS."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute

import deliveries
from tidings.app import build
from tidings.errors import Unavailable
from tidings.testing.server import LiveServer, live_server

_numbers = itertools.count()


async def _token(server: LiveServer, *scopes: str) -> dict[str, str]:
    user = await server.add_user(f"user{next(_numbers)}", is_admin="admin" in scopes)
    return {"authorization": f"Bearer {await server.add_token(user, *scopes)}"}


def _application(server: LiveServer) -> Starlette:
    app = build(server.services)
    while not isinstance(app, Starlette):
        app = app._app  # type: ignore[attr-defined] - the middleware around it
    return app


def _sockets(server: LiveServer) -> set[tuple[str, str]]:
    """Every path that takes WebSockets; a handshake is a GET."""
    return {("get", route.path) for route in _application(server).routes if isinstance(route, WebSocketRoute)}


def _routes(server: LiveServer) -> set[tuple[str, str]]:
    """Every method and path that is served, but for pages and WebSockets."""
    return {
        (method.lower(), re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path))
        for route in _application(server).routes
        if isinstance(route, Route) and route.path not in {"/login/{token}", "/"}
        for method in route.methods or ()
        if method != "HEAD"
    }


async def test_the_description_lists_every_route_that_there_is(shared_server: LiveServer) -> None:
    described = (
        await shared_server.client.get("/openapi.json", headers=await _token(shared_server, "read"))
    ).json()
    listed = {(method, path) for path, item in described["paths"].items() for method in item}
    assert _sockets(shared_server) == {("get", "/ws")}
    assert listed == _routes(shared_server) | _sockets(shared_server)


async def test_the_description_is_sound(shared_server: LiveServer) -> None:
    described = (
        await shared_server.client.get("/openapi.json", headers=await _token(shared_server, "read"))
    ).json()
    assert described["openapi"] == "3.1.0"
    assert {"title", "version"} <= described["info"].keys()
    schemes = described["components"]["securitySchemes"]
    assert all(name in schemes for wanted in described["security"] for name in wanted)
    names = []
    for path, item in described["paths"].items():
        assert path.startswith("/")
        for operation in item.values():
            names.append(operation["operationId"])
            assert operation["summary"]
            assert operation["responses"]
            assert all("description" in response for response in operation["responses"].values())
            placed = {(one["name"], one["in"]) for one in operation.get("parameters", [])}
            assert len(placed) == len(operation.get("parameters", []))
            in_path = {(name, "path") for name in re.findall(r"\{(\w+)\}", path)}
            assert {one for one in placed if one[1] == "path"} == in_path
    assert len(names) == len(set(names))
    for reference in _references(described):
        found: Any = described
        assert reference.startswith("#/")
        for step in reference[2:].split("/"):
            found = found[step]


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "$ref":
                yield item
            else:
                yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


async def test_no_route_answers_without_credentials_but_the_bare_health(shared_server: LiveServer) -> None:
    healths = {"", "/live", "/ready"}
    open_to_all = {f"/api/health{one}" for one in healths} | {"/api/webhooks/health", "/api/sse/health"}
    for method, path in _routes(shared_server):
        concrete = re.sub(r"\{\w+\}", "1", path)
        answer = await shared_server.client.request(method, concrete)
        if path in open_to_all:
            assert answer.json() == {"status": "ok"}, path
        elif path.startswith("/api/webhooks/"):
            assert answer.status_code == 404, path
        else:
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"].startswith("Bearer"), path
            assert answer.json()["error"]["code"] == "unauthenticated", path


async def test_credentials_that_are_none_are_refused(shared_server: LiveServer) -> None:
    bad = ["Bearer", "Bearer ", "Bearer tdg_x", "Bearer a.b.c", "Bearer " + "x" * 9000, "Bearer tdg_\xe9"]
    for text in [*bad, "Basic dXNlcjpwYXNz", "bearer tdg_", "Token x"]:
        for path in ("/api/me", "/api/events", "/api/sse/stream", "/metrics", "/openapi.json"):
            headers = [(b"authorization", text.strip().encode("latin-1"))]
            answer = await shared_server.client.get(path, headers=headers)
            assert answer.status_code == 401, (text, path)


async def test_health_details_are_for_those_who_may_read(shared_server: LiveServer) -> None:
    bare = (await shared_server.client.get("/api/health")).json()
    told = (await shared_server.client.get("/api/health", headers=await _token(shared_server, "read"))).json()
    unread = (
        await shared_server.client.get("/api/health", headers=await _token(shared_server, "send"))
    ).json()
    assert bare == unread == {"status": "ok"}
    assert told["status"] == "ok"
    assert told["components"]["database"]["status"] == "up"
    assert "connector/github" in told["plugins"]
    assert told["failed_plugins"] == {}
    hooks = (
        await shared_server.client.get("/api/webhooks/health", headers=await _token(shared_server, "read"))
    ).json()
    assert hooks["platforms"] == {"github": {"receives": True, "shared_secret": False}}


async def test_metrics_are_what_prometheus_reads(shared_server: LiveServer) -> None:
    alice = await shared_server.add_user(f"user{next(_numbers)}")
    hook = await shared_server.add_hook(alice, "github")
    await deliveries.send(shared_server.client, hook, deliveries.push("metrics"))
    await shared_server.client.post("/api/webhooks/nosuchplatform/x")
    answer = await shared_server.client.get("/metrics", headers=await _token(shared_server, "read"))
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert families.keys() >= {
        "tidings_deliveries", "tidings_events", "tidings_append_seconds", "tidings_streams",
        "tidings_component_up", "tidings_requests", "tidings_jobs",
    }  # fmt: skip
    stored = [
        sample
        for sample in families["tidings_deliveries"].samples
        if sample.labels == {"platform": "github", "outcome": "stored"} and sample.name.endswith("_total")
    ]
    assert [sample.value for sample in stored] == [1]
    # What strangers invent must not become a metric.
    assert "nosuchplatform" not in answer.text
    assert 'platform="unknown"' in answer.text


async def test_a_scrape_token_reads_metrics_and_nothing_else(tmp_path: Path, config: str) -> None:
    async with live_server(tmp_path, "auth: {scrape_token: scrape-me}\n" + config) as server:
        headers = {"authorization": "Bearer scrape-me"}
        for path in ("/metrics", "/openapi.json"):
            assert (await server.client.get(path, headers=headers)).status_code == 200
            wrong = await server.client.get(path, headers={"authorization": "Bearer scrape-m"})
            assert wrong.status_code == 401
        for path in ("/api/me", "/api/events", "/api/sse/stream", "/api/sse/stats"):
            assert (await server.client.get(path, headers=headers)).status_code == 401, path


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing/here", 404),
        ("GET", "/api", 404),
        ("POST", "/api/events", 405),
        ("DELETE", "/api/me", 405),
        ("PUT", "/api/sse/stream", 405),
        ("TRACE", "/api/me", 405),
        ("BREW", "/api/me", 400),
        ("GET", "/api/me/", 404),
        ("DELETE", "/api/tokens/x", 404),
        ("DELETE", "/api/tokens/-1", 404),
        ("DELETE", "/api/tokens/99999999999999999999", 404),
        ("DELETE", "/api/tokens/" + "9" * 5000, 404),
        ("DELETE", "/api/tokens/1", 404),
        ("GET", "/login/nosuchlink", 410),
        ("GET", "/login/" + "x" * 5000, 410),
        ("GET", "/login/%00%ff", 410),
    ],
)
async def test_what_can_not_be_had_is_answered_4xx(
    shared_server: LiveServer, method: str, path: str, status: int
) -> None:
    answer = await shared_server.client.request(method, path, headers=await _token(shared_server, "read"))
    assert answer.status_code == status, answer.text
    if status in {404, 405}:
        assert answer.json()["error"].keys() == {"code", "message"}


async def test_cors_is_closed_by_default(shared_server: LiveServer) -> None:
    stranger = {"origin": "https://stranger.example", "access-control-request-method": "GET"}
    preflight = await shared_server.client.options("/api/events", headers=stranger)
    answer = await shared_server.client.get(
        "/api/events", headers=await _token(shared_server, "read") | {"origin": "https://stranger.example"}
    )
    for one in (preflight, answer):
        assert not [name for name in one.headers if name.startswith("access-control-")]


async def test_an_allowed_origin_may_read(tmp_path: Path, config: str) -> None:
    friend = "https://app.example.org"
    allowed = f"server: {{allowed_origins: [{friend}]}}\n" + config
    async with live_server(tmp_path, allowed) as server:
        for origin, granted in ((friend, friend), ("https://stranger.example", None)):
            answer = await server.client.get(
                "/api/events", headers=await _token(server, "read") | {"origin": origin}
            )
            assert answer.headers.get("access-control-allow-origin") == granted
            assert "Origin" in answer.headers["vary"]


async def test_api_requests_are_limited_and_the_headers_say_so(tmp_path: Path, config: str) -> None:
    limited = config.replace("api: unlimited", "api: 3/1m")
    async with live_server(tmp_path, limited) as server:
        headers = await _token(server, "read")
        answers = [await server.client.get("/api/me", headers=headers) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[0].headers["ratelimit-policy"] == '"api";q=3;w=60'
        assert re.fullmatch(r'"api";r=2;t=\d+', answers[0].headers["ratelimit"])
        assert 1 <= int(answers[3].headers["retry-after"]) <= 60
        assert answers[3].json()["error"]["code"] == "rate_limited"
        # Another token has a count of its own, and opening a stream is free.
        assert (await server.client.get("/api/me", headers=await _token(server, "read"))).status_code == 200
        async with server.client.stream("GET", "/api/sse/stream", headers=headers) as stream:
            assert stream.status_code == 200


async def test_a_database_that_fails_is_a_503_with_retry_after(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")
    headers = {"authorization": f"Bearer {await server.add_token(alice, 'send')}"}

    def put(*_arguments: object) -> None:
        raise Unavailable("The disk is away.", retry_after_seconds=7)

    server.services.writer.put = put  # type: ignore[method-assign, assignment] - as if the disk failed
    for answer in (
        await deliveries.send(server.client, hook, deliveries.push(1)),
        await server.client.post("/api/sse/send", json={"message": {"title": "x"}}, headers=headers),
    ):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
        assert answer.json()["error"]["code"] == "unavailable"
    del server.services.writer.put  # type: ignore[method-assign] - the disk is back
    answer = await deliveries.send(server.client, hook, deliveries.push(1))
    assert answer.json() == {"status": "stored", "events": 1, "duplicate": False}


async def test_every_answer_to_a_browser_has_the_security_headers(shared_server: LiveServer) -> None:
    answers: list[httpx.Response] = [
        await shared_server.client.get("/api/health"),
        await shared_server.client.get("/api/me"),
        await shared_server.client.get("/nothing"),
        await shared_server.client.get("/api/webhooks/github/nobody"),
    ]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
