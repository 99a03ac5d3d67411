"""All or nothing at workers.min: a run that holds room which is too little for it gives it back, so that others can start.

Two runs that each hold half of what they need would otherwise wait for each other for ever. The pause after a release
grows, and differs from run to run.
"""

from datetime import datetime, timedelta

from headrace.api.objects import RunObject
from headrace.api.pods import Workers
from headrace.api.status import RunStatus
from headrace.plan import labels
from headrace.plan.names import short_digest
from headrace.plan.run_progress import is_of_attempt
from headrace.plan.values import Observed, Pod, PodPhase

FIRST_PAUSE_SECONDS = 20.0
LONGEST_PAUSE_SECONDS = 600.0
JITTER = 0.5


def gives_back_at(observed: Observed, workers: Workers) -> datetime | None:
    """When the run gives back what it holds if nothing changes; none while it has the room it needs, or holds none."""
    resource = observed.object
    assert isinstance(resource, RunObject)
    status = resource.status
    mine = [pod for pod in observed.pods if is_of_attempt(pod, status) and not pod.deleting and not pod.terminated]
    placed = [pod for pod in mine if _has_room(pod)]
    roles = [pod.labels.get(labels.ROLE) for pod in placed]
    enough = labels.HEAD in roles and roles.count(labels.WORKER) >= workers.min
    if enough or not placed or len(placed) == len(mine):
        return None
    since = max(time for time in (status.attempt_time, status.progress_time) if time)
    return since + timedelta(seconds=resource.spec.schedule_timeout_seconds)


def pause_seconds(uid: str, status: RunStatus) -> float:
    """The pause after one more release, always the same for the same run and number."""
    pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(status.releases, 20), LONGEST_PAUSE_SECONDS)
    share = int(short_digest(f"{uid}/{status.releases}"), 16) / 0xFFFFFF
    return pause * (1 + JITTER * share)


def _has_room(pod: Pod) -> bool:
    return pod.bound or pod.phase != PodPhase.PENDING
