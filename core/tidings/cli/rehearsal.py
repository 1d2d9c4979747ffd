"""A start that stops before anything runs: plugins are loaded and their hooks called, no file is touched."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

import structlog

from tidings.access import Gate
from tidings.clock import SystemClock
from tidings.config import Settings
from tidings.context import Context
from tidings.contracts import Bus, Connector, Extra, Receives, Strategy, Transport
from tidings.engines import configured
from tidings.errors import ConfigError, NotFound, Rejected
from tidings.event import OWN_PLATFORM
from tidings.fanout import Fanout
from tidings.health import Health
from tidings.journal import SqlJournal
from tidings.metrics import Metrics
from tidings.origins import Origins
from tidings.outbound import Internet, Outbound
from tidings.plugins import Loaded, LoadedPlugin, collect, load_plugins
from tidings.ratelimit import RequestLimits
from tidings.validation import near
from tidings.wishes import Wishes
from tidings.writer import Writer

# The command line tells of failures itself.
SILENT = structlog.wrap_logger(
    structlog.ReturnLogger(), wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL)
)


@dataclasses.dataclass(frozen=True, slots=True)
class Receiver:
    """A connector that takes webhooks."""

    connector: Connector
    receives: Receives

    @property
    def platform(self) -> str:
        """The platform's id."""
        return self.connector.platform


@dataclasses.dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a server with this configuration would run."""

    loaded: Loaded
    connectors: Sequence[Connector]
    transports: Sequence[Transport]

    @property
    def receivers(self) -> list[Receiver]:
        """The connectors that take webhooks, in the order of the configuration."""
        return [Receiver(one, one) for one in self.connectors if isinstance(one, Receives)]

    def receiver(self, platform: str | None) -> Receiver:
        """The connector of that platform that takes webhooks; without one, the first that does.

        Raises:
            NotFound: There is none.
        """
        receivers = {one.platform: one for one in self.receivers}
        if platform is None and receivers:
            return next(iter(receivers.values()))
        if platform in receivers:
            return receivers[platform]
        if platform is None:
            raise NotFound(
                "No connector that takes webhooks is loaded. Name one in config.yaml, under "
                f"plugins.connectors; `tidings plugins` lists them.{self._failed}"
            )
        raise NotFound(
            f"No connector named {platform!r} takes webhooks here. Loaded: {', '.join(receivers) or 'none'}."
            f"{near(platform, receivers)}{self._failed}"
        )

    def know_platforms(self, names: Sequence[str]) -> None:
        """Refuse names of platforms from which no event can come.

        Raises:
            Rejected: One of them is neither tidings' own nor that of a connector (400).
        """
        known = [*dict.fromkeys(one.platform for one in self.connectors), OWN_PLATFORM]
        for name in names:
            if name not in known:
                raise Rejected(
                    f"There is no platform {name[:80]!r} here. Known: {', '.join(known)}.{near(name, known)}"
                    f"{self._failed}",
                    status=400,
                )

    @property
    def _failed(self) -> str:
        return "".join(f" {failure.key} failed: {failure.reason}." for failure in self.loaded.failures)


def rehearse(settings: Settings) -> Rehearsal:
    """Load the plugins and call their hooks as a server would, with parts that are never set to work.

    Raises:
        ConfigError: A plugin isn't installed, its options are wrong, or one that is required fails.
    """
    if settings.server.port == 0:  # any free one; nothing listens here, so any number will do
        settings = settings.listening_on(port=8080)
    loaded = load_plugins(settings)
    clock = SystemClock()
    health = Health(clock, SILENT)
    database = configured(settings)  # opens nothing before it is used
    writer = Writer(database, health.component("database"), clock.monotonic)
    journal = SqlJournal(database, writer, clock)
    limits = RequestLimits(api=None, sessions=None)
    origins = Origins(settings.server.public_url, settings.server.allowed_origins)

    def context(plugin: LoadedPlugin) -> Context:
        return Context(
            plugin=plugin.key,
            public_url=settings.server.public_url,
            clock=clock,
            log=SILENT,
            journal=journal,
            streams=Fanout(journal, clock, SILENT, Metrics(), health),
            access=Gate(database, writer, clock, origins=origins, session_key=b""),
            requests=Wishes(writer, clock, limits, wake=lambda: None),
            http=Outbound(),
            internet=Internet(),
        )

    buses = collect(loaded, "tidings_buses", context, Bus)  # type: ignore[type-abstract]  # asked for, never called
    if len(buses) != 1:
        raise ConfigError(f"plugins.bus: one bus is needed, and there are {len(buses)}.")
    connectors = [one for _, one in collect(loaded, "tidings_connectors", context, Connector)]
    collect(loaded, "tidings_strategies", context, Strategy)  # type: ignore[type-abstract]  # as above
    transports = [one for _, one in collect(loaded, "tidings_transports", context, Transport)]
    collect(loaded, "tidings_extras", context, Extra)
    return Rehearsal(loaded, connectors, transports)
