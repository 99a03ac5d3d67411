"""Runs that happen again by themselves: by a schedule, or because there is newer data to learn from.

Which moment comes next is saved; what came to pass while nobody looked is one run and a count, however long that was.
"""

from datetime import datetime, timedelta

from headrace.api.artifacts import DatasetVersion
from headrace.api.objects import DataPipeline, RunObject, TrainJob
from headrace.api.recurrence import ScheduleStatus, next_time
from headrace.api.status import FINISHED, DataPipelineStatus, Phase, RunStatus
from headrace.plan.dataset_input import find_input
from headrace.plan.values import Observed

MOST_MISSED = 1000
"""So many missed moments are counted at a time."""


def recurs(resource: RunObject) -> bool:
    """Whether the object will run again by itself: what is finished of it is no end."""
    if isinstance(resource, DataPipeline):
        return resource.spec.schedule is not None
    return isinstance(resource, TrainJob) and resource.spec.trigger is not None


def timed(resource: RunObject, now: datetime) -> tuple[RunStatus, bool]:
    """The status with the schedule's next moment in it, and whether one has come for which a run starts."""
    status = resource.status
    cron = resource.spec.schedule if isinstance(resource, DataPipeline) else None
    if not isinstance(status, DataPipelineStatus):
        return status, False
    before = status.schedule
    if cron is None:
        return (status.model_copy(update={"schedule": None}) if before else status), False
    if before is None or before.cron != cron:
        following = ScheduleStatus(cron=cron, next=next_time(cron, now), missed=before.missed if before else 0)
        return status.model_copy(update={"schedule": following}), False
    if now < before.next:
        return status, False
    passed, moment = 1, next_time(cron, before.next)
    while moment <= now and passed < MOST_MISSED:
        passed, moment = passed + 1, next_time(cron, moment)
    starts = status.phase in FINISHED and not resource.spec.suspend
    paused = resource.spec.suspend or status.phase == Phase.SUSPENDED
    missed = before.missed + (0 if paused else passed - starts)
    following = ScheduleStatus(cron=cron, next=moment if moment > now else next_time(cron, now), missed=missed)
    return status.model_copy(update={"schedule": following}), starts


def has_newer_data(observed: Observed, now: datetime) -> bool:
    """Whether a finished job that asks for it has newer data to learn from than its last run had."""
    job = observed.object
    if not isinstance(job, TrainJob) or job.spec.suspend or (moment := triggers_at(job)) is None or now < moment:
        return False
    newest = find_input(observed)
    return isinstance(newest, DatasetVersion) and (
        job.status.input is None or newest.version > job.status.input.version
    )


def triggers_at(job: RunObject) -> datetime | None:
    """When a finished job may run again for newer data; None where it never does."""
    if not isinstance(job, TrainJob) or job.spec.trigger is None or job.status.completion_time is None:
        return None
    assert job.spec.trigger.new_version
    return job.status.completion_time + timedelta(seconds=job.spec.trigger.new_version.pause_seconds)
