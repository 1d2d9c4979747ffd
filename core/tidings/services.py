"""Everything a running server consists of, in one frozen object that core's parts are given."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from structlog.typing import FilteringBoundLogger

from tidings.access import Gate
from tidings.config import Settings
from tidings.contracts import Clock, Connector, Extra, Transport
from tidings.database import Database
from tidings.fanout import Fanout
from tidings.health import Health
from tidings.journal import SqlJournal
from tidings.leftovers import Leftovers
from tidings.metrics import Metrics
from tidings.plugins import Loaded
from tidings.pushing import Pushing
from tidings.ratelimit import RequestLimits
from tidings.scheduler import Scheduler
from tidings.upkeep import Upkeep
from tidings.vault import Vault
from tidings.webhooks import Webhooks
from tidings.wishes import Wishes
from tidings.writer import Writer


@dataclasses.dataclass(frozen=True, slots=True)
class Services:
    """The parts of one server."""

    settings: Settings
    clock: Clock
    log: FilteringBoundLogger
    metrics: Metrics
    health: Health
    leftovers: Leftovers
    database: Database
    writer: Writer
    journal: SqlJournal
    fanout: Fanout
    scheduler: Scheduler
    upkeep: Upkeep
    vault: Vault
    gate: Gate
    limits: RequestLimits
    wishes: Wishes
    loaded: Loaded
    connectors: Sequence[Connector]
    transports: Sequence[Transport]
    extras: Sequence[Extra]
    webhooks: Webhooks
    pushing: Pushing | None  # where no transport pushes
