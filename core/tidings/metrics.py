"""What Prometheus can ask for at `/metrics`."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Metrics:
    """The metrics of one server; each has a registry of its own, so that tests can run many."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.deliveries = Counter(
            "tidings_deliveries",
            "Webhook deliveries by what became of them.",
            ["platform", "outcome"],
            registry=self._registry,
        )
        self.delivery_seconds = Histogram(
            "tidings_delivery_seconds",
            "From the last byte of a webhook to its answer.",
            ["platform"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.events = Counter(
            "tidings_events", "Events appended to journals.", ["platform", "via"], registry=self._registry
        )
        self.append_seconds = Histogram(
            "tidings_append_seconds",
            "How long a transaction that appends takes, with its sync to disk.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.streams = Gauge("tidings_streams", "Open streams.", ["transport"], registry=self._registry)
        self.frames = Counter(
            "tidings_frames", "Events sent to clients.", ["transport"], registry=self._registry
        )
        self.lagged = Counter(
            "tidings_streams_lagged",
            "Times a slow client fell back to reading the journal.",
            registry=self._registry,
        )
        self.requests = Counter(
            "tidings_requests", "API requests by status.", ["route", "status"], registry=self._registry
        )
        self.jobs = Counter(
            "tidings_jobs", "Job runs by outcome.", ["kind", "outcome"], registry=self._registry
        )
        self.jobs_running = Gauge("tidings_jobs_running", "Jobs that run now.", registry=self._registry)
        self.jobs_late_seconds = Gauge(
            "tidings_jobs_late_seconds",
            "How late jobs were started, the last time that some were.",
            registry=self._registry,
        )
        self.refreshes = Counter(
            "tidings_token_refreshes",
            "Redemptions of refresh tokens, and grants given up, by outcome.",
            ["provider", "outcome"],
            registry=self._registry,
        )
        self.pushes = Counter(
            "tidings_pushes",
            "Notifications pushed to devices, by outcome.",
            ["outcome"],
            registry=self._registry,
        )
        self.up = Gauge(
            "tidings_component_up", "1 while a component works.", ["component"], registry=self._registry
        )

    def expose(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)
