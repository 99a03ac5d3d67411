"""What the operator tells of itself: metrics for Prometheus, health and readiness for the kubelet, logs as JSON."""

import json
import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Telemetry:
    """The metrics, in a registry of their own."""

    def __init__(self) -> None:
        """Starts at zero."""
        self.registry = CollectorRegistry()
        self._reconciled = Histogram(
            "headrace_reconcile_seconds",
            "Time of one pass over one object.",
            ("kind", "result"),
            registry=self.registry,
            buckets=BUCKETS,
        )
        self._requests = Counter(
            "headrace_api_requests_total",
            "Requests to the Kubernetes API; code 0 where no answer came.",
            ("verb", "resource", "code"),
            registry=self.registry,
        )

    def reconciled(self, kind: str, result: str, seconds: float) -> None:
        """Counts a pass: Done, Conflict, Unavailable or Error."""
        self._reconciled.labels(kind, result).observe(seconds)

    def requested(self, verb: str, resource: str, code: int) -> None:
        """Counts a request to the API server."""
        self._requests.labels(verb, resource, str(code)).inc()

    def gauges(self, read: Callable[[], Iterable[Metric]]) -> None:
        """Has gauges read whenever somebody asks for them."""
        self.registry.register(_Reader(read))


class _Reader(Collector):
    def __init__(self, read: Callable[[], Iterable[Metric]]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        return self._read()

    def describe(self) -> Iterable[Metric]:
        return ()


def gauge(name: str, help_text: str, labels: tuple[str, ...], values: dict[tuple[str, ...], float]) -> Metric:
    """A gauge with its values by labels."""
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


async def serve(
    port: int, telemetry: Telemetry, ready: Callable[[], list[str]], healthy: Callable[[], list[str]]
) -> web.AppRunner:
    """Serves /metrics, /readyz and /healthz; the last two answer 503 with the reasons when there are any."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(telemetry.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def readyz(_: web.Request) -> web.Response:
        return _verdict(ready())

    async def healthz(_: web.Request) -> web.Response:
        return _verdict(healthy())

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/readyz", readyz), web.get("/healthz", healthz)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, None, port).start()
    return runner


def _verdict(reasons: list[str]) -> web.Response:
    return web.Response(status=503 if reasons else 200, text="\n".join(reasons) or "ok")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the object's key where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (key := getattr(record, "key", None)) is not None:
            line["key"] = str(key)
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)
