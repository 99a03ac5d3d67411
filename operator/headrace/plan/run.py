"""The life of a run, the same for the three kinds that run to an end.

`decide` says what the status should be; `converge` says which actions bring the world to the status that is saved.
A pass that changes a decision acts on nothing: the next pass acts, on what was saved.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from headrace.api.crds import PLURALS
from headrace.api.edits import spec_digest
from headrace.api.objects import RunObject
from headrace.api.run_report import LOST_HEAD, Hangs, ReportPhase
from headrace.api.status import FINISHED, DataPipelineStatus, Incident, Phase, RunStatus
from headrace.plan import gang, labels, run_conditions
from headrace.plan.names import short_digest
from headrace.plan.recovery import Ending, Outcome, backoff_seconds, describe_worker, judge_head
from headrace.plan.recurrence import has_newer_data, recurs, timed, triggers_at
from headrace.plan.room import gives_back_at, pause_seconds
from headrace.plan.run_children import converge
from headrace.plan.run_kind import RunKind, Waiting
from headrace.plan.run_progress import (
    SHOWN,
    STALLING,
    count_workers,
    head_of,
    is_of_attempt,
    is_stalled,
    reported,
    show,
)
from headrace.plan.support import missing_support
from headrace.plan.values import Observed, Plan, Pod, PodPhase

ENDING = frozenset({ReportPhase.COMPLETE, ReportPhase.FAILED, ReportPhase.INTERRUPTED})
"""What a head says while it takes its cluster down: workers that end then are not lost."""
HEALTHY_SECONDS = 3600
"""After so long without an incident, what an endless run survived before counts no more."""
KEPT_INCIDENTS = 10
KEPT_LOST_PODS = 200


def plan_run(kind: RunKind, observed: Observed, now: datetime) -> Plan:
    """The plan of a DataPipeline, TrainJob or TuneJob."""
    resource = observed.object
    assert isinstance(resource, RunObject)
    if resource.metadata.deletion_timestamp:
        return Plan(resource.status)
    decided, waiting = decide(kind, observed, now)
    if decisions(decided) != decisions(resource.status):
        # With the workers as they are wanted then, so that acting on it leaves nothing more to say.
        counted = count_workers(kind, observed, decided)
        return Plan(_explained(kind, observed, counted, waiting, now), requeue_after=0.0)
    shown = show(kind, observed, decided, now)
    status = _explained(kind, observed, shown, waiting, now)
    actions = converge(kind, observed, now)
    return Plan(status, actions, _look_again(kind, observed, now))


def decisions(status: RunStatus) -> dict[str, Any]:
    """The part of a status that actions rest on."""
    return {name: getattr(status, name) for name in type(status).model_fields if name not in SHOWN}


def decide(kind: RunKind, observed: Observed, now: datetime) -> tuple[RunStatus, Waiting | None]:
    """The status with the next decision in it, and why the run waits if it does."""
    resource = observed.object
    assert isinstance(resource, RunObject)
    status, spec = resource.status, resource.spec
    digest = spec_digest(spec)
    if status.digest != digest:
        # A new run and its start are two decisions that can be saved as one: nothing is acted on in between.
        fresh = resource.model_copy(update={"status": _new_run(kind, observed, digest)})
        return decide(kind, replace(observed, object=fresh), now)
    timely, starts = timed(resource, now)
    if status.phase in FINISHED:
        if starts or has_newer_data(observed, now):
            ended = resource.model_copy(update={"status": timely})
            fresh = resource.model_copy(update={"status": _new_run(kind, replace(observed, object=ended), digest)})
            return decide(kind, replace(observed, object=fresh), now)
        return timely, None
    resource = resource.model_copy(update={"status": timely})
    observed, status = replace(observed, object=resource), resource.status
    if status.phase == Phase.SUSPENDING:
        return (_suspended(status, now), None) if not _live(observed.pods) else (status, None)
    if spec.suspend:
        started = status.attempt_time is not None and status.phase != Phase.SUSPENDED
        return _change(status, phase=Phase.SUSPENDING if started else Phase.SUSPENDED), None
    if status.phase == Phase.SUSPENDED:
        return _change(status, phase=Phase.PENDING), None
    if (seconds := spec.active_deadline_seconds) is not None and active_seconds(status, now) > seconds:
        return _failed(
            status,
            now,
            "DeadlineExceeded",
            f"the run was active for more than activeDeadlineSeconds, {seconds} s; raise it or make the run shorter",
        ), None
    if status.attempt_time is None:
        return _start(kind, observed, now)
    return _supervise(kind, observed, now), None


def active_seconds(status: RunStatus, now: datetime) -> float:
    """How long the run has been active, suspension and waiting not counted."""
    running = (now - status.attempt_time).total_seconds() if status.attempt_time else 0.0
    return status.active_seconds + max(running, 0.0)


def _change(status: RunStatus, **changes: Any) -> RunStatus:
    return status.model_copy(update=changes)


def _new_run(kind: RunKind, observed: Observed, digest: str) -> RunStatus:
    resource = observed.object
    assert isinstance(resource, RunObject)
    before = resource.status
    number = before.run + 1
    folder = f"{observed.settings.storage_root.rstrip('/')}/{resource.metadata.namespace}/{PLURALS[resource.key.kind]}"
    storage = f"{folder}/{resource.metadata.name}-{short_digest(resource.metadata.uid)}/run-{number}"
    # What an endless run made grows: the version of the run before is not this one's.
    lasting = () if kind.is_endless(resource.spec) else ("dataset", "model", "schedule")
    kept = {name: getattr(before, name) for name in lasting if name in type(before).model_fields}
    return type(before)(run=number, attempt=1, digest=digest, storage=storage, conditions=before.conditions, **kept)


def _start(kind: RunKind, observed: Observed, now: datetime) -> tuple[RunStatus, Waiting | None]:
    resource = observed.object
    assert isinstance(resource, RunObject)
    status = resource.status
    if lacking := missing_support(resource):
        return _failed(status, now, "NotSupported", lacking), None
    pinned = _pinned(kind, observed)
    if isinstance(pinned, Waiting):
        return status, pinned
    if status.retry_at and now < status.retry_at:
        seconds = (status.retry_at - now).total_seconds()
        return status, Waiting("BackingOff", f"attempt {status.attempt} starts in {seconds:.0f} s")
    started = _change(status, **pinned, retry_at=None, attempt_time=now, start_time=status.start_time or now)
    return started, None


def _pinned(kind: RunKind, observed: Observed) -> dict[str, Any] | Waiting:
    """What the run starts with: as its first attempt found it, or as it is found now."""
    pinned = {}
    for name, find in kind.pins.items():
        found = getattr(observed.object.status, name) or find(observed)
        if isinstance(found, Waiting):
            return found
        pinned[name] = found
    return pinned


def _supervise(kind: RunKind, observed: Observed, now: datetime) -> RunStatus:
    resource = observed.object
    assert isinstance(resource, RunObject)
    status = resource.status
    head = head_of(observed)
    if head and head.terminated and not head.deleting:
        return _ended(kind, observed, judge_head(head), head, now)
    if head is None and status.phase != Phase.PENDING:
        return _again(
            kind,
            observed,
            Ending(Outcome.RESUME, "HeadLost", "the head pod is gone, and its node perhaps with it"),
            now,
        )
    if (lost := _newly_lost(observed)) and not (head and head.live and head.live.phase in ENDING):
        return _count_lost_worker(kind, observed, lost, now)
    if head and head.live and head.live.hangs and head.live.hangs.count > status.hangs:
        return _count_hangs(status, head.live.hangs, now)
    if (moment := gives_back_at(observed, kind.workers(resource))) and now >= moment:
        return _given_back(resource, now)
    if gang.is_outdated(observed, kind.workers(resource)):
        # The group cannot be changed: another attempt has another. Nothing ran, so that nothing is spent.
        return _next_attempt(status, now, progress_time=None)
    if is_stalled(kind, resource, head, now):
        return _again(
            kind,
            observed,
            Ending(
                Outcome.RESTART,
                "Stalled",
                "the run made no progress for stallSeconds; it is started again from its last checkpoint",
            ),
            now,
        )
    if status.phase == Phase.PENDING and head and head.phase == PodPhase.RUNNING:
        return _change(status, phase=Phase.STARTING, progress_time=now)
    if status.phase == Phase.STARTING and head and head.live and head.live.phase == ReportPhase.RUNNING:
        return _change(status, phase=Phase.RUNNING, progress_time=now, releases=0)
    return kind.scaled(observed, status, now)


def _ended(kind: RunKind, observed: Observed, ending: Ending, head: Pod, now: datetime) -> RunStatus:
    status = observed.object.status
    assert isinstance(status, RunStatus)
    match ending.outcome:
        case Outcome.COMPLETE:
            assert head.final is not None
            result = kind.result(head.final)
            if result is None:
                return _again(
                    kind,
                    observed,
                    Ending(Outcome.RESTART, "NoResult", "the head said Complete without naming what it made"),
                    now,
                )
            shown = reported(kind, status, head.final)
            return _change(
                shown,
                phase=Phase.COMPLETE,
                completion_time=now,
                stage="",
                percent=100,
                active_seconds=active_seconds(status, now),
                attempt_time=None,
                **result,
            )
        case Outcome.FAIL:
            return _failed(status, now, ending.reason, ending.message)
        case Outcome.RESTART | Outcome.RESUME:
            return _again(kind, observed, ending, now)


def _failed(status: RunStatus, now: datetime, reason: str, message: str) -> RunStatus:
    changed = _change(
        status,
        phase=Phase.FAILED,
        completion_time=now,
        active_seconds=active_seconds(status, now),
        attempt_time=None,
        retry_at=None,
    )
    return _noted(changed, reason, message, now)


def _suspended(status: RunStatus, now: datetime) -> RunStatus:
    return _change(
        status,
        phase=Phase.SUSPENDED,
        attempt=status.attempt + 1,
        active_seconds=active_seconds(status, now),
        attempt_time=None,
        lost_pods=(),
        hangs=0,
    )


def _next_attempt(status: RunStatus, now: datetime, **changes: Any) -> RunStatus:
    return _change(
        status,
        phase=Phase.PENDING,
        attempt=status.attempt + 1,
        active_seconds=active_seconds(status, now),
        attempt_time=None,
        lost_pods=(),
        hangs=0,
        **changes,
    )


def _again(kind: RunKind, observed: Observed, ending: Ending, now: datetime) -> RunStatus:
    """Another attempt, after a pause where the last one failed; or the end, where the budget is spent."""
    resource = observed.object
    assert isinstance(resource, RunObject)
    status = resource.status
    counter, spent = _spend(kind, resource, ending, now)
    if spent:
        return _exhausted(status, now, ending, spent)
    retry_at = None
    if ending.outcome == Outcome.RESTART:
        retry_at = now + timedelta(seconds=backoff_seconds(resource.spec.recovery, counter["restarts"]))
    following = _next_attempt(status, now, retry_at=retry_at, **counter)
    return _noted(following, ending.reason, ending.message, now, status.attempt)


def _given_back(resource: RunObject, now: datetime) -> RunStatus:
    """Another attempt after a pause, which spends nothing: that there is no room is nobody's fault."""
    status, seconds = resource.status, resource.spec.schedule_timeout_seconds
    pause = pause_seconds(resource.metadata.uid, status)
    following = _next_attempt(
        status, now, retry_at=now + timedelta(seconds=pause), releases=status.releases + 1, progress_time=None
    )
    message = f"there was no room for workers.min within scheduleTimeoutSeconds, {seconds} s: the pods that had room gave it back, and all are tried again after {pause:.0f} s"
    return _noted(following, "NoRoom", message, now, status.attempt)


def _spend(kind: RunKind, resource: RunObject, ending: Ending, now: datetime) -> tuple[dict[str, int], str]:
    """The counter that an ending raises, or the bound that it would break."""
    status, recovery = resource.status, resource.spec.recovery
    last = status.incidents[-1].time if status.incidents else None
    forgiven = kind.is_endless(resource.spec) and last and (now - last).total_seconds() >= HEALTHY_SECONDS
    if ending.outcome == Outcome.RESUME:
        name, bound, field_name = "disruptions", recovery.max_disruptions, "recovery.maxDisruptions"
    else:
        name, bound, field_name = "restarts", recovery.max_restarts, "recovery.maxRestarts"
    count = 0 if forgiven else getattr(status, name)
    return ({}, f"{field_name}, {bound}, is spent") if count >= bound else ({name: count + 1}, "")


def _exhausted(status: RunStatus, now: datetime, ending: Ending, bound: str) -> RunStatus:
    return _failed(status, now, "RestartsExhausted", f"{bound}; the last time: {ending.reason}: {ending.message}")


def _count_lost_worker(kind: RunKind, observed: Observed, lost: Pod, now: datetime) -> RunStatus:
    resource = observed.object
    assert isinstance(resource, RunObject)
    status, ending = resource.status, describe_worker(lost)
    counter, spent = _spend(kind, resource, ending, now)
    if spent:
        return _exhausted(status, now, ending, spent)
    counted = (*status.lost_pods, lost.uid)[-KEPT_LOST_PODS:]
    return _noted(_change(status, lost_pods=counted, **counter), ending.reason, ending.message, now)


def _count_hangs(status: RunStatus, hangs: Hangs, now: datetime) -> RunStatus:
    """Noted, and given time to go on: the head has seen to it, and no pod has ended."""
    more = hangs.count - status.hangs - 1
    others = f", as {'was 1 other' if more == 1 else f'were {more} others'} before" if more else ""
    message = f"the worker on {hangs.pod} was ended, and another started in its place{others}: {hangs.why}; if that happens again look at its node"
    return _noted(_change(status, hangs=hangs.count, progress_time=now), "WorkerHung", message, now)


def _noted(status: RunStatus, reason: str, message: str, now: datetime, attempt: int | None = None) -> RunStatus:
    incident = Incident(time=now, attempt=attempt or status.attempt, reason=reason, message=message[:1024])
    return _change(status, incidents=(*status.incidents, incident)[-KEPT_INCIDENTS:])


def _live(pods: tuple[Pod, ...]) -> bool:
    return any(not pod.terminated for pod in pods)


def _newly_lost(observed: Observed) -> Pod | None:
    status = observed.object.status
    assert isinstance(status, RunStatus)
    lost = (
        pod
        for pod in observed.pods
        if pod.labels.get(labels.ROLE) == labels.WORKER
        and is_of_attempt(pod, status)
        and pod.terminated
        and not pod.deleting
        and pod.exit_code != LOST_HEAD
        and pod.uid not in status.lost_pods
    )
    return min(lost, key=lambda pod: pod.name, default=None)


def _explained(
    kind: RunKind, observed: Observed, status: RunStatus, waiting: Waiting | None, now: datetime
) -> RunStatus:
    reason = (waiting.reason, waiting.message, waiting.stalled) if waiting else None
    resource = observed.object
    assert isinstance(resource, RunObject)
    conditions = run_conditions.explain(
        observed, status, kind.workers(resource), reason, now, is_endless=kind.is_endless(resource.spec)
    )
    return _change(status, conditions=conditions, observed_generation=resource.metadata.generation)


def _look_again(kind: RunKind, observed: Observed, now: datetime) -> float | None:
    resource = observed.object
    assert isinstance(resource, RunObject)
    status, spec = resource.status, resource.spec
    moments: list[datetime] = []
    if isinstance(status, DataPipelineStatus) and status.schedule:
        moments.append(status.schedule.next)
    if status.phase in FINISHED:
        if spec.ttl_seconds_after_finished is not None and status.completion_time and not recurs(resource):
            moments.append(status.completion_time + timedelta(seconds=spec.ttl_seconds_after_finished))
        if (again := triggers_at(resource)) and again > now:
            moments.append(again)
    else:
        if status.retry_at and status.phase == Phase.PENDING:
            moments.append(status.retry_at)
        if spec.active_deadline_seconds is not None and status.attempt_time:
            moments.append(now + timedelta(seconds=spec.active_deadline_seconds - active_seconds(status, now)))
        if (stall := kind.stall_seconds(spec)) is not None and status.phase in STALLING and status.progress_time:
            moments.append(status.progress_time + timedelta(seconds=stall))
        if status.attempt_time and (moment := gives_back_at(observed, kind.workers(resource))):
            moments.append(moment)
    return max((min(moments) - now).total_seconds(), 0.0) + 0.1 if moments else None
