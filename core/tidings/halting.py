"""Connectors that are not called now, for they block the event loop."""

from __future__ import annotations

from tidings.connectors import Connector
from tidings.errors import Unavailable


class Halts:
    """Which those are, and which runs began before their connections were parked."""

    def __init__(self) -> None:
        self._halted: set[str] = set()
        self._ended: dict[str, int] = {}
        self._count = 0

    @property
    def now(self) -> int:
        """For `check`: a run notes it before it looks at its connection."""
        return self._count

    def begin(self, platform: str) -> None:
        """Have nobody call the platform's connector; from any thread."""
        self._halted.add(platform)

    def end(self, platform: str) -> None:
        """Let it be called by runs that begin from now on: they find the connection parked, or wanted by somebody."""
        self._halted.discard(platform)
        self._count += 1
        self._ended[platform] = self._count

    def check(self, connector: Connector, began: int) -> None:
        """Go on if a connector may be called.

        Args:
            connector: Which.
            began: What `now` was when the run began.

        Raises:
            Unavailable: It may not.
        """
        platform = connector.platform
        if platform in self._halted or self._ended.get(platform, 0) > began:
            name = connector.display_name
            raise Unavailable(f"The connector for {name} blocks the event loop, and is not called for now.")
