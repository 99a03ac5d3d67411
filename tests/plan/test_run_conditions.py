"""What a run says of pods that do not go, of children that are refused, and of workers that are slow or hang."""

from dataclasses import replace
from datetime import timedelta

import pytest

from headrace.api.run_report import Hangs, Progress, RolledBack, Straggler
from headrace.api.status import Phase
from headrace.plan.conditions import find, holds
from headrace.plan.plan import plan
from headrace.plan.values import Refusal, transitions
from tests.gen import NOW, pod, report, train_job
from tests.plan.test_run import head, observed, with_status

QUOTA = Refusal("Pod", "w", "QuotaExceeded", "exceeded quota: small")
POLICY = Refusal("ConfigMap", "c", "Forbidden", "denied by policy tidy")


@pytest.mark.parametrize(
    ("phase", "pods", "refusals", "reason", "words", "stalled"),
    [
        pytest.param(Phase.RUNNING, [head(deleting=True), pod(), pod(index=1)], (), "PodLeaving", "until the head pod r1a1-head is gone", False, id="a head that leaves is waited for"),
        pytest.param(Phase.PENDING, [head(attempt=2)], (), "PodLeaving", "until the pod r1a2-head of an earlier one is gone", False, id="so are the pods of another attempt"),
        pytest.param(Phase.RUNNING, [head(), pod(), pod(index=1), pod(index=2, deleting=True)], (), "Running", "r1a1-worker-2 is leaving", False, id="a run goes on without a worker that leaves"),
        pytest.param(Phase.RUNNING, [head(), pod(), pod(index=1, deleting=True)], (), "WorkersMissing", "1 of at least 2", False, id="a worker that leaves is none"),
        pytest.param(Phase.SUSPENDING, [head(deleting=True)], (), "Suspending", "r1a1-head is leaving", False, id="a suspension names whom it waits for"),
        pytest.param(Phase.PENDING, [], (QUOTA,), "QuotaExceeded", "Pod w cannot be made, which is tried again: exceeded quota: small", False, id="a quota may end by itself"),
        pytest.param(Phase.PENDING, [], (QUOTA, POLICY), "Forbidden", "ConfigMap c and 1 more cannot be made", True, id="a policy does not"),
        pytest.param(Phase.RUNNING, [head(), pod(), pod(index=1)], (POLICY,), "Running", "runs on at least 2 workers", False, id="a run that runs says so all the same"),
    ],
)  # fmt: skip
def test_what_a_run_says(phase, pods, refusals, reason, words, stalled):
    """See the row; what is refused stands in a condition of its own too."""
    job = with_status(train_job(workers={"min": 2, "max": 3}, suspend=phase == Phase.SUSPENDING), phase=phase)
    conditions = plan(observed(job, *pods, refusals=refusals), NOW).status.conditions
    now = find(conditions, "Ready")
    assert now is not None
    assert (now.reason, holds(conditions, "Stalled")) == (reason, stalled)
    assert words in now.message
    assert holds(conditions, "Refused") == bool(refusals)


@pytest.mark.parametrize(("elastic", "status", "reason"), [(True, "True", "Quorum"), (False, "False", "FixedGroup")])
def test_how_a_group_changes_is_what_its_head_says(elastic, status, reason):
    """As long as it runs, also while the head does not answer; not before it has said so."""
    job = with_status(train_job(workers={"min": 1, "max": 1}), phase=Phase.RUNNING)
    silent = plan(observed(job, head(), pod()), NOW).status
    assert find(silent.conditions, "Elastic") is None
    told = plan(observed(job, head(live=report(elastic=elastic)), pod()), NOW).status
    later = plan(observed(with_status(job, conditions=told.conditions), head(), pod()), NOW).status
    for each in (told, later):
        found = find(each.conditions, "Elastic")
        assert found and (found.status, found.reason) == (status, reason)


class Watched:
    """A run of three workers whose head reports every second, and every status that is saved."""

    def __init__(self) -> None:
        self.job = with_status(train_job(workers={"min": 3, "max": 3}), phase=Phase.RUNNING)
        self.now, self.step = NOW, 0
        self.events: list[tuple[str, str]] = []
        self.saved = 0

    def report(self, *slow: Straggler, hangs: Hangs | None = None, workers: int = 3) -> None:
        """A second passes, ten steps are done, and whatever that asks for is saved."""
        self.now, self.step = self.now + timedelta(seconds=1), self.step + 10
        live = report(
            elastic=True, stragglers=slow, hangs=hangs, time=self.now, progress=Progress(step=self.step, total=10_000)
        )
        for _ in range(3):
            planned = plan(
                observed(self.job, head(live=live), *(pod(index=index) for index in range(workers))), self.now
            )
            if planned.status == self.job.status:
                return
            self.saved += 1
            changes = transitions(self.job.status.conditions, planned.status.conditions)
            self.events += [(change.type, change.reason) for change in changes]
            self.job = self.job.model_copy(update={"status": planned.status})
        raise AssertionError("the plan does not settle")

    def message(self, name: str) -> str | None:
        found = find(self.job.status.conditions, name)
        return f"{found.status}: {found.message}" if found else None


def straggler(index: int, seconds: float) -> Straggler:
    return Straggler(pod=f"r1a1-worker-{index}", step_seconds=seconds, median_step_seconds=0.1)


def test_a_straggler_is_named() -> None:
    """With its factor and what to do; not before there was one, and as nobody once there is none."""
    run = Watched()
    run.report()
    assert run.message("Straggling") is None
    for _ in range(11):
        run.report(straggler(1, 0.31))
    assert run.message("Straggling") == (
        "True: r1a1-worker-1 is busy for 0.31 s of a step, 3.1 times the workers' median, "
        "and all wait for it; look at its node, or delete the pod to have it replaced"
    )
    assert run.job.status.stragglers == (straggler(1, 0.31),)
    for _ in range(11):
        run.report()
    assert run.message("Straggling") == "False: no worker holds the others up"
    told = [event for event in run.events if event[0] == "Straggling"]
    assert told == [("Straggling", "WorkerSlow"), ("Straggling", "AllKeepUp")]


def test_of_several_stragglers_the_slowest_stands_first() -> None:
    """Three are named, and the others counted."""
    slow = [straggler(index, 0.2 + 0.1 * (index % 3)) for index in range(5)]
    job = with_status(train_job(workers={"min": 9, "max": 9}), phase=Phase.RUNNING, stragglers=tuple(slow))
    conditions = plan(observed(job, head(), *(pod(index=index) for index in range(9))), NOW).status.conditions
    found = find(conditions, "Straggling")
    assert found and found.message.startswith(
        "r1a1-worker-2 is busy for 0.4 s of a step, 4.0 times the workers' median"
    )
    assert "; slow are also r1a1-worker-1 (3.0 times), r1a1-worker-4 (3.0 times), 2 more; look" in found.message


def test_a_straggler_that_is_gone_is_none() -> None:
    """Its pod leaves before the head says anything."""
    slow = (straggler(2, 0.3),)
    job = with_status(train_job(workers={"min": 2, "max": 3}), phase=Phase.RUNNING, stragglers=slow)
    there, leaving = pod(index=2), pod(index=2, deleting=True)
    for last, names in ((there, True), (leaving, False)):
        planned = plan(observed(job, head(), pod(), pod(index=1), last), NOW)
        assert holds(planned.status.conditions, "Straggling") == names


def test_new_figures_of_a_straggler_are_no_reason_to_write() -> None:
    """A run with one whose figures change in every report has its status written as often as one without, but for one or two."""
    calm, slow = Watched(), Watched()
    for second in range(60):
        calm.report()
        slow.report(straggler(1, 0.3 + 0.01 * (second % 7)))
    assert calm.saved <= slow.saved <= calm.saved + 2
    assert [event for event in slow.events if event[0] == "Straggling"] == [("Straggling", "WorkerSlow")]


def test_a_worker_that_hung_is_noted() -> None:
    """Once, with its pod and how that was seen; the run has recovered, and spent nothing."""
    run = Watched()
    run.report()
    for _ in range(3):
        run.report(hangs=Hangs(count=1, pod="r1a1-worker-1", why="it has not answered for 5 s"))
    status = run.job.status
    assert (status.hangs, status.restarts, status.disruptions, len(status.incidents)) == (1, 0, 0, 1)
    assert run.message("Recovered") == (
        "True: attempt 1: the worker on r1a1-worker-1 was ended, and another started in its place: "
        "it has not answered for 5 s; if that happens again look at its node"
    )
    assert ("Recovered", "WorkerHung") in run.events
    run.report(hangs=Hangs(count=3, pod="r1a1-worker-0", why="the others have waited for it for 60 s"))
    assert run.job.status.hangs == 3
    assert "as was 1 other before" in run.job.status.incidents[-1].message


@pytest.mark.parametrize(
    ("hangs", "attempt", "reason"),
    [(None, 2, "Stalled"), (Hangs(count=1, pod="r1a1-worker-1", why="it has not answered for 5 s"), 1, "WorkerHung")],
)
def test_a_hang_that_was_seen_to_is_no_stall(hangs: Hangs | None, attempt: int, reason: str) -> None:
    """A run whose worker was replaced has stallSeconds to go on; one of which nobody knows why it stands still is started again."""
    progress, long_ago = Progress(step=5, total=10), NOW - timedelta(seconds=901)
    job = with_status(train_job(), phase=Phase.RUNNING, progress=progress, progress_time=long_ago)
    seen = observed(job, head(live=report(progress=progress, hangs=hangs)), pod(), pod(index=1))
    status = plan(seen, NOW).status
    assert (status.attempt, status.incidents[-1].reason) == (attempt, reason)
    again = plan(replace(seen, object=job.model_copy(update={"status": status})), NOW).status
    assert again.attempt == attempt


def test_each_roll_back_of_a_training_is_told():
    """By a sentence, which stays when the head is gone; the second is news although the condition held before."""
    job, told = with_status(train_job(), phase=Phase.RUNNING), ()
    for number in (1, 2):
        last = RolledBack(from_step=30, to_step=20, learning_rate=0.1**number, reason="LossNotFinite", message="the training loss is nan at step 30")  # fmt: skip
        live = report(roll_backs=number, rolled_back=last)
        status = plan(observed(job, head(live=live), pod(), pod(index=1)), NOW).status
        told = transitions(job.status.conditions, status.conditions)
        job = job.model_copy(update={"status": status.model_copy(update={"report_time": None})})
    (condition,) = told
    assert (condition.type, condition.reason, job.status.roll_backs) == ("RolledBack", "LossNotFinite", 2)
    assert condition.message == "the training loss is nan at step 30; training went back from step 30 to 20 and goes on with learning rate 0.01; it is roll-back 2"  # fmt: skip
    silent = plan(observed(job, head(), pod(), pod(index=1)), NOW).status
    assert find(silent.conditions, "RolledBack") == condition
    starting = plan(observed(job, head(live=report()), pod(), pod(index=1)), NOW).status
    assert starting.roll_backs == 2
