"""The conditions of a run: what holds, why, and what to do about it, for kubectl wait, kstatus and people."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from headrace.api.meta import Condition, ConditionStatus
from headrace.api.pods import Workers
from headrace.api.run_report import Straggler
from headrace.api.status import FINISHED, DataPipelineStatus, Phase, RunStatus, TrainJobStatus
from headrace.plan import gang, labels
from headrace.plan.conditions import QUOTA, Fact, find, refused, settle
from headrace.plan.run_progress import is_of_attempt
from headrace.plan.values import ROLLED_BACK, Observed, Pod, PodPhase

Reason = tuple[str, str, bool]
ELASTIC = "workers come and go while the others train on"
FIXED = "when workers come or go the group saves, and another goes on from there"
RUNNING = "Running"
ALERTING_SECONDS = 300
"""For so long after an alert the condition Alerting holds."""
NAMED = 3
"""So many stragglers are named; the status has all."""
HELD = "if its node is lost, delete the Node object; if a finalizer holds it, see who set that"
"""What to do about a pod that does not go; two attempts never run at once."""


def explain(
    observed: Observed,
    status: RunStatus,
    workers: Workers,
    waiting: Reason | None,
    now: datetime,
    *,
    is_endless: bool = False,
) -> tuple[Condition, ...]:
    """The conditions that go with a status; `waiting` is the reason, sentence and whether only a person can help.

    What is endless never completes: it is Ready while it runs as it should.
    """
    facts = [*_facts(observed, status, workers, waiting, is_endless), *_alerting(status, now)]
    return settle(observed.object.status.conditions, facts, observed.object.metadata.generation, now)


def _facts(
    observed: Observed, status: RunStatus, workers: Workers, waiting: Reason | None, is_endless: bool
) -> list[Fact]:
    reason, message = _now(observed, status, workers, waiting)
    complete, failed = status.phase == Phase.COMPLETE, status.phase == Phase.FAILED
    serves = is_endless and reason == RUNNING
    facts = [
        Fact("Ready", complete or serves, reason, message),
        Fact("Complete", complete, reason, message),
        Fact("Failed", failed, reason if failed else "NotFailed", message if failed else "the run has not failed"),
        Fact("Suspended", status.phase == Phase.SUSPENDED, reason if status.phase == Phase.SUSPENDED else "NotSuspended",
             message if status.phase == Phase.SUSPENDED else "the run is not suspended"),
        Fact("Progressing", status.phase in (Phase.STARTING, Phase.RUNNING), reason, message),
    ]  # fmt: skip
    facts.extend(_elastic(observed, status))
    facts.extend(_straggling(observed, status))
    facts.extend(_rolled_back(status))
    facts.extend(_tracked(status))
    facts.extend(_replayed(status))
    blocked = refused(observed.refusals)
    if blocked:
        facts.append(blocked)
    stands = blocked is not None and blocked.reason == reason != QUOTA
    if failed or stands or (waiting and waiting[2]):
        facts.append(Fact("Stalled", True, reason, message))
    elif status.phase not in FINISHED and status.phase != Phase.SUSPENDED and not serves:
        facts.append(Fact("Reconciling", True, reason, message))
    if status.incidents and not failed and (status.restarts or status.disruptions or status.hangs):
        last = status.incidents[-1]
        facts.append(
            Fact(
                "Recovered",
                status.phase in (Phase.RUNNING, Phase.COMPLETE),
                last.reason,
                f"attempt {last.attempt}: {last.message}",
            )
        )
    return facts


def _elastic(observed: Observed, status: RunStatus) -> Iterable[Fact]:
    """How the group of a training changes, as its head says, or said before it fell silent."""
    if status.phase != Phase.RUNNING:
        return
    heads = (pod for pod in observed.pods if is_of_attempt(pod, status) and pod.labels.get(labels.ROLE) == labels.HEAD)
    report = next((pod.report for pod in heads), None)
    before = find(observed.object.status.conditions, "Elastic")
    if report is not None and report.elastic is not None:
        yield (
            Fact("Elastic", True, "Quorum", ELASTIC) if report.elastic else Fact("Elastic", False, "FixedGroup", FIXED)
        )
    elif before:
        yield Fact("Elastic", before.status == ConditionStatus.TRUE, before.reason, before.message)


def _straggling(observed: Observed, status: RunStatus) -> Iterable[Fact]:
    """Who holds the others up; once that was said, also that nobody does any more."""
    if not isinstance(status, TrainJobStatus) or status.phase != Phase.RUNNING:
        return
    there = {pod.name for pod in observed.pods if is_of_attempt(pod, status) and not pod.deleting}
    slow = [each for each in status.stragglers if each.pod in there]
    if slow:
        yield Fact("Straggling", True, "WorkerSlow", _slow(slow))
    elif find(observed.object.status.conditions, "Straggling"):
        yield Fact("Straggling", False, "AllKeepUp", "no worker holds the others up")


def _slow(slow: Sequence[Straggler]) -> str:
    """Which they are, by how much, and what to do."""
    worst, *others = sorted(slow, key=lambda each: (-each.step_seconds, each.pod))
    also = [f"{each.pod} ({_times(each)})" for each in others[: NAMED - 1]]
    more = [f"{len(slow) - NAMED} more"] if len(slow) > NAMED else []
    slower = f"; slow are also {', '.join([*also, *more])}" if others else ""
    return (
        f"{worst.pod} is busy for {worst.step_seconds:.3g} s of a step, {_times(worst)} the workers' median, and all wait for it"
        f"{slower}; look at its node, or delete the pod to have it replaced"
    )


def _times(straggler: Straggler) -> str:
    return f"{straggler.step_seconds / straggler.median_step_seconds:.1f} times"


def _rolled_back(status: RunStatus) -> Iterable[Fact]:
    """That the training went back, how often, and the last time in a sentence."""
    if isinstance(status, TrainJobStatus) and status.rolled_back:
        last, count = status.rolled_back, status.roll_backs
        yield Fact(ROLLED_BACK, True, last.reason, last.sentence + (f"; it is roll-back {count}" if count > 1 else ""))


def _alerting(status: RunStatus, now: datetime) -> Iterable[Fact]:
    """What a stream has to tell at once, for some minutes; then that it is quiet."""
    alerts = status.alerts if isinstance(status, DataPipelineStatus) else None
    if not alerts or not alerts.last:
        return
    newest = alerts.last[0]
    if (now - newest.time).total_seconds() < ALERTING_SECONDS:
        words = f"{newest.alert}: {newest.message}" + (
            f"; alert {alerts.count} of the stream" if alerts.count > 1 else ""
        )
        yield Fact("Alerting", True, "AlertRaised", words[:1024])
    else:
        yield Fact("Alerting", False, "Quiet", f"no alert for {ALERTING_SECONDS // 60} minutes; {alerts.count} before")


def _replayed(status: RunStatus) -> Iterable[Fact]:
    """Whether each repaired record that was given took the place of a bad one."""
    replay = status.replay if isinstance(status, DataPipelineStatus) else None
    if not replay or not replay.given:
        return
    if replay.refused:
        words = f"{replay.refused} of {replay.given} repaired records took no bad record's place; the first: {replay.problem}"
        yield Fact("Replayed", False, "NotReplayed", words)
    else:
        yield Fact("Replayed", True, "Replayed", f"{replay.given} repaired records took the places of bad ones")


def _tracked(status: RunStatus) -> Iterable[Fact]:
    """Whether the trackers that the spec names have the curve."""
    tracking = status.tracking if isinstance(status, TrainJobStatus) else None
    if not tracking:
        return
    troubled = next((each for each in tracking if each.problem), None)
    if troubled:
        words = f"{troubled.tool} lacks {troubled.undelivered} points of the curve, which are in the run's storage: {troubled.problem}"
        yield Fact("Tracked", False, "NotDelivered", words)
    elif all(each.address or each.delivered for each in tracking):
        pages = ", ".join(each.address for each in tracking if each.address)
        yield Fact("Tracked", True, "Delivered", f"the run is tracked at {pages}" if pages else "the run is tracked")


def _now(observed: Observed, status: RunStatus, workers: Workers, waiting: Reason | None) -> tuple[str, str]:
    match status.phase:
        case Phase.COMPLETE:
            return "Complete", f"run {status.run} is complete"
        case Phase.FAILED:
            last = status.incidents[-1] if status.incidents else None
            return (last.reason, last.message) if last else ("Failed", "the run failed")
        case Phase.SUSPENDING:
            return "Suspending", f"the run checkpoints and stops; spec.suspend is true{_leaving(observed.pods)}"
        case Phase.SUSPENDED:
            return "Suspended", "the run is suspended; set spec.suspend to false to resume it"
        case Phase.PENDING if waiting:
            return waiting[0], waiting[1]
        case Phase.PENDING if status.attempt_time is None:
            return "Pending", "the run is about to start"
        case Phase.PENDING | Phase.STARTING | Phase.RUNNING:
            return _pods_now(observed, status, workers)


def _pods_now(observed: Observed, status: RunStatus, workers: Workers) -> tuple[str, str]:
    mine = [pod for pod in observed.pods if is_of_attempt(pod, status)]
    earlier = min((pod.name for pod in observed.pods if not is_of_attempt(pod, status)), default=None)
    head = next((pod for pod in mine if pod.labels.get(labels.ROLE) == labels.HEAD), None)
    if earlier:
        return "PodLeaving", f"attempt {status.attempt} waits until the pod {earlier} of an earlier one is gone; {HELD}"
    if head and head.deleting:
        return "PodLeaving", f"the next attempt waits until the head pod {head.name} is gone; {HELD}"
    running = sum(
        pod.phase == PodPhase.RUNNING and not pod.deleting and pod.labels.get(labels.ROLE) == labels.WORKER
        for pod in mine
    )
    waiting = (pod for pod in mine if pod.phase == PodPhase.PENDING and pod.reason)
    stuck = min(waiting, key=lambda pod: (gang.is_held_by_others(pod), pod.name), default=None)
    if status.phase == Phase.RUNNING and running >= workers.min:
        return RUNNING, f"attempt {status.attempt} runs on at least {workers.min} workers{_leaving(mine)}"
    if blocked := refused(observed.refusals):
        return blocked.reason, blocked.message
    if stuck:
        return stuck.reason, f"the pod {stuck.name} {stuck.message}"
    if status.phase == Phase.RUNNING:
        words = f"{running} of at least {workers.min} workers run; the others are being replaced{_leaving(mine)}"
        return "WorkersMissing", words
    return "Starting", f"attempt {status.attempt} starts its pods{_leaving(mine)}"


def _leaving(pods: Iterable[Pod]) -> str:
    """Which pod is being deleted and is not gone, as the end of a sentence."""
    name = min((pod.name for pod in pods if pod.deleting), default=None)
    return f"; the pod {name} is leaving" if name else ""
