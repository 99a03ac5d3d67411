"""The run's own account of itself: live at GET /report, at the end in the termination message, whole in the storage.

At the same port workers ask for leave. Only the bearer of the run's token is answered.
"""

import json
import logging
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from headrace.api.run_report import CurvePoint, ReportPhase, RunReport
from headrace_workers.departures import PATH as DEPARTURES_PATH
from headrace_workers.departures import Departures
from headrace_workers.pod import Pod, shows_token
from headrace_workers.storage import Folder

CURVE_POINTS = 40
LONGEST_REQUEST_BYTES = 4096

logger = logging.getLogger(__name__)


class Reporter:
    """Holds the newest report of one run and serves it."""

    def __init__(self, pod: Pod, storage: Folder, run: int = 1, attempt: int = 1) -> None:
        """Starts with phase Starting; `serve` makes it readable."""
        self._pod = pod
        self._storage = storage
        self._lock = threading.Lock()
        self.departures = Departures()
        self._report = RunReport(
            phase=ReportPhase.STARTING, reason="Starting", time=datetime.now(UTC), run=run, attempt=attempt
        )
        self._server: ThreadingHTTPServer | None = None

    @property
    def current(self) -> RunReport:
        """The newest report."""
        with self._lock:
            return self._report

    def update(self, **changes: Any) -> None:
        """Replaces fields of the report (Python names) and stamps the time."""
        with self._lock:
            self._report = self._report.model_copy(update={**changes, "time": datetime.now(UTC)})

    def record(self, step: int, values: Mapping[str, float]) -> None:
        """Adds a point to the curve: whole in the storage, thinned to every second point when it grows long in the report."""
        point = {"step": step, **{name: float(value) for name, value in values.items()}}
        self._storage.append("curve.jsonl", (json.dumps(point) + "\n").encode())
        with self._lock:
            curve = (*self._report.curve, CurvePoint(step=step, values=dict(values)))
            if len(curve) > CURVE_POINTS:
                curve = (*curve[:-1:2], curve[-1])
            self._report = self._report.model_copy(update={"curve": curve, "time": datetime.now(UTC)})

    def serve(self) -> None:
        """Answers GET /report and POST /departures on the pod's report port until `close`."""
        reporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self._may_ask("/report"):
                    self._answer(200, reporter.current.model_dump_json(by_alias=True, exclude_none=True).encode())

            def do_POST(self) -> None:
                if not self._may_ask(DEPARTURES_PATH):
                    return
                length = int(self.headers.get("Content-Length") or 0)
                try:
                    asked = json.loads(self.rfile.read(min(length, LONGEST_REQUEST_BYTES)))
                    worker, seconds = str(asked["worker"]), float(asked["seconds"])
                except (ValueError, TypeError, KeyError):
                    self.send_error(400, "write a worker and seconds")
                    return
                self._answer(204 if reporter.departures.ask(worker, seconds) else 503)

            def _may_ask(self, path: str) -> bool:
                if not shows_token(self.headers, reporter._pod.token):
                    self.send_error(401, "the run's token is needed")
                    return False
                if self.path != path:
                    self.send_error(404, "only GET /report and POST /departures are here")
                    return False
                return True

            def _answer(self, status: int, body: bytes = b"") -> None:
                self.send_response(status)
                if body:
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Says nothing: the operator asks every few seconds."""

        self._server = ThreadingHTTPServer((self._pod.ip, self._pod.ports["report"]), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="report", daemon=True).start()

    def finish(self, **changes: Any) -> RunReport:
        """Writes the final report to the run's storage and to the termination log; OSError if the storage does not take a Complete."""
        self.departures.open()
        self.update(**changes)
        report = self.current
        if report.phase in (ReportPhase.COMPLETE, ReportPhase.FAILED):
            try:
                self._storage.write("report.json", report.model_dump_json(by_alias=True, exclude_none=True).encode())
            except OSError as error:
                if report.phase == ReportPhase.COMPLETE:
                    raise
                # The operator must hear why the run ended, also where its storage is what failed.
                logger.warning("the report is not in the storage %s: %s", self._storage.uri, error)
        self._pod.termination_log.write_text(report.final_json())
        return report

    def close(self) -> None:
        """Stops answering."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
