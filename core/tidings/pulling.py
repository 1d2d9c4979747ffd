"""The jobs `pull`: fetch from a platform's own queue what it would send, where nothing can reach this installation.

One job for each platform, run under its lease, so that one server of an installation does it at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from structlog.typing import FilteringBoundLogger

from tidings.connectors import Connector, Pulled, Pulls
from tidings.contracts import Clock, JobRequest
from tidings.errors import Rejected, Unavailable
from tidings.health import Health
from tidings.jobs import Ended, Job
from tidings.webhooks import Webhooks

PULL: Final = "pull"

_REST_SECONDS: Final = 1.0  # a queue that is empty lets its callers wait by itself
_MEND_SECONDS: Final = 300.0  # until the operator has mended what keeps us out


class Pulling:
    """Runs the jobs `pull`.

    Args:
        connectors: Those that pull have a job each.
        webhooks: Takes what was fetched.
        clock: All time.
        log: Told of what can't be fetched or read.
        health: Likewise, as `pull/{platform}`.
    """

    def __init__(
        self,
        connectors: Sequence[Connector],
        webhooks: Webhooks,
        clock: Clock,
        log: FilteringBoundLogger,
        health: Health,
    ) -> None:
        self._pulls = {one.platform: one for one in connectors if isinstance(one, Pulls) and one.pulls}
        self._webhooks = webhooks
        self._clock = clock
        self._log = log
        self._health = health

    def jobs(self) -> Sequence[JobRequest]:
        """To be asked for at each start."""
        return [JobRequest(PULL, platform, platform=platform) for platform in self._pulls]

    async def handle(self, job: Job) -> Ended:
        """Fetch once, and have each delivery on disk before the platform hears that it arrived.

        Raises:
            Unavailable: Not now. What was not acknowledged comes again.
        """
        pulls = self._pulls.get(job.key)
        if pulls is None:
            return Ended()  # it was taken out of the configuration
        component = self._health.component(f"pull/{job.key}")
        try:
            pulled = await pulls.pull(self._clock.now())
            taken = [one.receipt for one in pulled if await self._take(job.key, one)]
            if taken:
                await pulls.acknowledge(taken)
        except Unavailable as error:
            component.down(str(error))
            raise
        except Rejected as error:
            component.down(str(error))
            self._log.warning("pull_refused", platform=job.key, reason=str(error))
            return Ended(_MEND_SECONDS)
        component.up()
        return Ended(0.0 if pulled else _REST_SECONDS)

    async def _take(self, platform: str, pulled: Pulled) -> bool:
        """Whether the platform need not give it out again."""
        with suppress(Unavailable):
            try:
                await self._webhooks.take_pulled(platform, pulled.request)
            except Rejected as error:  # as it would have been refused on arrival
                self._log.info("pulled_refused", platform=platform, reason=str(error))
            return True
        return False
