"""A message goes to the address that was checked, in one request, or nowhere: on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from push_service import Browser, PushService, serving
from tidings.context import Context
from tidings.devices import Device, Fate
from tidings.errors import NotSent, Rejected, Unavailable
from tidings.internet import Resolve
from tidings.testing.clock import FakeClock
from tidings_transports.webpush.sending import Sender
from tidings_transports.webpush.services import Endpoint, Service, Services
from tidings_transports.webpush.transport import Delivery, WebPush

SUBJECT = "mailto:me@example.org"


class Names:
    """What names mean; a test changes it as whoever owns the name could."""

    def __init__(self, *addresses: str) -> None:
        self.addresses: Sequence[str] = addresses
        self.asked: list[str] = []

    async def __call__(self, host: str, _port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.addresses


def transport(
    listed: str, resolve: Resolve, *, allow_private: bool = True, tls: ssl.SSLContext | None = None
) -> WebPush:
    context = Context(
        plugin="transport/webpush",
        public_url="https://tidings.example.org",
        clock=FakeClock(dt.datetime.now(dt.UTC)),
        log=cast("Any", None),
        journal=cast("Any", None),
        streams=cast("Any", None),
        access=cast("Any", None),
        requests=cast("Any", None),
        http=cast("Any", None),
        internet=cast("Any", None),
    )
    services = Services([Service.parse(listed)], allow_private=allow_private, resolve=resolve)
    made = WebPush(context, Delivery(SUBJECT), services, Sender(tls=tls))
    made.use_keys({"k": b"k" * 32})
    return made


async def admitted(transport: WebPush, browser: Browser) -> Device:
    wish = {"endpoint": browser.endpoint, **browser.keys.shown()}
    return Device("psh1", "k", (await transport.admit(wish)).address)


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    async with serving(PushService(host="push.example.org")) as service:
        yield service
        assert service.refused == []


async def test_a_name_that_comes_to_mean_another_machine_leads_nowhere(service: PushService) -> None:
    """DNS rebinding: public when it subscribes, and this machine when something is sent."""
    names = Names("142.250.1.95")
    pushes = transport(f"push.example.org:{service.port}", names, allow_private=False)
    service.scheme = "https"
    device = await admitted(pushes, service.browser(pushes.public_keys["k"]))
    names.addresses = ["127.0.0.1"]
    pushed = await pushes.push(device, None)
    assert pushed.fate is Fate.LATER
    assert "private network" in pushed.detail
    assert service.connections == 0


async def test_the_name_is_asked_once_and_what_it_said_is_connected_to(service: PushService) -> None:
    """Whatever it says a moment later: there is no second question between the check and the connection."""
    names = Names("127.0.0.1")
    pushes = transport(f"push.example.org:{service.port}", names)
    browser = service.browser(pushes.public_keys["k"])
    device = await admitted(pushes, browser)
    assert names.asked == ["push.example.org"]
    assert (await pushes.push(device, None)).fate is Fate.TAKEN
    assert names.asked == ["push.example.org"] * 2
    assert service.host_headers == [f"push.example.org:{service.port}"]


async def test_a_private_name_is_refused_when_it_subscribes(service: PushService) -> None:
    pushes = transport("push.example.org", Names("10.0.0.1"), allow_private=False)
    browser = service.browser(pushes.public_keys["k"])
    wish = {"endpoint": "https://push.example.org/x", **browser.keys.shown()}
    with pytest.raises(Rejected, match="private network"):
        await pushes.admit(wish)


async def test_a_host_that_is_listed_no_more_ends_the_subscription(service: PushService) -> None:
    listed = transport(f"push.example.org:{service.port}", Names("127.0.0.1"))
    device = await admitted(listed, service.browser(listed.public_keys["k"]))
    pushed = await transport("other.example.org", Names("127.0.0.1")).push(device, None)
    assert pushed.fate is Fate.GONE
    assert service.connections == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(service: PushService, status: int) -> None:
    async with serving() as elsewhere:
        pushes = transport(f"push.example.org:{service.port}", Names("127.0.0.1"))
        browser = service.browser(pushes.public_keys["k"])
        device = await admitted(pushes, browser)
        browser.answers.append((status, {"Location": f"{elsewhere.url}/wpush/x"}, b""))
        pushed = await pushes.push(device, None)
        assert (pushed.fate, pushed.status) == (Fate.LATER, status)
        assert "redirects are not followed" in pushed.detail
        assert (service.connections, elsewhere.connections) == (1, 0)


async def test_the_next_address_is_tried_where_nobody_listens(service: PushService) -> None:
    pushes = transport(f"push.example.org:{service.port}", Names("127.0.0.2", "127.0.0.1"))
    device = await admitted(pushes, service.browser(pushes.public_keys["k"]))
    assert (await pushes.push(device, None)).fate is Fate.TAKEN


async def test_nobody_listening_is_tried_again_later(service: PushService) -> None:
    pushes = transport(f"push.example.org:{service.port}", Names("127.0.0.2"))
    device = await admitted(pushes, service.browser(pushes.public_keys["k"]))
    pushed = await pushes.push(device, None)
    assert (pushed.fate, pushed.status) == (Fate.LATER, 0)
    assert "No connection to push.example.org came about" in pushed.detail


async def _answering(answer: bytes) -> tuple[asyncio.Server, Endpoint]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        with contextlib.suppress(ConnectionError):  # whoever asked has heard enough
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, Endpoint("http", "push.example.org", server.sockets[0].getsockname()[1], "/x")


async def test_of_an_answer_without_end_only_the_beginning_is_read() -> None:
    server, endpoint = await _answering(b"HTTP/1.1 400 Bad\r\nConnection: close\r\n\r\n" + b"x" * 30_000_000)
    async with server:
        answer = await Sender().post(endpoint, ["127.0.0.1"], headers={}, body=b"")
    assert (answer.status, answer.body) == (400, b"x" * 4096)


async def test_what_is_no_answer_is_tried_again_later() -> None:
    for answer in (b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\nx"):
        server, endpoint = await _answering(answer)
        async with server:
            with pytest.raises(Unavailable) as failed:
                await Sender().post(endpoint, ["127.0.0.1"], headers={}, body=b"")
        assert "push.example.org" in str(failed.value)
        assert "/x" not in str(failed.value)


def _certificates(folder: Path, host: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's TLS for a name, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "tls.pem"
    file.write_bytes(
        certificate.public_bytes(Encoding.PEM)
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    serves = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serves.load_cert_chain(file)
    return serves, ssl.create_default_context(cadata=certificate.public_bytes(Encoding.PEM).decode())


async def test_the_certificate_must_be_the_names_though_the_address_is_asked(tmp_path: Path) -> None:
    serves, trusts = _certificates(tmp_path, "push.example.org")
    async with serving(PushService("https", "push.example.org"), serves) as service:
        pushes = transport(f"push.example.org:{service.port}", Names("127.0.0.1"), tls=trusts)
        browser = service.browser(pushes.public_keys["k"])
        assert (await pushes.push(await admitted(pushes, browser), None)).fate is Fate.TAKEN
        assert len(browser.received) == 1


async def test_another_names_certificate_is_refused(tmp_path: Path) -> None:
    serves, trusts = _certificates(tmp_path, "other.example.org")
    async with serving(PushService("https", "push.example.org"), serves) as service:
        endpoint = Endpoint("https", "push.example.org", service.port, "/x")
        with pytest.raises(NotSent, match="certificate verify failed"):
            await Sender(tls=trusts).post(endpoint, ["127.0.0.1"], headers={}, body=b"")
        assert service.host_headers == []


async def test_an_unknown_authority_is_refused(tmp_path: Path) -> None:
    serves, _ = _certificates(tmp_path, "push.example.org")
    async with serving(PushService("https", "push.example.org"), serves) as service:
        endpoint = Endpoint("https", "push.example.org", service.port, "/x")
        with pytest.raises(NotSent, match="certificate verify failed"):
            await Sender().post(endpoint, ["127.0.0.1"], headers={}, body=b"")


async def test_a_proxy_of_the_environment_is_not_used(
    service: PushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would ask for the name itself, and connect to whatever that says."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    pushes = transport(f"push.example.org:{service.port}", Names("127.0.0.1"))
    device = await admitted(pushes, service.browser(pushes.public_keys["k"]))
    assert (await pushes.push(device, None)).fate is Fate.TAKEN


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"p256dh": "AAAA"}, "p256dh is not a public key"),
        ({"p256dh": "!"}, "p256dh is not base64url"),
        ({"p256dh": "B" + "A" * 86}, "p256dh is not a public key"),
        ({"auth": "AAAA"}, "auth must have 16 bytes"),
        ({"auth": ""}, "auth must have 16 bytes"),
        ({"auth": "?"}, "auth is not base64url"),
    ],
)
async def test_keys_that_are_none_are_refused(
    service: PushService, keys: dict[str, str], message: str
) -> None:
    pushes = transport(f"push.example.org:{service.port}", Names("127.0.0.1"))
    browser = service.browser(pushes.public_keys["k"])
    with pytest.raises(Rejected, match=message):
        await pushes.admit({"endpoint": browser.endpoint, **browser.keys.shown(), **keys})


async def test_a_signature_that_was_refused_is_made_anew(service: PushService) -> None:
    """Else a clock that was wrong once would stay wrong for hours."""
    pushes = transport(f"push.example.org:{service.port}", Names("127.0.0.1"))
    browser = service.browser(pushes.public_keys["k"])
    device = await admitted(pushes, browser)
    browser.answers.append((403, {}, b'{"reason":"BadJwtToken"}'))
    pushed = await pushes.push(device, None)
    assert pushed.fate is Fate.BLOCKED
    assert "webpush.subject" in pushed.detail
    assert (await pushes.push(device, None)).fate is Fate.TAKEN
    first, second = (one.headers["authorization"] for one in browser.received)
    assert first != second


@pytest.mark.parametrize(
    ("public_url", "subject"),
    [
        ("https://tidings.example.org", "https://tidings.example.org"),
        ("https://tidings.example.org:8443", "https://tidings.example.org:8443"),
        ("http://tidings.example.org", ""),
        ("http://127.0.0.1:8080", ""),
        ("https://localhost", ""),
    ],
)
def test_without_a_subject_the_public_url_is_one_if_it_can_be(public_url: str, subject: str) -> None:
    context = Context("transport/webpush", public_url, FakeClock(), *(cast("Any", None) for _ in range(7)))
    made = WebPush(context, Delivery(), Services([], allow_private=False), Sender())
    assert (made.problem == "") == bool(subject)
    assert made.warning == ""
