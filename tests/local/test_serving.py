"""Deployments with real processes: ready when they answer, started again when they end, replaced without a gap."""

import asyncio

import pytest

from headrace.plan import labels
from headrace.plan.values import Apply, PodPhase

pytestmark = pytest.mark.asyncio
WEB = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/die": os._exit(1)
        body = os.environ["ANSWER"].encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *_): pass
print("up")
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["HEADRACE_PORT_HTTP"])), Handler).serve_forever()
"""


async def apply_web(kit, world, answer: str, script: str = WEB, annotations=None) -> None:
    """Applies a Deployment of one server."""
    probe = {
        "readinessProbe": {
            "httpGet": {"path": "/readyz", "port": "http"},
            "periodSeconds": 1,
            "failureThreshold": 1,
            "timeoutSeconds": 10,
        }
    }
    spec = kit.pod_spec(script, ports=("http",), env={"ANSWER": answer}, restartPolicy="Always", container=probe)
    template = {"metadata": {"labels": {labels.ROLE: "server"}, "annotations": annotations or {}}, "spec": spec}
    observed = await world.observe()
    await world.cluster.apply(
        observed, Apply(kit.owned(observed, "Deployment", "web", spec={"replicas": 1, "template": template}))
    )


async def ask(port: int, path: str = "/") -> str:
    """The body of an answer; empty if there is none."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        answer = (await reader.read()).decode()
    except ConnectionError:
        # Nothing listens, or what did has ended in between.
        return ""
    writer.close()
    return answer.rpartition("\r\n\r\n")[2]


def ready(world):
    """The ready pods."""
    return [pod for pod in world.cluster.pods(world.resource.key) if pod.ready]


async def test_a_server_is_replaced_without_a_gap(kit, state):
    """The old server answers until the new one is ready; readyReplicas tells."""
    async with kit.opened(state) as world:
        await apply_web(kit, world, "old")
        old = (await kit.until(lambda: ready(world)))[0]
        assert await ask(old.ports["http"]) == "old"
        await kit.until(
            lambda: world.cluster._store.get("Deployment", "default", "web")["status"]["readyReplicas"] == 1
        )
        await apply_web(kit, world, "new")

        async def only_new() -> bool:
            assert ready(world), "no server was ready for a while"
            return [pod.name for pod in world.cluster.pods(world.resource.key)] != [old.name] and len(
                world.cluster.pods(world.resource.key)
            ) == 1

        await kit.until(only_new)
        assert await ask(ready(world)[0].ports["http"]) == "new"


async def test_a_server_that_ends_is_started_again_on_its_port(kit, state):
    """A crash makes it not ready, with the reason and the pause; then it is back at the same port, counted in one log."""
    async with kit.opened(state) as world:
        await apply_web(kit, world, "here")
        first = (await kit.until(lambda: ready(world)))[0]
        await ask(first.ports["http"], "/die")
        waiting = await kit.until(
            lambda: next((pod for pod in world.cluster.pods(world.resource.key) if pod.reason), None)
        )
        assert (waiting.phase, waiting.ready, waiting.reason, waiting.message) == (
            PodPhase.RUNNING,
            False,
            "CrashLoopBackOff",
            "ended with exit code 1: up; starts again in 1 s",
        )
        again = (await kit.until(lambda: ready(world)))[0]
        assert (again.uid, again.ports) == (first.uid, first.ports)
        assert world.log("web-*").count("up") == 2


async def test_a_fixed_port_is_kept_over_a_replacement(kit, state, unused_port):
    """With a fixed port the old server goes first, and the new one has the port."""
    async with kit.opened(state) as world:
        await apply_web(kit, world, "old", annotations={labels.LOCAL_PORT: str(unused_port)})
        await kit.until(lambda: ready(world))
        await apply_web(kit, world, "new", annotations={labels.LOCAL_PORT: str(unused_port)})

        async def new_answers() -> bool:
            return await ask(unused_port) == "new"

        await kit.until(new_answers)


async def test_a_server_whose_fixed_port_is_taken_tries_again(kit, state, unused_port):
    """It says PortInUse, and starts once the port is free."""
    other = await asyncio.start_server(lambda *_: None, "127.0.0.1", unused_port)
    async with kit.opened(state) as world:
        await apply_web(kit, world, "here", annotations={labels.LOCAL_PORT: str(unused_port)})
        waiting = await kit.until(
            lambda: next((pod for pod in world.cluster.pods(world.resource.key) if pod.reason == "PortInUse"), None)
        )
        assert waiting.message.startswith(
            f"127.0.0.1:{unused_port} is in use by another program; stop it or set spec.localPort"
        )
        other.close()
        await other.wait_closed()
        await kit.until(lambda: ready(world))
