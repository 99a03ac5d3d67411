"""Live reports: pulled with the run's token, kept, told to watchers, and the way back (Push)."""

import asyncio

import pytest

from headrace.plan.values import Create, PodPhase, Push
from headrace.reports import PushFailed

pytestmark = pytest.mark.asyncio
SERVER = """
import http.server, json, os
state = {"phase": "Running", "time": "2026-01-01T00:00:00Z", "stage": "first"}
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, code, body=b"{}"):
        self.send_response(code); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def allowed(self):
        return self.headers.get("Authorization") == "Bearer " + os.environ["HEADRACE_TOKEN"]
    def do_GET(self):
        print("asked", self.allowed())
        self.answer(200, json.dumps(state).encode()) if self.allowed() else self.answer(401)
    def do_PUT(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/stage" or not self.allowed():
            return self.answer(404, b"no such path")
        state.update(body); self.answer(200)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["HEADRACE_PORT_REPORT"])), Handler).serve_forever()
"""


async def make_server(kit, world) -> None:
    """Makes a pod that answers GET /report to the bearer of the token, and PUT /stage."""
    observed = await world.observe()
    await world.cluster.apply(observed, Create(kit.owned(observed, "Secret", "token"), generate=("token",)))
    token = {"valueFrom": {"secretKeyRef": {"name": "token", "key": "token"}}}
    await world.make(kit.pod(observed, "head", SERVER, ports=("report",), env={"HEADRACE_TOKEN": token}))


async def test_reports_are_pulled_told_and_pushed_back(kit, state):
    """The live report is in what is observed; a new one wakes the key; what is pushed arrives; a refusal is an error."""
    async with kit.opened(state) as world:
        await make_server(kit, world)
        seen = await kit.until(lambda: next((pod for pod in world.cluster.pods(world.resource.key) if pod.live), None))
        assert (seen.live.stage, seen.report) == ("first", seen.live)
        watch = world.cluster.watch()
        await anext(watch)
        await world.cluster.apply(await world.observe(), Push("head", "/stage", {"stage": "second"}))
        async with asyncio.timeout(5):
            assert await anext(watch) == world.resource.key
        await watch.aclose()
        assert (await world.pod("head")).live.stage == "second"
        with pytest.raises(PushFailed, match="pod head answered PUT /nowhere with 404: no such path"):
            await world.cluster.apply(await world.observe(), Push("head", "/nowhere", {}))
        await world.cluster.apply(await world.observe(), Push("gone", "/stage", {}))


async def test_a_pod_that_does_not_listen_yet_is_told_later(kit, state):
    """A push without a listener is an error, so that the queue tries again; the missing report harms nobody."""
    async with kit.opened(state) as world:
        await world.make(kit.pod(await world.observe(), "head", ports=("report",)))
        await world.until_phase("head", PodPhase.RUNNING)
        with pytest.raises(PushFailed, match="pod head cannot be told PUT /stage now"):
            await world.cluster.apply(await world.observe(), Push("head", "/stage", {}))
        assert (await world.pod("head")).live is None
