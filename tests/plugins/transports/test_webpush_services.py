"""An endpoint is an address that a client chose: it leads to a push service on the list, or nowhere."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidings.errors import Rejected, Unavailable
from tidings.internet import Resolve, is_public_address
from tidings_transports.webpush.services import (
    BROWSERS,
    NotListed,
    Service,
    Services,
)

LISTED = [
    Service.parse(text) for text in (*BROWSERS, "push.example.org", "*.corp.example.org:8443", "127.0.0.1")
]
PUBLIC = "142.250.1.95"


def resolving(*addresses: str) -> Resolve:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return addresses

    return resolve


def services(*addresses: str, allow_private: bool = False) -> Services:
    return Services(LISTED, allow_private=allow_private, resolve=resolving(*(addresses or (PUBLIC,))))


@pytest.mark.parametrize(
    ("url", "host", "port", "origin"),
    [
        ("https://fcm.googleapis.com/fcm/send/a:b", "fcm.googleapis.com", 443, "https://fcm.googleapis.com"),
        ("https://updates.push.services.mozilla.com:443/wpush/v2/x", None, 443, "https://updates.push.services.mozilla.com"),
        ("https://WEB.push.apple.com/Q?a=b", "web.push.apple.com", 443, "https://web.push.apple.com"),
        ("https://wns2-par02p.notify.windows.com/w/?token=x", None, 443, "https://wns2-par02p.notify.windows.com"),
        ("https://push.example.org./up", "push.example.org", 443, "https://push.example.org"),
        ("https://a.corp.example.org:8443/x", "a.corp.example.org", 8443, "https://a.corp.example.org:8443"),
    ],
)  # fmt: skip
async def test_what_browsers_give_is_taken(url: str, host: str | None, port: int, origin: str) -> None:
    endpoint = services().read(url)
    assert (endpoint.scheme, endpoint.port, endpoint.origin) == ("https", port, origin)
    assert host in {None, endpoint.host}
    assert urlsplit(endpoint.target).path == urlsplit(url).path
    assert urlsplit(endpoint.target).query == urlsplit(url).query
    assert await services().locate(endpoint) == [PUBLIC]


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/x", "https://evilpush.apple.com.example.com/x", "https://push.apple.com/x",
        "https://xfcm.googleapis.com/x", "https://notify.windows.com/x", "https://a.fcm.googleapis.com/x",
        "https://fcm.googleapis.com:8443/x", "https://fcm.googleapis.com:80/x", "https://fcm.googleapis.com:22/x",
        "https://corp.example.org:8443/x", "https://a.corp.example.org/x", "https://evilcorp.example.org:8443/x",
        "https://169.254.169.254/latest/meta-data", "https://[::1]/x", "https://localhost/x", "https://0x7f000001/x",
        "https://2130706433/x", "https://127.1/x", "https://127.0.0.1:22/x",
    ],
)  # fmt: skip
def test_what_is_on_no_list_is_refused(url: str) -> None:
    with pytest.raises(NotListed, match=r"webpush\.services"):
        services().read(url)


@pytest.mark.parametrize(
    "url",
    [
        "", "/x", "fcm.googleapis.com/x", "http://fcm.googleapis.com/x", "ftp://fcm.googleapis.com/x", "https:///x",
        "https://user@fcm.googleapis.com/x", "https://a:b@fcm.googleapis.com/x", "https://@fcm.googleapis.com/x",
        "https://fcm.googleapis.com@evil.example/x", "https://evil.example\\@fcm.googleapis.com/x",
        "https://fcm.googleapis.com/x#y", "https://fcm.googleapis.com/a b", "https://fcm.googleapis.com/\r\nX: y",
        "https://fcm.googleapis.com\t/x", "https://fcm.googleapis.com:x/", "https://fcm.googleapis.com:99999/",
        "https://[fcm.googleapis.com/x", "https://fcm.googleapis.com/é", "https://fcm。googleapis.com/x",
        "file:///etc/passwd", "https://fcm.googleapis.com/" + "x" * 2000, "javascript:alert(1)", "https://..../x",
    ],
)  # fmt: skip
def test_what_is_no_endpoint_is_refused(url: str) -> None:
    with pytest.raises(Rejected) as refused:
        services().read(url)
    assert refused.value.status == 400


@given(st.text(max_size=80) | st.builds("https://fcm.googleapis.com{}".format, st.text(max_size=40)))
@example("https://fcm.googleapis.com\n.evil.example/")
@example("https://[::1%25eth0]/")
def test_no_text_leads_elsewhere(url: str) -> None:
    try:
        endpoint = services().read(url)
    except Rejected:
        return
    assert any(one.serves(endpoint.host, endpoint.port) for one in LISTED)
    assert endpoint.target.startswith("/")
    assert endpoint.target.isascii()
    assert not set(endpoint.target) & set(" \r\n\t#")


PRIVATE = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.0.0.1", "192.168.1.1", "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255", "::", "::1", "fe80::1", "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1", "100::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::127.0.0.1",
    "64:ff9b::a00:1", "2002:7f00:1::", "2002:a00:1::1", "2001:0:4136:e378:8000:63bf:80ff:fffe", "64:ff9b:1::1",
    "fec0::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
async def test_a_listed_host_with_a_private_address_is_refused(address: str) -> None:
    """Also where it has public ones too: which of them is connected to is not the host's to choose."""
    for addresses in ((address,), (PUBLIC, address), (address, PUBLIC)):
        some = services(*addresses)
        with pytest.raises(Rejected, match="private network"):
            await some.locate(some.read("https://push.example.org/x"))


async def test_a_private_address_that_an_operator_lists_is_refused_all_the_same() -> None:
    with pytest.raises(Rejected, match="private network"):
        await services().locate(services().read("https://127.0.0.1/x"))


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        PUBLIC,
        "2606:4700:4700::1111",
        "2a00:1450:4001:81b::200a",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
    ],
)
async def test_a_public_address_will_do(address: str) -> None:
    some = services(address)
    (found,) = await some.locate(some.read("https://push.example.org/x"))
    assert ipaddress.ip_address(found) == ipaddress.ip_address(address)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_as_public_within_ipv6_as_it_is_alone(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    for form in (0xFFFF << 32 | number, 0x0064FF9B << 96 | number, 0x2002 << 112 | number << 80):
        assert is_public_address(ipaddress.IPv6Address(form)) == is_public_address(address)


async def test_a_scope_makes_no_address_public() -> None:
    some = services("fe80::1%eth0")
    with pytest.raises(Rejected, match="private network"):
        await some.locate(some.read("https://push.example.org/x"))


async def test_a_host_that_is_not_found_is_tried_again_later() -> None:
    async def unknown(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for resolve in (unknown, resolving()):
        some = Services(LISTED, allow_private=False, resolve=resolve)
        with pytest.raises(Unavailable, match=r"push\.example\.org was not found"):
            await some.locate(some.read("https://push.example.org/x"))


async def test_allow_private_takes_plain_http_to_private_addresses_alone() -> None:
    listed = [Service.parse("push.example.org:8080")]
    private = Services(listed, allow_private=True, resolve=resolving("127.0.0.1"))
    public = Services(listed, allow_private=True, resolve=resolving("127.0.0.1", PUBLIC))
    endpoint = private.read("http://push.example.org:8080/x")
    assert endpoint.origin == "http://push.example.org:8080"
    assert await private.locate(endpoint) == ["127.0.0.1"]
    with pytest.raises(Rejected, match="https"):
        await public.locate(endpoint)
    with pytest.raises(NotListed):
        private.read("http://fcm.googleapis.com/x")


@pytest.mark.parametrize(
    ("text", "service"),
    [
        ("push.example.org", Service("push.example.org")),
        (" Push.Example.ORG:8443 ", Service("push.example.org", port=8443)),
        ("*.example.org", Service("example.org", any_below=True)),
        ("[::1]:80", Service("::1", port=80)),
        ("localhost:8080", Service("localhost", port=8080)),
    ],
)
def test_an_operator_lists_hosts(text: str, service: Service) -> None:
    assert Service.parse(text) == service


@pytest.mark.parametrize(
    "text", ["", "*", "*.", "*.org", "*.*", "https://a.example.org", "a b", "a.example.org:0", "a.example.org:65536",
             "a.example.org/x", "a_b", "-.org", "*.com:443"],
)  # fmt: skip
def test_what_is_no_host_is_no_service(text: str) -> None:
    with pytest.raises(ValueError, match="is not a push service"):
        Service.parse(text)
