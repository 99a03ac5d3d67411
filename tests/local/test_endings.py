"""What the end of a command means, and how long its pod waits before the next."""

from datetime import UTC, datetime, timedelta

import pytest

from headrace.local.endings import ended, refused, to_start_again
from headrace.local.pods import PodStatus
from headrace.local.processes import Ending
from headrace.local.refusals import CannotStart
from headrace.plan.values import PodPhase

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ENDINGS = {
    "success": (Ending(0, None), (PodPhase.SUCCEEDED, "Completed", "", 0, False)),
    "failure": (Ending(2, None), (PodPhase.FAILED, "Error", "the last line", 2, False)),
    "SIGKILL": (Ending(137, 9), (PodPhase.FAILED, "Killed", "was ended by signal 9; the machine may be short of memory", 137, False)),
    "SIGSEGV": (Ending(139, 11), (PodPhase.FAILED, "Killed", "was ended by signal 11", 139, False)),
    "nobody knows": (None, (PodPhase.FAILED, "Lost", "lost its processes without a trace; the machine may have restarted, or somebody ended them", None, True)),
}  # fmt: skip


@pytest.mark.parametrize(("ending", "told"), ENDINGS.values(), ids=ENDINGS.keys())
def test_how_a_run_ended(ending, told):
    """Phase, reason, sentence, exit code and whether it was disrupted follow from how the command ended."""
    status = ended(PodStatus(running=True, ready=True), ending, "the last line", "{}")
    assert (status.phase, status.reason, status.message, status.exit_code, status.disrupted) == told
    assert (status.running, status.ready, status.termination_message) == (False, False, "{}")


def test_what_was_told_before_the_end_stays():
    """A pod that was asked to go says so, whatever its exit code."""
    before = PodStatus(disrupted=True, reason="Shutdown", message="was stopped with headrace")
    status = ended(before, Ending(3, None), "saved", "")
    assert (status.disrupted, status.reason, status.message) == (True, "Shutdown", "was stopped with headrace")


def test_the_pause_doubles_up_to_half_a_minute():
    """A command that keeps ending is started again after 1, 2, 4, 8, 16 and then 30 seconds, under a new number each time."""
    status, pauses = PodStatus(), []
    for _ in range(8):
        status = to_start_again(status.model_copy(update={"started_at": NOW}), Ending(1, None), "no", "", NOW)
        pauses.append((status.retry_at - NOW).total_seconds())
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    assert (status.restarts, status.reason) == (8, "CrashLoopBackOff")
    assert status.message == "ended with exit code 1: no; starts again in 30 s"


def test_a_command_that_ran_for_a_while_starts_at_once():
    """After a minute of running the pauses begin anew."""
    status = PodStatus(backoff_level=5, started_at=NOW - timedelta(minutes=1))
    assert (to_start_again(status, Ending(1, None), "", "", NOW).retry_at - NOW).total_seconds() == 1


def test_a_command_that_cannot_start_is_tried_again():
    """A refusal keeps its reason and says when the next try is."""
    status = refused(PodStatus(), CannotStart("PortInUse", "127.0.0.1:8080 is in use"), NOW)
    assert (status.phase, status.reason, status.message) == (
        PodPhase.RUNNING,
        "PortInUse",
        "127.0.0.1:8080 is in use; starts again in 1 s",
    )
