"""A router in the place of a fake pod, which runs nothing: it keeps the table that it is told, and reports it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from headrace.api.run_spec import Routing
from headrace.plan.manifests import REPORT_PORT
from tests import gen
from tests.cluster.conftest import Cluster

ADDRESS = "127.0.17.43"
"""Of loopback, and of nobody else: a report's port is the same on every address."""


class Router(ThreadingHTTPServer):
    """Its own table, empty at first."""

    routing = Routing()


class _Requests(BaseHTTPRequestHandler):
    server: Router

    def do_PUT(self) -> None:
        """Takes the table."""
        self.server.routing = Routing.model_validate_json(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer("{}")

    def do_GET(self) -> None:
        """Reports the table."""
        self._answer(gen.report(time=datetime.now(UTC), routing=self.server.routing).model_dump_json(by_alias=True))

    def log_message(self, *_: object) -> None:
        """Keeps the tests' output clean."""

    def _answer(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


@contextmanager
def answering(cluster: Cluster, namespace: str, pod: str) -> Iterator[None]:
    """A pod whose address leads to a router of this process."""
    with Router((ADDRESS, REPORT_PORT), _Requests) as router:
        threading.Thread(target=router.serve_forever, daemon=True).start()
        status = json.dumps({"status": {"podIP": ADDRESS, "podIPs": [{"ip": ADDRESS}]}})
        try:
            cluster.kubectl(
                "patch",
                "pod",
                pod,
                f"--namespace={namespace}",
                "--subresource=status",
                "--type=merge",
                f"--patch={status}",
            )
            yield
        finally:
            router.shutdown()
