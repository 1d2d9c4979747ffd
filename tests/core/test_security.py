import pytest
from starlette.types import Message, Receive, Scope, Send

from tidings.origins import Origins
from tidings.security import CONTENT_SECURITY_POLICY, Security

FRIEND = "https://app.example.org"
Headers = list[tuple[bytes, bytes]]


async def answer(
    origins: Origins, *, method: str = "GET", request: Headers | None = None, response: Headers | None = None
) -> tuple[list[Message], dict[str, list[str]]]:
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": response or []})
        await send({"type": "http.response.body", "body": b"hello"})

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "headers": request or []}
    await Security(app, origins)(scope, receive, send)
    headers: dict[str, list[str]] = {}
    for name, value in sent[0]["headers"]:
        headers.setdefault(name.decode(), []).append(value.decode())
    return sent, headers


def closed(url: str = "http://127.0.0.1:8080") -> Origins:
    return Origins(url, ())


def friendly() -> Origins:
    return Origins("https://tidings.example.org", (FRIEND,))


async def test_every_answer_has_the_security_headers():
    sent, headers = await answer(closed())
    assert sent[1]["body"] == b"hello"
    assert headers == {
        "content-security-policy": [CONTENT_SECURITY_POLICY],
        "x-content-type-options": ["nosniff"],
        "referrer-policy": ["no-referrer"],
        "cross-origin-opener-policy": ["same-origin"],
        "cross-origin-resource-policy": ["same-origin"],
        "permissions-policy": ["camera=(), geolocation=(), microphone=(), payment=(), usb=()"],
    }


def test_no_page_may_run_what_is_not_ours():
    policy = dict(part.split(" ", 1) for part in CONTENT_SECURITY_POLICY.split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in CONTENT_SECURITY_POLICY


async def test_https_is_demanded_only_where_it_is_used():
    assert "strict-transport-security" not in (await answer(closed()))[1]
    headers = (await answer(closed("https://tidings.example.org")))[1]
    assert headers["strict-transport-security"] == ["max-age=31536000"]


async def test_a_header_that_a_route_has_set_stays():
    own: Headers = [(b"referrer-policy", b"origin"), (b"content-type", b"text/plain")]
    headers = (await answer(closed(), response=own))[1]
    assert headers["referrer-policy"] == ["origin"]
    assert headers["content-type"] == ["text/plain"]
    assert own == [(b"referrer-policy", b"origin"), (b"content-type", b"text/plain")]


async def test_cors_is_closed_by_default():
    headers = (await answer(closed(), request=[(b"origin", FRIEND.encode())]))[1]
    assert not [name for name in headers if name.startswith("access-control")]


async def test_a_friend_may_read_answers():
    headers = (await answer(friendly(), request=[(b"origin", FRIEND.encode())]))[1]
    assert headers["access-control-allow-origin"] == [FRIEND]
    assert headers["access-control-allow-credentials"] == ["true"]
    assert headers["access-control-expose-headers"] == ["RateLimit, RateLimit-Policy, Retry-After"]
    assert headers["vary"] == ["Origin"]


@pytest.mark.parametrize(
    "origin",
    [
        b"https://evil.example.org",
        b"https://app.example.org.evil.example",
        b"https://app.example.org:8443",
        b"http://app.example.org",
        b"HTTPS://APP.EXAMPLE.ORG",
        b"null",
        b"*",
        b"",
    ],
)
async def test_a_stranger_may_not(origin: bytes):
    headers = (await answer(friendly(), request=[(b"origin", origin)]))[1]
    assert not [name for name in headers if name.startswith("access-control")]
    assert headers["vary"] == ["Origin"]


async def test_caches_are_told_though_a_route_varies_too():
    headers = (await answer(friendly(), response=[(b"vary", b"Cookie")]))[1]
    assert headers["vary"] == ["Cookie", "Origin"]


def preflight(origin: str) -> Headers:
    return [(b"origin", origin.encode()), (b"access-control-request-method", b"POST")]


async def test_a_friends_preflight_is_answered():
    sent, headers = await answer(friendly(), method="OPTIONS", request=preflight(FRIEND))
    assert sent[0]["status"] == 204
    assert sent[1]["body"] == b""
    assert headers["access-control-allow-origin"] == [FRIEND]
    assert headers["access-control-allow-methods"] == ["GET, HEAD, POST, PUT, PATCH, DELETE"]
    allowed = headers["access-control-allow-headers"][0].split(", ")
    assert allowed == ["Authorization", "Content-Type", "Last-Event-ID", "Idempotency-Key", "X-CSRF-Token"]


@pytest.mark.parametrize("origins", [closed(), friendly()])
async def test_a_strangers_preflight_gets_no_permission(origins: Origins):
    sent, headers = await answer(origins, method="OPTIONS", request=preflight("https://evil.example.org"))
    assert sent[0]["status"] == 204
    assert not [name for name in headers if name.startswith("access-control")]


async def test_an_options_request_that_is_no_preflight_reaches_its_route():
    sent, _ = await answer(friendly(), method="OPTIONS", request=[(b"origin", FRIEND.encode())])
    assert sent[0]["status"] == 200


async def test_what_is_not_http_passes_untouched():
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope, receive, send))

    async def receive() -> Message:
        return {}

    async def send(message: Message) -> None:
        return

    scope = {"type": "lifespan"}
    await Security(app, closed())(scope, receive, send)
    assert seen == [(scope, receive, send)]


@pytest.mark.parametrize(
    ("origin", "fetch_site", "trusted"),
    [
        (None, None, True),  # not a browser
        (None, b"none", True),  # typed into the address bar
        (None, b"same-origin", True),
        (b"http://localhost:8080", b"same-origin", True),  # our own page under another name
        (b"https://tidings.example.org", None, True),
        (FRIEND.encode(), b"cross-site", True),
        (None, b"cross-site", False),  # an image or a script elsewhere
        (None, b"same-site", False),
        (b"https://evil.example.org", None, False),
        (b"https://evil.example.org", b"cross-site", False),
        (b"https://evil.example.org", b"none", False),
        (b"null", None, False),
        (b"", None, False),
    ],
)
def test_which_pages_may_send_a_cookie(origin: bytes | None, fetch_site: bytes | None, trusted: bool):
    assert friendly().trusts(origin, fetch_site) is trusted
