"""What the operator decided."""

from __future__ import annotations

import msgspec


class Rules(msgspec.Struct, frozen=True):
    """How Gmail is asked.

    Attributes:
        scope: The last part of the right's name: `metadata` or `readonly`.
        units_per_minute: Of each account.
        tells_labels: Whether changes of labels are told.
    """

    scope: str
    poll_seconds: float
    units_per_minute: int
    tells_labels: bool

    @property
    def can_search(self) -> bool:
        """Whether messages may be searched for; with `gmail.metadata` alone Gmail refuses `q`."""
        return self.scope != "metadata"
