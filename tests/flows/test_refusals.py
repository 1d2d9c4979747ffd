"""What is not a signed, whole, well-formed delivery is answered 4xx, and nothing of it is stored."""

import asyncio
import dataclasses
import gzip
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

import pytest
from sqlalchemy import Connection, func, select

import deliveries
from tidings.registrations import remove_registration
from tidings.schema import deliveries as deliveries_table
from tidings.schema import events, journals, seen
from tidings.testing.server import Hook, LiveServer, live_server

BODY = json.dumps(deliveries.push(1)).encode()
MOST_BYTES = 64 * 1024
FORM = "application/x-www-form-urlencoded"


@dataclasses.dataclass(frozen=True)
class Scene:
    server: LiveServer
    alice: Hook
    bob: Hook
    removed: Hook

    async def stored(self) -> dict[str, int]:
        def count(connection: Connection) -> dict[str, int]:
            tables = (events, deliveries_table, seen)
            counts = {
                table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in tables
            }
            return counts | {"heads": connection.execute(select(func.sum(journals.c.head))).scalar_one()}

        return await self.server.services.database.read(count)


@pytest.fixture(scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory, config: str) -> AsyncIterator[Scene]:
    limits = f"limits: {{max_body: {MOST_BYTES}, webhooks: unlimited, "
    folder = tmp_path_factory.mktemp("refusals")
    async with live_server(folder, config.replace("limits: {", limits)) as server:
        alice, bob = await server.add_user("alice"), await server.add_user("bob")
        await server.add_user("carol")  # has no registration
        removed = await server.add_hook(bob, "github")
        one = Scene(
            server, await server.add_hook(alice, "github"), await server.add_hook(bob, "github"), removed
        )
        assert (await deliveries.send(server.client, removed, deliveries.push(0))).status_code == 200
        await server.services.writer.run_unit(partial(remove_registration, registration_id=removed.id))
        server.services.webhooks.forget_targets()
        yield one
        # All this time a good delivery is taken.
        assert (await deliveries.send(server.client, one.alice, deliveries.push(2))).status_code == 200


@dataclasses.dataclass(frozen=True)
class Case:
    """One request. `headers` change those of a good delivery: None leaves one out."""

    name: str
    status: int
    headers: Callable[[Scene], dict[str, str | None]] = lambda _scene: {}
    more: Sequence[tuple[str, str]] = ()
    body: bytes = BODY
    method: str = "POST"
    path: str = "{path}"
    secret: Callable[[Scene], str] = lambda scene: scene.alice.secret

    def wire(self, scene: Scene) -> bytes:
        headers: dict[str, str | None] = {
            "host": "localhost",
            "connection": "close",
            "content-length": str(len(self.body)),
            **deliveries.signed(self.secret(scene), self.body, delivery="refused"),
            **self.headers(scene),
        }
        path = self.path.format(path=scene.alice.path, ref=scene.alice.id, removed=scene.removed.path)
        pairs = [(name, value) for name, value in headers.items() if value is not None]
        lines = [f"{self.method} {path} HTTP/1.1", *[f"{n}: {v}" for n, v in (*pairs, *self.more)], "", ""]
        return "\r\n".join(lines).encode("latin-1") + self.body


def _signature(value: str | None) -> Callable[[Scene], dict[str, str | None]]:
    return lambda _scene: {"x-hub-signature-256": value}


def _right(scene: Scene, body: bytes = BODY) -> str:
    return deliveries.signature(scene.alice.secret, body)


def _header(name: str, value: str | None) -> Callable[[Scene], dict[str, str | None]]:
    return lambda _scene: {name: value}


HEX = "0" * 64
SIGNATURES = [
    Case("unsigned", 401, _signature(None)),
    Case("empty signature", 401, _signature("")),
    Case("signature without digits", 401, _signature("sha256=")),
    Case("forged signature", 401, _signature(f"sha256={HEX}")),
    Case("signature too short", 401, _signature(f"sha256={HEX[:-1]}")),
    Case("signature too long", 401, _signature(f"sha256={HEX}0")),
    Case("signature that is not hexadecimal", 401, _signature("sha256=" + "g" * 64)),
    Case("signature in upper case", 401, lambda s: {"x-hub-signature-256": "sha256=" + _right(s)[7:].upper()}),
    Case("algorithm in upper case", 401, lambda s: {"x-hub-signature-256": "SHA256=" + _right(s)[7:]}),
    Case("signature without algorithm", 401, lambda s: {"x-hub-signature-256": _right(s)[7:]}),
    Case("signature with a blank inside", 401, lambda s: {"x-hub-signature-256": "sha256= " + _right(s)[7:]}),
    Case("signature with a tail", 401, lambda s: {"x-hub-signature-256": _right(s) + ";v=1"}),
    Case("signature not in ASCII", 401, _signature("sha256=" + "é" * 64)),
    Case("signature in Arabic digits", 401, _signature("sha256=" + "\xb2" * 64)),
    Case("SHA-1 in the header of SHA-256", 401, lambda s: {"x-hub-signature-256": _sha1(s)}),
    Case("SHA-1 alone", 401, lambda s: {"x-hub-signature-256": None, "x-hub-signature": _sha1(s)}),
    Case("SHA-1 beside a forged SHA-256", 401, _signature(f"sha256={HEX}"), [("x-hub-signature", "sha1=0")]),
    Case("digest without a key", 401, _signature("sha256=" + hashlib.sha256(BODY).hexdigest())),
    Case("signed with an empty secret", 401, _signature(deliveries.signature("", BODY))),
    Case("signed with the registration's id", 401, lambda s: _sig(deliveries.signature(s.alice.id, BODY))),
    Case("signed with another user's secret", 401, secret=lambda s: s.bob.secret),
    Case("signed with a removed registration's secret", 401, secret=lambda s: s.removed.secret),
    Case("signature of another body", 401, lambda s: _sig(_right(s, BODY + b" "))),
    Case("signature of the body without its end", 401, lambda s: _sig(_right(s, BODY[:-1]))),
    Case("signature of an empty body", 401, lambda s: _sig(_right(s, b""))),
    Case("signature twice", 401, more=[("X-Hub-Signature-256", f"sha256={HEX}")]),
    Case("the right signature twice", 401, lambda s: _sig(f"{_right(s)}, {_right(s)}")),
    Case("a forged signature before the right one", 401, lambda s: _sig(f"sha256={HEX},{_right(s)}")),
    Case("signature in the address", 401, _signature(None), path="{path}?x-hub-signature-256=sha256=0"),
    Case("signature as a bearer token", 401, lambda s: _sig(None) | {"authorization": f"Bearer {_right(s)}"}),
    Case("a name, signed with nothing known", 401, _signature(f"sha256={HEX}"), path="/api/webhooks/github/alice"),
    Case("a user without any secret", 401, path="/api/webhooks/github/carol"),
    Case("a user without any secret, signed with none", 401, secret=lambda _: "", path="/api/webhooks/github/carol"),
    Case("another user's name", 401, path="/api/webhooks/github/bob"),
]  # fmt: skip


def _sha1(scene: Scene) -> str:
    return "sha1=" + hmac.digest(scene.alice.secret.encode(), BODY, "sha1").hex()


def _sig(value: str | None) -> dict[str, str | None]:
    return {"x-hub-signature-256": value}


ADDRESSES = [
    Case(f"address {number}: {path[:40]}", status, path=path)
    for number, (path, status) in enumerate(
        {
            "/api/webhooks/nosuch/{ref}": 404,
            "/api/webhooks/gmail/{ref}": 404,
            "/api/webhooks/GitHub/{ref}": 404,
            "/api/webhooks/github%20/{ref}": 404,
            "/api/webhooks/github/": 404,
            "/api/webhooks/github": 401,
            "/api/webhooks/{ref}": 404,
            "/api/webhooks/github/nobody": 404,
            "/api/webhooks/github/{ref}/": 404,
            "/api/webhooks/github/{ref}/x": 404,
            "/api/webhooks/github/{ref}x": 404,
            "/api/webhooks/github/{ref}%00": 404,
            "/api/webhooks/github/{ref}%0a": 404,
            "/api/webhooks/github/{ref}%20": 404,
            "/api/webhooks/github/{ref}%2f": 404,
            "/api/webhooks/github/%2f{ref}": 404,
            "/api/webhooks/github/..%2fgithub%2f{ref}": 404,
            "/api/webhooks/github/../github/{ref}": 404,
            "/api/webhooks/./github/{ref}": 404,
            "/api/webhooks/github/..": 404,
            "/api/webhooks/github/%2e%2e": 404,
            "//api/webhooks/github/{ref}": 404,
            "/api/webhooks//{ref}": 404,
            "/api/webhooks/github/whk%25": 404,
            "/api/webhooks/github/whk_": 404,
            "/api/webhooks/github/whk" + "a" * 24: 404,
            "/api/webhooks/github/%27%20or%20%271%27=%271": 404,
            "/api/webhooks/github/%00": 404,
            "/api/webhooks/github/%ff%fe": 404,
            "/api/webhooks/github/%ed%a0%80": 404,
            "/api/webhooks/github/0": 404,
            "/api/webhooks/github/-1": 404,
            "/api/webhooks/github/99999999999999999999999": 404,
            "/api/webhooks/github/" + "9" * 5000: 404,
            "/api/webhooks/github/%D9%A1": 404,
            "/api/webhooks/github/" + "x" * 5000: 404,
            "/api/webhooks/github/" + "x" * 50_000: 404,
            "/api/webhooks/github/\xe9": 400,
            "/api/webhooks/github/{ref} x": 400,
            "{removed}": 404,
        }.items()
    )
]

METHODS = [
    Case(f"method {method}", status, method=method)
    for method, status in {
        "GET": 405, "HEAD": 405, "PUT": 405, "PATCH": 405, "DELETE": 405, "OPTIONS": 405, "TRACE": 405,
        "PROPFIND": 405, "BREW": 400, "post": 400, "P\xd6ST": 400,
    }.items()
]  # fmt: skip

HEADERS = [
    Case("content type text", 415, _header("content-type", "text/plain")),
    Case("content type left out", 415, _header("content-type", None)),
    Case("content type empty", 415, _header("content-type", "")),
    Case("content type XML", 415, _header("content-type", "application/xml")),
    Case("content type of many parts", 415, _header("content-type", "multipart/form-data; boundary=x")),
    Case("content type nearly JSON", 415, _header("content-type", "application/jsonx")),
    Case("content type twice", 415, more=[("content-type", "application/json")]),
    Case("event left out", 400, _header("x-github-event", None)),
    Case("event empty", 400, _header("x-github-event", "")),
    Case("event with a slash", 400, _header("x-github-event", "../push")),
    Case("event in upper case", 400, _header("x-github-event", "PUSH")),
    Case("event too long", 400, _header("x-github-event", "a" * 65)),
    Case("event not in ASCII", 400, _header("x-github-event", "p\xfcsh")),
    Case("event twice", 400, more=[("x-github-event", "issues")]),
    Case("delivery left out", 400, _header("x-github-delivery", None)),
    Case("delivery empty", 400, _header("x-github-delivery", "")),
    Case("delivery too long", 400, _header("x-github-delivery", "d" * 129)),
    Case("delivery with a blank", 400, _header("x-github-delivery", "a b")),
    Case("delivery not in ASCII", 400, _header("x-github-delivery", "\xe9")),
    Case("delivery twice", 400, more=[("x-github-delivery", "other")]),
    Case("NUL in a header", 400, _header("x-github-event", "pu\0sh")),
    Case("blank before a colon", 400, more=[("x-odd ", "1")]),
    Case("a header without a name", 400, more=[("", "1")]),
    Case("length that is no number", 400, _header("content-length", "x")),
    Case("negative length", 400, _header("content-length", "-1")),
    Case("two lengths", 400, more=[("content-length", "1")]),
    Case("a length and chunks", 400, more=[("transfer-encoding", "chunked")]),
    Case("an unknown transfer encoding", 400, lambda _: {"content-length": None, "transfer-encoding": "x"}),
    Case("chunks that are none", 400, lambda _: {"content-length": None, "transfer-encoding": "chunked"}),
]

BODIES = [
    Case("empty body", 400, body=b""),
    Case("blank body", 400, body=b" \n"),
    Case("JSON cut short", 400, body=BODY[:-1]),
    Case("two JSON values", 400, body=BODY + BODY),
    Case("JSON list", 400, body=b"[" + BODY + b"]"),
    Case("JSON text", 400, body=b'"push"'),
    Case("JSON number", 400, body=b"1"),
    Case("JSON null", 400, body=b"null"),
    Case("JSON true", 400, body=b"true"),
    Case("no JSON", 400, body=b"push: 1"),
    Case("bytes", 400, body=bytes(range(256))),
    Case("zeros", 400, body=bytes(1000)),
    Case("compressed", 400, _header("content-encoding", "gzip"), body=gzip.compress(BODY)),
    Case("UTF-16", 400, body=BODY.decode().encode("utf-16")),
    Case("form as JSON", 400, body=b"payload=" + BODY),
    Case("form without payload", 400, _header("content-type", FORM), body=b"other=1"),
    Case("empty form", 400, _header("content-type", FORM), body=b""),
    Case("form with an empty payload", 400, _header("content-type", FORM), body=b"payload="),
    Case("form whose payload is no JSON", 400, _header("content-type", FORM), body=b"payload=x"),
    Case("form whose payload is a list", 400, _header("content-type", FORM), body=b"payload=%5B%5D"),
    Case("form field of another name", 400, _header("content-type", FORM), body=b"xpayload=" + BODY),
    Case("JSON as a form", 400, _header("content-type", FORM)),
    Case("too large", 413, body=b"{" + b" " * MOST_BYTES + b"}"),
    Case("said to be too large", 413, _header("content-length", str(MOST_BYTES + 1))),
    Case("said to be vast", 413, _header("content-length", "9" * 18)),
]

CASES = [*SIGNATURES, *ADDRESSES, *METHODS, *HEADERS, *BODIES]


async def _exchange(server: LiveServer, data: bytes, *, then_close: bool = False) -> tuple[int, bytes]:
    """The status and the whole of the answer; status 0 where there is none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.services.settings.server.port)
    try:
        writer.write(data)
        if then_close:
            writer.write_eof()
        async with asyncio.timeout(10):
            answer = await reader.read()
    except ConnectionResetError:
        answer = b""
    finally:
        writer.close()
    return (int(answer.split(b" ", 2)[1]) if answer else 0), answer


def test_there_are_at_least_sixty_cases_and_each_has_a_name() -> None:
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_it_is_refused_and_nothing_is_stored(scene: Scene, case: Case) -> None:
    before = await scene.stored()
    status, answer = await _exchange(scene.server, case.wire(scene))
    assert status == case.status, answer
    assert await scene.stored() == before
    for hook in (scene.alice, scene.bob, scene.removed):
        assert hook.secret.encode() not in answer


async def test_a_body_larger_than_allowed_is_refused_in_chunks_too(scene: Scene) -> None:
    before = await scene.stored()
    body = b"{" + b" " * (MOST_BYTES + 10) + b"}"
    headers = deliveries.signed(scene.alice.secret, body) | {"transfer-encoding": "chunked"}
    head = [f"POST {scene.alice.path} HTTP/1.1", "host: x", "connection: close"]
    head += [f"{name}: {value}" for name, value in headers.items()]
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(chunk), chunk)
        for chunk in (body[start : start + 5000] for start in range(0, len(body), 5000))
    )
    wire = ("\r\n".join(head) + "\r\n\r\n").encode() + chunks
    status, _ = await _exchange(scene.server, wire + b"0\r\n\r\n")
    assert status == 413
    assert await scene.stored() == before


@pytest.mark.parametrize("kept", [0, 1, len(BODY) // 2, len(BODY) - 1])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_cut_off_on_the_way_is_not_taken(scene: Scene, kept: int, chunked: bool) -> None:
    before = await scene.stored()
    # Signed as it arrives: only that the sender has gone tells it from a whole one.
    part = BODY[:kept]
    headers = deliveries.signed(scene.alice.secret, part)
    headers |= {"transfer-encoding": "chunked"} if chunked else {"content-length": str(len(BODY))}
    head = [f"POST {scene.alice.path} HTTP/1.1", "host: x"]
    head += [f"{name}: {value}" for name, value in headers.items()]
    sent = b"%x\r\n%b\r\n" % (len(part), part) if chunked and part else part
    wire = ("\r\n".join(head) + "\r\n\r\n").encode() + sent
    status, _ = await _exchange(scene.server, wire, then_close=True)
    assert status in {0, 400}
    assert await scene.stored() == before


@pytest.mark.parametrize(
    "garbage",
    [
        b"\r\n\r\n\r\n",
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /api/webhooks/github/x\r\n\r\n",
        b"POST /api/webhooks/github/x HTTP/9.9\r\n\r\n",
        b"POST  /api/webhooks/github/x HTTP/1.1\r\n\r\n",
        b"POST /api/webhooks/github/x HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /api/webhooks/github/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\0" * 1000,
        bytes(range(256)) * 40,
    ],
)
async def test_what_is_not_http_is_refused(scene: Scene, garbage: bytes) -> None:
    before = await scene.stored()
    status, _ = await _exchange(scene.server, garbage, then_close=True)
    assert status in {0, 400}
    assert await scene.stored() == before


async def test_who_fails_too_often_is_answered_429_but_what_is_signed_is_still_taken(
    server: LiveServer,
) -> None:
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")

    async def fail() -> int:
        answer = await server.client.post(hook.path, content=b"{}", headers={"x-github-event": "push"})
        return answer.status_code

    for _ in range(10):
        assert set(await asyncio.gather(*[fail() for _ in range(100)])) == {401}
    answer = await server.client.post(hook.path, content=b"{}")
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 900
    assert answer.headers["ratelimit-policy"] == '"webhooks";q=1000;w=900'
    # Other failures count against the same address, and a good delivery from it is news like any other.
    assert (await server.client.post("/api/webhooks/github/nobody")).status_code == 429
    taken = await deliveries.send(server.client, hook, deliveries.push(1))
    assert (taken.status_code, taken.json()["events"]) == (200, 1)


async def test_an_unknown_event_that_is_signed_is_taken(server: LiveServer) -> None:
    alice = await server.add_user("alice")
    hook = await server.add_hook(alice, "github")
    answer = await deliveries.send(server.client, hook, {"a": 1}, event="event_of_the_year_3000")
    assert answer.status_code == 200
