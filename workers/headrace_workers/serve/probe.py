"""The role `probe`: sends held-out requests through the router, so that a candidate is judged where users send too few.

It must never send faster than answers come back: at most `IN_FLIGHT_MAX` requests are under way, and a slow endpoint
slows the probe. It stops by itself, so that a forgotten probe ends.
"""

import asyncio
import json
import logging
import time
from datetime import UTC, datetime
from itertools import cycle

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from headrace.api.environment import ROUTER_ADDRESS
from headrace.api.run_report import Progress, ReportPhase, RunReport
from headrace.api.run_spec import ProbeSpec
from headrace_workers.faults import RunFault
from headrace_workers.pod import Pod
from headrace_workers.serve.answers import guarded, report_answer
from headrace_workers.serve.endings import report_ending
from headrace_workers.serve.forward import VERSION_HEADER
from headrace_workers.serve.held_out import HeldOut, held_out_records
from headrace_workers.serve.lifetime import Lifetime, Listener, listening
from headrace_workers.serve.pace import Pace
from headrace_workers.serve.scores import Scores
from headrace_workers.serve.settings import Settings
from headrace_workers.serve.traffic import VersionCounts

logger = logging.getLogger(__name__)

IN_FLIGHT_MAX = 16
ANSWER_SECONDS = 30.0
"""How long an answer is waited for before the request counts as failed."""


class Probe:
    """Sends requests and keeps the score."""

    def __init__(self, spec: ProbeSpec, address: str) -> None:
        """`address` is the router's host:port."""
        self._spec = spec
        self._url = f"http://{address}/predict"
        self._counts = VersionCounts()
        self._scores = Scores()
        self._sent = 0
        self._registry = CollectorRegistry()
        self._registry.register(self._counts)

    def report(self, phase: ReportPhase = ReportPhase.RUNNING, message: str = "") -> RunReport:
        """What was seen so far: per version the requests, errors and latencies, and in the metrics the accuracy."""
        return RunReport(
            phase=phase,
            reason=phase.value,
            message=message or f"probes {self._spec.endpoint} with the {self._spec.probe.split} split",
            time=datetime.now(UTC),
            progress=Progress(step=self._sent, unit="requests"),
            metrics=self._scores.metrics(),
            versions=self._counts.wire(),
        )

    def application(self, token: str, lifetime: Lifetime) -> web.Application:
        """GET /report for the bearer of the token; /metrics, /readyz and /healthz for all."""

        async def report(_: web.Request) -> web.Response:
            return report_answer(self.report())

        async def metrics(_: web.Request) -> web.Response:
            return web.Response(
                body=generate_latest(self._registry),
                headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
            )

        app = web.Application()
        app.add_routes([*lifetime.routes(), web.get("/metrics", metrics), web.get("/report", guarded(token, report))])
        return app

    async def send(self, records: list[HeldOut]) -> None:
        """Sends the records over and over at the spec's rate until cancelled, which gives up the requests under way."""
        pace = Pace(self._spec.probe.requests_per_second, time.monotonic())
        free = asyncio.Semaphore(IN_FLIGHT_MAX)
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS)) as session,
            asyncio.TaskGroup() as under_way,
        ):
            for record in cycle(records):
                await free.acquire()
                await asyncio.sleep(pace.wait_seconds(time.monotonic()))
                self._sent += 1
                under_way.create_task(self._send(session, record)).add_done_callback(lambda _: free.release())

    async def _send(self, session: aiohttp.ClientSession, record: HeldOut) -> None:
        started = time.monotonic()
        version, failed = "", True
        try:
            async with session.post(
                self._url, data=record.body, headers={"Content-Type": "application/json"}
            ) as answer:
                version = answer.headers.get(VERSION_HEADER, "")
                body = await answer.read()
                failed = answer.status != 200
                if version and not failed:
                    self._scores.add(version, json.loads(body), record.target)
        except (aiohttp.ClientError, TimeoutError) as error:
            logger.warning("no answer from %s: %s", self._url, type(error).__name__)
        if version:
            self._counts.count(version, failed=failed, milliseconds=(time.monotonic() - started) * 1000)
        else:
            self._scores.unrouted += 1


async def probe(pod: Pod, spec: ProbeSpec, settings: Settings) -> RunReport:
    """Probes until asked to stop or until the time is over, and returns the final report."""
    lifetime = Lifetime()
    one = Probe(spec, settings.router_address)
    listener = Listener(one.application(pod.token, lifetime), pod.ip, pod.ports["report"])
    async with listening(lifetime, [listener], drain_seconds=0.0):
        records = await asyncio.to_thread(held_out_records, spec)
        lifetime.ready = True
        logger.info("probe of %s sends %s records to %s", spec.endpoint, len(records), settings.router_address)
        sending = asyncio.create_task(one.send(records))
        stopping = asyncio.create_task(lifetime.stopping.wait())
        await asyncio.wait({sending, stopping}, timeout=settings.probe_seconds, return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            await sending  # it never ends by itself: this raises what ended it
        asked = stopping.done()
        for task in (sending, stopping):
            task.cancel()
        await asyncio.wait({sending, stopping})
    if asked:
        return one.report(ReportPhase.INTERRUPTED, "stopped on request")
    return one.report(ReportPhase.COMPLETE, f"stopped by itself after {settings.probe_seconds:g} seconds")


def main(pod: Pod, settings: Settings) -> None:
    """Runs the probe of this pod."""
    if not settings.router_address:
        raise RunFault("RouterUnknown", f"{ROUTER_ADDRESS} is not set: the probe must be told the router's host:port")
    report_ending(pod, asyncio.run(probe(pod, pod.load(ProbeSpec), settings)))
