"""What was asked of each model version, how it answered and how fast: one set of numbers for /report and /metrics."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from headrace.api.run_report import VersionTraffic

BOUNDS_MILLISECONDS = (5, 10, 25, 50, 100, 250, 500, 1000, 2500)
VERSIONS_MAX = 64
"""Versions whose counts are kept; the one that was counted first goes first."""


@dataclass
class Counts:
    """One version's numbers since this process started."""

    requests: int = 0
    errors: int = 0
    milliseconds: float = 0.0
    by_bound: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_MILLISECONDS) + 1))

    def wire(self) -> VersionTraffic:
        """The numbers as a report carries them: cumulative by upper bound."""
        names = (*map(str, BOUNDS_MILLISECONDS), "+Inf")
        latency = dict(zip(names, accumulate(self.by_bound), strict=True))
        return VersionTraffic(requests=self.requests, errors=self.errors, latency_milliseconds=latency)


class VersionCounts(Collector):
    """The numbers of all versions."""

    def __init__(self) -> None:
        """Starts with none."""
        self._counts: dict[str, Counts] = {}

    def count(self, version: str, *, failed: bool, milliseconds: float) -> None:
        """Adds one request, answered or failed."""
        counts = self._counts.get(version)
        if counts is None:
            if len(self._counts) >= VERSIONS_MAX:
                del self._counts[next(iter(self._counts))]
            counts = self._counts[version] = Counts()
        counts.requests += 1
        counts.errors += failed
        counts.milliseconds += milliseconds
        counts.by_bound[bisect_left(BOUNDS_MILLISECONDS, milliseconds)] += 1

    def wire(self) -> dict[str, VersionTraffic]:
        """The numbers by version, as a report carries them."""
        return {version: counts.wire() for version, counts in sorted(self._counts.items())}

    def collect(self) -> Iterator[Metric]:
        """The same numbers as Prometheus reads them."""
        requests = CounterMetricFamily("headrace_version_requests", "Requests by model version", labels=["version"])
        errors = CounterMetricFamily(
            "headrace_version_errors",
            "Answers of 500 and above, and lost connections, by model version",
            labels=["version"],
        )
        latency = HistogramMetricFamily(
            "headrace_version_latency_seconds", "Latency by model version", labels=["version"]
        )
        bounds = (*(str(bound / 1000) for bound in BOUNDS_MILLISECONDS), "+Inf")
        for version, counts in sorted(self._counts.items()):
            requests.add_metric([version], counts.requests)
            errors.add_metric([version], counts.errors)
            buckets = list(zip(bounds, accumulate(counts.by_bound), strict=True))
            latency.add_metric([version], buckets=buckets, sum_value=counts.milliseconds / 1000)
        yield from (requests, errors, latency)
