"""Security headers and CORS for every answer.

Starlette's CORSMiddleware is not used: it answers a preflight from a stranger with an error page, one from a
friend with 200 and a body, and would put a second function between a stream and its client.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidings.origins import Origins

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' https: data:",
        "connect-src 'self'",
        "font-src 'self'",
        "manifest-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

_Headers = list[tuple[bytes, bytes]]

_ALWAYS: _Headers = [
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
]
_HTTPS_ONLY = (b"strict-transport-security", b"max-age=31536000")
_PREFLIGHT: _Headers = [
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
    (
        b"access-control-allow-headers",
        b"Authorization, Content-Type, Last-Event-ID, Idempotency-Key, X-CSRF-Token",
    ),
    (b"access-control-max-age", b"600"),
]
_EXPOSED = (b"access-control-expose-headers", b"RateLimit, RateLimit-Policy, Retry-After")
_VARY = (b"vary", b"Origin")


class Security:
    """Pure ASGI middleware. A header that a route has set stays as it is.

    Args:
        app: What answers.
        origins: The pages of other sites that may read answers.
    """

    def __init__(self, app: ASGIApp, origins: Origins) -> None:
        self._app = app
        self._headers = [*_ALWAYS, _HTTPS_ONLY] if origins.is_secure else list(_ALWAYS)
        self._allowed = origins.allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origin = _origin(scope)
        if origin is not None and scope["method"] == "OPTIONS" and _is_preflight(scope):
            await send({"type": "http.response.start", "status": 204, "headers": self._preflight(origin)})
            await send({"type": "http.response.body", "body": b""})
            return
        cors = self._cors(origin)

        # Not async, so that each frame of a stream passes through without a coroutine of its own.
        def send_with_headers(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                present = {name for name, _ in headers}
                headers += [header for header in self._headers if header[0] not in present]
                headers += cors
                message = {**message, "headers": headers}
            return send(message)

        await self._app(scope, receive, send_with_headers)

    def _cors(self, origin: bytes | None) -> _Headers:
        if not self._allowed:
            return []
        if origin not in self._allowed or origin is None:
            return [_VARY]
        return [
            _VARY,
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-credentials", b"true"),
            _EXPOSED,
        ]

    def _preflight(self, origin: bytes) -> _Headers:
        # A stranger gets no permission, which is all that its browser looks for.
        permission = _PREFLIGHT if origin in self._allowed else []
        return [*self._headers, *self._cors(origin), *permission]


def _origin(scope: Scope) -> bytes | None:
    for name, value in scope["headers"]:
        if name == b"origin":
            return bytes(value)
    return None


def _is_preflight(scope: Scope) -> bool:
    return any(name == b"access-control-request-method" for name, _ in scope["headers"])
