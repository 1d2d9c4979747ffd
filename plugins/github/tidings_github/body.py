"""A delivery's payload: content type and bytes -> a JSON object, whatever is in it."""

from __future__ import annotations

from binascii import a2b_qp
from typing import Final

from tidings.contracts import WebhookRequest
from tidings.errors import Rejected
from tidings.fields import Object, as_json
from tidings_github.shapes import SHAPES

_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"


def payload(request: WebhookRequest, event: str) -> Object:
    """The JSON object in the body, also where GitHub's default `payload=` form wraps it.

    An object nested too deep to read counts as empty. Of some events' objects nothing is kept that no card shows.

    Raises:
        Rejected: Another content type (415), or no JSON object (400).
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == _JSON:
        text = request.body
    elif content_type == _FORM:
        text = _form_field(request.body)
    else:
        raise Rejected(
            f"The content type must be {_JSON} or {_FORM}. Choose one of them on the webhook at GitHub.",
            status=415,
        )
    shape = SHAPES.get(event)
    # Without any field that the shape knows it could as well be an empty object, which says less.
    value = (as_json(text, shape) if shape is not None else None) or as_json(text)
    if not isinstance(value, dict):
        raise Rejected("The body is not a JSON object.", status=400)
    return value


def _form_field(body: bytes) -> bytes:
    """The field `payload` of a form.

    By hand: a general parser would build millions of fields from a large body.
    """
    start = 0 if body.startswith(b"payload=") else body.find(b"&payload=") + 1
    if start == 0 and not body.startswith(b"payload="):
        raise Rejected("The form has no field `payload`.", status=400)
    value = body[start + len(b"payload=") :].partition(b"&")[0]
    # With `=` for `%` it is quoted-printable, which the standard library decodes ten times as fast.
    return a2b_qp(value.replace(b"+", b" ").replace(b"=", b"%3D").replace(b"%", b"="))
