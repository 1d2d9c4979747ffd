"""What is written in invented mails."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime
from html import escape
from random import Random
from typing import Final

import msgspec

from tidings_sandbox.people import Person

_SUBJECTS: Final = (
    "Saturday's walk", "The minutes of the beekeepers' meeting", "Your parcel is on its way", "Grüße aus Graubünden",
    "Two tickets left", "Re-opening of the reading room", "A question about the harbour plan", "Keys & umbrellas",
    "Invoice 2026-0417", "Who took the ladder?", "Notes from the rehearsal", "Your appointment on Thursday",
)  # fmt: skip
_BEGINNINGS: Final = (
    "I have attached what we spoke about; tell me if anything's missing.",
    "Just a short note before the weekend: it's all arranged.",
    "Thanks for yesterday! I still owe you the recipe.",
    "We would like to remind you of the date below.",
    "Could you have a look at this & say what you think?",
    "The weather will hold, they say, so let's meet at <the usual place>.",
)
_HOUSES: Final = (
    ("Kolibri Kiosk", "news@kolibri.example"),
    ("The Reading Room", "desk@readingroom.example"),
    ("Harbour Post", "parcels@harbourpost.example"),
)


class Letter(msgspec.Struct, frozen=True):
    """What is written: `sender` as a header has it; `text` is plain."""

    sender: str
    subject: str
    text: str

    def headers(self, to: Person, message_id: str, at: datetime) -> Mapping[str, str]:
        """The headers of the mail, to this person."""
        return {
            "From": self.sender,
            "To": mailbox_of(to),
            "Subject": self.subject,
            "Date": format_datetime(at),
            "Message-ID": f"<{message_id}@mail.gmail.example>",
        }

    @property
    def snippet(self) -> str:
        """The beginning of the text as the API shows it."""
        return escape(self.text).replace("&#x27;", "&#39;")[:200]


def invented(chance: Random, writers: list[Person]) -> Letter:
    """Somebody writes something."""
    house, address = chance.choice(_HOUSES)
    writer = chance.choice(writers) if writers and chance.random() < 0.7 else None
    sender = f"{house} <{address}>" if writer is None else mailbox_of(writer)
    return Letter(sender, chance.choice(_SUBJECTS), chance.choice(_BEGINNINGS))


def mailbox_of(person: Person) -> str:
    """A person as headers name them."""
    return f"{person.name} <{person.google_email}>"
