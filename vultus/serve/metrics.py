"""What the server counts, for Prometheus. Labels are routes, methods and states: never ids or names."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The numbers of one server; two servers in one process do not share them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = self._counter("requests", "Requests by their answer", "method", "route", "status")
        self.seconds = Histogram(
            "vultus_request_seconds",
            "From the headers of a request to the end of its answer",
            ["method", "route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge("vultus_requests_in_flight", "Requests being worked on", registry=self.registry)
        self.bytes_in = self._counter("request_bytes", "Bytes of bodies received")
        self.refused = self._counter("refused", "Requests that a limit or a key refused", "reason")
        self.pictures = self._counter("pictures", "Pictures that went through the models", "result")
        self.faces = self._counter("faces", "Faces found")
        self.batch = Histogram(
            "vultus_batch_pictures",
            "Pictures that went through the models together",
            buckets=(1, 2, 3, 4, 6, 8, 12, 16, 32),
            registry=self.registry,
        )
        self.waited = Histogram(
            "vultus_queue_seconds", "That a picture waited for the models", buckets=_SECONDS, registry=self.registry
        )
        self.decisions = self._counter("decisions", "Decisions by their outcome", "outcome")
        self.jobs = self._counter("jobs", "Jobs that have ended", "kind", "state")

    def watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        """A number that is asked for when the metrics are read."""
        Gauge(f"vultus_{name}", what, registry=self.registry).set_function(value)

    def text(self) -> bytes:
        """Everything, in the format of Prometheus."""
        return generate_latest(self.registry)

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"vultus_{name}", what, list(labels), registry=self.registry)
