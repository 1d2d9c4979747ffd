"""What is on the internet, for who follows addresses that somebody else chose: never this machine, nor its network.

A name alone tells nothing: any name of the public DNS can mean `127.0.0.1`. So it is looked up, every address it has
must be public, and the request goes to one of those by number, whatever the name says by then.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence

from tidings.errors import NotSent

#: An IP address.
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
#: Finds the addresses of a host, by its name and a port.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


async def look_up(host: str, port: int) -> Sequence[str]:
    """A host's addresses, by the machine's own means. Since API 1.

    Raises:
        OSError: It has none, or that can't be told now.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


async def locate(host: str, port: int, *, resolve: Resolve = look_up) -> Sequence[Address]:
    """The addresses of a host that is a name or an address already; judge each by `is_public_address`. Since API 1.

    Raises:
        NotSent: It has none, or that can't be told now.
    """
    literal = read_address(host)
    if literal is not None:
        return [literal]
    try:
        texts = await resolve(host, port)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise NotSent(f"{host[:100]} was not found: {reason}.") from None
    # A scope (`fe80::1%eth0`) belongs to an address that is not public whatever it says.
    found = [address for text in texts if (address := read_address(text.partition("%")[0])) is not None]
    if not found:
        raise NotSent(f"{host[:100]} was not found.")
    return found


def read_address(text: str) -> Address | None:
    """An address as a number; None for a name. Since API 1."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def is_public_address(address: Address) -> bool:
    """Whether an address is one on the internet: not of this machine, of a private network, or of no single host.

    IPv6 forms that hold an IPv4 address (mapped, compatible, 6to4, Teredo, NAT64) are as public as that one is.
    Since API 1.
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = _inner(address)
        if inner is not None:
            return is_public_address(inner)
        if address not in _UNICAST:
            return False
    return address.is_global and not address.is_multicast


# All that is in use on the internet (RFC 4291 §2.4, IANA); Python takes some of the rest for global.
_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")


def _inner(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that packets to `address` may end up at."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or address in _COMPATIBLE:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None
