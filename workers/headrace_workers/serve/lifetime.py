"""The life of a serving process: listen, become ready, and on SIGTERM drain without dropping a request.

Order on SIGTERM: not ready at once; still accepting for `drain_seconds`, so that whoever routes here can turn away;
then no new connections, requests in flight are finished, and the process ends.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from aiohttp import web

from headrace_workers.serve.answers import refusal

FINISH_SECONDS = 30.0
"""The longest that requests in flight are waited for."""


@dataclass
class Lifetime:
    """Whether this process may take requests. The one mutable fact that handlers share."""

    ready: bool = False
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def routes(self) -> list[web.RouteDef]:
        """GET /healthz: the loop turns. GET /readyz: requests are welcome."""
        return [web.get("/healthz", self._health), web.get("/readyz", self._readiness)]

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _readiness(self, _: web.Request) -> web.Response:
        if self.stopping.is_set():
            return refusal(503, "draining: this pod was asked to go")
        if not self.ready:
            return refusal(503, "not ready: still starting")
        return web.Response(text="ready\n")


@dataclass(frozen=True)
class Listener:
    """One application and where it listens."""

    app: web.Application
    host: str
    port: int


@contextlib.asynccontextmanager
async def listening(lifetime: Lifetime, listeners: Sequence[Listener], drain_seconds: float) -> AsyncIterator[None]:
    """Serves the applications; on leaving drains them. SIGTERM and SIGINT set `lifetime.stopping`."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lifetime.stopping.set)
    runners = [web.AppRunner(one.app, access_log=None, shutdown_timeout=FINISH_SECONDS) for one in listeners]
    try:
        for runner, one in zip(runners, listeners, strict=True):
            await runner.setup()
            await web.TCPSite(runner, one.host, one.port, backlog=1024).start()
        yield
        await asyncio.sleep(drain_seconds)
    finally:
        for runner in runners:
            await runner.cleanup()
