"""A proxy on loopback between the operator and the API server, which can do to requests what a bad day does."""

import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web

from headrace.kube import Api
from tests.cluster.cut import Cut

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
UNCOUNTED = ("/leases", "/events")
"""Writes that tell nothing of the objects."""

HOP = frozenset({"transfer-encoding", "content-encoding", "content-length", "connection"})


class Proxy:
    """Forwards everything; `before` and `after` are called around every counted write, and may end the operator."""

    def __init__(self, api: Api) -> None:
        configuration = api.configuration
        self._server = configuration.host
        self._ssl = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        self._ssl.load_cert_chain(configuration.cert_file, configuration.key_file)
        self.writes: list[str] = []
        self.last_write = time.monotonic()
        self.before: Callable[[int], None] = lambda _: None
        self.after: Callable[[int], None] = lambda _: None
        self.answer: Callable[[web.Request], web.Response | None] = lambda _: None
        """An answer of the proxy's own, in the API server's place."""
        self.lose: Callable[[web.Request], web.Response | None] = lambda _: None
        """An answer of the proxy's own to a write that the API server has carried out."""
        self.cut = Cut()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """Serves on a port of loopback."""
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._forward)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None), read_bufsize=2**22)
        try:
            yield site._server.sockets[0].getsockname()[1]
        finally:
            await self._session.close()
            await runner.cleanup()

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        if (own := self.answer(request)) is not None:
            return own
        if is_watch(request) and not await self.cut.admits(request):
            return web.Response()
        counted = request.method in WRITES and not any(part in request.path for part in UNCOUNTED)
        number = 0
        if counted:
            self.writes.append(f"{request.method} {request.path}")
            number, self.last_write = len(self.writes), time.monotonic()
            self.before(number)
        body = await request.read()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in (*HOP, "host")}
        async with self._session.request(
            request.method, f"{self._server}{request.raw_path}", data=body or None, headers=headers, ssl=self._ssl
        ) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP}
            if counted:
                whole = web.Response(status=answer.status, headers=kept, body=await answer.read())
                self.after(number)
                return self.lose(request) or whole
            response = web.StreamResponse(status=answer.status, headers=kept)
            with contextlib.suppress(ConnectionError, aiohttp.ClientError):
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    if is_watch(request) and not await self.cut.admits(request):
                        return response
                    await response.write(chunk)
                await response.write_eof()
            return response


def is_watch(request: web.Request) -> bool:
    """Whether a request is for a stream of changes."""
    return "watch" in request.query


def kubeconfig_for(port: int, path: Path) -> Path:
    """A kubeconfig of the proxy."""
    path.write_text(
        yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "proxy", "user": {}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
        })
    )  # fmt: skip
    return path
