"""Metrics, probes and logs of the operator."""

import json
import logging
import socket

import aiohttp

from headrace.telemetry import JsonFormatter, Telemetry, gauge, serve


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_metrics_and_probes():
    """Counters and gauges by label; a probe answers 503 with the reasons."""
    telemetry, reasons = Telemetry(), []
    telemetry.reconciled("TrainJob", "Done", 0.002)
    telemetry.requested("create", "pods", 201)
    telemetry.gauges(lambda: [gauge("headrace_jobs", "Jobs.", ("kind", "phase"), {("TrainJob", "Running"): 2.0})])
    port = free_port()
    runner = await serve(port, telemetry, lambda: reasons, list)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

            async def get(path):
                async with session.get(path) as answer:
                    return answer.status, await answer.text()

            _, metrics = await get("/metrics")
            assert 'headrace_reconcile_seconds_count{kind="TrainJob",result="Done"} 1.0' in metrics
            assert 'headrace_api_requests_total{code="201",resource="pods",verb="create"} 1.0' in metrics
            assert 'headrace_jobs{kind="TrainJob",phase="Running"} 2.0' in metrics
            assert await get("/readyz") == (200, "ok")
            reasons.append("nothing was listed yet")
            assert await get("/readyz") == (503, "nothing was listed yet")
            assert await get("/healthz") == (200, "ok")
    finally:
        await runner.cleanup()


def test_a_log_line_is_one_json_object_with_the_key():
    """Also with an exception in it."""
    try:
        raise ValueError("no")
    except ValueError as error:
        record = logging.LogRecord("headrace", logging.ERROR, "f", 1, "%s failed", ("it",), (ValueError, error, error.__traceback__))  # fmt: skip
    record.key = "TrainJob default/digits"
    line = json.loads(JsonFormatter().format(record))
    assert (line["level"], line["message"], line["key"]) == ("error", "it failed", "TrainJob default/digits")
    assert "ValueError: no" in line["error"]
