"""The form in which Google's APIs refuse: `{"error": {"code": 403, "message": …, "errors": [{"reason": …}]}}`.

https://developers.google.com/gmail/api/guides/handle-errors, …/calendar/api/guides/errors (2026).
"""

from __future__ import annotations

from typing import Final

from tidings_sandbox.wire import Answer, Headers, json_answer

_STATUS: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
}


def error(status: int, reason: str, message: str, *, domain: str = "global", headers: Headers = ()) -> Answer:
    """A refusal: `error(404, "notFound", "Requested entity was not found.")`."""
    said = {
        "code": status,
        "message": message,
        "errors": [{"message": message, "domain": domain, "reason": reason}],
        **({"status": _STATUS[status]} if status in _STATUS else {}),
    }
    return json_answer({"error": said}, status, headers)


def unauthorised() -> Answer:
    """No access token, or a dead one."""
    challenge = b'Bearer realm="https://accounts.google.com/", error="invalid_token"'
    return error(401, "authError", "Invalid Credentials", headers=[(b"www-authenticate", challenge)])


def insufficient() -> Answer:
    """A living token without the scope."""
    challenge = b'Bearer realm="https://accounts.google.com/", error="insufficient_scope"'
    message = "Request had insufficient authentication scopes."
    return error(403, "insufficientPermissions", message, headers=[(b"www-authenticate", challenge)])


def not_found(message: str = "Requested entity was not found.") -> Answer:
    """There is no such thing."""
    return error(404, "notFound", message)
