"""What the end of a pod's command means: its reason, its sentence, and the pause before it is started again. Pure."""

from datetime import datetime, timedelta

from headrace.local.pods import PodStatus, changed
from headrace.local.processes import Ending
from headrace.local.refusals import CannotStart
from headrace.plan.values import PodPhase

KILLED = 9
LONGEST_BACKOFF_SECONDS = 30
LEVEL_MAX = 10
SETTLED_SECONDS = 60.0
"""A command that ran for this long counts as new when it ends."""
PORT_IN_USE = "PortInUse"


def explain(ending: Ending | None, last_line: str) -> tuple[str, str]:
    """The reason and the sentence, beyond the exit code, for how a command ended; the subject is the pod."""
    if ending is None:
        return "Lost", "lost its processes without a trace; the machine may have restarted, or somebody ended them"
    if ending.signal:
        hint = "; the machine may be short of memory" if ending.signal == KILLED else ""
        return "Killed", f"was ended by signal {ending.signal}{hint}"
    return ("Error", last_line) if ending.exit_code else ("Completed", "")


def ended(status: PodStatus, ending: Ending | None, last_line: str, termination_message: str) -> PodStatus:
    """The status of a pod whose only run has ended; None as ending says that nobody knows how."""
    reason, message = explain(ending, last_line)
    succeeded = ending is not None and ending.exit_code == 0
    return changed(
        status,
        phase=PodPhase.SUCCEEDED if succeeded else PodPhase.FAILED,
        running=False,
        ready=False,
        exit_code=ending.exit_code if ending else None,
        termination_message=termination_message,
        disrupted=status.disrupted or ending is None,
        reason=status.reason or reason,
        message=status.message or message,
    )


def to_start_again(
    status: PodStatus, ending: Ending | None, last_line: str, termination_message: str, now: datetime
) -> PodStatus:
    """The status of a pod whose command has ended and is started again after a pause that grows."""
    _, message = explain(ending, last_line)
    settled = status.started_at is not None and (now - status.started_at).total_seconds() >= SETTLED_SECONDS
    code = f"ended with exit code {ending.exit_code}" if ending and not ending.signal else ""
    told = changed(
        status,
        running=False,
        ready=False,
        exit_code=ending.exit_code if ending else None,
        termination_message=termination_message,
        backoff_level=0 if settled else status.backoff_level,
    )
    return backed_off(told, "CrashLoopBackOff", ": ".join(part for part in (code, message) if part), now)


def refused(status: PodStatus, refusal: CannotStart, now: datetime) -> PodStatus:
    """The status of a pod whose command cannot be started now and is tried again after a pause that grows."""
    return backed_off(changed(status, phase=PodPhase.RUNNING), refusal.reason, refusal.message, now)


def backed_off(status: PodStatus, reason: str, message: str, now: datetime) -> PodStatus:
    """The status with the next run's number, the time at which it may start, and why it does not run now."""
    pause = min(2**status.backoff_level, LONGEST_BACKOFF_SECONDS)
    return changed(
        status,
        restarts=status.restarts + 1,
        backoff_level=min(status.backoff_level + 1, LEVEL_MAX),
        retry_at=now + timedelta(seconds=pause),
        reason=reason,
        message=f"{message}; starts again in {pause} s",
    )
