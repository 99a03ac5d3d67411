"""The last words of a serving pod, in its termination message, so that the endpoint's status can say what happened."""

import logging
from datetime import UTC, datetime

from headrace.api.run_report import ReportPhase, RunReport
from headrace_workers.faults import RunFault
from headrace_workers.pod import Pod

logger = logging.getLogger(__name__)


def report_ending(pod: Pod, report: RunReport) -> None:
    """Writes the final report where the pod's owner reads it."""
    pod.termination_log.write_text(report.final_json())


def report_failure(pod: Pod, fault: RunFault) -> None:
    """Says in the log and in the termination message why this pod cannot do its work."""
    logger.error("%s: %s", fault.reason, fault.message)
    report_ending(
        pod,
        RunReport(
            phase=ReportPhase.FAILED,
            reason=fault.reason,
            message=fault.message[:1024],
            retryable=fault.retryable,
            time=datetime.now(UTC),
        ),
    )
