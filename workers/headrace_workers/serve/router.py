"""The role `router`: one stable address before all versions of an endpoint.

It keeps nothing on disk: after a restart its report shows an empty table, and the operator sends it again. It must never
import torch, and never decide a weight: weights are told to it.
"""

import asyncio
import logging
from datetime import UTC, datetime

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from headrace.api.run_report import ReportPhase, RunReport
from headrace.api.run_spec import RouterSpec
from headrace_workers.pod import Pod
from headrace_workers.serve.answers import guarded, refusal, report_answer
from headrace_workers.serve.balance import Balance
from headrace_workers.serve.forward import Forwarder, backend_session
from headrace_workers.serve.lifetime import Lifetime, Listener, listening
from headrace_workers.serve.routing import RoutingRefused, parse_routing
from headrace_workers.serve.settings import Settings
from headrace_workers.serve.traffic import VersionCounts

logger = logging.getLogger(__name__)

TABLE_BYTES_MAX = 1024 * 1024


class Control:
    """What the operator sees and sets."""

    def __init__(self, spec: RouterSpec, balance: Balance, counts: VersionCounts) -> None:
        """Shares the table and the counts with the forwarder."""
        self._spec = spec
        self._balance = balance
        self._counts = counts
        self._registry = CollectorRegistry()
        self._registry.register(counts)

    def application(self, token: str, lifetime: Lifetime) -> web.Application:
        """GET /report and PUT /backends for the bearer of the token; /metrics, /readyz and /healthz for all."""
        app = web.Application(client_max_size=TABLE_BYTES_MAX)
        app.add_routes(
            [
                *lifetime.routes(),
                web.get("/metrics", self._metrics),
                web.get("/report", guarded(token, self._report)),
                web.put("/backends", guarded(token, self._replace)),
            ]
        )
        return app

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(self._registry), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    async def _report(self, _: web.Request) -> web.Response:
        shown = ", ".join(f"{backend.version} {backend.weight}" for backend in self._balance.routing.backends)
        message = f"routes {self._spec.endpoint} to {shown}" if shown else f"{self._spec.endpoint} has no backends yet"
        return report_answer(
            RunReport(
                phase=ReportPhase.RUNNING,
                message=message[:1024],
                time=datetime.now(UTC),
                routing=self._balance.routing,
                versions=self._counts.wire(),
            )
        )

    async def _replace(self, request: web.Request) -> web.Response:
        try:
            routing = parse_routing(await request.read())
        except RoutingRefused as error:
            return refusal(400, str(error))
        if routing != self._balance.routing:
            logger.info("backends: %s", routing.model_dump_json(by_alias=True))
        self._balance.replace(routing)
        return web.json_response(routing.wire())


async def route(pod: Pod, spec: RouterSpec, settings: Settings) -> None:
    """Routes until asked to stop."""
    lifetime = Lifetime()
    balance = Balance()
    counts = VersionCounts()
    async with backend_session() as session:
        users = web.Application()
        users.router.add_route("*", "/{path:.*}", Forwarder(session, balance, counts, lifetime).handle)
        control = Control(spec, balance, counts).application(pod.token, lifetime)
        listeners = (Listener(users, pod.ip, pod.ports["http"]), Listener(control, pod.ip, pod.ports["report"]))
        async with listening(lifetime, listeners, settings.drain_seconds):
            lifetime.ready = True
            logger.info("router of %s listens on %s:%s", spec.endpoint, pod.ip, pod.ports["http"])
            await lifetime.stopping.wait()
            logger.info("router of %s drains", spec.endpoint)


def main(pod: Pod, settings: Settings) -> None:
    """Runs the router of this pod."""
    asyncio.run(route(pod, pod.load(RouterSpec), settings))
