"""Hosts, URLs, origins and networks as an operator writes them; validators for `tidings.config`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from tidings.durations import shorten

_HOST_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9_])?", re.ASCII)
_USUAL_PORTS = {"http": 80, "https": 443}


def listening_host(host: str) -> str:
    """An address or a host name, without a port.

    Raises:
        ValueError: It is neither.
    """
    if ":" in host or re.fullmatch(r"[0-9.]+", host):
        try:
            return str(ipaddress.ip_address(host))
        except ValueError:
            pass  # said below
    elif _HOST_NAME.fullmatch(host):
        return host
    raise ValueError(
        f"{shorten(host)} is not an address. Write 127.0.0.1, 0.0.0.0 or a name. A port has its own key."
    )


def derived_url(server: Mapping[str, Any]) -> str:
    """The URL of a server that listens on `host` and `port`; on every address, it is this machine's own."""
    own = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound to
    host = own.get(server["host"], server["host"])
    return f"http://{f'[{host}]' if ':' in host else host}:{server['port']}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server at `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_public(url: str) -> bool:
    """Whether the host of `url` can be one that others on the internet reach: a name, or a global address."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith((".localhost", ".local", ".internal", ".home.arpa"))


def public_url(url: str) -> str:
    """An http(s) URL without path and query: tidings needs a host name, or a port, of its own.

    Raises:
        ValueError: It isn't one.
    """
    _refuse_credentials(url)
    if _origin_of(url.rstrip("/"), path=False) is None:
        raise ValueError(
            f"{shorten(url)} is not a public URL. Write one such as https://tidings.example.org, without a path."
        )
    return url.rstrip("/")


def web_address(url: str) -> str:
    """An http(s) URL with a path, as it is.

    Raises:
        ValueError: It isn't one.
    """
    _refuse_credentials(url)
    if _origin_of(url.partition("?")[0], path=True) is None:
        raise ValueError(
            f"{shorten(url)} is not a web address. Write one such as https://app.example.org/keys."
        )
    return url


def allowed_origin(text: str) -> str:
    """An origin as browsers send it: lower case, without the usual port.

    Raises:
        ValueError: It isn't one.
    """
    _refuse_credentials(text)
    origin = _origin_of(text, path=False)
    if origin is None:
        raise ValueError(f"{shorten(text)} is not an origin. Write one such as https://app.example.org.")
    return origin


def network(value: object) -> object:
    """A network from `10.0.0.0/8`, or from one address.

    Raises:
        ValueError: It is neither, or the address has bits beyond the mask.
    """
    if isinstance(value, ipaddress.IPv4Network | ipaddress.IPv6Network):
        return value
    try:
        interface = ipaddress.ip_interface(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(
            f"{shorten(value)} is not an address or a network. Write 10.0.0.1 or 10.0.0.0/8."
        ) from None
    if interface.ip != interface.network.network_address:
        raise ValueError(
            f"{shorten(value)} has bits beyond its mask. Write {interface.network} or {interface.ip}."
        )
    return interface.network


def _refuse_credentials(url: str) -> None:
    if "@" in url:
        raise ValueError("this URL has a user name or a password in it. Remove them.")


def _origin_of(url: str, *, path: bool) -> str | None:
    """The origin of an http(s) URL, or None where `url` is none or has more than it may."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    host = parts.hostname or ""
    fits = parts.scheme in _USUAL_PORTS and re.fullmatch(r"[a-z0-9._:-]+", host, re.ASCII) and port != 0
    if not fits or re.search(r"[?#\\\s]", url) or (not path and parts.path not in {"", "/"}):
        return None
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + ("" if port in {None, _USUAL_PORTS[parts.scheme]} else f":{port}")
