"""A delivery's body -> a JSON object, whatever is in it."""

from __future__ import annotations

from tidings.errors import Rejected
from tidings.fields import Object, as_json


def payload(body: bytes) -> Object:
    """The JSON object in a body; one that is nested too deep to read counts as empty.

    Raises:
        Rejected: 400. It is no JSON object.
    """
    value = as_json(body)  # an error about an odd one would have Discord turn the address off
    if not isinstance(value, dict):
        raise Rejected("The body is not a JSON object.", status=400)
    return value
