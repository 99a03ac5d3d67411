"""What Prometheus may know about one server: requests by code, latency, requests in flight, which model it serves."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from headrace.api.artifacts import ModelVersion
from headrace_workers.serve.traffic import BOUNDS_MILLISECONDS


class Measured:
    """One request; its answer's code is set before it is over."""

    code = 500


class ServerMetrics:
    """The numbers of one server since it started."""

    def __init__(self, version: ModelVersion) -> None:
        """Starts at zero."""
        self._registry = CollectorRegistry()
        self._requests = Counter("headrace_server_requests", "Requests by code", ["code"], registry=self._registry)
        buckets = tuple(bound / 1000 for bound in BOUNDS_MILLISECONDS)
        self._latency = Histogram(
            "headrace_server_latency_seconds", "Latency of predictions", buckets=buckets, registry=self._registry
        )
        self._in_flight = Gauge("headrace_server_in_flight", "Requests in flight", registry=self._registry)
        Info("headrace_server_model", "The model version served", registry=self._registry).info(
            {"version": version.name, "digest": version.digest}
        )

    @contextmanager
    def measured(self) -> Iterator[Measured]:
        """Counts one request from here to the end of the block."""
        started = time.monotonic()
        one = Measured()
        self._in_flight.inc()
        try:
            yield one
        finally:
            self._in_flight.dec()
            self._requests.labels(str(one.code)).inc()
            self._latency.observe(time.monotonic() - started)

    def text(self) -> bytes:
        """The numbers in Prometheus' text format."""
        return generate_latest(self._registry)
