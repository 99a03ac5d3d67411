"""What the end of a head pod means for its run: done, hopeless, another attempt that counts, or one that does not."""

from dataclasses import dataclass
from enum import StrEnum

from headrace.api.job import Recovery
from headrace.api.run_report import ReportPhase
from headrace.plan.values import Pod

LONGEST_BACKOFF_SECONDS = 600


class Outcome(StrEnum):
    """What follows from the end of an attempt."""

    COMPLETE = "Complete"
    FAIL = "Fail"
    RESTART = "Restart"
    RESUME = "Resume"
    """Another attempt that does not spend the user's restarts."""


@dataclass(frozen=True)
class Ending:
    """The outcome with its reason and sentence."""

    outcome: Outcome
    reason: str
    message: str


def judge_head(head: Pod) -> Ending:
    """The ending that a terminated head pod means."""
    report = head.final
    if report and report.phase == ReportPhase.COMPLETE:
        return Ending(Outcome.COMPLETE, "Complete", report.message or "the run is complete")
    if report and report.phase == ReportPhase.FAILED:
        outcome = Outcome.RESTART if report.retryable else Outcome.FAIL
        return Ending(outcome, report.reason, report.message)
    if head.disrupted or (report and report.phase == ReportPhase.INTERRUPTED):
        return Ending(
            Outcome.RESUME,
            "HeadDisrupted",
            f"the head pod {head.name} was taken away: {head.message or 'it was stopped from outside'}",
        )
    return Ending(
        Outcome.RESTART,
        "HeadFailed",
        f"the head pod {head.name} ended with exit code {head.exit_code} and no report: {head.message or 'see its log'}",
    )


def describe_worker(pod: Pod) -> Ending:
    """The ending that a terminated worker pod means."""
    if pod.disrupted:
        return Ending(
            Outcome.RESUME,
            "WorkerDisrupted",
            f"the worker pod {pod.name} was taken away: {pod.message or pod.reason or 'its node is lost'}",
        )
    return Ending(
        Outcome.RESTART,
        "WorkerLost",
        f"the worker pod {pod.name} ended with exit code {pod.exit_code}: {pod.message or 'see its log'}",
    )


def backoff_seconds(recovery: Recovery, restarts: int) -> float:
    """The pause before the next attempt after so many restarts."""
    return float(min(recovery.backoff_seconds * 2 ** min(max(restarts - 1, 0), 20), LONGEST_BACKOFF_SECONDS))
