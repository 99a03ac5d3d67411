"""The frame of every head pod: read the spec, answer reports, run, say how it ended.

The report is answered to the very end of the process, after the body's Ray has been told to stop: whoever sees workers
go must be able to read that the run is over. A body is a function of a `Head` that returns the final fields of the report. What it raises becomes the report's reason:
a RunFault as it says, Interrupted as a clean stop, anything else as an unexpected failure that may be tried again.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from headrace.api.run_report import ReportPhase, RunReport
from headrace.api.run_spec import RunSpec
from headrace_workers.faults import Interrupted, RunFault
from headrace_workers.pod import Pod
from headrace_workers.report import Reporter
from headrace_workers.storage import Folder, full_words, is_full

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Head:
    """What a body works with."""

    pod: Pod
    spec: RunSpec
    storage: Folder
    reporter: Reporter
    stopping: threading.Event = field(default_factory=threading.Event)

    def check_stopping(self) -> None:
        """Raises Interrupted once the pod was asked to go."""
        if self.stopping.is_set():
            raise Interrupted


def already_finished(head: Head) -> RunReport | None:
    """The final report of this very run, if an earlier pod wrote one: what is done is not done again."""
    if not head.storage.exists("report.json"):
        return None
    report = RunReport.model_validate_json(head.storage.read("report.json"))
    return report if report.phase == ReportPhase.COMPLETE else None


def run_head(body: Callable[[Head], dict[str, Any]]) -> int:
    """Runs the body in this process and returns the exit code: 0 complete, 1 failed, 3 interrupted after saving."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(levelname)s %(message)s")
    pod = Pod.from_environment(os.environ)
    spec = pod.load(RunSpec)
    storage = Folder(spec.storage)
    reporter = Reporter(pod, storage, spec.identity.run, spec.identity.attempt)
    head = Head(pod, spec, storage, reporter)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: head.stopping.set())
    reporter.serve()
    try:
        if earlier := already_finished(head):
            logger.info("run %s of %s had finished before: nothing to do", spec.identity.run, spec.identity.name)
            reporter.finish(**{**dict(earlier), "attempt": spec.identity.attempt})
            return 0
        reporter.finish(phase=ReportPhase.COMPLETE, reason="Complete", **body(head))
    except Interrupted:
        reporter.finish(
            phase=ReportPhase.INTERRUPTED, reason="Interrupted", message="stopped on request after saving its state"
        )
        return 3
    except RunFault as fault:
        logger.error("%s: %s", fault.reason, fault.message)  # noqa: TRY400
        reporter.finish(
            phase=ReportPhase.FAILED, reason=fault.reason, message=fault.message[:1024], retryable=fault.retryable
        )
        return 1
    except Exception as error:
        if is_full(error):
            reason, message = "StorageFull", f"{full_words(storage.uri)} ({error})"
            logger.error("%s: %s", reason, message)  # noqa: TRY400
        else:
            reason, message = "UnexpectedError", f"{type(error).__name__}: {error}"
            logger.exception("unexpected failure")
        reporter.finish(phase=ReportPhase.FAILED, reason=reason, message=message[:1024], retryable=True)
        return 1
    return 0
