"""Whose defect it is: from a failure, or from what a thread is at, to the plugin, the line, and who mends it."""

from __future__ import annotations

import traceback
from collections.abc import Collection, Iterable, Sequence
from types import FrameType
from typing import TYPE_CHECKING

from tidings.defects import Defect
from tidings.errors import TidingsError

if TYPE_CHECKING:
    from tidings.plugins import LoadedPlugin


class Blame:
    """Names plugins.

    Args:
        plugins: Those at work; the list may change.
    """

    def __init__(self, plugins: Sequence[LoadedPlugin] = ()) -> None:
        self._plugins = plugins

    def told(self, error: BaseException, key: str = "") -> str:
        """What happened, in one line: the failure, where in the plugin, whose that is and where to report it.

        Args:
            error: What was raised. What tidings raises on purpose is no defect, and is told as it is.
            key: The plugin that was called, for where its own code shows nowhere in the traceback.
        """
        said = " ".join(str(error).split())[:500]
        if isinstance(error, TidingsError):
            return said
        text = said if isinstance(error, Defect) else f"{type(error).__name__}: {said}"
        frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__)]
        return text + self._named(reversed(frames), key)

    def at(self, frame: FrameType | None) -> tuple[LoadedPlugin, str] | None:
        """The plugin whose code a thread is at, and the file and line; None where it is at none."""
        while frame is not None:
            found = self._owner(frame)
            if found is not None:
                return found, f"{frame.f_code.co_filename}, line {frame.f_lineno}"
            frame = frame.f_back
        return None

    def call(self, frame: FrameType | None, plugin: LoadedPlugin) -> int:
        """Which call of a plugin's code a thread is in: the same number for as long as that lasts."""
        first = 0
        while frame is not None:
            if self._owner(frame) is plugin:
                first = id(frame)
            frame = frame.f_back
        return first

    def within(self, frame: FrameType | None, others: Collection[str]) -> LoadedPlugin | None:
        """The plugin whose code a thread is at, or that called what it is at; None if that is one of other packages.

        Args:
            frame: The innermost.
            others: Names of packages.
        """
        while frame is not None:
            found = self._owner(frame)
            if found is not None:
                return found
            if str(frame.f_globals.get("__name__", "")).partition(".")[0] in others:
                return None
            frame = frame.f_back
        return None

    def signed(self, plugin: LoadedPlugin) -> str:
        """Whose a plugin is, and where to report its defects."""
        report = f", report it at {plugin.bugs}" if plugin.bugs else ""
        return f"{plugin.key} of {plugin.distribution}{report}"

    def _named(self, frames: Iterable[tuple[FrameType, int]], key: str) -> str:
        for frame, line in frames:
            found = self._owner(frame)
            if found is not None:
                return f" ({frame.f_code.co_filename}, line {line}; {self.signed(found)})"
        called = next((one for one in self._plugins if one.key == key), None)
        return f" ({self.signed(called)})" if called is not None else ""

    def _owner(self, frame: FrameType) -> LoadedPlugin | None:
        return self.owner(str(frame.f_globals.get("__name__", "")))

    def owner(self, module: str) -> LoadedPlugin | None:
        """The plugin whose module that is; None where it is no plugin's."""
        mine = [one for one in self._plugins if _is_of(module, type(one.plugin).__module__)]
        # Of several in one package, such as transports, the one whose module it is.
        return max(mine, key=lambda one: module.startswith(type(one.plugin).__module__), default=None)


def _is_of(module: str, home: str) -> bool:
    return module.partition(".")[0] == home.partition(".")[0]
