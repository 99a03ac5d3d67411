"""Runs that happen again: when, how often, and what is counted of what did not happen."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from headrace.api.artifacts import DatasetVersion
from headrace.api.objects import DataPipeline
from headrace.api.recurrence import ScheduleStatus
from headrace.api.status import Phase
from headrace.plan.plan import plan
from headrace.plan.values import DeleteSelf, Observed
from tests.gen import NOW, dataset, model, pipeline, pod, train_job
from tests.plan.test_run import head, observed, with_status

HOURLY = "0 * * * *"
NEXT = NOW.replace(minute=0, second=0) + timedelta(hours=1)


def scheduled(
    phase: Phase = Phase.COMPLETE, following=NEXT, missed: int = 0, cron: str = HOURLY, **spec: Any
) -> DataPipeline:
    ended = {"completion_time": NOW, "attempt_time": None} if phase == Phase.COMPLETE else {}
    told = ScheduleStatus(cron=HOURLY, next=following, missed=missed)
    return with_status(
        pipeline(schedule=cron, **spec), phase=phase, input=None, dataset=dataset(), schedule=told, **ended
    )


def test_the_first_run_is_at_once_and_the_next_moment_is_saved() -> None:
    """Two decisions: the run is numbered, then it is known when it comes again; and somebody looks then."""
    first = plan(observed(pipeline(schedule=HOURLY)), NOW)
    assert (first.status.run, first.status.phase) == (1, Phase.PENDING)
    assert first.status.schedule == ScheduleStatus(cron=HOURLY, next=NEXT)
    complete = plan(observed(scheduled()), NOW)
    assert complete.status.run == 1
    assert complete.requeue_after == pytest.approx((NEXT - NOW).total_seconds() + 0.1)


@pytest.mark.parametrize(
    ("resource", "moment", "run", "following", "missed"),
    [
        (scheduled(), NEXT - timedelta(seconds=1), 1, NEXT, 0),
        (scheduled(), NEXT, 2, NEXT + timedelta(hours=1), 0),
        (scheduled(Phase.FAILED, missed=2), NEXT, 2, NEXT + timedelta(hours=1), 2),
        (scheduled(), NEXT + timedelta(hours=5), 2, NEXT + timedelta(hours=6), 5),
        (scheduled(Phase.RUNNING), NEXT, 1, NEXT + timedelta(hours=1), 1),
        (scheduled(suspend=True), NEXT, 1, NEXT + timedelta(hours=1), 0),
        (scheduled(), NEXT + timedelta(hours=5000), 2, NEXT + timedelta(hours=5001), 999),
        (scheduled(cron="30 * * * *"), NEXT, 1, NEXT + timedelta(minutes=30), 0),
    ],
    ids=["not yet", "it has come", "after a failure", "nobody was there", "one is under way", "suspended", "for very long", "edited"],
)  # fmt: skip
def test_when_a_run_starts(resource: DataPipeline, moment: Any, run: int, following: Any, missed: int) -> None:
    """One for all moments that have come; what did not happen is counted, as far as is counted at a time."""
    pods = (head(), pod()) if resource.status.phase == Phase.RUNNING else ()
    status = plan(observed(resource, *pods), moment).status
    assert (status.run, status.schedule.next, status.schedule.missed) == (run, following, missed)
    assert status.dataset == dataset()


def test_a_schedule_that_is_taken_away() -> None:
    """Is forgotten, and its count with it."""
    resource = scheduled()
    plain = pipeline().model_copy(update={"status": resource.status})
    assert plan(observed(plain), NEXT).status.schedule is None


def job(version: int, **spec: Any):
    trigger = {"newVersion": {"pauseSeconds": 60}}
    return with_status(
        train_job(trigger=trigger, **spec), phase=Phase.COMPLETE, completion_time=NOW, attempt_time=None, input=dataset(version), model=model()
    )  # fmt: skip


def beside(resource: Any, newest: DatasetVersion, phase: Phase = Phase.COMPLETE) -> Observed:
    source = with_status(pipeline(), phase=phase, dataset=newest, input=None)
    return replace(observed(resource), related={source.key: source})


@pytest.mark.parametrize(
    ("seen", "seconds", "runs"),
    [
        (beside(job(3), dataset(4)), 60, 2),
        (beside(job(3), dataset(4)), 59, 1),
        (beside(job(3), dataset(3)), 60, 1),
        (beside(job(3), dataset(4), Phase.RUNNING), 60, 1),
        (beside(job(3, suspend=True), dataset(4)), 60, 1),
        (beside(job(3, dataset={"pipeline": "digits", "version": "3"}), dataset(4)), 60, 1),
    ],
    ids=["newer data", "not so soon", "the same data", "data on its way", "suspended", "a version of one's own"],
)
def test_newer_data_makes_a_job_run_again(seen: Observed, seconds: int, runs: int) -> None:
    """From the data's newest version, with the model of the run before until there is another."""
    status = plan(seen, NOW + timedelta(seconds=seconds)).status
    assert (status.run, status.model) == (runs, model())
    if runs == 2:
        assert (status.phase, status.input) == (Phase.PENDING, dataset(4))


def test_what_recurs_outlives_its_runs() -> None:
    """A time to live would delete what is to run again; somebody looks when the pause is over."""
    resource = job(3, ttlSecondsAfterFinished=5)
    planned = plan(beside(resource, dataset(3)), NOW + timedelta(seconds=10))
    assert planned.actions == ()
    assert planned.requeue_after == pytest.approx(50.1)
    once = with_status(
        train_job(ttlSecondsAfterFinished=5), phase=Phase.COMPLETE, completion_time=NOW, attempt_time=None
    )
    assert plan(observed(once), NOW + timedelta(seconds=10)).actions == (DeleteSelf("uid-train"),)
