"""One HTTP exchange by httpx, whose failures are told in the words that core understands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tidings.discretion import redact
from tidings.errors import NotSent, Unavailable


@asynccontextmanager
async def exchange(host: str, within_seconds: float) -> AsyncIterator[None]:
    """Bound the work inside in time, and tell how it failed.

    Args:
        host: Who is asked, as it may be shown.
        within_seconds: For all of it, from looking for a connection to the last byte.

    Raises:
        NotSent: No connection came about: whoever was asked can't have acted on it.
        Unavailable: No answer came, in time or at all. They may have acted on it.
    """
    import httpx  # noqa: PLC0415 - imported with the first request: an idle server needs none of it

    try:
        async with asyncio.timeout(within_seconds):
            yield
    except (
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.PoolTimeout,
        httpx.ProxyError,
        httpx.UnsupportedProtocol,
        httpx.LocalProtocolError,
        httpx.InvalidURL,
    ) as error:
        raise NotSent(f"No connection to {host} came about: {redact(_said(error))}.") from None
    except (TimeoutError, httpx.TimeoutException):
        raise Unavailable(f"{host} did not answer within {within_seconds:g} seconds.") from None
    except httpx.HTTPError as error:
        raise Unavailable(f"The answer of {host} broke off: {redact(_said(error))}.") from None
    except AttributeError as error:
        if not is_reset_while_connecting(error):
            raise
        raise NotSent(f"{host} closed the connection as soon as it was made.") from None


def is_reset_while_connecting(error: AttributeError) -> bool:
    """Whether an error of httpx only says that the peer reset the connection before a byte was sent.

    On uvloop such a connection has lost its socket already when anyio 4 asks it for the peer's name, and httpx 0.28
    lets that out as it is.
    """
    return error.name == "getpeername" and error.obj is None


def _said(error: Exception) -> str:
    """What httpx says, if it says anything; never the URL."""
    text = str(error).strip().rstrip(".")
    return text if text and "://" not in text else type(error).__name__
