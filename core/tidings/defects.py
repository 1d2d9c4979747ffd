"""What a plugin hands over is looked at before it is used: of the right type, and not a flood."""

from __future__ import annotations

from typing import Final

from tidings.connectors import Polled, Receives
from tidings.deliveries import Parsed, WebhookRequest

#: Of one delivery, or of one piece of a poll. GitHub's largest push has 2,048 commits, which are one event.
MOST_EVENTS: Final = 10_000


class Defect(Exception):
    """A plugin breaks a rule of its contract; the text says which, and what to do."""


def parsed_by(connector: Receives, request: WebhookRequest) -> Parsed:
    """What a connector reads in a verified delivery.

    Raises:
        Rejected: It can't be read.
        Defect: The connector hands over something else, or a flood.
    """
    parsed = connector.parse(request)
    if not isinstance(parsed, Parsed):
        raise Defect(f"parse returned {_named(parsed)}, not a Parsed. Return one, with events or a hint.")
    _refuse_floods(len(parsed.events), "parse")
    return parsed


def checked(piece: object) -> Polled:
    """A piece of a poll.

    Raises:
        Defect: It is none, or a flood.
    """
    if not isinstance(piece, Polled):
        raise Defect(f"poll yielded {_named(piece)}, not a Polled. Yield one, with a checkpoint.")
    _refuse_floods(len(piece.events), "poll")
    return piece


def _refuse_floods(count: int, where: str) -> None:
    if count > MOST_EVENTS:
        raise Defect(
            f"{where} made {count} events at once, and {MOST_EVENTS} are the most. Make several pieces."
        )


def _named(value: object) -> str:
    return "None" if value is None else f"an instance of {type(value).__qualname__}"
