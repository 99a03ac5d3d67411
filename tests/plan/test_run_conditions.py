"""What a run says of pods that do not go and of children that are refused."""

import pytest

from headrace.api.run_report import RolledBack
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
