"""`tidings serve --trace plugins,events`: every call of a plugin, and every step of an event, as a line of the log.

It wraps what the plugins have handed over, once, at the start; without it nothing is slower by anything. A line holds
ids and durations, never what an event says.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import Any, Final

from structlog.typing import FilteringBoundLogger

from tidings.contracts import Parsed, Polled
from tidings.event import Entry
from tidings.plugins import Loaded
from tidings.services import Services

#: What can be traced.
TOPICS: Final = ("plugins", "events")

#: The methods that are traced, by what they are of.
_METHODS: Final = (
    "verify", "parse", "greet", "pull", "acknowledge", "identify", "follow", "poll", "targets", "register", "renew",
    "check", "unregister", "deliveries", "fetch_delivery", "admit", "push", "run",
)  # fmt: skip


class Trace:
    """Says what happens.

    Args:
        topics: Some of `TOPICS`.
    """

    def __init__(self, topics: Collection[str], log: FilteringBoundLogger) -> None:
        self._topics = frozenset(topics)
        self._log = log

    def hooks(self, loaded: Loaded) -> None:
        """Trace the hooks, which are called while a server is put together; call it before."""
        if "plugins" not in self._topics:
            return
        for caller in vars(loaded.manager.hook).values():
            for impl in getattr(caller, "get_hookimpls", list)():
                impl.function = self._traced(impl.function, impl.plugin_name, caller.name)

    def server(self, services: Services) -> None:
        """Trace a server that is at work."""
        if "plugins" in self._topics:
            for key, offer in _offers(services):
                self._wrap(offer, key)
        if "events" in self._topics:
            services.journal.on_commit(self._committed)
            self._trace_streams(services)

    def _wrap(self, offer: Any, key: str) -> None:
        for name in _METHODS:
            method = getattr(offer, name, None)
            if callable(method):
                try:
                    setattr(offer, name, self._traced(method, key, name))
                except AttributeError:  # it has slots; its calls are then not seen
                    return

    def _committed(self, entries: Sequence[Entry], seconds: float) -> None:
        for entry in entries:
            self._step("committed", entry, ms=round(seconds * 1000, 2), via=entry.via)

    def _trace_streams(self, services: Services) -> None:
        opening = services.fanout.open

        @functools.wraps(opening)
        async def opened(
            *arguments: Any, encode: Callable[[Entry], bytes], transport: str, **more: Any
        ) -> Any:
            def encoded(entry: Entry) -> bytes:
                self._step("encoded", entry, transport=transport)
                return encode(entry)

            return await opening(*arguments, encode=encoded, transport=transport, **more)

        services.fanout.open = opened  # type: ignore[method-assign]  # as said above

    def _step(self, step: str, entry: Entry, **more: Any) -> None:
        self._log.info(
            "trace", step=step, event_id=entry.id, cursor=str(entry.cursor), user=entry.user_id, **more
        )

    # --- calls ---

    def _traced(self, method: Callable[..., Any], key: str, name: str) -> Callable[..., Any]:
        if inspect.isasyncgenfunction(method):
            return self._traced_pieces(method, key, name)
        if inspect.iscoroutinefunction(method):
            return self._traced_work(method, key, name)

        @functools.wraps(method)
        def called(*arguments: Any, **more: Any) -> Any:
            begun = time.perf_counter()
            try:
                result = method(*arguments, **more)
            except Exception as error:
                self._call(key, name, begun, raised=type(error).__name__)
                raise
            self._call(key, name, begun, **_shown(result))
            return result

        return called

    def _traced_work(self, method: Callable[..., Any], key: str, name: str) -> Callable[..., Any]:
        @functools.wraps(method)
        async def called(*arguments: Any, **more: Any) -> Any:
            begun = time.perf_counter()
            try:
                result = await method(*arguments, **more)
            except Exception as error:
                self._call(key, name, begun, raised=type(error).__name__)
                raise
            self._call(key, name, begun, **_shown(result))
            return result

        return called

    def _traced_pieces(self, method: Callable[..., Any], key: str, name: str) -> Callable[..., Any]:
        @functools.wraps(method)
        async def called(*arguments: Any, **more: Any) -> AsyncIterator[Any]:
            begun = time.perf_counter()
            try:
                async for piece in method(*arguments, **more):
                    self._call(key, name, begun, **_shown(piece))
                    yield piece
            except Exception as error:
                self._call(key, name, begun, raised=type(error).__name__)
                raise

        return called

    def _call(self, key: str, name: str, begun: float, **more: Any) -> None:
        ms = round((time.perf_counter() - begun) * 1000, 2)
        self._log.info("trace", call=name, plugin=key, ms=ms, **more)


def _offers(services: Services) -> Sequence[tuple[str, Any]]:
    found: list[tuple[str, Any]] = [(f"connector/{one.platform}", one) for one in services.connectors]
    found += [(f"transport/{one.name}", one) for one in services.transports]
    found += [(f"extra/{type(one).__name__}", one) for one in services.extras]
    return found


def _shown(result: object) -> Mapping[str, Any]:
    """What may be said of a result: ids and counts."""
    if isinstance(result, Parsed | Polled):
        return {"event_ids": [event.id for event in result.events[:20]], "events": len(result.events)}
    if isinstance(result, list | tuple):
        return {"returned": [type(one).__name__ for one in result[:20]]}
    return {} if result is None else {"returned": type(result).__name__}
