"""What a plugin hands over is looked at before it is used: of the right type, and not a flood."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from tidings.connectors import Polled, Receives
from tidings.deliveries import Parsed, WebhookRequest
from tidings.event import Event

Handed = TypeVar("Handed")

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
    _look_at(parsed.events, "parse")
    return parsed


def pieces_of(polling: Any) -> AsyncIterator[object]:
    """What `poll` returned, to be gone through.

    Raises:
        Defect: It can't be.
    """
    if not isinstance(polling, AsyncIterator):
        raise Defect(f"poll returned {_named(polling)}, not an async iterator. Write async def, and yield.")
    return polling


def handed(value: object, wanted: type[Handed], where: str) -> Handed:
    """What a method returned, of the type that its contract says.

    Args:
        value: What it returned.
        wanted: The type.
        where: The method.

    Raises:
        Defect: It is of another type.
    """
    if not isinstance(value, wanted):
        raise Defect(f"{where} returned {_named(value)}, not a {wanted.__name__}.")
    return value


def all_handed(values: object, wanted: type[Handed], where: str) -> Sequence[Handed]:
    """The same for a method that returns several.

    Raises:
        Defect: They are no sequence, or one of them is of another type.
    """
    if not isinstance(values, Sequence):
        raise Defect(f"{where} returned {_named(values)}, not a sequence of {wanted.__name__}.")
    return [handed(one, wanted, where) for one in values]


def checked(piece: object) -> Polled:
    """A piece of a poll.

    Raises:
        Defect: It is none, or a flood.
    """
    if not isinstance(piece, Polled):
        raise Defect(f"poll yielded {_named(piece)}, not a Polled. Yield one, with a checkpoint.")
    if not isinstance(piece.checkpoint, Mapping):
        raise Defect(f"poll yielded a checkpoint that is {_named(piece.checkpoint)}, not a mapping.")
    _look_at(piece.events, "poll")
    return piece


def _look_at(events: object, where: str) -> None:
    if not isinstance(events, Sequence):
        raise Defect(f"{where} made events that are {_named(events)}, not a sequence.")
    count = len(events)
    if count > MOST_EVENTS:
        raise Defect(
            f"{where} made {count} events at once, and {MOST_EVENTS} are the most. Make several pieces."
        )
    for one in events:
        if not isinstance(one, Event):
            raise Defect(f"{where} made {_named(one)} among its events. Make each an Event.")


def _named(value: object) -> str:
    return "None" if value is None else f"an instance of {type(value).__qualname__}"
