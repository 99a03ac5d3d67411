"""How far a run is, as its pods and reports show it: for people, and for the one decision that rests on it, a stall."""

from datetime import datetime

from headrace.api.objects import RunObject
from headrace.api.run_report import RunReport
from headrace.api.status import Phase, RunStatus
from headrace.plan import labels
from headrace.plan.run_kind import RunKind
from headrace.plan.values import Observed, Pod, PodPhase

SHOWN = frozenset({
    "stage", "workers", "progress", "percent", "metrics", "curve", "traffic", "checkpoint", "progress_time", "report_time",
    "records", "replay", "dataset", "batch", "stream", "alerts", "trials", "best_trial", "stragglers", "roll_backs", "rolled_back", "tracking", "conditions",
    "observed_generation",
})  # fmt: skip
"""The fields of a status that only show what was seen; all others are decisions."""

STALLING = frozenset({Phase.STARTING, Phase.RUNNING})
"""The phases in which a head should get further. One that never gets to run hangs, too."""


def is_of_attempt(pod: Pod, status: RunStatus) -> bool:
    """Whether a pod belongs to the attempt that the status names."""
    return pod.labels.get(labels.RUN) == str(status.run) and pod.labels.get(labels.ATTEMPT) == str(status.attempt)


def head_of(observed: Observed) -> Pod | None:
    """The head pod of the attempt that the saved status names."""
    status = observed.object.status
    assert isinstance(status, RunStatus)
    return next(
        (pod for pod in observed.pods if pod.labels.get(labels.ROLE) == labels.HEAD and is_of_attempt(pod, status)),
        None,
    )


def show(kind: RunKind, observed: Observed, status: RunStatus, now: datetime) -> RunStatus:
    """The status with what was seen of pods and reports; progress alone is shown only every so often."""
    status = count_workers(kind, observed, status)
    head = head_of(observed)
    active = _is_active(status)
    report = head.live if head and active and not head.terminated else None
    if report is None or (
        status.report_time and (now - status.report_time).total_seconds() < observed.settings.progress_seconds
    ):
        return status
    further = _got_further(status, report)
    times = {"report_time": report.time, "progress_time": now if further else status.progress_time}
    return reported(kind, status, report).model_copy(update=times)


def _is_active(status: RunStatus) -> bool:
    return status.attempt_time is not None and status.phase != Phase.SUSPENDING


def count_workers(kind: RunKind, observed: Observed, status: RunStatus) -> RunStatus:
    """The status with its workers: how many there should be, and how many run."""
    resource = observed.object
    assert isinstance(resource, RunObject)
    wanted = kind.workers(resource.model_copy(update={"status": status}))
    ready = sum(
        pod.labels.get(labels.ROLE) == labels.WORKER
        and pod.phase == PodPhase.RUNNING
        and not pod.deleting
        and is_of_attempt(pod, status)
        for pod in observed.pods
    )
    selector = f"{labels.UID}={observed.object.metadata.uid},{labels.ROLE}={labels.WORKER}"
    workers = {"desired": wanted.wanted if _is_active(status) else 0, "ready": ready, "selector": selector}
    return status.model_copy(update={"workers": status.workers.model_copy(update=workers)})


def reported(kind: RunKind, status: RunStatus, report: RunReport) -> RunStatus:
    """The status with what a report says."""
    progress = report.progress
    return status.model_copy(
        update={
            "stage": report.stage,
            "progress": progress,
            "percent": min(100, int(100 * progress.step / progress.total)) if progress.total else None,
            "metrics": report.metrics,
            "curve": report.curve or status.curve,
            "traffic": report.traffic or status.traffic,
            "checkpoint": report.checkpoint or status.checkpoint,
            **kind.shown(report),
        }
    )


def is_stalled(kind: RunKind, resource: RunObject, head: Pod | None, now: datetime) -> bool:
    """Whether the run made no progress since its head started for longer than its spec allows."""
    seconds = kind.stall_seconds(resource.spec)
    since = resource.status.progress_time
    if (
        resource.status.phase not in STALLING
        or seconds is None
        or since is None
        or (now - since).total_seconds() <= seconds
    ):
        return False
    return not (head and head.live and _got_further(resource.status, head.live))


def _got_further(status: RunStatus, report: RunReport) -> bool:
    before = status.progress
    return before is None or report.progress.step > before.step or report.stage != status.stage
